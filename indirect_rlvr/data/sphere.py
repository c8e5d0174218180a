"""Places on the sphere as exact integers: degrees in, unit vectors times 2^30 out, distances in metres on the surface.

There is no pole and no antimeridian in three dimensions. Trigonometry is done once, here; every comparison afterwards
is between integers.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.geodesy import EARTH_RADIUS_KM

EARTH_M = 1000 * EARTH_RADIUS_KM
"""Mean radius of the earth, in metres; against the ellipsoid, distances err by at most 0.56 %."""

SCALE = 2**30
"""Integer length of a unit vector: one step is 5.9 mm on the ground, and squared distances stay below 2^63."""


def unit_integers(longitude_degrees: ArrayLike, latitude_degrees: ArrayLike) -> NDArray[np.int64]:
    """Places as rows of three integers, shape (n, 3). Degrees, never radians.

    Raises DataError where `check_degrees` does.
    """
    check_degrees(longitude_degrees, latitude_degrees)
    lon, lat = np.radians(np.asarray(longitude_degrees, float)), np.radians(np.asarray(latitude_degrees, float))
    vectors = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    return np.asarray(np.rint(vectors * SCALE), dtype=np.int64).reshape(-1, 3)


def great_circle_m(
    longitude_degrees: ArrayLike,
    latitude_degrees: ArrayLike,
    other_longitude_degrees: ArrayLike,
    other_latitude_degrees: ArrayLike,
) -> NDArray[np.float64]:
    """Metres along the surface between places given in degrees, by the integers that mining compares."""
    one = unit_integers(longitude_degrees, latitude_degrees)
    other = unit_integers(other_longitude_degrees, other_latitude_degrees)
    half_chord = np.sqrt(((one - other) ** 2).sum(axis=-1).astype(np.float64)) / (2 * SCALE)
    return np.asarray(2 * EARTH_M * np.arcsin(np.minimum(half_chord, 1.0)))


def steps(metres: float) -> int:
    """A length along the surface as integer steps, rounded up: never shorter than asked."""
    return math.ceil(metres / EARTH_M * SCALE)


def squared_chord(metres: float) -> float:
    """The squared straight distance, in steps, of two places `metres` apart along the surface."""
    return (2 * math.sin(min(metres / EARTH_M, math.pi) / 2) * SCALE) ** 2


def check_degrees(
    longitude_degrees: ArrayLike, latitude_degrees: ArrayLike, names: Sequence[str] | None = None
) -> None:
    """Raise DataError for the first place that is not finite or out of range; longitudes may run to 360.

    Where a latitude beyond 90 would be a fine longitude, the message says that the two look swapped.
    """
    lon, lat = np.asarray(longitude_degrees, float).ravel(), np.asarray(latitude_degrees, float).ravel()
    bad = ~(np.isfinite(lon) & np.isfinite(lat)) | (np.abs(lat) > 90) | (lon < -180) | (lon > 360)
    if not bad.any():
        return
    row = int(np.argmax(bad))
    name = f"record `{names[row]}`" if names is not None else f"place number {row}"
    found = f"{name}: longitude is {lon[row]:g} and latitude {lat[row]:g} degrees"
    expected = "expected finite degrees, longitude in [-180, 360] and latitude in [-90, 90]"
    swapped = 90 < abs(lat[row]) <= 180 and abs(lon[row]) <= 90
    hint = "the two look swapped: give longitude first" if swapped else "correct or leave out the record"
    raise DataError(f"{found}; {expected}; {hint} ({int(bad.sum())} of {len(bad)} places are like this)")


def suspicions(longitude_degrees: ArrayLike, latitude_degrees: ArrayLike) -> list[str]:
    """What looks odd about places that are all in range, and what numbers cannot tell; for the reader."""
    lon, lat = np.asarray(longitude_degrees, float).ravel(), np.asarray(latitude_degrees, float).ravel()
    found = []
    if len(lon) and np.abs(lon).max() <= 90:
        found.append("all longitudes are within ±90 degrees, so a wrong order of longitude and latitude would not show")
    if len(lon) and np.abs(lon).max() <= math.pi and np.abs(lat).max() <= math.pi / 2:
        found.append("all places lie within ±π and ±π/2: if these are radians, convert them to degrees first")
    zero = int(((lon == 0) & (lat == 0)).sum())
    if zero:
        found.append(f"{zero} places are exactly at longitude 0, latitude 0, which often means that none was known")
    return found
