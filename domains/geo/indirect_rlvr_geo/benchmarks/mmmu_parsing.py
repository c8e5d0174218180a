"""MMMU's official reading of answers, and MMMU-Pro's: the same results as their scripts, in linear time.

Where the scripts answer at random nothing is read here; the conventions of `mmmu` decide what that is worth. Their
patterns for numbers scan runs of digits again from every digit; ours start at the first one only.
"""

import re
from collections.abc import Mapping, Sequence
from math import isfinite

_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = frozenset(":,.!?;'")
_GROUPED = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"(?:-|(?<!\d))\d++(?:\.\d++)?[eE][+-]?\d++")
_SIMPLE = re.compile(r"(?:(?:-|(?<!\d))(?:\d++\.\d++|\d++\b)|-?\.\d++)(?![eE][+-]?\d)(?![,\d])")
LONGEST_NUMBER = 400
"""Characters of a number that is read as one."""
FEWEST_WORDS = 5
"""Responses of more words than this are searched for the text of an option."""


def choice(response: str, options: Mapping[str, str]) -> str | None:
    """The letter that a response chooses: "(B)", then " B ", then an option's text in more than five words; of several
    the last; None where the official script draws at random."""
    text = _stripped(response)
    return (
        _last(text, {letter: f"({letter})" for letter in options})
        or _last(text, {letter: f" {letter} " for letter in options})
        or _last_text(text, options)
    )


def choice_pro(response: str, options: Mapping[str, str]) -> str | None:
    """MMMU-Pro's reading: the one letter behind the last "Answer:", else "(B)", "B ", "B." and the options' texts."""
    _, found, behind = response.rpartition("Answer:")
    named = [letter for letter in options if letter in behind.strip()] if found else []
    if len(named) == 1:
        return named[0]
    text = _stripped(response)
    spaced = {letter: f" {letter} " for letter in options}
    return (
        _last(text, {letter: f"({letter})" for letter in options})
        or _last(text, {letter: f"{letter} " for letter in options}, spaced)
        or _last(text, {letter: f"{letter}." for letter in options}, spaced)
        or _last_text(text, options)
    )


def predictions(response: str) -> list[str | float]:
    """What an answer to an open question may mean: the tails behind key words, and the numbers in them, normalised."""
    lines = response.strip().strip(".").lower().split("\n")
    tails = [tail for number, line in enumerate(lines) if (tail := _tail(line, number == len(lines) - 1))]
    texts = tails or ["\n".join(lines)]
    found = [*texts, *(number for text in texts for number in _numbers(text))]
    return list(dict.fromkeys(value for text in found for value in normalised(text)))


def open_correct(gold: Sequence[str], predicted: Sequence[str | float]) -> bool:
    """Whether a gold text is part of a predicted one, or a gold number equals one, both to two decimals."""
    wanted = [value for text in gold for value in normalised(text)]
    texts = [value for value in wanted if isinstance(value, str)]
    numbers = {value for value in wanted if not isinstance(value, str)}
    return any(
        any(text in value for text in texts) if isinstance(value, str) else value in numbers for value in predicted
    )


def normalised(text: str) -> list[str | float]:
    """A number rounded to two decimals, or the text in lower case; a single character with a space on either side."""
    plain = text.strip()
    number = _number(plain)
    if number is not None:
        return [round(number, 2)]
    plain = plain.lower()
    return [f" {plain}", f"{plain} "] if len(plain) == 1 else [plain]


def _number(text: str) -> float | None:
    if len(text) > LONGEST_NUMBER:
        return None
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if isfinite(value) else None


def _stripped(response: str) -> str:
    for mark in ",.!?;:'":
        response = response.strip(mark)
    return f" {response} "


def _last(text: str, wanted: Mapping[str, str], placed: Mapping[str, str] | None = None) -> str | None:
    """Of the letters whose form stands in the text, the one whose place is last; `placed` is the form whose place
    counts, where the official script looks for another one."""
    there = [letter for letter, form in wanted.items() if form in text]
    forms = placed or wanted
    return max(there, key=lambda letter: text.rfind(forms[letter])) if there else None


def _last_text(text: str, options: Mapping[str, str]) -> str | None:
    if len(text.split(maxsplit=FEWEST_WORDS)) <= FEWEST_WORDS:
        return None
    lowered = text.lower()
    return _last(lowered, {letter: option.lower() for letter, option in options.items()})


def _tail(line: str, is_last: bool) -> str | None:
    """What stands behind the key word that leaves the least; "=" is one in the last line only."""
    shortest = None
    for indicator in (*_INDICATORS, "=") if is_last else _INDICATORS:
        if indicator in line:
            tail = line.rpartition(indicator)[2].strip()
            if not shortest or len(tail) < len(shortest):
                shortest = tail
    return None if not shortest or shortest in _TRIVIAL else shortest


def _numbers(text: str) -> list[str]:
    return [*_GROUPED.findall(text), *_SCIENTIFIC.findall(text), *_SIMPLE.findall(text)]
