"""Universal Transverse Mercator to degrees (WGS 84), by Krüger's series to the third order in the flattening.

Within a zone it is good to a few millimetres. Source: Krüger 1912, as in Karney 2011, "Transverse Mercator with an
accuracy of a few nanometers", section 3.
"""

import math

SEMI_MAJOR_M, FLATTENING = 6_378_137.0, 1 / 298.257223563
SCALE, FALSE_EAST_M, FALSE_NORTH_M = 0.9996, 500_000.0, 10_000_000.0
_N = FLATTENING / (2 - FLATTENING)
_RADIUS_M = SEMI_MAJOR_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_BETA = (_N / 2 - 2 / 3 * _N**2 + 37 / 96 * _N**3, _N**2 / 48 + _N**3 / 15, 17 / 480 * _N**3)
_DELTA = (2 * _N - 2 / 3 * _N**2 - 2 * _N**3, 7 / 3 * _N**2 - 8 / 5 * _N**3, 56 / 15 * _N**3)


def degrees(east_m: float, north_m: float, zone: int, south: bool) -> tuple[float, float]:
    """Latitude and longitude in degrees of a position in metres of a zone, 1 to 60."""
    xi = (north_m - (FALSE_NORTH_M if south else 0.0)) / (SCALE * _RADIUS_M)
    eta = (east_m - FALSE_EAST_M) / (SCALE * _RADIUS_M)
    terms = list(enumerate(_BETA, 1))
    up = xi - sum(beta * math.sin(2 * j * xi) * math.cosh(2 * j * eta) for j, beta in terms)
    right = eta - sum(beta * math.cos(2 * j * xi) * math.sinh(2 * j * eta) for j, beta in terms)
    conformal = math.asin(math.sin(up) / math.cosh(right))
    latitude = conformal + sum(delta * math.sin(2 * j * conformal) for j, delta in enumerate(_DELTA, 1))
    meridian = 6 * zone - 183
    return math.degrees(latitude), meridian + math.degrees(math.atan2(math.sinh(right), math.cos(up)))
