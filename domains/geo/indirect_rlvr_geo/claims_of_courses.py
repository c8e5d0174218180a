"""Finds the directions that a text states: where the camera looks, where the sun stands, where shadows point."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from indirect_rlvr.rewards.facts import Claim
from indirect_rlvr_geo.directions import PATTERN, SHORT, parse
from indirect_rlvr_geo.phrases import Sentence


@dataclass(frozen=True, slots=True)
class Course:
    """A stated direction: degrees clockwise from north, half the width of its word, and the time of day where given."""

    degrees: float
    half_width: float
    utc: str = ""


_WORDS = rf"\*{{0,2}}(?P<words>\b{PATTERN}\b|(?-i:\b{SHORT}\b))"
_TO = (
    r"(?:(?:to|towards?|due|is|was|at|roughly|approximately|about|directly|almost|exactly|the|from|a|pointed|pointing"
    r"|oriented|directed|turned|aimed)\s+){0,4}"
)
_ROUGHLY = r"(?:about|around|approximately|roughly|~|≈)?\s*"
_DEGREES = r"(?P<degrees>\d{1,3}(?:\.\d{1,2})?)\s?(?:°|º|degrees)"
_IS = r"\s*(?::|=|is|of)?\s*"

_VIEWING = re.compile(
    r"\b(?:(?:camera|photographer|view|panorama|image|photo|picture|street\s+view|lens|we|shot)\s+(?:(?:is|was|are)\s+)?"
    r"(?:clearly\s+)?(?:fac(?:es|ing|e)|look(?:s|ing)?|point(?:s|ing|ed)?|oriented|directed|aimed|turned|heads?|heading)"
    r"|(?:viewing\s+direction|camera\s+(?:heading|bearing|azimuth|direction|orientation)|heading|looking)\s*(?::|=|is|of)?)"
    rf"\s+{_TO}{_WORDS}",
    re.I,
)
_VIEWING_DEGREES = re.compile(
    rf"\b(?:(?:camera|view(?:ing)?)\s+)?(?:heading|bearing|azimuth|direction){_IS}{_ROUGHLY}{_DEGREES}", re.I
)
_SUN = re.compile(
    r"\bsun(?:light)?\s+(?:is|was|stands|sits|shines|hangs|appears|comes|must\s+be)\s+"
    r"(?:(?:low|high|shining|standing|located|somewhere|coming|clearly|visible|still|very|in|from|to|towards?|due|at|the"
    rf"|roughly|almost)\s+){{0,6}}{_WORDS}",
    re.I,
)
_SUN_DEGREES = re.compile(
    rf"\b(?:(?:sun(?:'s|’s)?|solar)\s+azimuth(?:\s+angle)?{_IS}|sun\s+(?:is|stands)\s+at\s+an?\s+azimuth\s+of\s+)"
    rf"{_ROUGHLY}{_DEGREES}",
    re.I,
)
_SHADOW = re.compile(
    r"\bshadows?\b[^.;:,\d]{0,30}?\b(?:point(?:s|ing)?|fall(?:s|ing)?|cast|stretch(?:es|ing)?|extend(?:s|ing)?|lies?"
    rf"|runs?|lean(?:s|ing)?|thrown|direction)\s*(?::|=)?\s*{_TO}{_WORDS}",
    re.I,
)
_SHADOW_DEGREES = re.compile(rf"\bshadow\s+(?:direction|azimuth|bearing){_IS}{_ROUGHLY}{_DEGREES}", re.I)
_WORDED = (("direction", _VIEWING), ("sun azimuth", _SUN), ("shadow direction", _SHADOW))
_MEASURED = (("direction", _VIEWING_DEGREES), ("sun azimuth", _SUN_DEGREES), ("shadow direction", _SHADOW_DEGREES))

_PART = re.compile(
    r"(?:-|\s){0,3}(?:of|side|edge|corner|hemisphere|half|part|coast|end|slope|america|africa|asia|europe|korea|facing|bank"
    r"|wall|facade|façade)\b",
    re.I,
)
_FROM = re.compile(r"\bfrom\s+(?:the\s+)?\*{0,2}$", re.I)
_OF_SUN = re.compile(r"\b(?:sun|solar|shadows?)\b", re.I)
_GENERAL = re.compile(r"\bin\s+the\s+(?:northern|southern)\s+(?:hemisphere|latitudes)\b", re.I)
_UTC = re.compile(r"\b([01]?\d|2[0-3])[:.h]([0-5]\d)\s?(?:UTC|GMT|Z\b)")
_OTHER_TIME = re.compile(
    r"\b(?:noon|midday|morning|afternoon|evening|sunrise|sunset|dawn|dusk|always|usually|summer|winter|year"
    r"|\d{1,2}[:.]\d\d|[ap]\.?m\.?|o'clock|solstice|equinox|tropics?)\b",
    re.I,
)
_LONGEST = 2000


def find(sentence: Sentence) -> Iterator[Claim]:
    """The claims of a sentence on the direction of the camera, the sun and the shadows.

    The sun is judged at the time of the picture, or at a time of day that the sentence gives in UTC.
    """
    clock = _UTC.search(sentence.text[:_LONGEST])
    utc = f"{int(clock[1]):02d}:{clock[2]}" if clock else ""
    timed = "its time is not known" if not utc and _OTHER_TIME.search(sentence.text[:_LONGEST]) else ""
    for kind, pattern in _WORDED:
        for match in pattern.finditer(sentence.text):
            parsed = parse(match["words"])
            if parsed and not _PART.match(sentence.text, match.end()):
                yield _made(sentence, match, kind, Course(*parsed, utc), _doubt(sentence, match, kind, timed))
    for kind, pattern in _MEASURED:
        for match in pattern.finditer(sentence.text):
            before = sentence.text[max(0, match.start() - 30) : match.start("degrees")]
            if kind != "direction" or not _OF_SUN.search(before):
                course = Course(float(match["degrees"]) % 360, 0.0, utc)
                yield _made(sentence, match, kind, course, "" if kind == "direction" else timed)


def _doubt(sentence: Sentence, match: re.Match[str], kind: str, timed: str) -> str:
    if kind == "direction":
        return ""
    if _GENERAL.search(sentence.text[max(0, match.start() - 80) : match.start()]):
        return "said of a hemisphere in general"
    if kind == "shadow direction" and _FROM.search(sentence.text[match.start() : match.start("words")]):
        return "it says where the shadows come from"
    return timed


def _made(sentence: Sentence, match: re.Match[str], kind: str, course: Course, doubt: str) -> Claim:
    width = f" ±{course.half_width:g}" if course.half_width else ""
    at = f" at {course.utc} UTC" if course.utc and kind != "direction" else ""
    span = match.span()
    doubt = doubt or sentence.doubt(*span)
    return Claim(kind, f"{kind}: {course.degrees:g}°{width}{at}", sentence.span(*span), sentence.about, course, doubt)
