"""Where a NAIP aerial photo lies, from its name: the quarter-quad it covers."""

import re
from dataclasses import dataclass

QUAD = 0.125
"""Degrees of a side of a quadrangle (7.5 minutes); a quarter-quad is half of it."""
_NAME = re.compile(
    r"m_([0-9]{2})([0-9]{3})([0-9]{2})_(nw|ne|sw|se)_([0-9]{1,2})_(h|[0-9]{1,3})_([0-9]{8})(?:_([0-9]{8}))?"
    r"(?:\.[a-z]{3,4})?"
)


@dataclass(frozen=True, slots=True)
class QuarterQuad:
    """A box of 3.75 by 3.75 minutes, edges in degrees, with the UTM zone and the dates (YYYYMMDD) of its name: the
    flight, and where given the release. A photo covers it with some 300 m of margin; a patch of the photo may lie
    anywhere in it, up to about 4.4 km from its centre."""

    south: float
    north: float
    west: float
    east: float
    zone: int
    dates: tuple[str, ...]

    @property
    def centre(self) -> tuple[float, float]:
        """Latitude and longitude in degrees."""
        return (self.south + self.north) / 2, (self.west + self.east) / 2


def decode(name: str) -> QuarterQuad | None:
    """The quarter-quad of a name like "m_4107501_ne_18_060_20221108", with or without a suffix; None for other names.

    Degrees of latitude north and longitude west are those of the degree cell's corner next to zero; its 64 quadrangles
    are numbered by rows from the north-west. The ground sample distance is written 1, h (a half) or 060.
    """
    found = _NAME.fullmatch(name.lower())
    if found is None:
        return None
    latitude, longitude, quad, zone = (int(found[group]) for group in (1, 2, 3, 5))
    if not (1 <= quad <= 64 and latitude < 90 and longitude < 180 and 1 <= zone <= 60):
        return None
    row, column = divmod(quad - 1, 8)
    north = latitude + 1 - QUAD * row - (QUAD / 2 if found[4][0] == "s" else 0)
    west = -(longitude + 1) + QUAD * column + (QUAD / 2 if found[4][1] == "e" else 0)
    dates = tuple(date for date in found.group(7, 8) if date)
    return QuarterQuad(north - QUAD / 2, north, west, west + QUAD / 2, zone, dates)
