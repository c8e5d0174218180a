"""Finds where a text places a view by name: country, city, continent."""

import re
from collections.abc import Iterator

from indirect_rlvr.rewards.facts import Claim
from indirect_rlvr_geo import gazetteer, nations
from indirect_rlvr_geo.leads import Lead, Leads
from indirect_rlvr_geo.phrases import Sentence, word_set

_NAME = re.compile(r"[A-ZÀ-ÖØ-Þ][^\W\d_]*(?:['’.\-][^\W\d_]+)*")
_FOLLOWING = re.compile(r"[ \t](?:[^\W\d_]+(?:['’.\-][^\W\d_]+)*|&)")
_SIDES = (
    "north south east west northern southern eastern western central south-eastern north-eastern south-western "
    "north-western southeast northeast southwest northwest northwestern northeastern southwestern southeastern"
)
_JOINED = re.compile(
    r"\*{0,2}(?:,|\s{0,2}\(|,?\s{1,2}(?:in|of|within))\s{1,2}(?:in\s+)?(?:the\s+)?"
    rf"(?:(?:{'|'.join(_SIDES.split())})\s+)?(?:of\s+)?\*{{0,2}}(?=[A-ZÀ-Þ])|\s{{0,2}}\((?=[A-ZÀ-Þ])"
)
_COMPASS = re.compile(
    r"(?:(?:North|South|East|West)(?:ern)?|Central|(?:North|South)-?(?:east|west|East|West)(?:ern)?)\s+(?=[A-Z])"
)
_LOWER = word_set(
    "of the and de la le les del da do dos das di du den der am an upon sur en y e st & al el las los ad ob bei op "
    "aan zu im della delle dei sul sous lès"
)
_WORDS = 6
_LEAST_THOUSANDS = 100
"""A city name is refuted only where its largest bearer has so many thousand people; smaller ones share names with
districts that no table lists."""
_NO_NAMES = word_set(
    "january february march april may june july august september october november december monday tuesday wednesday "
    "thursday friday saturday sunday spring summer autumn winter google street view image candidate option english "
    "french spanish german the this these that those there a an it its north south east west northern southern eastern "
    "western central my our we i if and or but in on at for yes no not main old new station church school hotel park "
    "bank bar cafe restaurant shop store market mall tower bridge lake river mount mountain valley island bay beach "
    "cape union black white red blue green orange brown grey gray right left sun moon sky sea ocean road avenue "
    "square plaza central university hospital airport center centre downtown chinatown republic kingdom states "
    "federation europe asia of latitude longitude however therefore thus hope same order enterprise commerce paradise "
    "independence liberty industry media signal hill eden surprise best deal most"
)
_WORDS_TOO = word_set("reading nice bath split mobile")
"""Cities whose names are words too: they count behind "in" alone."""


def find(sentence: Sentence) -> Iterator[Claim]:
    """The countries, cities and continents that a sentence places its view in, names joined by commas included."""
    text, leads, done = sentence.text, Leads(sentence.text), 0
    for match in _NAME.finditer(text):
        if match.start() < done:
            continue
        leading = leads.to(match.start())
        if leading is None:
            continue
        skip = _COMPASS.match(text, match.start())
        position = match.start()
        if skip and _longest(text, position) is None:
            position = skip.end()
        for claim, end in _chain(sentence, position, leading):
            yield claim
            done = end


def _chain(sentence: Sentence, start: int, leading: Lead) -> Iterator[tuple[Claim, int]]:
    """The name at `start` and those joined to it: "Lyon, France", "Lyon in France", "Lyon (France)"."""
    doubt = f"hedged: {leading.hedge}" if leading.hedge else ""
    for _ in range(4):
        ends = _ends(sentence.text, start)
        if not ends:
            return
        kind, name, end = _longest(sentence.text, start) or ("", "", ends[-1])
        made = _claim(sentence, kind, name, (start, end), leading.how, doubt) if kind else None
        if made:
            yield made, end
        joined = _JOINED.match(sentence.text, end)
        if not joined:
            return
        start, leading = joined.end(), Lead("in", leading.hedge)
        skip = _COMPASS.match(sentence.text, start)
        if skip and _longest(sentence.text, start) is None:
            start = skip.end()


def _longest(text: str, start: int) -> tuple[str, str, int] | None:
    """Kind, name and end of the longest known name at `start`; none where it goes on with a word that may change it."""
    ends = _ends(text, start)
    for end in reversed(ends):
        name = text[start:end]
        kind = _kind(name)
        if kind:
            return None if end < ends[-1] else (kind, name, end)
    return None


def _ends(text: str, start: int) -> list[int]:
    """Where a name of one, two, … words that begins at `start` may end; a lower-case word stands only between
    others."""
    first = _NAME.match(text, start)
    if not first:
        return []
    ends, end = [first.end()], first.end()
    for _ in range(_WORDS - 1):
        found = _FOLLOWING.match(text, end)
        if not found:
            break
        end = found.end()
        word = found[0].strip()
        if word[0].isupper():
            ends.append(end)
        elif word.lower() not in _LOWER:
            break
    return ends


def _kind(name: str) -> str:
    folded = gazetteer.key(name)
    if folded in nations.continents():
        return "continent"
    if folded in nations.names():
        return "country"
    return "city" if folded not in _NO_NAMES and gazetteer.is_name(name) else ""


def _claim(sentence: Sentence, kind: str, name: str, at: tuple[int, int], how: str, doubt: str) -> Claim | None:
    doubt = doubt or sentence.doubt(*at)
    stated = f"{kind}: {name}"
    if how in ("near", "around", "outside", "from", "to", "along"):
        if kind != "city" or how in ("from", "to", "along"):
            doubt = doubt or f"{how} is no statement of being there"
        else:
            stated = f"{kind}: near {name}"
    if kind == "city" and gazetteer.key(name) in _WORDS_TOO and how not in ("in", "label"):
        return None
    return Claim(kind, stated, sentence.span(*at), sentence.about, name, doubt)


def is_known_widely(towns: tuple[gazetteer.Town, ...]) -> bool:
    """Whether a name's largest bearer is large enough for the name to be refuted."""
    return bool(towns) and towns[0].thousands >= _LEAST_THOUSANDS
