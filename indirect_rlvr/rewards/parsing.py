"""Strict parsing of untrusted model text: the tags, and the choice written between them.

Everything is linear in the text and nothing raises on it: substring search, one flat pattern for words, and Unicode
compatibility forms taken character by character (normalising a whole text sorts its combining marks in quadratic
time). What is not clearly one answer is no answer.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

LONGEST = 10_000
"""Characters between answer tags that are read for a choice."""
THINK = ("<think>", "</think>")
ANSWER = ("<answer>", "</answer>")

_WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
_SENTENCE_ENDS = frozenset(".!?;。")
_ASSIGNMENTS = frozenset(":=→")
_SEPARATORS = _SENTENCE_ENDS | _ASSIGNMENTS | frozenset("\n,)]}-–—/|")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NOUNS = _set(
    "answer boxed candidate chip choice image item label letter map mathbf mathrm number option panel photo picture "
    "response text textbf tile view"
)
_VERBS = _set("is be are choose chose chosen pick picked select selected say therefore thus hence so")
_INTRODUCING = _NOUNS | _VERBS
_FILLER = (
    _INTRODUCING
    | _set("the my this that it it's that's best correct final matching match right true clearly definitely likely")
    | _set("probably i i'd i'll must should will would think believe conclude go with")
)
_FOLLOWERS = _set(
    "is are has because since as due with in on for from based and or vs versus but matches fits seems appears shows "
    "looks contains corresponds"
)
"""Words that cannot follow an article or a pronoun: before one of them, "A" and "I" are labels."""
_NEGATIONS = _set(
    "not no never neither nor none nothing except unlike cannot rather instead wrong incorrect false unlikely "
    "impossible eliminate eliminated exclude excluded reject rejected"
)


@dataclass(frozen=True, slots=True)
class Sections:
    """The contents of every complete pair of tags, in order; of nested pairs, the inner one."""

    think: tuple[str, ...]
    answer: tuple[str, ...]


def sections(text: str) -> Sections:
    """What stands between each closing tag and the nearest opening tag before it; an unclosed tag holds nothing."""
    return Sections(_spans(text, *THINK), _spans(text, *ANSWER))


def has_format(text: str) -> bool:
    """Whether the text is exactly one `<think>…</think>` followed by exactly one `<answer>…</answer>`, neither of them
    blank, with nothing but whitespace around them."""
    if any(text.count(tag) != 1 for tag in (*THINK, *ANSWER)):
        return False
    before, _, rest = text.partition(THINK[0])
    think, _, rest = rest.partition(THINK[1])
    between, _, rest = rest.partition(ANSWER[0])
    answer, closed, after = rest.partition(ANSWER[1])
    stray = before.strip() or between.strip() or after.strip()
    return bool(closed and think.strip() and answer.strip() and not stray)


def last_answer(text: str) -> str | None:
    """The content of the last complete `<answer>…</answer>`, or None without one."""
    answers = _spans(text, *ANSWER)
    return answers[-1] if answers else None


def parse_answer(text: str, labels: Sequence[str]) -> str | None:
    """The label a whole completion chose: `parse_choice` of its last answer, or None where either is missing."""
    answer = last_answer(text)
    return None if answer is None else parse_choice(answer, labels)


def parse_choice(answer_text: str, labels: Sequence[str]) -> str | None:
    """The one of `labels` that the content of an answer tag clearly chooses, or None.

    Three readings, tried in order: nothing but one label and filler ("**(b)**", "the answer is candidate B", "2" for
    the second of single-letter labels); a last sentence of that kind which says "answer" or "boxed", while no other
    label is called the answer; prose that names one label only, where a label belongs, and holds no negation. An
    article "a" and a pronoun "I" are not labels. A label of several words is only read where it stands alone. More than
    `LONGEST` characters are an essay, not an answer.
    """
    if answer_text.strip() in labels:
        return answer_text.strip()
    if len(answer_text) > LONGEST:
        return None
    words = _words(answer_text, labels)
    return _only_label(words) or _concluded(words) or _named_in_prose(words, labels)


def _spans(text: str, opening: str, closing: str) -> tuple[str, ...]:
    spans = []
    start = 0
    while (end := text.find(closing, start)) >= 0:
        opened = text.rfind(opening, start, end)
        if opened >= 0:
            spans.append(text[opened + len(opening) : end])
        start = end + len(closing)
    return tuple(spans)


class _Word(NamedTuple):
    """A word, case folded.

    `label` is what it stands for, or ""; `exact` says that it is spelt like the label; `ordinal` is the label of that
    number where the word is one, or ""; `before` is what stands between it and the word before; `closed` says that the
    phrase does not go on behind it.
    """

    text: str
    label: str
    exact: bool
    ordinal: str
    before: str
    closed: bool

    @property
    def starts_sentence(self) -> bool:
        return not _SENTENCE_ENDS.isdisjoint(self.before) or ("\n" in self.before and ":" not in self.before)


def _words(answer_text: str, labels: Sequence[str]) -> list[_Word]:
    text = answer_text if answer_text.isascii() else "".join(map(_compatible, answer_text))
    matches = list(_WORD.finditer(text))
    if not matches:
        return []
    gaps = [text[a.end() : b.start()] for a, b in pairwise(matches)]
    gaps = ["\n" + text[: matches[0].start()], *gaps, text[matches[-1].end() :] + "\n"]
    nexts = [match.group().casefold() for match in matches[1:]] + [""]
    spellings, ordinals = _spellings(labels), _ordinals(labels)
    words = []
    for match, (before, after), following in zip(matches, pairwise(gaps), nexts, strict=True):
        stem = match.group().removesuffix("'s").removesuffix("’s")
        closed = _is_closed(after, following)
        label = spellings.get(stem) or spellings.get(stem.casefold(), "")
        if not closed and _is_article(stem, before, following):
            label = ""
        ordinal = ordinals.get(stem, "")
        words.append(_Word(match.group().casefold(), label, stem == label, ordinal, before, closed))
    return words


def _compatible(char: str) -> str:
    form = char if char.isascii() else unicodedata.normalize("NFKC", char)
    return form if len(form) <= 3 else char


def _is_closed(after: str, following: str) -> bool:
    """Whether a phrase ends here: punctuation touches the word, or a separator or one of `_FOLLOWERS` comes next."""
    return not after[0].isspace() or not _SEPARATORS.isdisjoint(after) or following in _FOLLOWERS


def _is_article(stem: str, before: str, following: str) -> bool:
    """Whether a word that goes on is an article or a pronoun: no verb of the third person follows, and a capital "A"
    starts a phrase."""
    if following.endswith("s") and not following.endswith("ss"):
        return False
    return stem in {"a", "i", "I"} or (stem == "A" and before != " ")


def _spellings(labels: Sequence[str]) -> Mapping[str, str]:
    folded = {label.casefold(): label for label in labels}
    exact = {label: label for label in labels}
    return {**folded, **exact} if len(folded) == len(exact) else exact


def _ordinals(labels: Sequence[str]) -> Mapping[str, str]:
    if not all(len(label) == 1 and label.isalpha() for label in labels):
        return {}
    return {str(number): label for number, label in enumerate(labels, 1)}


def _only_label(words: Sequence[_Word]) -> str | None:
    chosen = set()
    for word in words:
        if word.label or word.ordinal:
            chosen.add(word.label or word.ordinal)
        elif word.text not in _FILLER:
            return None
    return chosen.pop() if len(chosen) == 1 else None


def _concluded(words: Sequence[_Word]) -> str | None:
    start = max((index for index, word in enumerate(words) if word.starts_sentence), default=0)
    if not any(word.text in {"answer", "boxed"} for word in words[start:]):
        return None
    chosen = _only_label(words[start:])
    asserted = {
        word.label
        for index, word in enumerate(words)
        if word.label and any(near.text in {"answer", "boxed"} for near in words[max(0, index - 2) : index])
    }
    return chosen if asserted <= {chosen} else None


def _named_in_prose(words: Sequence[_Word], labels: Sequence[str]) -> str | None:
    negations = _NEGATIONS.difference(label.casefold() for label in labels)
    if any(word.text in negations or word.text.endswith(("n't", "n’t")) for word in words):
        return None
    placed = any(word.label and _is_placed(words, index) for index, word in enumerate(words))
    named = {word.label for word in words if word.label and (word.exact or word.closed)}
    return named.pop() if placed and len(named) == 1 else None


def _is_placed(words: Sequence[_Word], index: int) -> bool:
    """Whether a label belongs here: it starts a sentence, or follows a noun like "image", a verb or a colon."""
    word = words[index]
    if word.starts_sentence:
        return word.closed
    introduced = words[index - 1].text in _INTRODUCING and "," not in word.before
    return (introduced or not _ASSIGNMENTS.isdisjoint(word.before)) and (word.exact or word.closed)
