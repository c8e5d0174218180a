"""Finds what a text says of a place's hemisphere, climate, language and driving side."""

import re
from collections.abc import Iterator

from indirect_rlvr.rewards.facts import Claim
from indirect_rlvr_geo import climate, nations
from indirect_rlvr_geo.leads import Leads
from indirect_rlvr_geo.phrases import Sentence


def _any(words: str) -> str:
    """A pattern for one of several words."""
    return f"(?:{'|'.join(words.split())})"


_HEMISPHERE = re.compile(
    r"\b(northern|southern|eastern|western)\s+hemisphere\b|\b(north|south)\s+of\s+the\s+equator\b", re.I
)
_LABELLED_HEMISPHERE = re.compile(
    r"\bhemisphere\s*(?::|=|is(?: the)?)\s*\*{0,2}\s*(northern|southern|eastern|western|north|south|east|west)\b", re.I
)

_CLIMATE_WORDS = "|".join(
    sorted((w.replace("-", "-?").replace(" ", r"[\s-]") for w in climate.WORDS), key=len, reverse=True)
)
_QUALIFIERS = (
    rf"(?:{_any('warm hot cool cold mild wet warm-summer hot-summer marine classic fully highland moderately')}\s+)?"
)
_CLIMATE = re.compile(rf"\b{_QUALIFIERS}({_CLIMATE_WORDS})\s+climate\b(?!\s+zones\b)", re.I)
_LABELLED_CLIMATE = re.compile(
    r"\bclimate(?:\s+(?:zone|type|class|here|classification|of\s+(?:this|the)\s+(?:place|area|region|location)))?"
    r"\s*(?::|=|is|looks|appears(?:\s+to\s+be)?|seems(?:\s+to\s+be)?)\s*\*{0,2}\s*"
    rf"(?:(?:clearly|likely|probably|an?|the)\s+){{0,4}}{_QUALIFIERS}({_CLIMATE_WORDS})\b(?!\s*-)",
    re.I,
)
_KOEPPEN = re.compile(
    r"\b(?:K(?:ö|oe|o)ppen|climate)\b[^.;\n\d]{0,40}?\b(A[fmsw]|BW[hk]|BS[hk]|C[fsw][abc]|D[fsw][abcd]|ET|EF)\b"
)
_GENERIC_CLIMATE = re.compile(r"\b(?:in|of|for|to|all)\s+(?:(?:an?|any|most|many|the)\s+)?$", re.I)

_LANGUAGES = f"({'|'.join(sorted(map(re.escape, nations.language_names()), key=len, reverse=True))})"
_PLACE = r"(?:country|region|area|city|town|place|village)"
_LANGUAGE = re.compile(
    rf"(?i:\b(?:{_any('official main local primary national dominant principal spoken')}\s+)?language\s*(?:spoken\s+)?"
    rf"(?:here|of\s+(?:this|the)\s+{_PLACE})?)\s*(?::|=|is|must\s+be)\s*\*{{0,2}}"
    rf"(?:(?:most|likely|probably|clearly)\s+){{0,2}}{_LANGUAGES}\b"
    rf"|\b{_LANGUAGES}\s+is\s+(?:{_any('widely commonly officially mainly also clearly')}\s+)?"
    r"(?:spoken|an?\s+official\s+language|the\s+(?:official|main|local|national)\s+language)\s+"
    rf"(?:here|locally|in\s+(?:this|the)\s+{_PLACE})"
    rf"|\b(?i:people|locals|residents|inhabitants|they)\s+(?:here\s+)?(?:(?:mainly|mostly)\s+)?speak\s+{_LANGUAGES}\b"
    rf"|\b{_LANGUAGES}[- ]speaking\s+(?:country|region|area|city|town|place|part|territory|nation)\b"
)
_WRITING = _any("signs? signage text lettering writing inscriptions? billboards? words? script labels? advertisements?")
_SIGNS = re.compile(
    rf"\b(?i:{_WRITING})\b[^.;:,]{{0,60}}?\b(?:in|is|are|appears?)\s+{_LANGUAGES}\b"
    rf"|\b{_LANGUAGES}(?:-language)?\s+(?:(?:road|street|shop)\s+)?(?:signs?|signage|text|lettering|writing)\b"
)

_MOVES = _any("drive drives driving driven keep keeps keeping travel travels run runs move moves moving")
_DRIVING = re.compile(
    rf"\b{_MOVES}\s+(?:to\s+|on\s+|along\s+)(?:the\s+)?\*{{0,2}}(left|right)\b(?:[ -]hand)?(?:\s+(?:hand\s+)?side)?"
    r"(?:\s+of\s+the\s+road)?"
    r"|\b(left|right)-hand[ -]traffic\b"
    r"|\b(?:driving|traffic)\s+side\s*(?::|=|is)\s*(?:on\s+)?(?:the\s+)?\*{0,2}(left|right)\b"
    r"|\b(left|right)-side\s+driving\b",
    re.I,
)
_TRAFFIC = re.compile(r"\b(?:traffic|driv(?:e|es|ers?|ing|en)|cars|vehicles|people|they)\b", re.I)
_IN_PICTURE = re.compile(
    r"\s{0,20}(?:of|in)\s{1,20}(?:the|this)\s{1,20}(?:image|picture|photo|frame|view|scene|lane|river|building|house)"
    r"|\s{0,20}(?:lane|turn|edge)",
    re.I,
)
_ELSEWHERE = re.compile(r"\b(?i:in|of|across|throughout|like)\s+(?:the\s+)?(?:[A-Z][a-z]+|most|many|some|other)")


def find(sentence: Sentence) -> Iterator[Claim]:
    """The claims of a sentence on hemisphere, climate, language and driving side, in this order."""
    yield from _hemispheres(sentence)
    yield from _climates(sentence)
    yield from _languages(sentence)
    yield from _driving(sentence)


def _made(sentence: Sentence, match: re.Match[str], kind: str, words: str, value: object, doubt: str) -> Claim:
    span = match.span()
    doubt = doubt or sentence.doubt(*span)
    return Claim(kind, f"{kind}: {words}", sentence.span(*span), sentence.about, value, doubt)


def _group(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)


def _hemispheres(sentence: Sentence) -> Iterator[Claim]:
    """ "We are in the northern hemisphere" and "hemisphere: south"; "in the northern hemisphere shadows …" is
    general."""
    for match in _LABELLED_HEMISPHERE.finditer(sentence.text):
        side = _group(match).lower().removesuffix("ern")
        yield _made(sentence, match, "hemisphere", side, side, "")
    matches = list(_HEMISPHERE.finditer(sentence.text))
    leads = Leads(sentence.text if matches else "")
    for match in matches:
        leading = leads.to(match.start())
        if leading:
            side = _group(match).lower().removesuffix("ern")
            yield _made(sentence, match, "hemisphere", side, side, f"hedged: {leading.hedge}" if leading.hedge else "")


def _climates(sentence: Sentence) -> Iterator[Claim]:
    for pattern in (_LABELLED_CLIMATE, _CLIMATE):
        for match in pattern.finditer(sentence.text):
            before = sentence.text[max(0, match.start() - 20) : match.start()]
            general = pattern is _CLIMATE and _GENERIC_CLIMATE.search(before)
            word = climate.word(_group(match))
            doubt = "said of such climates in general" if general else ""
            yield _made(sentence, match, "climate", word, climate.WORDS[word], doubt)
    for match in _KOEPPEN.finditer(sentence.text):
        yield _made(sentence, match, "climate", match[1], (match[1], ""), "")


def _languages(sentence: Sentence) -> Iterator[Claim]:
    for match in _LANGUAGE.finditer(sentence.text):
        name = nations.language_names()[_group(match)]
        use = "spoken" if match[3] or "spoken" in match[0] else "official"
        elsewhere = _ELSEWHERE.match(sentence.text[match.end() : match.end() + 40].lstrip())
        yield _made(sentence, match, "language", name, (name, use), "said of another place" if elsewhere else "")
    for match in _SIGNS.finditer(sentence.text):
        name = nations.language_names()[_group(match)]
        yield _made(sentence, match, "language", f"{name} on signs", (name, "on signs"), "")


def _driving(sentence: Sentence) -> Iterator[Claim]:
    for match in _DRIVING.finditer(sentence.text):
        before = sentence.text[max(0, match.start() - 80) : match.start()]
        if _IN_PICTURE.match(sentence.text, match.end()) or not _TRAFFIC.search(before + match[0]):
            continue
        around = f"{before} | {sentence.text[match.end() : match.end() + 40]}"
        elsewhere = "said of another place" if _ELSEWHERE.search(around) else ""
        yield _made(sentence, match, "driving side", _group(match).lower(), _group(match).lower(), elsewhere)
