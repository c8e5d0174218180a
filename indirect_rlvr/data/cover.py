"""Give records that no disjoint set took a set of their own, with helpers that other sets have used already.

Who is asked for is drawn after the set, from all its members alike, so a record left over is no more often the answer
than its helpers.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from indirect_rlvr.data.cells import cell_codes, runs
from indirect_rlvr.data.legal import legal_pairs, legal_sets, squares
from indirect_rlvr.data.rows import BLOCKS, Axis, Places, Plan, Rows, Words, mix, word

HELPERS = 16
"""Helpers of a cell at most, as a multiple of K."""

SPARE = 8
"""How many more helpers than K − 1 are looked at, since some may not meet the record or each other."""

ATTEMPTS = 3
"""How often other helpers are tried."""


def cover(rows: Rows, plan: Plan, left: Places, turn: int) -> tuple[Places, Places]:
    """A set (m, k) for each row left over that has K − 1 helpers in its cell of the last level, and the rows without.

    The row that leads a set comes first.
    """
    if not len(left):
        return np.zeros((0, plan.k), dtype=np.intp), left
    level = plan.levels - 1
    codes = cell_codes(rows, plan, level, turn)
    helpers = _helpers(rows, plan, codes, np.unique(codes[left]))
    made = [np.zeros((0, plan.k), dtype=np.intp)]
    for attempt in range(ATTEMPTS):
        sets, good = _with_helpers(rows, plan, codes, helpers, left, turn * ATTEMPTS + attempt)
        made.append(sets)
        left = left[~good]
        if not len(left):
            break
    return np.concatenate(made), left


def _helpers(rows: Rows, plan: Plan, codes: Words, wanted: Words) -> Places:
    """Row numbers of helpers, cell by cell: at most HELPERS × K of a wanted cell, by tag, no two closer than r_min."""
    near = np.flatnonzero(np.isin(codes, wanted))
    axis = plan.axes[0] if plan.axes and plan.axes[0].kind == "points" and plan.axes[0].low > 0 else None
    if axis is not None:
        near = near[first_of(spots(rows.take(near), axis), codes[near], rows.tags[near])]
    near = near[np.lexsort((rows.tags[near], codes[near]))]
    starts, sizes = runs(codes[near])
    near = near[np.arange(len(near)) - np.repeat(starts, sizes) < HELPERS * plan.k]
    if axis is not None:
        near = near[_apart(rows, axis, near, codes)]
    if plan.sampler == BLOCKS:
        near = near[np.lexsort((rows.tags[near], rows.nuisance[near], codes[near]))]
    return near


def spots(rows: Rows, axis: Axis) -> Words:
    """A code of each record's spot: a cube so small that no two records inside are r_min apart."""
    width = axis.stop - axis.start
    side = max(1, int(((axis.low - 1) / width) ** 0.5))
    codes = mix(rows.pools)
    for column in range(axis.start, axis.stop):
        codes = mix(codes ^ mix((rows.points[:, column] // side).astype(np.uint64), column + 1))
    return codes


def first_of(spot: Words, codes: Words, tags: Words) -> NDArray[np.bool_]:
    """Which records have the lowest tag of their spot in their cell; a crowd at one place counts once."""
    order = np.lexsort((tags, spot, codes))
    starts, _ = runs(mix(codes[order]) ^ spot[order])
    first = np.zeros(len(tags), dtype=np.bool_)
    first[order[starts]] = True
    return first


def _apart(rows: Rows, axis: Axis, near: Places, codes: Words) -> NDArray[np.bool_]:
    """Which rows have no row of a lower tag within r_min in their cell: a rule that looks no further than r_min."""
    tree = cKDTree(
        rows.points[near, axis.start : axis.stop].astype(np.float64), balanced_tree=False, compact_nodes=False
    )
    pairs = tree.query_pairs(axis.low**0.5 * (1 + 1e-9), output_type="ndarray")
    one, other = near[pairs[:, 0]], near[pairs[:, 1]]
    close = (codes[one] == codes[other]) & (squares(rows, axis, one, other) < axis.low)
    later = np.where(rows.tags[one] > rows.tags[other], pairs[:, 0], pairs[:, 1])[close]
    apart = np.ones(len(near), dtype=np.bool_)
    apart[later] = False
    return apart


def _with_helpers(
    rows: Rows, plan: Plan, codes: Words, helpers: Places, left: Places, attempt: int
) -> tuple[Places, NDArray[np.bool_]]:
    """A legal set for some of the rows left over, and which of them got one."""
    offered = _offered(rows, plan, codes, helpers, left, attempt)
    width = offered.shape[1]
    who, valid = np.repeat(left, width), (offered >= 0).ravel()
    may_meet = np.zeros(len(who), dtype=np.bool_)
    level = plan.levels - 1
    may_meet[valid] = legal_pairs(rows, plan, who[valid], offered.ravel()[valid], level)
    fine: NDArray[np.bool_] = may_meet.reshape(offered.shape)
    good = fine.sum(axis=1) >= plan.k - 1
    chosen = fine & (np.cumsum(fine, axis=1) < plan.k)
    sets = np.column_stack([left[good], offered[good][chosen[good]].reshape(-1, plan.k - 1)])
    legal = legal_sets(rows, plan, sets, level)
    good[np.flatnonzero(good)[~legal]] = False
    return sets[legal], good


def _offered(rows: Rows, plan: Plan, codes: Words, helpers: Places, left: Places, attempt: int) -> Places:
    """Helpers of each row's cell from a place drawn by hash, shape (rows, K − 1 + SPARE); −1 where there are no more.

    For blocks the place is drawn so that the row may stand anywhere among helpers of like nuisance.
    """
    width = plan.k - 1 + SPARE
    cells, starts, sizes = _cells_of(codes[helpers])
    if not len(cells):
        return np.full((len(left), width), -1, dtype=np.intp)
    at = np.minimum(np.searchsorted(cells, codes[left]), len(cells) - 1)
    size = np.where(cells[at] == codes[left], sizes[at], 0)
    drawn = mix(rows.tags[left], word(plan.seed, "helpers", attempt))
    if plan.sampler == BLOCKS:
        rank = _rank(rows, codes, helpers, left) - starts[at]
        first = rank - (drawn % np.uint64(width)).astype(np.intp)
        first = np.clip(first, 0, np.maximum(size - width, 0))
    else:
        first = (drawn % np.maximum(size, 1).astype(np.uint64)).astype(np.intp)
    steps = np.arange(width)
    inside = (first[:, None] + steps) % np.maximum(size, 1)[:, None]
    return np.where(steps < size[:, None], helpers[np.minimum(starts[at][:, None] + inside, len(helpers) - 1)], -1)


def _cells_of(codes: Words) -> tuple[Words, Places, Places]:
    starts, sizes = runs(codes)
    return codes[starts], starts, sizes


def _rank(rows: Rows, codes: Words, helpers: Places, left: Places) -> Places:
    """Where each row left over would stand among the helpers, which are ordered by cell and nuisance."""
    everyone = np.concatenate([helpers, left])
    is_left = np.arange(len(everyone)) >= len(helpers)
    order = np.lexsort((is_left, rows.nuisance[everyone], codes[everyone]))
    before = np.cumsum(~is_left[order])
    rank = np.empty(len(everyone), dtype=np.intp)
    rank[order] = before
    return rank[len(helpers) :]
