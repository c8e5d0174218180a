"""Finds the coordinates and elevations that a text states, with what their wording leaves open."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from indirect_rlvr.rewards.facts import Claim
from indirect_rlvr_geo.phrases import Sentence


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Stated degrees, each None where only the other is given, and the distance in km that they leave open."""

    latitude: float | None
    longitude: float | None
    slack_km: float


@dataclass(frozen=True, slots=True)
class Heights:
    """A stated elevation in metres, from `low` to `high`, and whether it is said to be approximate."""

    low: float
    high: float
    rough: bool


ROUGH_KM, EXACT_KM = 25.0, 1.0
"""How far coordinates may be off: where the text says "about", and otherwise; never less than their last digit."""

_NUMBER = r"[-−+]?\d{1,3}(?:\.\d{1,8})?"
_SIGN = r"\s?(?:°|º|deg(?:rees)?\b)?\s?"
_PAIR = re.compile(
    rf"(?<![\d.])(?P<la>[-−+]?\d{{1,2}}(?:\.\d{{1,8}})?){_SIGN}(?P<ns>[NS]\b)?\s?[,;/]?\s?(?:and\s|by\s)?"
    rf"(?P<lo>{_NUMBER}){_SIGN}(?P<ew>[EW]\b)?(?![\d.]*\d)"
)
_SECONDS = r"(?:(?P<s{0}>\d{{1,2}}(?:\.\d{{1,4}})?)\s?(?:\"|″|”|'')\s?)?"
_DMS = re.compile(
    rf"(?<!\d)(?P<d1>\d{{1,2}})\s?[°º]\s?(?P<m1>\d{{1,2}})\s?['′’]\s?{_SECONDS.format(1)}(?P<ns>[NS])\b[\s,;]{{0,3}}"
    rf"(?P<d2>\d{{1,3}})\s?[°º]\s?(?P<m2>\d{{1,2}})\s?['′’]\s?{_SECONDS.format(2)}(?P<ew>[EW])\b"
)
_LABELLED = re.compile(
    r"\b(?P<axis>lat(?:itude)?|lon(?:g(?:itude)?)?)\b\.?\s*(?::|=|is|of)?\s*"
    rf"(?P<rough>about|around|approximately|roughly|near|~|≈)?\s*(?P<value>{_NUMBER}){_SIGN}(?P<letter>[NSEW]\b)?",
    re.I,
)
_LATITUDE = re.compile(
    r"(?<![\d.])(?P<value>\d{1,2}(?:\.\d{1,8})?)\s?(?:°|º|degrees)\s?(?P<letter>[NS]|north|south)\b(?:\s+latitude)?"
    r"(?!\s*[,;/]?\s*\d)(?!-|\s+of\s+(?!the\s+equator))"
)
_CUE = re.compile(
    r"\b(?:coordinates?|gps|lat(?:itude)?s?|long?(?:itude)?s?|located|location|position|lies|situated|at|cent(?:er|re)d)\b",
    re.I,
)
_ROUGH_WORDS = (
    r"(?:about|around|approximately|approx\.?|roughly|near|nearly|close to|some|circa|ca\.|~|≈|estimated(?: at)?"
    r"|in the (?:area|vicinity) of)"
)
_ROUGH = re.compile(rf"{_ROUGH_WORDS}[\s(*]{{0,4}}$", re.I)

_METRES = r"(?P<{0}>\d{{1,3}}(?:,\d{{3}})+|\d{{1,5}})(?:\.\d{{1,2}})?"
_UNIT = r"\s?-?(?P<unit>m|metres?|meters?|ft|feet|km|kilomet(?:re|er)s?)\b"
_RANGE = (
    rf"(?:{_METRES.format('low')}\s?(?:m|ft|metres|meters|feet)?\s?(?:-|–|to|and)\s?)?{_METRES.format('high')}{_UNIT}"
)
_ELEVATION = re.compile(
    r"\b(?:elevation|altitude)\b"
    r"(?:\s+(?:here|of\s+(?:the|this)\s+(?:place|site|location|area|town|city)|above\s+sea\s+level))?"
    rf"\s*(?::|=|of|is|lies|at)?\s*\*{{0,2}}(?:(?:is|at|between|well|over|{_ROUGH_WORDS})\s*){{0,3}}{_RANGE}",
    re.I,
)
_ABOVE_SEA = re.compile(
    rf"\b{_RANGE}\s+(?:above\s+(?:mean\s+)?(?:sea[\s-]level|the\s+sea)|a\.?s\.?l\b|in\s+(?:elevation|altitude))", re.I
)
_OTHER = re.compile(
    r"\b(?:gain|difference|change|range|relative|relief|peaks?|summits?|mountains?|hills?|buildings?|towers?|trees?|ridge"
    r"|rises?|climbs?|drops?|over|below|under|least|more|less|higher|lower|plane|aircraft|drone|satellite|camera|volcano)\b",
    re.I,
)


def find(sentence: Sentence) -> Iterator[Claim]:
    """The claims of a sentence on coordinates and elevation."""
    yield from _coordinates(sentence)
    yield from _elevations(sentence)


def _coordinates(sentence: Sentence) -> Iterator[Claim]:
    taken = _Taken()
    for match in _DMS.finditer(sentence.text):
        taken.add(match)
        yield _position(sentence, match, _dms(match, "1", match["ns"]), _dms(match, "2", match["ew"]), EXACT_KM)
    for match in _PAIR.finditer(sentence.text):
        if _is_position(sentence.text, match) and taken.add(match):
            latitude, longitude = _signed(match["la"], match["ns"]), _signed(match["lo"], match["ew"])
            yield _position(sentence, match, latitude, longitude, _digit_km(match["la"], match["lo"]))
    for match in _LABELLED.finditer(sentence.text):
        east_west = match["axis"].lower().startswith("lo")
        letter = (match["letter"] or "").upper()
        if (not letter or (letter in "EW") == east_west) and taken.add(match):
            value = _signed(match["value"], letter)
            only = (None, value) if east_west else (value, None)
            yield _position(sentence, match, only[0], only[1], _digit_km(match["value"]))
    for match in _LATITUDE.finditer(sentence.text):
        if taken.add(match):
            value = _signed(match["value"], match["letter"][0])
            yield _position(sentence, match, value, None, _digit_km(match["value"]))


class _Taken:
    """The spans that earlier patterns used, by the blocks of 64 characters that they touch, so that looking is
    quick."""

    def __init__(self) -> None:
        self._blocks: dict[int, list[tuple[int, int]]] = {}

    def add(self, match: re.Match[str]) -> bool:
        """Take a match; False where it overlaps one that was taken."""
        start, end = match.span()
        blocks = range(start // 64, (end - 1) // 64 + 1)
        if any(a < end and start < b for block in blocks for a, b in self._blocks.get(block, ())):
            return False
        for block in blocks:
            self._blocks.setdefault(block, []).append((start, end))
        return True


def _is_position(text: str, match: re.Match[str]) -> bool:
    """Whether two numbers are coordinates: both have letters, or decimals enough, fewer behind a word that says so."""
    if bool(match["ns"]) != bool(match["ew"]):
        return False
    decimals = min(_decimals(match["la"]), _decimals(match["lo"]))
    cued = decimals >= 2 and _CUE.search(text[max(0, match.start() - 60) : match.start()])
    return bool(match["ns"] or cued or decimals >= 4)


def _position(
    sentence: Sentence, match: re.Match[str], latitude: float | None, longitude: float | None, digit_km: float
) -> Claim:
    before = sentence.text[max(0, match.start() - 30) : match.start()]
    rough = _ROUGH.search(before) or match.groupdict().get("rough")
    value = Coordinates(latitude, longitude, max(digit_km, ROUGH_KM if rough else EXACT_KM))
    named = (("lat", latitude), ("lon", longitude))
    words = ", ".join(f"{axis} {number:.6g}" for axis, number in named if number is not None)
    nowhere = abs(latitude or 0) > 90 or abs(longitude or 0) > 180
    doubt = "there is no such position" if nowhere else sentence.doubt(*match.span())
    return Claim("coordinates", f"coordinates: {words}", sentence.span(*match.span()), sentence.about, value, doubt)


def _dms(match: re.Match[str], which: str, letter: str) -> float:
    degrees = int(match["d" + which]) + int(match["m" + which]) / 60 + float(match["s" + which] or 0) / 3600
    return -degrees if letter in "SW" else degrees


def _signed(number: str, letter: str | None) -> float:
    value = float(number.replace("−", "-"))
    return -abs(value) if letter and letter.upper() in "SW" else value


def _decimals(number: str) -> int:
    return len(number.partition(".")[2])


def _digit_km(*numbers: str) -> float:
    """What the last digit of the coarsest number is worth."""
    return 111.0 * 10.0 ** -min(map(_decimals, numbers))


def _elevations(sentence: Sentence) -> Iterator[Claim]:
    taken = _Taken()
    for pattern in (_ELEVATION, _ABOVE_SEA):
        for match in pattern.finditer(sentence.text):
            if taken.add(match):
                yield _elevation(sentence, match)


def _elevation(sentence: Sentence, match: re.Match[str]) -> Claim:
    before = sentence.text[max(0, match.start() - 60) : match.start()]
    factor = {"f": 0.3048, "k": 1000.0}.get(match["unit"][0].lower(), 1.0)
    high = int(match["high"].replace(",", "")) * factor
    low = int(match["low"].replace(",", "")) * factor if match["low"] else high
    rough = bool(_ROUGH.search(before) or re.search(_ROUGH_WORDS, match[0], re.I))
    other = _OTHER.search(before + match[0])
    doubt = "said of something else than the place" if other else sentence.doubt(*match.span())
    stated = f"elevation: {low:.0f} m" if low == high else f"elevation: {low:.0f} to {high:.0f} m"
    return Claim("elevation", stated, sentence.span(*match.span()), sentence.about, Heights(low, high, rough), doubt)
