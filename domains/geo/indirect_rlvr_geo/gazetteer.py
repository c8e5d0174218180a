"""Populated places by name and by position, from a compact table of GeoNames (`data/LICENCES.md`)."""

import lzma
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.rewards.geodesy import EARTH_RADIUS_KM

TABLE = Path(__file__).parent / "data" / "cities.tsv.xz"
KM_PER_DEGREE = 111.19
RADII_KM = ((5000, 80.0), (1000, 50.0), (100, 30.0), (0, 25.0))
"""How far a place of at least so many thousand people reaches from its centre."""


@dataclass(frozen=True, slots=True)
class Town:
    """One populated place: degrees, and people in thousands."""

    name: str
    country: str
    latitude: float
    longitude: float
    thousands: int

    @property
    def radius_km(self) -> float:
        """How far from its centre a position may still be said to lie in it."""
        return next(radius for least, radius in RADII_KM if self.thousands >= least)


def named(name: str) -> tuple[Town, ...]:
    """Every place that bears a name, the largest first; accents, case and hyphens do not matter."""
    table = _table()
    return tuple(sorted((table.town(row) for row in table.rows.get(key(name), ())), key=lambda town: -town.thousands))


def largest(country: str) -> Town | None:
    """The place of most people in a country, by its ISO 3166 code; None where the table has none."""
    return _largest().get(country)


def is_name(name: str) -> bool:
    """Whether any place bears the name."""
    return key(name) in _table().rows


@lru_cache(maxsize=4096)
def near(latitude: float, longitude: float, km: float) -> tuple[Town, ...]:
    """The places within `km` of a position in degrees, from south to north."""
    table = _table()
    reach = km / KM_PER_DEGREE + 0.01
    first, last = np.searchsorted(table.latitude[table.northward], (latitude - reach, latitude + reach))
    rows = table.northward[first:last]
    a, b = np.radians(latitude), np.radians(table.latitude[rows])
    half = np.sin((b - a) / 2) ** 2
    half += np.cos(a) * np.cos(b) * np.sin(np.radians(table.longitude[rows] - longitude) / 2) ** 2
    close = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0))) <= km
    return tuple(table.town(int(row)) for row in rows[close])


def key(name: str) -> str:
    """A name as the table looks it up. Names are short; a longer text is cut, so that this stays linear."""
    plain = name[:80] if name.isascii() else unicodedata.normalize("NFKD", name[:80])
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(letters.casefold().replace("’", "'").replace("-", " ").replace(".", " ").split())


@cache
def _largest() -> dict[str, Town]:
    table, found = _table(), dict[str, Town]()
    for row in range(len(table.lines)):
        town = table.town(row)
        if town.country not in found or town.thousands > found[town.country].thousands:
            found[town.country] = town
    return found


@dataclass(frozen=True)
class _Table:
    lines: list[str]
    rows: dict[str, list[int]]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    northward: NDArray[np.int64]

    def town(self, row: int) -> Town:
        name, country, latitude, longitude, thousands = self.lines[row].split("\t")
        return Town(name, country, int(latitude) / 100, int(longitude) / 100, int(thousands))


@cache
def _table() -> _Table:
    """The lines as they are, which rows bear a name, degrees, and the rows from south to north; about a second to read,
    once in a process and only where a text names a place."""
    lines = lzma.decompress(TABLE.read_bytes()).decode().split("\n")
    rows: dict[str, list[int]] = {}
    degrees = np.empty((2, len(lines)))
    for row, line in enumerate(lines):
        name, _, latitude, longitude, _ = line.split("\t")
        degrees[:, row] = int(latitude), int(longitude)
        rows.setdefault(key(name), []).append(row)
    latitude, longitude = degrees / 100
    return _Table(lines, rows, latitude, longitude, np.argsort(latitude, kind="stable"))
