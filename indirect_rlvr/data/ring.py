"""Anchor rings, as the papers describe them: a record and its K − 1 nearest legal neighbours between r_min and r_max.

THIS LEAKS THE ANSWER. The record asked for stands in the middle of its candidates, so a policy that never looks at the
query and picks the medoid is right far more often than 1/K (27 to 55 of 100 at K = 8, where chance is 12.5). The
sampler is here for ablations alone; the audit refuses what it makes.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from indirect_rlvr.data.cells import grid_of
from indirect_rlvr.data.cover import first_of, spots
from indirect_rlvr.data.legal import legal_pairs, squares
from indirect_rlvr.data.rows import Integers, Places, Plan, Rows, Sets

CHUNK = 32768
"""Records whose neighbours are looked up together."""


def around(rows: Rows, own: NDArray[np.bool_], plan: Plan) -> Sets:
    """For each own row that has them: the row itself, then its K − 1 nearest legal neighbours, nearest first.

    Neighbours come from the first level whose ring holds enough; ties go to the lower tag, and of records so close
    together that no two could stand in one set, the lowest tag stands for all. Every neighbour within r_max of an own
    row must be among the rows. Raises nothing: rows without neighbours are left out, and the caller counts them.
    """
    assert plan.place is not None
    table = representatives(rows, plan)
    places = _by_pool(rows, plan)
    tree = cKDTree(places[table], balanced_tree=False, compact_nodes=False)
    left = np.flatnonzero(own)
    left = left[np.lexsort(grid_of(rows.take(left), plan.place, plan.seed, plan.place.sides[-1]).T)]
    members, levels = [np.zeros((0, plan.k), dtype=np.intp)], [np.zeros(0, dtype=np.int64)]
    for level in range(plan.levels):
        short = [np.zeros(0, dtype=np.intp)]
        for chunk in _chunks(left):
            sets, rest = look_up(rows, plan, tree, places, table, chunk, plan.reach[level])
            members.append(sets)
            levels.append(np.full(len(sets), level, dtype=np.int64))
            short.append(rest)
        left = np.concatenate(short)
    return Sets(rows.tags[np.concatenate(members)], np.concatenate(levels), rows.tags[left])


def representatives(rows: Rows, plan: Plan) -> Places:
    """Row numbers of those that may serve as neighbours: one for each spot."""
    assert plan.place is not None
    if plan.place.low <= 1:
        return np.arange(len(rows), dtype=np.intp)
    return np.flatnonzero(first_of(spots(rows, plan.place), rows.pools, rows.tags))


def nearest_legal(
    rows: Rows, plan: Plan, anchors: Places, near: Places, reach: int
) -> tuple[Places, NDArray[np.bool_], Integers]:
    """Of the candidates `near` (m, n) the first K − 1 by (distance, tag) that may meet the anchor and each other.

    −1 stands for no candidate. Returns them (m, K − 1), whether there were enough (m,), and the squared distance of the
    last one (m,).
    """
    assert plan.place is not None
    near, apart = _in_order(rows, plan, anchors, near)
    chosen = np.full((len(anchors), plan.k - 1), -1, dtype=np.intp)
    count, last = np.zeros(len(anchors), dtype=np.intp), np.zeros(len(anchors), dtype=np.int64)
    for column in range(near.shape[1]):
        open_ = np.flatnonzero((near[:, column] >= 0) & (apart[:, column] <= reach) & (count < plan.k - 1))
        candidate = near[open_, column]
        open_ = open_[legal_pairs(rows, plan, anchors[open_], candidate)]
        for slot in range(int(count[open_].max()) if len(open_) else 0):
            against = chosen[open_, slot]
            clear = against < 0
            taken = np.flatnonzero(~clear)
            clear[taken] = legal_pairs(rows, plan, against[taken], near[open_[taken], column])
            open_ = open_[clear]
        chosen[open_, count[open_]] = near[open_, column]
        last[open_] = apart[open_, column]
        count[open_] += 1
    return chosen, count == plan.k - 1, last


def look_up(
    rows: Rows,
    plan: Plan,
    tree: cKDTree,
    places: NDArray[np.float64],
    table: Places,
    anchors: Places,
    reach: int,
) -> tuple[Places, Places]:
    """Sets of the anchors that have enough neighbours within reach, and the anchors that do not.

    `tree` holds `places[table]`. A set stands when its last member is strictly nearer than the last candidate looked
    at, so no tie is cut.
    """
    made, short = [np.zeros((0, plan.k), dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    wanted = min(plan.k + 8, len(table))
    while len(anchors):
        _, found = tree.query(places[anchors], k=[*range(1, wanted + 1)], distance_upper_bound=reach**0.5 * (1 + 1e-9))
        near = np.where(found < len(table), table[np.minimum(found, len(table) - 1)], -1)
        chosen, enough, last = nearest_legal(rows, plan, anchors, near, reach)
        edge = squares(rows, plan.axes[0], anchors, np.maximum(near[:, -1], 0))
        exhausted = (near[:, -1] < 0) | (wanted == len(table))
        done = enough & (exhausted | (last < edge - (edge >> 40)))
        made.append(np.column_stack([anchors[done], chosen[done]]))
        short.append(anchors[~done & exhausted])
        anchors = anchors[~done & ~exhausted]
        wanted = min(4 * wanted, len(table))
    return np.concatenate(made), np.concatenate(short)


def _in_order(rows: Rows, plan: Plan, anchors: Places, near: Places) -> tuple[Places, Integers]:
    """The candidates of each anchor by (integer distance, tag), and those squared distances; missing ones come last."""
    flat = np.maximum(near, 0).ravel()
    apart = squares(rows, plan.axes[0], np.repeat(anchors, near.shape[1]), flat).reshape(near.shape)
    apart[near < 0] = np.iinfo(np.int64).max
    mixed = np.flatnonzero((np.diff(apart, axis=1) <= 0).any(axis=1))
    order = np.lexsort((rows.tags[np.maximum(near[mixed], 0)], apart[mixed]), axis=1)
    near = near.copy()
    near[mixed] = np.take_along_axis(near[mixed], order, axis=1)
    apart[mixed] = np.take_along_axis(apart[mixed], order, axis=1)
    return near, apart


def _by_pool(rows: Rows, plan: Plan) -> NDArray[np.float64]:
    """Coordinates with one more, the pool: pools are so far apart that no ring reaches from one to the next."""
    axis = plan.axes[0]
    _, number = np.unique(rows.pools, return_inverse=True)
    pool = number * (2.0 * max(plan.reach) ** 0.5 + 1)
    return np.column_stack([rows.points[:, axis.start : axis.stop].astype(np.float64), pool])


def _chunks(left: Places) -> Iterator[Places]:
    for start in range(0, len(left), CHUNK):
        yield left[start : start + CHUNK]
