"""Distances on the Earth, and the score of a guess; arguments in degrees, results in kilometres."""

import math

EARTH_RADIUS_KM = 6371.0
"""The mean radius; what IMAGEO-Bench, OSV-5M and the Im2GPS line of work use."""
GEOSCORE_KM = 1492.7
"""The distance at which the GeoScore has fallen to 5000/e (GeoGuessr's world map, as OSV-5M computes it)."""


def great_circle_km(
    latitude_deg: float, longitude_deg: float, other_latitude_deg: float, other_longitude_deg: float
) -> float:
    """The haversine distance of two points on a sphere of `EARTH_RADIUS_KM`, in [0, π·6371]; exact across the
    antimeridian and at the poles, stable for close points and for antipodes."""
    lat, other = math.radians(latitude_deg), math.radians(other_latitude_deg)
    half_lat = math.sin((other - lat) / 2)
    half_lon = math.sin(math.radians(other_longitude_deg - longitude_deg) / 2)
    squared = half_lat * half_lat + math.cos(lat) * math.cos(other) * half_lon * half_lon
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, squared)))


def geoscore(distance_km: float) -> float:
    """5000·exp(−d/1492.7), in (0, 5000]."""
    return 5000 * math.exp(-distance_km / GEOSCORE_KM)
