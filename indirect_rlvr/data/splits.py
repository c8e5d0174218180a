"""Assign every record to train or test, whole clusters at a time, with an empty buffer between the two."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from indirect_rlvr.data.places import check, points
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Neighbourhood, Record, Split

BUFFER = "in the buffer of the test split"


def assign(
    records: Sequence[Record], neighbourhood: Neighbourhood, seed: int, test_share: float = 0.5
) -> tuple[list[Record], dict[str, int]]:
    """The records with their split filled in, in the order they came, and how many were dropped.

    A split the domain decided stays and holds for the whole cluster; every other cluster falls to test with
    probability `test_share`. Train records closer than `neighbourhood.buffer` to a test record are dropped.
    Raises DataError where a cluster stands on both sides or a side is empty.
    """
    check(neighbourhood)
    sides = _declared(records)
    for cluster in {record.cluster for record in records} - sides.keys():
        sides[cluster] = "test" if keyed_rng(seed, "split", cluster).random() < test_share else "train"
    whole = [replace(record, split=sides[record.cluster]) for record in records]
    _check_sides(whole, f"of {len(sides)} clusters", "give more clusters, another seed, or set `split` on the records")
    if neighbourhood.position is None or neighbourhood.buffer == 0:
        return whole, {BUFFER: 0}
    kept = _without_buffer(whole, neighbourhood)
    _check_sides(
        kept,
        f"after a buffer of {neighbourhood.buffer:g} {neighbourhood.unit}",
        "make clusters larger or the buffer smaller",
    )
    return kept, {BUFFER: len(whole) - len(kept)}


def _declared(records: Sequence[Record]) -> dict[str, Split]:
    """The side of each cluster for which the domain decided one."""
    sides: dict[str, Split] = {}
    for record in records:
        if record.split and sides.setdefault(record.cluster, record.split) != record.split:
            raise DataError(
                f"cluster `{record.cluster}` stands on both sides: record `{record.id}` says {record.split}, an "
                "earlier one the other; a cluster is the barrier between them, so split by cluster"
            )
    return sides


def _check_sides(records: Sequence[Record], when: str, remedy: str) -> None:
    for side in ("train", "test"):
        if not any(record.split == side for record in records):
            raise DataError(f"the {side} split is empty {when}; {remedy}")


def _without_buffer(records: list[Record], neighbourhood: Neighbourhood) -> list[Record]:
    where = points(records, neighbourhood)
    test = np.array([record.split == "test" for record in records])
    keep = test | (_nearest(where, where[test]) >= neighbourhood.buffer)
    gap = _nearest(where[test], where[keep & ~test]).min() if (keep & ~test).any() else np.inf
    assert gap >= neighbourhood.buffer, f"train and test are {gap} apart, buffer {neighbourhood.buffer}"
    return [record for record, kept in zip(records, keep, strict=True) if kept]


def _nearest(of: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from each point to the nearest of `among`."""
    distances, _ = cKDTree(among, balanced_tree=False).query(of)
    return np.asarray(distances, dtype=np.float64)
