"""Which records may stand in one set: the same rule for making sets and for looking at them again."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.data.rows import Axis, Places, Plan, Rows, Words, pair_codes

Flags = NDArray[np.bool_]

MILLION = 1_000_000
"""Tanimoto distances are compared as whole millionths."""


def legal_pairs(rows: Rows, plan: Plan, one: Places, other: Places, level: int | None = None) -> Flags:
    """Whether the records `one[i]` and `other[i]` may meet: one pool, no shared code, each metric within its bounds.

    With a `level` they must also be no farther apart in any coordinate than the side of its cells.
    """
    fine: Flags = (rows.pools[one] == rows.pools[other]) & (one != other)
    for column in range(rows.distinct.shape[1]):
        first = rows.distinct[one, column]
        fine &= (first != rows.distinct[other, column]) | (first == 0)
    if plan.never:
        never = np.array(plan.never, dtype=np.uint64)
        fine &= ~np.isin(pair_codes(rows.tags[one], rows.tags[other]), never)
    for axis in plan.axes:
        fine &= _within(rows, axis, one, other, level)
    return fine


def legal_sets(rows: Rows, plan: Plan, sets: Places, level: int | None = None) -> Flags:
    """Which of the sets, shape (m, k), have only members that may meet each other."""
    fine = np.ones(len(sets), dtype=np.bool_)
    for i, j in combinations(range(plan.k), 2):
        left = np.flatnonzero(fine)
        fine[left] = legal_pairs(rows, plan, sets[left, i], sets[left, j], level)
    return fine


def squares(rows: Rows, axis: Axis, one: Places, other: Places) -> NDArray[np.int64]:
    """Squared integer distances, exact up to 2^62; what is farther counts as 2^62 or a little less."""
    width = axis.stop - axis.start
    far = int((2**62 / width) ** 0.5)
    total = np.zeros(len(one), dtype=np.int64)
    for column in range(axis.start, axis.stop):
        apart = np.minimum(np.abs(rows.points[one, column] - rows.points[other, column]), far)
        total += apart * apart
    return total


def _within(rows: Rows, axis: Axis, one: Places, other: Places, level: int | None) -> Flags:
    if axis.kind == "points":
        return _points_within(rows, axis, one, other, level)
    first, second = rows.bits[one, axis.start : axis.stop], rows.bits[other, axis.start : axis.stop]
    differing, any_bit = _count(first ^ second), _count(first | second)
    whole = np.ones(len(one), dtype=np.int64)
    if axis.kind == "tanimoto":
        differing, whole = differing * MILLION, np.maximum(any_bit, 1)
    fine = np.asarray(differing >= axis.low * whole)
    return fine if axis.high is None else fine & (differing <= axis.high * whole)


def _points_within(rows: Rows, axis: Axis, one: Places, other: Places, level: int | None) -> Flags:
    fine = np.ones(len(one), dtype=np.bool_)
    if level is not None and axis.sides:
        for column in range(axis.start, axis.stop):
            fine &= np.abs(rows.points[one, column] - rows.points[other, column]) <= axis.sides[level]
    if axis.low > 0 or axis.high is not None:
        apart = squares(rows, axis, one, other)
        fine &= apart >= axis.low
        fine &= True if axis.high is None else apart <= axis.high
    return fine


def _count(words: Words) -> NDArray[np.int64]:
    return np.asarray(np.bitwise_count(words).sum(axis=1, dtype=np.int64))
