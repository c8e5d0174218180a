"""Fill cells with disjoint sets: cut space into cells at random places, order each cell, take K at a time.

Nothing here knows of an answer. What a cell gives depends on the records inside it alone, so cells can be worked on
anywhere and in any order.
"""

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.data.legal import Flags, legal_sets
from indirect_rlvr.data.rows import BLOCKS, Axis, Integers, Places, Plan, Rows, Words, mix, word

ATTEMPTS = 6
"""How often what is left in a cell is put in another order, so that records too close to each other are parted."""


def cell_codes(rows: Rows, plan: Plan, level: int, turn: int = 0) -> Words:
    """A code of the cell of each record: its pool and where it lies on a grid shifted at random, one for each `turn`.

    A cell of a lower level never reaches over the border of a cell of the last one.
    """
    codes = mix(rows.pools)
    for axis in plan.axes:
        for side in dict.fromkeys((axis.sides[level], axis.sides[-1]) if axis.sides else ()):
            for column, grid in enumerate(grid_of(rows, axis, plan.seed, side, turn).T):
                codes = mix(codes ^ mix(grid.astype(np.uint64), column + 1))
    return codes


def grid_of(rows: Rows, axis: Axis, seed: int, side: int, turn: int = 0) -> Integers:
    """Cell coordinates, shape (n, D): all sides have one origin, so that cells nest where sides divide each other."""
    most = axis.sides[-1]
    shifts = np.array([word(seed, "cells", turn, c) % most for c in range(axis.start, axis.stop)], dtype=np.int64)
    return np.asarray((rows.points[:, axis.start : axis.stop] + shifts) // side)


def fill(rows: Rows, plan: Plan) -> tuple[Places, NDArray[np.int64], Places]:
    """Disjoint legal sets (m, k) as row numbers, the level of each (m,), and the rows left over.

    The smallest cells are filled first; what is left tries the next larger ones.
    """
    made, levels = [np.zeros((0, plan.k), dtype=np.intp)], [np.zeros(0, dtype=np.int64)]
    left: Places = np.arange(len(rows), dtype=np.intp)
    for level in range(plan.levels):
        codes = cell_codes(rows, plan, level)
        for attempt in range(ATTEMPTS):
            sets, good = _cut(rows, plan, codes, left, level, attempt)
            made.append(sets[good])
            levels.append(np.full(int(good.sum()), level, dtype=np.int64))
            left = _without(len(rows), left, sets[good])
            if good.all():
                break
    return np.concatenate(made), np.concatenate(levels), left


def _cut(rows: Rows, plan: Plan, codes: Words, left: Places, level: int, attempt: int) -> tuple[Places, Flags]:
    """Runs of K in the order of this attempt, cell by cell, and which of them are legal."""
    order = left[np.lexsort((*ordering(rows, plan, left, attempt), codes[left]))]
    starts, sizes = runs(codes[order])
    within = np.arange(len(order)) - np.repeat(starts, sizes)
    skipped = mix(codes[order][starts], attempt + 1) % (sizes % plan.k + 1).astype(np.uint64)
    within = within - np.repeat(skipped.astype(np.int64), sizes)
    used = (within >= 0) & (within < np.repeat(sizes // plan.k * plan.k, sizes))
    sets = order[used].reshape(-1, plan.k)
    return sets, legal_sets(rows, plan, sets, level)


def ordering(rows: Rows, plan: Plan, which: Places, attempt: int) -> tuple[NDArray[np.generic], ...]:
    """Sort keys within a cell, last one first: for blocks the nuisance, else alike fingerprints, else a hash.

    Fingerprints with an upper bound are ordered by bits drawn anew for each attempt, so that alike ones come together.
    """
    shuffled = mix(rows.tags[which], word(plan.seed, "order", attempt))
    if plan.sampler == BLOCKS:
        return (shuffled, rows.nuisance[which])
    bounded = [axis for axis in plan.axes if axis.kind != "points" and axis.high is not None]
    if not bounded:
        return (shuffled,)
    drawn = [_drawn_bits(rows.bits[which, axis.start : axis.stop], plan.seed, attempt) for axis in bounded]
    return (shuffled, *drawn)


def _drawn_bits(words: Words, seed: int, attempt: int) -> Words:
    """For each fingerprint a number made of 64 of its bits, drawn anew for each attempt."""
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little")
    numbers = np.arange(1, bits.shape[1] + 1, dtype=np.uint64)
    drawn = np.argsort(mix(numbers, word(seed, "bits", attempt)))[:64]
    weights = np.uint64(1) << np.arange(63, 63 - len(drawn), -1, dtype=np.uint64)
    return np.asarray((bits[:, drawn].astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64))


def runs(codes: NDArray[np.generic]) -> tuple[Places, Places]:
    """Start and length of each run of equal values."""
    if not len(codes):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    return starts, np.diff(np.append(starts, len(codes)))


def _without(n: int, left: Places, used: Places) -> Places:
    kept = np.zeros(n, dtype=np.bool_)
    kept[left] = True
    kept[used] = False
    return np.flatnonzero(kept)
