"""The geo pack's own settings: the `[records]` table of its recipes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from indirect_rlvr_geo.benchmarks.cv_cities import HALF_TILE_M


class Photos(BaseModel):
    """Neighbourhoods of prepared records; the published ones are not known, and `docs/data.md` explains these."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    limit: int = Field(0, ge=0)
    """At most so many records of each split, whole blocks of two kilometres at a time; 0 is all."""
    cells_m: tuple[float, ...] = (500.0, 1000.0, 2000.0, 4000.0)
    """Sides of the cells that a candidate set comes from, in metres, smallest first."""
    min_separation_m: float = Field(2 * HALF_TILE_M, ge=0.0)
    """Candidates of one task are at least this far apart, in metres: a whole tile, so that no two share ground."""
    buffer_m: float = Field(500.0, ge=0.0)
    """Training records closer than this to a held-out one are dropped, in metres."""
    window_days: tuple[float, float] | None = None
    """[least, most] days between the captures of two candidates; only where every record has a time."""
    layout: Literal["labelled", "images-first"] = "labelled"
    """Each candidate behind its letter; or, as the released code has it, all images first, no label at any, then one
    text, whose first sentence says in which order they stand: the published wording is not known."""


class Settings(BaseModel):
    """Places on the elevation model, or prepared records."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    spacing_m: float = Field(200.0, ge=50.0, le=2000.0)
    """Places are at least this far apart, in metres."""
    min_separation_m: float = Field(500.0, ge=0.0)
    """Candidates of one task are at least this far apart, in metres."""
    cells_m: tuple[float, ...] = (2500.0, 5000.0, 10000.0)
    """Sides of the cells that a candidate set comes from, in metres, smallest first."""
    elevation_file: str = ""
    """An .npz with the keys of Matplotlib's `jacksboro_fault_dem.npz`; empty: that file itself."""
    prepared: str = ""
    """A folder that `rlvr data prepare geo` made, whose records take the place of the elevation model's."""
    photos: Photos = Photos()
