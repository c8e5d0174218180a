"""The four rewards of Geo-R1's released code, defects and all, for comparison: none counts unless a recipe says so.

The code is VLM-R1's (`open_r1/grpo_jsonl.py` with reward method `mcq`, `format_reward`, `cosine_rewards` and
`repetition_rewards`), of which Geo-R1 changed nothing. Each term computes what that code computes for a pairing task,
in time that grows with the text only, and declares which invariants of the battery it breaks. `docs/reproduce.md` has
the weights that put them in the place of ours.
"""

import math
import re
from collections import Counter

from indirect_rlvr.rewards.parsing import ANSWER, THINK
from indirect_rlvr.rewards.terms import distinct_ngrams
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term
from indirect_rlvr_geo.benchmarks.short_answers import first_answer

PERIOD = 1024
"""Tokens after which the released cosine stops falling, and rises again."""
NGRAM = 6
"""Words of the n-grams whose repetition is punished."""
NEAR = 20
"""Characters on either side of a letter in which the released vote looks for a keyword."""
_LETTER = re.compile(r"(?<![A-Z])[A-Z](?=[.,?!:;]|$)")
_BETWEEN = re.compile(rf"{THINK[1]}\s*{ANSWER[0]}")
_STOPS = frozenset("。.!！,，")
_KEYWORDS = (
    "ANSWER", "CORRECT", "CHOOSE", "SELECT", "RIGHT", "THINK", "BELIEVE", "SHOULD",
    "答案", "选择", "正确", "是", "对", "认为", "应该", "觉得",
)  # fmt: skip


def terms() -> list[Term]:
    """The four, under names of their own."""
    return [accuracy(), format_term(), length(), repetition()]


def accuracy() -> Term:
    """ "accuracy-as-released": 1 where the letter that the released code finds is the right label, else 0.

    It looks into the **first** `<answer>`, or, where none is closed, into the whole completion, all in capitals, for
    letters behind no letter and before one of `. , ? ! : ;` or the end; of several it takes the one with most votes
    (`released_choice`). So a first draft counts, tags are not needed, "(B)", "B)", "**B**" and "Candidate B fits" are
    no answers, and "C is right, not A." is an A.
    """
    broken = (
        "reads_the_last_answer", "needs_the_tags", "reads_every_form", "pays_no_hedging",
        "pays_nothing_for_format_alone",
    )  # fmt: skip
    return Term("accuracy-as-released", 0.0, 1.0, _accuracy, broken)


def format_term() -> Term:
    """ "format-as-released": 1 where all of the text matches `<think>.*?</think>\\s*<answer>.*?</answer>`, else 0.

    A space before or a line end behind it is no format; blank sections and tags that come twice are. The pattern
    itself takes quadratic time on "<think>" and many "</think><answer>", so what it says is found without it.
    """
    return Term("format-as-released", 0.0, 1.0, _format, ("pays_the_exact_format",))


def length() -> Term:
    """ "length-as-released": 1 − (1 − cos(π·L/1024)) / 4 for L tokens, right or wrong, finished or cut.

    It falls from 1 at no tokens to 0.5 at 1,024 and rises again, so that 2,048 tokens earn as much as none: correctness
    is overwritten with 1.0 in the released code, and L not limited.
    """
    broken = (
        "pays_more_for_the_right_answer", "pays_only_a_right_answer", "pays_nothing_for_no_text",
        "pays_no_more_for_running_on",
    )  # fmt: skip
    return Term("length-as-released", 0.5, 1.0, _length, broken)


def repetition() -> Term:
    """ "repetition-as-released": distinct / all − 1 over 6-grams of lower-cased words; 0 for fewer than six words.

    Words, so a text without spaces repeats itself for nothing. Lists of boxes, which the released code counts by their
    own rule, are not told apart: a pairing task has none.
    """
    return Term("repetition-as-released", -1.0, 0.0, _repetition, ("punishes_repetition",))


def released_choice(text: str) -> str | None:
    """The capital letter that the released code takes for the choice made in `text`, or None.

    Each time a letter stands where it looks for one, that letter gets points for what surrounds its first occurrence
    **anywhere**, be it inside a word: one for each keyword near it, two in the last three tenths of the text, one for a
    full stop, comma or exclamation mark behind it. Most points win, of equals the one found first.
    """
    plain = re.sub(r"\s+", " ", text.upper())
    found = Counter(_LETTER.findall(plain))
    return max(found, key=lambda letter: found[letter] * _points(letter, plain)) if found else None


def _points(letter: str, plain: str) -> int:
    at = plain.find(letter)
    near = plain[max(0, at - NEAR) : at + NEAR]
    return sum(word in near for word in _KEYWORDS) + 2 * (at > len(plain) * 0.7) + (plain[at + 1 : at + 2] in _STOPS)


def _accuracy(task: ProxyTask, completion: Completion) -> Outcome:
    answer = first_answer(completion.text)
    chosen = released_choice(completion.text.strip() if answer is None else answer)
    return Outcome(0.0, "unparsable") if chosen is None else Outcome(float(chosen == task.answer))


def _format(task: ProxyTask, completion: Completion) -> Outcome:
    text = completion.text
    enclosed = text.startswith(THINK[0]) and text.endswith(ANSWER[1])
    return Outcome(float(enclosed and _BETWEEN.search(text, len(THINK[0])) is not None))


def _length(task: ProxyTask, completion: Completion) -> Outcome:
    if completion.text and not completion.token_ids:
        return Outcome(0.5, "not_applicable")
    return Outcome(1 - (1 - math.cos(math.pi * len(completion.token_ids) / PERIOD)) / 4)


def _repetition(task: ProxyTask, completion: Completion) -> Outcome:
    numbers: dict[str, int] = {}
    ids = [numbers.setdefault(word, len(numbers)) for word in completion.text.lower().split()]
    total = len(ids) - NGRAM + 1
    return Outcome(distinct_ngrams(ids, NGRAM) / total - 1 if total > 0 else 0.0)
