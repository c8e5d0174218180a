"""The core's reward terms: accuracy, format, length and repetition.

Each is a pure function of (task, completion) that never raises on model text; a term that counts tokens is not
applicable to a text that came without its token ids. All of them can be pickled.
"""

import math
from functools import partial
from typing import Literal

from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

Scale = Literal["zero-one", "plus-minus", "plus-0.8"]
WRONG: dict[Scale, float] = {"zero-one": 0.0, "plus-minus": -1.0, "plus-0.8": -0.8}
"""What a wrong answer is worth in each published definition; a right one is worth 1."""


def accuracy(scale: Scale) -> Term:
    """ "accuracy": 1 where the last `<answer>` chooses the right label, else the wrong value of `scale`.

    An answer without tags, or one that is not clearly one label, is worth the wrong value with status "unparsable".
    """
    return Term("accuracy", WRONG[scale], 1.0, partial(_accuracy, wrong=WRONG[scale]))


def format_term() -> Term:
    """ "format": 1 for exactly one `<think>…</think>` followed by exactly one `<answer>…</answer>`, else 0."""
    return Term("format", 0.0, 1.0, _format)


def length(limit: int) -> Term:
    """ "length": for a right, finished answer of L tokens (1 + cos(π·min(L, limit)/limit)) / 2, else 0.

    It falls from 1 at no tokens to 0 at `limit` and stays there. The released code of Geo-R1 computes
    1 − (1 − cos(π·L/1024)) / 4 for every completion, right or wrong and cut or not, and lets the cosine rise again
    behind 1024 tokens, so that 2048 tokens earn as much as none; arXiv 2502.03373, which it follows, also gives a
    wrong answer a penalty that shrinks as the answer grows.
    """
    return Term("length", 0.0, 1.0, partial(_length, limit=limit))


def repetition(n: int) -> Term:
    """ "repetition": −(1 − distinct / all) over the n-grams of the token ids; 0 for fewer than `n` tokens."""
    return Term("repetition", -1.0, 0.0, partial(_repetition, n=n))


def _accuracy(task: ProxyTask, completion: Completion, wrong: float) -> Outcome:
    chosen = parse_answer(completion.text, task.labels)
    if chosen is None:
        return Outcome(wrong, "unparsable")
    return Outcome(1.0 if chosen == task.answer else wrong)


def _format(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(has_format(completion.text)))


def _length(task: ProxyTask, completion: Completion, limit: int) -> Outcome:
    if completion.text and not completion.token_ids:
        return Outcome(0.0, "not_applicable")
    if not completion.finished or parse_answer(completion.text, task.labels) != task.answer:
        return Outcome(0.0)
    return Outcome((1 + math.cos(math.pi * min(len(completion.token_ids), limit) / limit)) / 2)


def _repetition(task: ProxyTask, completion: Completion, n: int) -> Outcome:
    ids = completion.token_ids
    if completion.text and not ids:
        return Outcome(0.0, "not_applicable")
    total = len(ids) - n + 1
    if total < 1:
        return Outcome(0.0)
    distinct = len(set(zip(*(ids[start:] for start in range(n)), strict=False)))
    return Outcome(distinct / total - 1)
