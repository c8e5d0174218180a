"""Tells work that grows with the text from work that grows with its square, on any machine, however busy.

Python's own steps could be counted, but the usual culprit is one pattern, whose steps nobody can count from outside; so
this is CPU time, made robust in three ways. No second stands in it: a call is compared with itself on a shorter text,
and "too quick to tell" is a number of passes of the interpreter over the same text, made at the same moment. Twenty
times the text lies between 20 (linear) and 400 (quadratic), and the limit in their geometric middle, so that either
measure may be wrong by a factor of four. And what looks steep is measured again, short and long in turn, of which the
least counts: a busy neighbour can only add.
"""

import time
from collections.abc import Callable

FIRST = (30, 300)
"""Characters of the texts tried before, where exponential work shows and still ends."""
SHORT, LONG = 2_500, 50_000
"""Characters of the two texts that are compared."""
GROWTH = 90
"""`LONG` may take so many times as long as `SHORT`."""
QUICK, ENDLESS = 60, 200
"""Passes over the long text: below the first, growth cannot be told from noise; a text of `FIRST` never takes the
second."""
TRIES = 3


def steep(work: Callable[[str], object], piece: str) -> str | None:
    """What is wrong with the growth of `work` on ever more of `piece`, in words, or None where it is linear."""
    short, long = (piece * (count // len(piece)) for count in (SHORT, LONG))
    work(piece)  # what is made once, at the first call, is not counted
    for count in FIRST:
        passes = _cpu_seconds(work, piece * (count // len(piece))) / _cpu_seconds(_pass_over, long)
        if passes > ENDLESS:
            return f"takes as long for {count} characters of {piece!r} as {passes:,.0f} passes over {LONG:,}"
    slow, quick = _cpu_seconds(work, long), _cpu_seconds(work, short)
    for _ in range(TRIES - 1):
        if slow < QUICK * _cpu_seconds(_pass_over, long) or slow < GROWTH * quick:
            return None
        slow, quick = min(slow, _cpu_seconds(work, long)), min(quick, _cpu_seconds(work, short))
    if slow < GROWTH * quick:
        return None
    times = LONG // SHORT
    return f"takes {slow / quick:.0f} times as long for {times} times the text, {LONG:,} characters of {piece!r}"


def _pass_over(text: str) -> None:
    for _ in text:
        pass


def _cpu_seconds(work: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    work(text)
    return max(time.process_time() - began, 1e-9)
