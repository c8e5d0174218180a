"""Takes the candidate sets of a finished `rlvr data mine` for a run, each looked at again by the run's own rule.

Mining by columns sees no pictures and asks no `matches`, and a run may hold fewer records than were mined: sets that do
not stand here are left out and counted.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from indirect_rlvr.config import Tasks
from indirect_rlvr.data.alike import content_codes
from indirect_rlvr.data.lattice import plan_of, rows_of, widths_of
from indirect_rlvr.data.legal import Flags, legal_sets
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.data.mining import finished, read_sets
from indirect_rlvr.data.negatives import named
from indirect_rlvr.data.rows import RING
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.types import CandidateSet, Neighbourhood, Record

UNKNOWN, ILLEGAL = "mined sets with a record that is not here", "mined sets that show a place twice or are not legal"


def adopt(
    folder: Path, records: Sequence[Record], neighbourhood: Neighbourhood, settings: Tasks, seed: int, looks: Looks
) -> tuple[list[CandidateSet], dict[str, int], dict[str, str]]:
    """The sets mined into `folder` that `records` can give, how many were left out and why, and the mining's digest.

    Raises ConfigError where it was mined with another K, sampler, cells or r_min, RunError where it is not complete or
    torn, DataError where its manifest is of another shape or a split is left without any set.
    """
    manifest = finished(folder)
    _require_alike(folder, manifest["job"], neighbourhood, settings)
    rows, at = read_sets(folder).to_pylist(), {record.id: place for place, record in enumerate(records)}
    here = [row for row in rows if all(member in at for member in row["members"])]
    places = np.array([[at[member] for member in row["members"]] for row in here], dtype=np.intp)
    levels = np.array([row["level"] for row in here], dtype=np.int64)
    fine = _legal(places.reshape(-1, settings.k), levels, records, neighbourhood, settings, seed, looks)
    chosen = [([records[place] for place in places[row]], int(levels[row])) for row in np.flatnonzero(fine)]
    sets = [
        named(members, level, settings.sampler == RING)
        for members, level in chosen
        if not _match(members, neighbourhood.matches)
    ]
    dropped = {UNKNOWN: len(rows) - len(here), ILLEGAL: len(here) - len(sets)}
    for split in sorted({record.split for record in records if record.split}):
        if not any(each.split == split for each in sets):
            raise DataError(
                f"the mining in `{folder}` gives no set to the {split} split: of {len(rows):,} sets "
                f"{dropped[UNKNOWN]:,} have a record that the run does not have, and {dropped[ILLEGAL]:,} show a place "
                "twice or are not legal in its neighbourhood; mine the records of this run"
            )
    return sorted(sets, key=lambda s: (s.split, s.level, s.id)), dropped, {"mined": str(manifest["sha256"])}


def _require_alike(folder: Path, job: Mapping[str, Any], neighbourhood: Neighbourhood, settings: Tasks) -> None:
    wanted = {
        "k": settings.k, "sampler": settings.sampler, "cells": list(neighbourhood.cells), "r_min": neighbourhood.r_min
    }  # fmt: skip
    if others := [name for name in wanted if job[name] != wanted[name]]:
        said = "; ".join(f"{name} {job[name]} there, {wanted[name]} in the run" for name in others)
        raise ConfigError(
            f"`tasks.mined`: `{folder}` was mined otherwise: {said}; mine into another folder as the run has it, or "
            "change the recipe"
        )


def _legal(
    sets: np.ndarray[Any, np.dtype[np.intp]],
    levels: np.ndarray[Any, np.dtype[np.int64]],
    records: Sequence[Record],
    neighbourhood: Neighbourhood,
    settings: Tasks,
    seed: int,
    looks: Looks,
) -> Flags:
    """Which sets, shape (m, k), the run's own mining could have made: one split, equal keys, nothing shown twice, every
    distance within its bounds; shape (m,)."""
    width, rings = widths_of(records[:1], neighbourhood)
    plan = plan_of(neighbourhood, settings.k, seed, width, settings.sampler, "widen", rings)
    rows = rows_of(records, neighbourhood, content_codes(records, looks), seed)
    fine = np.zeros(len(sets), dtype=np.bool_)
    for level in range(plan.levels):
        of = np.flatnonzero(levels == level)
        fine[of] = legal_sets(rows, plan, sets[of], None if settings.sampler == RING else level)
    return fine


def _match(members: Sequence[Record], matches: Callable[[Record, Record], bool] | None) -> bool:
    return matches is not None and any(matches(one, other) for one, other in combinations(members, 2))
