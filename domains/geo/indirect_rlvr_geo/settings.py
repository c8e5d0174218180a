"""The geo pack's own settings: the `[records]` table of its recipes."""

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Places on the elevation model."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    spacing_m: float = Field(200.0, ge=50.0, le=2000.0)
    """Places are at least this far apart, in metres."""
    min_separation_m: float = Field(500.0, ge=0.0)
    """Candidates of one task are at least this far apart, in metres."""
    cells_m: tuple[float, ...] = (2500.0, 5000.0, 10000.0)
    """Sides of the cells that a candidate set comes from, in metres, smallest first."""
    elevation_file: str = ""
    """An .npz with the keys of Matplotlib's `jacksboro_fault_dem.npz`; empty: that file itself."""
