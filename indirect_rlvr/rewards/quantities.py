"""Strict readings of an answer that is a text, a number with a unit or a pair of coordinates.

As with choices, what is not clearly one value is none. An answer longer than `LONGEST` characters is none either: no
value is that long, and normalising Unicode is only cheap for short texts.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

LONGEST = 1000
"""Characters of an answer that is read at all."""
METRES: Mapping[str, float] = MappingProxyType(
    {"m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "km": 1e3, "kilometre": 1e3, "kilometres": 1e3,
     "kilometer": 1e3, "kilometers": 1e3, "cm": 1e-2, "mm": 1e-3, "ft": 0.3048, "foot": 0.3048, "feet": 0.3048,
     "mi": 1609.344, "mile": 1609.344, "miles": 1609.344}
)  # fmt: skip
"""Units of length in metres, for `values.number`."""

_DIGITS = r"[+\-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"
_NUMBER = re.compile(rf"({_DIGITS})(?:e([+\-]?[0-9]{{1,3}})|x10\^([+\-]?[0-9]{{1,3}}))?")
_APPROXIMATELY = ("approximately", "about", "around", "roughly", "circa", "ca.", "~", "≈", "=")
_PREAMBLES = ("the answer is", "answer:", "it is", "it's")
_AXIS = (
    r"([+\-]?[0-9]+(?:\.[0-9]+)?)\s*°?\s*"
    r"(?:([0-9]+(?:\.[0-9]+)?)\s*['’]\s*(?:([0-9]+(?:\.[0-9]+)?)\s*\"\s*)?)?"
)
_PAIR = re.compile(
    rf"(?:lat(?:itude)?\s*[:=]?\s*)?{_AXIS}([ns]?)(?:\s*[,;]\s*|\s+|(?<=[ns]))"
    rf"(?:(?:longitude|long|lon|lng)\s*[:=]?\s*)?{_AXIS}([ew]?)"
)
_LATITUDES, _LONGITUDES = ("latitude", "lat"), ("longitude", "lon", "lng", "long")


class Coordinates(NamedTuple):
    """A place: latitude in [−90, 90], longitude in [−180, 180]."""

    latitude_deg: float
    longitude_deg: float


def normal_text(text: str) -> str | None:
    """The text with compatibility forms resolved, case folded, accents and outer punctuation dropped and whitespace
    collapsed, so that "**Zürich.**" is "zurich"; None where nothing is left or the text is too long."""
    if len(text) > LONGEST:
        return None
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(plain.split()).strip("\"'`*_.,;:!?()[]{}<>$“”‘’ ") or None


def parse_number(text: str, units: Mapping[str, float]) -> float | None:
    """The one number the text states, times the factor of the unit behind it; None where there is no such thing.

    `units` maps lower-case names to factors, and "" is the factor of a number without a unit: leave it out to require
    one. Thousands are grouped by commas ("1,234.5"), a comma is no decimal point, "3.2e3" and "3.2 × 10^3" are read,
    and an "about" before the number is allowed. Ranges, alternatives and other units are not.
    """
    rest = _stripped(text)
    if rest is None:
        return None
    found = _NUMBER.match(rest.replace(" x 10^", "x10^").replace("x 10^", "x10^"))
    if found is None:
        return None
    factor = units.get(found.string[found.end() :].strip().removesuffix(".").strip())
    if factor is None:
        return None
    value = float(f"{found[1].replace(',', '')}e{found[2] or found[3] or 0}") * factor
    return value if math.isfinite(value) else None


def parse_coordinates(text: str) -> Coordinates | None:
    """The one latitude and longitude the text states, in degrees, or None.

    Read are "48.85, 2.29", "48.85° N, 2.29° E", "48°51'30\\"N 2°17'40\\"E", "lat: 48.85, lon: 2.29" and a JSON object
    with latitude and longitude. A sign together with N, S, E or W, values out of range and a second pair are not.
    """
    stripped = _stripped(text)
    if stripped is None:
        return None
    if stripped.startswith("{"):
        return _from_object(stripped)
    primes = stripped.replace("′", "'").replace("''", '"').removesuffix(".").strip("()[] ")
    found = _PAIR.fullmatch(primes)
    return None if found is None else _checked(_degrees(*found.groups()[:4]), _degrees(*found.groups()[4:]))


def _stripped(text: str) -> str | None:
    """The text in lower case and plain signs, white space collapsed, without Markdown and the words that may stand
    before a value."""
    if len(text) > LONGEST:
        return None
    plain = unicodedata.normalize("NFKC", text).casefold().replace("−", "-").replace("×", "x")
    rest = " ".join(plain.split()).strip("*`$ ")  # runs of white space would cost `_PAIR` their cube
    for openings in (_PREAMBLES, _APPROXIMATELY):
        for opening in openings:
            rest = rest.removeprefix(opening).strip("*`$ ")
    return rest


def _degrees(degrees: str, minutes: str | None, seconds: str | None, side: str) -> float | None:
    if (side and degrees[0] in "+-") or float(minutes or 0) >= 60 or float(seconds or 0) >= 60:
        return None
    size = abs(float(degrees)) + float(minutes or 0) / 60 + float(seconds or 0) / 3600
    return -size if side in {"s", "w"} or degrees.startswith("-") else size


def _checked(latitude: float | None, longitude: float | None) -> Coordinates | None:
    if latitude is None or longitude is None or not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None
    return Coordinates(float(latitude), float(longitude))


def _from_object(text: str) -> Coordinates | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    values = []
    for names in (_LATITUDES, _LONGITUDES):
        named = [found[name] for name in names if name in found]
        if len(named) != 1 or isinstance(named[0], bool) or not isinstance(named[0], (int, float)):
            return None
        values.append(named[0])
    return _checked(*values)
