"""Where on Earth a position lies: countries by polygon, and angles between bearings.

The polygons are Natural Earth 1:50m (`data/LICENCES.md`); they are about 2 km true, so a border is accepted from both
sides.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.rewards.geodesy import EARTH_RADIUS_KM
from indirect_rlvr_geo import gazetteer

DATA = Path(__file__).parent / "data"
BORDER_KM = 10.0
"""Within this distance of a border either side is accepted."""
COAST_KM = 25.0
"""A position on the water belongs to the countries within this distance."""

DISPUTED: tuple[tuple[float, float, float, float, str], ...] = (
    (44.3, 46.3, 32.4, 36.7, "UA RU"),
    (46.9, 50.1, 36.9, 40.3, "UA RU"),
    (32.0, 37.2, 72.4, 80.4, "IN PK CN"),
    (26.5, 29.6, 91.4, 97.5, "IN CN"),
    (32.6, 33.4, 35.6, 36.0, "IL SY LB"),
    (31.2, 32.6, 34.85, 35.6, "IL PS JO"),
    (31.2, 31.6, 34.2, 34.6, "IL PS EG"),
    (20.7, 27.7, -17.2, -8.6, "EH MA MR"),
    (41.8, 43.3, 20.0, 21.8, "XK RS"),
    (34.9, 35.8, 32.5, 34.7, "CY TR GB"),
    (7.9, 11.6, 42.6, 49.1, "SO ET DJ"),
    (42.3, 43.7, 39.9, 42.2, "GE RU"),
    (42.0, 42.9, 43.3, 44.7, "GE RU"),
    (38.8, 40.8, 45.0, 47.6, "AZ AM"),
    (45.4, 48.4, 28.0, 30.2, "MD UA RU"),
    (21.8, 25.4, 118.1, 122.1, "TW CN"),
    (-53.0, -51.0, -61.5, -57.5, "FK AR GB"),
    (1.1, 8.7, -61.5, -57.2, "GY VE"),
    (21.9, 23.2, 33.0, 37.0, "EG SD"),
    (8.9, 10.4, 27.7, 29.1, "SD SS"),
    (43.3, 45.6, 145.3, 149.0, "JP RU"),
)
"""Boxes (south, north, west, east) around territory that several countries claim: among them no claim is judged."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The countries a position may be said to lie in and those that dispute it, as ISO 3166 codes."""

    countries: frozenset[str]
    disputed: frozenset[str]


@lru_cache(maxsize=4096)
def ground(latitude: float, longitude: float) -> Ground:
    """The countries at a position in degrees: by polygon, across a border within `BORDER_KM`, and of towns as near as
    that.

    Towns speak for enclaves and islands that the polygons leave out. Empty on the high seas.
    """
    owners = _owners_within(latitude, longitude)
    inside, reach = _inside(latitude, longitude), COAST_KM
    if inside:
        reach = BORDER_KM
    near = {code for code, distance in owners.items() if distance <= reach}
    towns = {town.country for town in gazetteer.near(latitude, longitude, reach)}
    boxes = [set(codes.split()) for s, n, w, e, codes in DISPUTED if s <= latitude <= n and w <= longitude <= e]
    found = inside | near | towns
    return Ground(frozenset(found), frozenset().union(*(box for box in boxes if box & found)))


def angle_between(one: float, other: float) -> float:
    """The angle between two bearings in degrees, [0, 180]."""
    return abs((one - other + 180) % 360 - 180)


@dataclass(frozen=True)
class _Borders:
    """Edges of all rings from `start` to `end` (n, 2: longitude, latitude in degrees), `owner` (n,) into `codes`.

    Edges are in the order of their start's latitude. Rings that cross the antimeridian run on beyond ±180 degrees.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    owner: NDArray[np.int16]
    codes: tuple[str, ...]


@cache
def _borders() -> _Borders:
    with np.load(DATA / "borders.npz") as table:
        points, starts, owner = table["points"] / 1e4, table["starts"], table["owner"]
        codes = tuple(str(code) for code in table["codes"])
    following = np.arange(1, len(points) + 1)
    following[starts[1:] - 1] = starts[:-1]
    northward = np.argsort(points[:, 1], kind="stable")
    return _Borders(
        points[northward], points[following][northward], np.repeat(owner, np.diff(starts))[northward], codes
    )


def _inside(latitude: float, longitude: float) -> set[str]:
    """Owners of the polygons around a position: the even-odd rule over each owner's edges, so holes are outside."""
    borders = _borders()
    x, y = borders.start.T
    u, v = borders.end.T
    at = (y > latitude) != (v > latitude)
    crossing = x[at] + (latitude - y[at]) / (v[at] - y[at]) * (u[at] - x[at])
    found: set[str] = set()
    for turn in (-360.0, 0.0, 360.0):
        counts = np.bincount(borders.owner[at][crossing > longitude + turn], minlength=len(borders.codes))
        found |= {borders.codes[i] for i in np.flatnonzero(counts % 2)}
    return found


def _owners_within(latitude: float, longitude: float) -> dict[str, float]:
    """Owner → distance in km to its nearest edge, of edges within some 50 km, on the plane that touches the
    position."""
    borders = _borders()
    first, last = np.searchsorted(borders.start[:, 1], (latitude - 2.0, latitude + 2.0))
    scale = EARTH_RADIUS_KM * math.pi / 180 * np.array([math.cos(math.radians(latitude)), 1.0])
    start, end = (np.stack([(p[:, 0] - longitude + 180) % 360 - 180, p[:, 1] - latitude], 1) * scale
                  for p in (borders.start[first:last], borders.end[first:last]))  # fmt: skip
    along = end - start
    square = np.maximum((along**2).sum(1), 1e-12)
    share = np.clip(-(start * along).sum(1) / square, 0.0, 1.0)
    distance = np.hypot(*(start + share[:, None] * along).T)
    owner = borders.owner[first:last]
    return {borders.codes[i]: float(distance[owner == i].min()) for i in np.unique(owner[distance < 50.0])}
