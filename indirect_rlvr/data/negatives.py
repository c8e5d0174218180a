"""Form candidate sets of K neighbours, symmetric: no member is special, and who will be asked for is not yet known.

A set drawn around an anchor has the anchor at its centre, so the answer can be found without the query. Here the set
comes first and P(answer | set) = 1/K holds by construction.
"""

import json
from collections.abc import Sequence
from itertools import chain, combinations

from indirect_rlvr.data.places import Cell, Lattice, lattice
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import digest, keyed_rng
from indirect_rlvr.types import CandidateSet, Neighbourhood, Record, Split

LEFT_OVER = "no K neighbours"


def form_sets(
    records: Sequence[Record], neighbourhood: Neighbourhood, k: int, seed: int
) -> tuple[list[CandidateSet], dict[str, int]]:
    """Disjoint sets of exactly `k` records of one split and neighbourhood, and how many records found none.

    The smallest cells are filled first; what is left over tries the next larger ones. The result depends on the
    records and the seed, not on the order they come in. Raises DataError where a split gets no set at all.
    """
    if k < 2:
        raise DataError(f"`tasks.k` is {k}; expected at least 2 candidates")
    ranked = sorted(records, key=lambda record: (keyed_rng(seed, "sets", record.id).getrandbits(64), record.id))
    grid = lattice(ranked, neighbourhood)
    sets: list[CandidateSet] = []
    left: dict[Split, list[list[int]]] = {}
    for (split, _), pool in sorted(_pools(ranked, neighbourhood).items()):
        made, rest = _fill_levels(pool, grid, k, seed)
        sets += [_candidate_set(split, level, [ranked[i].id for i in members]) for level, members in made]
        left.setdefault(split, []).append(rest)
        _verify([members for _, members in made], grid, k)
    for split, rests in sorted(left.items()):
        if not any(candidates.split == split for candidates in sets):
            raise DataError(_too_few(split, rests, grid, neighbourhood, k, seed))
    dropped = sum(len(rest) for rests in left.values() for rest in rests)
    return sorted(sets, key=lambda candidates: (candidates.split, candidates.level, candidates.id)), {
        LEFT_OVER: dropped
    }


def _pools(ranked: Sequence[Record], neighbourhood: Neighbourhood) -> dict[tuple[Split, str], list[int]]:
    """Ranks of the records that agree on split and keys, ascending."""
    pools: dict[tuple[Split, str], list[int]] = {}
    for rank, record in enumerate(ranked):
        if not record.split:
            raise DataError(f"record `{record.id}` has no split; assign splits before sets are formed")
        missing = [name for name in neighbourhood.keys if name not in record.facts]
        if missing:
            raise DataError(
                f"record `{record.id}` lacks the fact `{missing[0]}` that `neighbourhood.keys` needs; it has: "
                f"{', '.join(sorted(record.facts)) or 'none'}"
            )
        key = json.dumps([record.facts[name] for name in neighbourhood.keys])
        pools.setdefault((record.split, key), []).append(rank)
    return pools


def _fill_levels(
    pool: list[int], grid: Lattice | None, k: int, seed: int
) -> tuple[list[tuple[int, list[int]]], list[int]]:
    """(level, members) of every set from one pool, and the ranks left over."""
    made: list[tuple[int, list[int]]] = []
    for level in range(_levels(grid)):
        rest: list[int] = []
        for cell in _cells(pool, grid, level, seed):
            members, over = _fill_cell(cell, grid, k)
            made += [(level, chosen) for chosen in members]
            rest += over
        pool = sorted(rest)
    return made, pool


def _levels(grid: Lattice | None) -> int:
    return max(1, len(grid.sides)) if grid else 1


def _cells(pool: list[int], grid: Lattice | None, level: int, seed: int) -> list[list[int]]:
    """The pool cut into cells whose origin is shifted at random, once for each (seed, level)."""
    if grid is None or not grid.sides:
        return [pool]
    side = grid.sides[level]
    rng = keyed_rng(seed, "cells", level)
    shift = [rng.randrange(side) for _ in grid.points[0]]
    cells: dict[Cell, list[int]] = {}
    for rank in pool:
        cell = tuple((x + s) // side for x, s in zip(grid.points[rank], shift, strict=True))
        cells.setdefault(cell, []).append(rank)
    return list(cells.values())


def _fill_cell(cell: list[int], grid: Lattice | None, k: int) -> tuple[list[list[int]], list[int]]:
    """As many sets as greedy filling in rank order gives; a record too close to a set's members waits for the next."""
    made: list[list[int]] = []
    waiting: list[int] = []
    coming = iter(cell)
    while True:
        members: list[int] = []
        close: list[int] = []
        first = iter(waiting)
        for rank in chain(first, coming):
            if grid is None or all(grid.apart(rank, member) for member in members):
                members.append(rank)
                if len(members) == k:
                    break
            else:
                close.append(rank)
        if len(members) < k:
            return made, members + close
        made.append(members)
        waiting = close + list(first)  # `coming` keeps its own place


def _candidate_set(split: Split, level: int, members: list[str]) -> CandidateSet:
    return CandidateSet(f"{split}-{level}-{digest(sorted(members))[:16]}", split, level, tuple(members))


def _verify(sets: list[list[int]], grid: Lattice | None, k: int) -> None:
    """Look again at what was made: K members each, no record twice, r_min kept."""
    used = [rank for members in sets for rank in members]
    assert len(used) == len(set(used)) == k * len(sets), f"{len(set(used))} of {len(used)} members in {len(sets)} sets"
    for members in sets if grid else ():
        assert grid and all(grid.apart(one, other) for one, other in combinations(members, 2)), f"{members} too close"


def _too_few(
    split: Split, rests: list[list[int]], grid: Lattice | None, neighbourhood: Neighbourhood, k: int, seed: int
) -> str:
    largest = max(len(cell) for rest in rests for cell in _cells(rest, grid, _levels(grid) - 1, seed))
    unit = f" {neighbourhood.unit}" if neighbourhood.unit else ""
    return (
        f"fewer than K records in every neighbourhood of the {split} split: K is {k}, r_min {neighbourhood.r_min:g}"
        f"{unit}, cells {list(neighbourhood.cells)}{unit}, keys {list(neighbourhood.keys)}, and the largest has "
        f"{largest} records, those closer than r_min included; lower `tasks.k` or r_min, enlarge the last cell, or "
        "give more records"
    )
