"""Sentences of a trace: which view they speak of, and whether they assert what they say.

Everything errs on the side of silence: a condition anywhere in the sentence, and a hedge or a negation in the clause of
a claim, leave the claim unjudged.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from indirect_rlvr.rewards.facts import sentences

QUERY = "query"
WORD = re.compile(r"[^\W\d_]+(?:['’.\-][^\W\d_]+)*|\d+|[^\w\s]")


def word_set(words: str) -> frozenset[str]:
    """The words of a string as a set."""
    return frozenset(words.split())


HEDGES = word_set(
    "might may could perhaps possibly maybe either or potentially conceivably possible guess guessing unsure unclear "
    "uncertain unknown e.g plausible plausibly alternatively should"
)
_CONDITIONS = word_set("if whether would were suppose assume assuming imagine hypothetically unless could might")
_NEGATIONS = word_set(
    "not no never neither nor without unlike cannot hardly exclude excludes excluded excluding rule rules ruled "
    "eliminate eliminates eliminated reject rejected unlikely inconsistent incompatible contradicts contradict false "
    "wrong incorrect instead rather nowhere different differs absence lack lacks lacking mistaken misleading"
)
_HEADS = word_set("not unlike instead rather nor without")
_BREAKS = _HEADS | word_set("but whereas while although though however because since so and which as")
_PRONOUNS = word_set("it its this that these those they there here both")
_QUERY_WORDS = word_set("query ground panorama panoramic street-level street-view we camera photographer observer")
_VIEWS = "candidate|image|option|view|photo|tile|picture|choice|panel"
_VIEW = re.compile(rf"(?i:\b(?:{_VIEWS})s?)\s+\(?\*{{0,2}}([A-Z]|\d{{1,2}})\*{{0,2}}\b|\(([A-Z])\)")
_LEADING = re.compile(r"^\W{0,4}([A-Z]|\d{1,2})\*{0,2}\s?[):.–-]\*{0,2}\s")
_ALL_VIEWS = re.compile(
    r"\b(?:all|both|each|every|other|the)\s+(?:of\s+the\s+)?(?:\w+\s+)?(?:candidates|options|tiles|choices)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: where it starts in the text, and the views that it may speak of."""

    start: int
    text: str
    about: tuple[str, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the sentence as offsets in the text."""
        return self.start + start, self.start + end

    def doubt(self, start: int, end: int) -> str:
        """Why what stands between two offsets is not asserted; "" where it is."""
        return _doubt(self.text, start, end)


def read(text: str, labels: Sequence[str]) -> list[Sentence]:
    """The sentences of a text with their views.

    A sentence speaks of the candidates that it names, else of the query; behind one that names a candidate, a pronoun
    or a sentence on the same line may speak of either.
    """
    found: list[Sentence] = []
    carried: tuple[str, ...] = ()
    for start, end in sentences(text):
        words = text[start:end]
        named = _named(words, labels)
        if not named and (_names_query(words) or not _carries_on(text, start, words)):
            carried = ()
        about = named or (QUERY, *carried)
        carried = tuple(view for view in about if view != QUERY)
        found.append(Sentence(start, words, about))
    return found


def _named(words: str, labels: Sequence[str]) -> tuple[str, ...]:
    if _ALL_VIEWS.search(words):
        return (QUERY, *labels)
    leading = _LEADING.match(words)
    named = [m[1] or m[2] for m in _VIEW.finditer(words)] + ([leading[1]] if leading else [])
    return tuple(dict.fromkeys(label for label in named if label in labels))


def _names_query(words: str) -> bool:
    return not _QUERY_WORDS.isdisjoint(words[:400].lower().replace(",", " ").split())


def _carries_on(text: str, start: int, words: str) -> bool:
    first = words[:40].lstrip("*-•# ").partition(" ")[0].rstrip(",:").lower()
    return first in _PRONOUNS or not text[max(0, start - 12) : start].rstrip(" ").endswith("\n")


def _doubt(text: str, start: int, end: int) -> str:
    before, claim, after = text[max(0, start - 240) : start], text[start:end][:120], text[end : end + 120]
    lead, stated, rest = _words(before), _words(claim), _words(after)
    condition = next((word for word in (*lead, *stated, *rest) if word in _CONDITIONS), None)
    if condition:
        return f"hedged: {condition}"
    if "?" in rest[:1] or text.rstrip().endswith("?"):
        return "it is a question"
    clause = [*reversed(list(_clause(reversed(lead), keep=True))), *stated, *_clause(rest, keep=False)]
    negation = next((word for word in clause if word in _NEGATIONS or word.endswith("n't")), None)
    if negation:
        return f"negated: {negation}"
    hedge = next((word for word in clause if word in HEDGES), None)
    return f"hedged: {hedge}" if hedge else ""


def _words(text: str) -> list[str]:
    return [match[0].lower().replace("’", "'") for match in WORD.finditer(text)]


def _clause(words: Iterable[str], *, keep: bool) -> Iterable[str]:
    """Words up to the end of their clause; `keep` the conjunction that ends it, for a negation may open a clause."""
    for word in words:
        if word in ",;:()—–[]":
            return
        if word in _BREAKS:
            if keep:
                yield word
            return
        yield word
