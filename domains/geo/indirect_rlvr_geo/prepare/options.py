"""The settings of a preparation: `--set key=value` of `rlvr data prepare geo`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Options(BaseModel):
    """How a data set is read and checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_pixels: int = Field(0, ge=0, le=50_000_000)
    """Images of more pixels get a smaller copy, once; 0 makes no copies. The recipe's own cap belongs here."""
    decode: bool = False
    """Read and decode every image whole, so that damage in the middle of a file is found here and not by the run."""
    bad_share: float = Field(0.01, ge=0, lt=1)
    """Share of pairs whose images may be missing or torn: they are left out and listed. More than that is refused."""
    test_share: float = Field(0.2, gt=0, lt=1)
    """Share of clusters held out where neither the data set nor `test_cities` says which."""
    test_cities: tuple[str, ...] = ()
    """Cities to hold out, separated by commas, in place of the data set's own."""
    table: str = ""
    """The table of `--source table`, below the root: .csv, .parquet, or a STAC item collection (.json, .geojson)."""
    columns: dict[str, str] = {}
    """Names that a table's columns really have, as `lat:latitude,ground:photo`."""
    shard: int = Field(8192, ge=1)
    """Pairs of an output file; an interrupted preparation continues after the last one finished."""

    @field_validator("test_cities", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(filter(None, (each.strip() for each in value.split(",")))) if isinstance(value, str) else value

    @field_validator("columns", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        named = [each.partition(":") for each in value.split(",")]
        if not all(colon and name.strip() and column.strip() for name, colon, column in named):
            raise ValueError("expected name:column, separated by commas")
        return {name.strip(): column.strip() for name, _, column in named}
