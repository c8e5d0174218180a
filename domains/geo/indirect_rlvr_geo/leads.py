"""Whether the words in front of a name place the scene there.

A name counts only where a chain of known words leads from "this is", "located", "country:" or "which suggests" up to
it: "this is a street in Lyon" does, "the tiles were made in Lyon" does not, for no list has "tiles" or "made".
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from indirect_rlvr_geo.phrases import HEDGES, WORD, word_set

CHAIN = 16
"""At most so many words lead up to a name."""

_PREPOSITIONS = word_set("in within inside from of at into on to near around outside along")
_EVIDENCE = word_set(
    "suggests suggest indicates indicate implies imply confirms confirm points point places puts place identifies "
    "identify establishes suggesting indicating confirming placing conclude concluding pointing therefore thus hence "
    "conclusion deduce infer believe determine narrows"
)
_VERBS = _EVIDENCE | word_set(
    "is was are be lies sits shows depicts appears seems looks belongs located situated taken captured shot "
    "photographed set placed found show depict lie means stand standing identified"
)
_OPENERS = word_set(
    "located situated taken captured photographed shot likely probably somewhere definitely clearly certainly most"
)
_FILLERS = word_set(
    "the a an that us me this it here scene being been to most very almost highly strongly clearly definitely "
    "certainly likely probably apparently evidently presumably obviously therefore thus hence indeed somewhere as "
    "must has have firmly directly more specifically probable exact precise overall current general named called "
    "known both down itself really actually surely undoubtedly unmistakably simply now also still view query location "
    "place setting image photo photograph picture panorama and camera"
)
_PLACES = word_set(
    "street road avenue city town village area neighbourhood neighborhood suburb suburbs district scene place location "
    "coast outskirts centre center downtown heart middle part capital port harbour harbor park square beach highway "
    "region province state island side quarter countryside north south east west corner edge interior country nation "
    "continent lane residential urban rural suburban coastal small large big quiet narrow busy old modern historic "
    "northern southern eastern western central north-eastern northeastern north-western northwestern south-eastern "
    "southeastern south-western southwestern upper lower inland mountainous southeast northeast southwest northwest "
    "south-east north-east south-west north-west mainland municipality metropolitan greater boulevard alley roundabout "
    "market campus campsite farm forest plain plateau hill sub-saharan tropical temperate hilly flat dense lively "
    "settlement intersection crossroads desert valley mountains"
)
_ALLOWED = _PREPOSITIONS | _VERBS | _FILLERS | _PLACES
_SUBJECTS = word_set("this it we i everything")
_CONTRACTED = word_set("it's that's we're i'm this's here's")
_DETERMINERS = word_set("the this our my")
_NOUNS = word_set(
    "image photo photograph picture scene view panorama place location site street road town city area landscape query "
    "camera imagery neighbourhood neighborhood setting village spot coordinates country region photographer observer "
    "tile candidate option"
)
_ADJECTIVES = word_set("query ground street overhead satellite aerial street-level panoramic above whole given")
_AFTER_SUBJECT = _VERBS | word_set("must has could might may")
_LABELS = word_set("country nation city town village continent place location region conclusion setting state answer")
_MARKS = frozenset("*\"'_`“”")


@dataclass(frozen=True, slots=True)
class Lead:
    """How a name is led up to: "in", "near" and so on, "is", or "label" behind a colon; and the hedge met, if any."""

    how: str
    hedge: str = ""


class Leads:
    """The words of one sentence, read once, so that many names are looked up in linear time."""

    def __init__(self, text: str) -> None:
        found = [(match.start(), match[0].lower().replace("’", "'")) for match in WORD.finditer(text)]
        kept = [(start, word) for start, word in found if word not in _MARKS]
        self._starts = [start for start, _ in kept]
        self._words = [word for _, word in kept]

    def to(self, start: int) -> Lead | None:
        """The chain of at most `CHAIN` words that ends at an offset; None where none places the scene."""
        end = bisect_left(self._starts, start)
        words = self._words[max(0, end - CHAIN) : end]
        if words and words[-1] in ":=":
            return Lead("label") if not _LABELS.isdisjoint(words[-4:]) else None
        return _walk(words, opened=0 < end < CHAIN and words[0] in _OPENERS)


def _walk(words: Sequence[str], *, opened: bool) -> Lead | None:
    """Read back from the name to a subject that has a verb, to a word of evidence, or to the start of the sentence."""
    hedge, verb, how = "", False, ""
    for index in range(len(words) - 1, -1, -1):
        word = words[index]
        if word in _SUBJECTS or _ends_subject(words, index):
            return Lead(how or "is", hedge) if verb else None
        if word in _CONTRACTED:
            return Lead(how or "is", hedge)
        if word in HEDGES:
            hedge = hedge or word
        elif word not in _ALLOWED:
            return None
        if word in _PREPOSITIONS:
            how = how or word
        verb = verb or word in _VERBS
        if word in _EVIDENCE and (not index or words[index - 1] not in _SUBJECTS):
            return Lead("is" if how in ("", "to") else how, hedge)
    return Lead(how, hedge) if opened and how else None


def _ends_subject(words: Sequence[str], index: int) -> bool:
    """Whether the word at `index` ends a subject such as "the street view", "our location" or "candidate B"."""
    word = words[index]
    if len(word) <= 2 and index and words[index - 1] in _NOUNS:
        return word.isalnum() and word not in _PREPOSITIONS and word not in _VERBS
    if word not in _NOUNS or words[index + 1 : index + 2] == [] or words[index + 1] not in _AFTER_SUBJECT:
        return False
    left = index - 1
    while left >= 0 and (words[left] in _ADJECTIVES or words[left] in _NOUNS):
        left -= 1
    return left >= 0 and words[left] in _DETERMINERS
