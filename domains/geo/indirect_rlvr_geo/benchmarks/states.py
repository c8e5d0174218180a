"""The states of the US: their names and codes, and which of the contiguous ones a box touches
(`data/LICENCES.md`)."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from indirect_rlvr.rewards.quantities import normal_text

RASTER = Path(__file__).parents[1] / "data" / "states.png"
NORTH, WEST = 49.75, -125.0
"""The corner of the raster in degrees."""
CELLS_PER_DEGREE = 64
"""Some 1.7 km; a quarter-quad is four by four cells."""

_SPELLED = (
    "AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware|"
    "DC District of Columbia|FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|"
    "KY Kentucky|LA Louisiana|ME Maine|MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota|MS Mississippi|"
    "MO Missouri|MT Montana|NE Nebraska|NV Nevada|NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|"
    "NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|OR Oregon|PA Pennsylvania|RI Rhode Island|"
    "SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VT Vermont|VA Virginia|WA Washington|"
    "WV West Virginia|WI Wisconsin|WY Wyoming"
)
NAMES = {line[3:].casefold(): line[:2] for line in _SPELLED.split("|")}
"""Folded name → postal code, for the 50 states and the District of Columbia."""
CODES = tuple(sorted(set(NAMES.values()) - {"AK", "HI"}))
"""The contiguous ones by the raster's values, which start at 1."""
_OTHERWISE = {
    "washington dc": "DC", "washington d.c": "DC", "d.c": "DC", "commonwealth of massachusetts": "MA",
    "commonwealth of virginia": "VA", "commonwealth of kentucky": "KY", "commonwealth of pennsylvania": "PA",
}  # fmt: skip


def state_code(written: str) -> str | None:
    """The postal code of a state as it is written ("Calif." is not read, "california", "CA" and "State of California"
    are); None where it is no state."""
    name = normal_text(written)
    if name is None:
        return None
    name = name.replace(",", "")
    if name.upper() in NAMES.values():
        return name.upper()
    return NAMES.get(name.removeprefix("state of ").removesuffix(" state")) or _OTHERWISE.get(name)


def states_in(south: float, north: float, west: float, east: float) -> tuple[str, ...]:
    """The codes of the contiguous states that a box in degrees touches, largest share first; () abroad and at sea."""
    raster = _raster()
    rows = slice(*(_clipped((NORTH - edge) * CELLS_PER_DEGREE, raster.shape[0]) for edge in (north, south)))
    columns = slice(*(_clipped((edge - WEST) * CELLS_PER_DEGREE, raster.shape[1]) for edge in (west, east)))
    counts = np.bincount(raster[rows, columns].ravel(), minlength=len(CODES) + 1)
    counts[0] = 0
    return tuple(CODES[number - 1] for number in np.argsort(-counts, kind="stable") if counts[number])


def _clipped(cell: float, size: int) -> int:
    return min(max(round(cell), 0), size)


@cache
def _raster() -> NDArray[np.uint8]:
    with Image.open(RASTER) as picture:
        return np.asarray(picture)
