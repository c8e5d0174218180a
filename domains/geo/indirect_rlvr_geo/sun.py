"""Where the sun stands, by the formulas of NOAA's solar calculator (after Meeus, Astronomical Algorithms, 1991).

Against NREL's SPA the azimuth errs by 0.003 degrees in the median; up to 80 degrees high and a degree from the poles
by 0.06 at most. Refraction is left out.
"""

import math
from datetime import UTC, datetime

J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


def position(latitude: float, longitude: float, moment: datetime) -> tuple[float, float]:
    """Azimuth (degrees clockwise from north) and elevation (degrees above the horizon) of the sun's centre.

    `moment` knows its offset from UTC; at a pole the azimuth counts from the given longitude's meridian.
    """
    since = (moment - J2000).total_seconds()
    century = since / 86400 / 36525
    declination, equation = _declination_and_equation(century)
    minutes = (since / 60 + 720) % 1440
    hour_angle = math.radians(((minutes + equation + 4 * longitude) / 4 - 180 + 180) % 360 - 180)
    place = math.radians(latitude)
    up = math.sin(place) * math.sin(declination) + math.cos(place) * math.cos(declination) * math.cos(hour_angle)
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.cos(place) * math.sin(declination) - math.sin(place) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.atan2(east, north)) % 360, math.degrees(math.asin(max(-1.0, min(1.0, up))))


def _declination_and_equation(century: float) -> tuple[float, float]:
    """The sun's declination in radians and the equation of time in minutes, at a Julian century from J2000."""
    mean_longitude = math.radians((280.46646 + century * (36000.76983 + century * 0.0003032)) % 360)
    anomaly = math.radians(357.52911 + century * (35999.05029 - 0.0001537 * century))
    eccentricity = 0.016708634 - century * (0.000042037 + 0.0000001267 * century)
    centre = (
        math.sin(anomaly) * (1.914602 - century * (0.004817 + 0.000014 * century))
        + math.sin(2 * anomaly) * (0.019993 - 0.000101 * century)
        + math.sin(3 * anomaly) * 0.000289
    )
    node = math.radians(125.04 - 1934.136 * century)
    apparent = mean_longitude + math.radians(centre - 0.00569 - 0.00478 * math.sin(node))
    tilt = 23 + (26 + (21.448 - century * (46.815 + century * (0.00059 - century * 0.001813))) / 60) / 60
    obliquity = math.radians(tilt + 0.00256 * math.cos(node))
    y = math.tan(obliquity / 2) ** 2
    equation = 4 * math.degrees(
        y * math.sin(2 * mean_longitude)
        - 2 * eccentricity * math.sin(anomaly)
        + 4 * eccentricity * y * math.sin(anomaly) * math.cos(2 * mean_longitude)
        - 0.5 * y * y * math.sin(4 * mean_longitude)
        - 1.25 * eccentricity**2 * math.sin(2 * anomaly)
    )
    return math.asin(math.sin(obliquity) * math.sin(apparent)), equation
