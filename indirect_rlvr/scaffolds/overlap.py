"""Finds near-duplicate traces, exactly: the Jaccard similarity of their word trigrams with each trace kept before.

Not by hashing (MinHash), which misses some: two sets that share a given part of their members must share one among the
first few in any fixed order (prefix filter; Chaudhuri et al. 2006, Bayardo et al. 2007), so only traces that share a
rare trigram are compared at all.
"""

import re
from collections import Counter, defaultdict
from math import ceil

GRAM = 3
"""Words of an n-gram; a shorter trace is one n-gram."""
FIRST = 64
"""Traces from which is first learned which n-grams are rare."""
ROUNDING = 1e-9
"""What a product of floats may be off by: nothing is left out for it."""

_WORD = re.compile(r"[^\W_]+")

Gram = tuple[str, ...]


class Kept:
    """The traces kept so far. Those are alike whose similarity, in [0, 1], is `share` or more; a share of 1 or more
    switches it off.

    Which n-grams are rare is learned from what was kept, again whenever that has doubled: it changes the time alone.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._common: Counter[Gram] = Counter()
        self._sets: list[frozenset[Gram]] = []
        self._holders: defaultdict[Gram, list[int]] = defaultdict(list)
        self._relearn = FIRST

    def add(self, text: str) -> bool:
        """Keep a trace, unless one like it is kept already; says whether it was kept."""
        if self._share >= 1:
            return True
        found = grams(text)
        near = {number for gram in self._first(found) for number in self._holders.get(gram, ())}
        if any(self._alike(found, self._sets[number]) for number in near):
            return False
        self._sets.append(found)
        if len(self._sets) == self._relearn:
            self._learn()
        else:
            self._enter(len(self._sets) - 1)
        return True

    def _learn(self) -> None:
        """Count every n-gram and enter all sets anew by the order that follows."""
        self._relearn *= 2
        self._common = Counter(gram for found in self._sets for gram in found)
        self._holders.clear()
        for number in range(len(self._sets)):
            self._enter(number)

    def _enter(self, number: int) -> None:
        for gram in self._first(self._sets[number]):
            self._holders[gram].append(number)

    def _first(self, found: frozenset[Gram]) -> list[Gram]:
        """The n-grams of which a set that is alike must hold one: the rarest, as many as may differ, and one more."""
        order = sorted(found, key=lambda gram: (self._common[gram], gram))
        return order[: len(found) - ceil(self._share * len(found) - ROUNDING) + 1]

    def _alike(self, one: frozenset[Gram], other: frozenset[Gram]) -> bool:
        smaller, larger = sorted((len(one), len(other)))
        return smaller >= self._share * larger - ROUNDING and similarity(one, other) >= self._share


def grams(text: str) -> frozenset[Gram]:
    """The n-grams of a text's words, case and punctuation left out; of a text without words the empty one."""
    words = [word.casefold() for word in _WORD.findall(text)]
    return frozenset(tuple(words[start : start + GRAM]) for start in range(max(1, len(words) - GRAM + 1)))


def similarity(one: frozenset[Gram], other: frozenset[Gram]) -> float:
    """Shared over all n-grams of two sets (Jaccard), in [0, 1]."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
