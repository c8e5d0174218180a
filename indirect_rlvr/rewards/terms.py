"""The core's reward terms for a choice between candidates: accuracy, format, length, overlong and repetition.

Each is a pure function of (task, completion) that never raises on model text; a term that counts tokens is not
applicable to a text that came without its token ids. All of them can be pickled. Terms for answers that are no choice
are in `values.py`, `regions.py` and `places.py`, those for the trace in `traces.py`.
"""

import math
from array import array
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from indirect_rlvr.errors import ConfigError
from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

Scale = Literal["zero-one", "plus-minus", "plus-0.8"]
WRONG: dict[Scale, float] = {"zero-one": 0.0, "plus-minus": -1.0, "plus-0.8": -0.8}
"""What a wrong answer is worth in each published definition; a right one is worth 1."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
"""An odd multiplier whose bits are spread (2⁶⁴ divided by the golden ratio): a polynomial hash modulo 2⁶⁴."""


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


def overlong(limit: int, buffer: int) -> Term:
    """ "overlong": 0 up to `limit` − `buffer` tokens, falling linearly to −1 at `limit`, −1 behind it.

    The soft overlong punishment of DAPO (arXiv 2503.14476, equation 13): a penalty for coming close to the token limit,
    right or wrong; a cut completion earns the −1 of `limit`. Raises ConfigError unless 0 < buffer ≤ limit.
    """
    if not 0 < buffer <= limit:
        raise ConfigError(f"the overlong term has limit {limit} and buffer {buffer}; expected 0 < buffer <= limit")
    return Term("overlong", -1.0, 0.0, partial(_overlong, limit=limit, buffer=buffer))


def gated(term: Term, gate: Term) -> Term:
    """`term` under its own name, but worth its low where `gate` is below its own high: "format before accuracy".

    A gate that does not apply is open. A closed gate does not make a term that does not apply count.
    """
    return replace(term, score=partial(_gated, term=term, gate=gate))


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


def _overlong(task: ProxyTask, completion: Completion, limit: int, buffer: int) -> Outcome:
    count = len(completion.token_ids)
    if completion.text and not count:
        return Outcome(0.0, "not_applicable")
    over = count - (limit - buffer) if completion.finished else buffer
    return Outcome(-min(max(over, 0), buffer) / buffer)


def _gated(task: ProxyTask, completion: Completion, term: Term, gate: Term) -> Outcome:
    found, opened = term.score(task, completion), gate.score(task, completion)
    if found.status == "not_applicable" or opened.status == "not_applicable" or opened.value >= gate.high:
        return found
    return Outcome(term.low, found.status)


def _repetition(task: ProxyTask, completion: Completion, n: int) -> Outcome:
    ids = completion.token_ids
    if completion.text and not ids:
        return Outcome(0.0, "not_applicable")
    total = len(ids) - n + 1
    if total < 1:
        return Outcome(0.0)
    return Outcome(distinct_ngrams(ids, n) / total - 1)


def distinct_ngrams(ids: Sequence[int], n: int) -> int:
    """How many different n-grams the at least `n` token ids (0 to 2³² − 1) have, exactly.

    An n-gram is read as pairs of ids (of an odd n the last two overlap), hashed, and sorted together with its place.
    Neighbours of one hash are compared pair by pair, and should two different n-grams ever share a hash, the set of
    tuples is counted instead.
    """
    tokens = np.frombuffer(array("Q", ids), dtype=np.uint64)
    count = len(tokens) - n + 1
    words = (tokens[:-1] << 32) | tokens[1:] if n > 1 else tokens
    parts = [words[start : start + count] for start in ([*range(0, n - 2, 2), n - 2] if n > 1 else [0])]
    keys = parts[0] * _ODD
    for part in parts[1:]:
        keys += part
        keys *= _ODD
    places = 1 << count.bit_length()
    keys &= 2**64 - places
    keys |= np.arange(count, dtype=np.uint64)
    keys.sort()
    (repeated,) = ((keys[1:] ^ keys[:-1]) < places).nonzero()
    where = (keys & (places - 1)).view(np.int64)
    one, next_one = where.take(repeated), where.take(repeated + 1)
    if all((part.take(one) == part.take(next_one)).all() for part in parts):
        return count - len(repeated)
    return len(set(zip(*(ids[start:] for start in range(n)), strict=False)))
