"""Form candidate sets of K neighbours from records; by default symmetric: nobody knows yet who will be asked for.

A set drawn around an anchor has the anchor at its centre, so the answer can be found without the query. Here the set
comes first and P(answer | set) = 1/K holds by construction. `mine.py` does it for rows of any number; this file brings
records there and back, and looks at what comes out once more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal

import numpy as np

from indirect_rlvr.data.alike import content_codes
from indirect_rlvr.data.cells import cell_codes, runs
from indirect_rlvr.data.lattice import plan_of, rows_of, widths_of
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.data.mine import mine
from indirect_rlvr.data.rows import RING, Plan, Rows, pair_codes
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import digest
from indirect_rlvr.types import CandidateSet, Neighbourhood, Record, Split

LEFT_OVER = "no K neighbours"

REPAIRS = 100
"""How often sets may be formed again because `neighbourhood.matches` found two members that show the same thing."""


def form_sets(
    records: Sequence[Record],
    neighbourhood: Neighbourhood,
    k: int,
    seed: int,
    *,
    sampler: Literal["symmetric", "blocks", "ring"] = "symmetric",
    short: Literal["widen", "drop"] = "widen",
    looks: Looks | None = None,
) -> tuple[list[CandidateSet], dict[str, int]]:
    """Sets of exactly `k` records of one split and neighbourhood, and how many records are in none.

    `short` says what becomes of a record without K − 1 neighbours in the smallest cell: it tries the larger ones, or is
    dropped. With `looks`, images of the same bytes or that look the same never meet. The result depends on the records
    and the seed, not on the order they come in. Raises DataError where a split gets no set at all.
    """
    distinct = content_codes(records, looks)
    place, rings = widths_of(records[:1], neighbourhood)
    plan = plan_of(neighbourhood, k, seed, place, sampler, short, rings)
    rows = rows_of(records, neighbourhood, distinct, seed)
    by_tag = dict(zip(rows.tags.tolist(), records, strict=True))
    plan, members, levels = _without_matches(rows, plan, neighbourhood.matches, by_tag)
    sets = [
        named([by_tag[tag] for tag in tags], level, plan.sampler == RING)
        for tags, level in zip(members, levels, strict=True)
    ]
    used = {record for candidates in sets for record in candidates.members}
    for split in sorted({record.split for record in records if record.split}):
        if not any(candidates.split == split for candidates in sets):
            raise DataError(_too_few(split, records, rows, plan, neighbourhood))
    _verify(sets, {record.id: record for record in records}, neighbourhood, plan)
    return sorted(sets, key=lambda s: (s.split, s.level, s.id)), {LEFT_OVER: len(records) - len(used)}


def _without_matches(
    rows: Rows, plan: Plan, matches: Callable[[Record, Record], bool] | None, by_tag: Mapping[int, Record]
) -> tuple[Plan, list[list[int]], list[int]]:
    """Mine until no two members match, each time with the pairs found so far kept apart."""
    everyone = np.ones(len(rows), dtype=np.bool_)
    for _ in range(REPAIRS):
        made = mine(rows, everyone, plan)
        members = made.members.tolist()
        if matches is None:
            return plan, members, made.levels.tolist()
        pairs = {pair for tags in members for pair in combinations(sorted(tags), 2)}
        same = np.array([pair for pair in sorted(pairs) if matches(by_tag[pair[0]], by_tag[pair[1]])], dtype=np.uint64)
        if not len(same):
            return plan, members, made.levels.tolist()
        plan = replace(plan, never=tuple(sorted({*plan.never, *pair_codes(same[:, 0], same[:, 1]).tolist()})))
    raise DataError(
        f"after {REPAIRS} trials `neighbourhood.matches` still finds members of one set that show the same thing; "
        "say it with `neighbourhood.match_keys` or r_min instead"
    )


def named(members: Sequence[Record], level: int, is_ring: bool) -> CandidateSet:
    """The set of these records, named after them; of a ring the first one is the anchor."""
    ids = tuple(record.id for record in members)
    anchor = ids[0] if is_ring else ""
    split = members[0].split
    assert split, "records without a split are refused before"
    name = f"{split}-{level}-{digest([anchor, *sorted(ids)] if anchor else sorted(ids))[:16]}"
    return CandidateSet(name, split, level, ids, anchor)


def _verify(
    sets: Sequence[CandidateSet], by_id: Mapping[str, Record], neighbourhood: Neighbourhood, plan: Plan
) -> None:
    """Look again at what was made, from the records alone: K members, one split, equal keys, different content."""
    names = {candidates.id for candidates in sets}
    assert len(names) == len(sets), f"{len(sets)} sets have {len(names)} ids"
    for candidates in sets:
        members = [by_id[member] for member in candidates.members]
        assert len(set(candidates.members)) == plan.k, f"{candidates.id} has not K members"
        assert {member.split for member in members} == {candidates.split}, f"{candidates.id} mixes splits"
        for name in neighbourhood.keys:
            assert len({member.facts[name] for member in members}) == 1, f"{candidates.id} mixes the key {name}"
        for name in neighbourhood.match_keys:
            assert len({member.facts[name] for member in members}) == plan.k, f"{candidates.id} agrees on {name}"
        shown = [(view.kind, view.content) for member in members for view in member.views.values()]
        assert len(set(shown)) == len(shown), f"{candidates.id} shows the same thing twice"


def _too_few(split: Split, records: Sequence[Record], rows: Rows, plan: Plan, neighbourhood: Neighbourhood) -> str:
    own = rows.take(np.array([record.split == split for record in records]))
    _, sizes = runs(np.sort(cell_codes(own, plan, plan.levels - 1)))
    unit = "m" if neighbourhood.metric == "lon_lat_degrees" else neighbourhood.unit
    unit = f" {unit}" if unit else ""
    return (
        f"fewer than K records in every neighbourhood of the {split} split: K is {plan.k}, r_min "
        f"{neighbourhood.r_min:g}{unit}, cells {list(neighbourhood.cells)}{unit}, keys {list(neighbourhood.keys)}, and "
        f"the largest has {sizes.max()} records, those closer than r_min included; lower `tasks.k` or r_min, enlarge "
        "the last cell, or give more records"
    )
