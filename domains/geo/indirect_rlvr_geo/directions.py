"""Directions in words and degrees: the points of the compass, how wide a word is, and a pattern that finds them."""

import re

_POINTS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")
_NAMES = {"N": "north", "E": "east", "S": "south", "W": "west"}

PATTERN = (
    r"(?:(?:north|south)(?:ern)?(?:[ -]?(?:north|south))?[ -]?(?:east|west)(?:ern|erly)?"
    r"|(?:east|west)[ -](?:north|south)[ -]?(?:east|west)|(?:north|east|south|west)(?:ern|erly|wards?)?)"
)
"""A direction in words, any case."""
SHORT = r"(?:NNE|ENE|ESE|SSE|SSW|WSW|WNW|NNW|NE|SE|SW|NW|N|E|S|W)"
"""A point of the compass as capital letters."""

CARDINAL, INTERCARDINAL, FINE = 45.0, 22.5, 11.25
"""Half the width, in degrees, of what north, north-east and north-north-east can mean."""


def parse(words: str) -> tuple[float, float] | None:
    """Degrees clockwise from north and half the width of the word; None for what is no direction.

    A cardinal word is as wide as a quarter of the circle, because "south" is said of anything that is not east or west.
    """
    if words in _POINTS:
        point = words
    else:
        found = re.findall(r"north|east|south|west", words.lower())
        if not 1 <= len(found) <= 3:
            return None
        point = "".join(name[0].upper() for name in found)
    if point not in _POINTS:
        return None
    return _POINTS.index(point) * 22.5, (CARDINAL, INTERCARDINAL, FINE)[len(point) - 1]


def name_of(degrees: float) -> str:
    """The nearest of the eight main directions in words."""
    point = _POINTS[round(degrees / 45) % 8 * 2]
    return "-".join(_NAMES[letter] for letter in point)
