"""Three samplers behind one function: from rows to candidate sets, the same wherever and in whatever order it runs.

`mine` is pure. Given all rows it is the whole job on one machine; given the rows of some blocks and their halo, it is
one part of the job on a cluster, and the parts together are the same sets.
"""

import numpy as np

from indirect_rlvr.data import ring
from indirect_rlvr.data.cells import fill
from indirect_rlvr.data.cover import cover
from indirect_rlvr.data.legal import Flags, legal_sets
from indirect_rlvr.data.rows import RING, Places, Plan, Rows, Sets

TURNS = 4
"""How many grids a record left over tries; each is shifted otherwise, so that what one cuts apart another does not."""


def mine(rows: Rows, own: Flags, plan: Plan) -> Sets:
    """The candidate sets that belong to the own rows; the others are their halo, there to be neighbours.

    `symmetric`: disjoint sets, cell by cell, formed without an anchor; what no disjoint set took gets one with members
    that serve again. `blocks`: the same, of records consecutive in the nuisance scalar. `ring`: around each record, and
    the answer leaks (see `ring`). Every set is looked at again before it is given out; fails where one is
    not legal, which would be a defect of ours.
    """
    order = np.argsort(rows.tags, kind="stable")
    rows, own = rows.take(order), own[order]
    made = ring.around(rows, own, plan) if plan.sampler == RING else _symmetric(rows, own, plan)
    _look_again(rows, plan, made)
    return made


def _symmetric(rows: Rows, own: Flags, plan: Plan) -> Sets:
    """Rows are in the order of their tags, so row numbers stand for tags."""
    filled, levels, left = fill(rows, plan)
    turns = range(TURNS if any(axis.sides for axis in plan.axes) else 1)
    led_sets: list[Places] = []
    for turn in turns:
        made, left = cover(rows, plan, left, turn)
        led_sets.append(made[np.argsort(made[:, 0])])
    led = np.concatenate(led_sets)
    once = np.sort(np.unique(np.sort(led, axis=1), axis=0, return_index=True)[1])
    led = led[once]  # of records left over that give the same set, the first one gives it
    sets = np.sort(np.concatenate([filled, led]), axis=1)
    leaders = np.concatenate([filled[:, 0], led[:, 0]])
    levels = np.concatenate([levels, np.full(len(led), plan.levels - 1)])
    led_here = own[leaders]
    disjoint = int(led_here[: len(filled)].sum())
    return Sets(rows.tags[sets[led_here]], levels[led_here], rows.tags[left[own[left]]], disjoint)


def _look_again(rows: Rows, plan: Plan, made: Sets) -> None:
    """K members each, no record twice in one set, every pair legal."""
    members = np.searchsorted(rows.tags, made.members).astype(np.intp)
    assert members.shape == (len(made), plan.k), f"{members.shape} members of {len(made)} sets of {plan.k}"
    for level in range(plan.levels):
        of = np.flatnonzero(made.levels == level)
        legal = legal_sets(rows, plan, members[of], None if plan.sampler == RING else level)
        assert legal.all(), f"{int((~legal).sum())} of {len(of)} sets of level {level} are not legal"
