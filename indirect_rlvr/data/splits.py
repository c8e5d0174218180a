"""Assign every record to train or test, whole clusters at a time, with an empty buffer between the two and no picture
on both sides; and look again at a split, wherever it was made."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from indirect_rlvr.data import phash
from indirect_rlvr.data.looks import Look, Looks, same_picture
from indirect_rlvr.data.places import check as check_neighbourhood
from indirect_rlvr.data.places import points
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Neighbourhood, Record, Split

BUFFER = "in the buffer of the test split"
NEAR_DUPLICATE = "looks like a test record"

LISTED = 5
"""Clusters and pairs that `problems` spells out."""

SLACK = 1e-9
"""Share of the buffer that rounding in a great circle may cost."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def assign(
    records: Sequence[Record],
    neighbourhood: Neighbourhood,
    seed: int,
    test_share: float = 0.5,
    looks: Looks | None = None,
) -> tuple[list[Record], dict[str, int]]:
    """The records with their split filled in, in the order they came, and how many were dropped.

    A split the domain decided stays and holds for the whole cluster; every other cluster falls to test with
    probability `test_share`. Train records closer than `neighbourhood.buffer` to a test record are dropped, and with
    `looks` those that show the same picture as a test record does in a view of the same kind (perceptual hash).
    Distances on the earth are straight ones, a little shorter than along the surface. Raises DataError where a cluster
    stands on both sides or a side is empty.
    """
    check_neighbourhood(neighbourhood)
    sides = _declared(records)
    for cluster in {record.cluster for record in records} - sides.keys():
        sides[cluster] = "test" if keyed_rng(seed, "split", cluster).random() < test_share else "train"
    whole = [replace(record, split=sides[record.cluster]) for record in records]
    _check_sides(whole, f"of {len(sides)} clusters", "give more clusters, another seed, or set `split` on the records")
    kept = _kept(whole, _nearest_test(whole, neighbourhood) >= neighbourhood.buffer * (1 - SLACK))
    dropped = {BUFFER: len(whole) - len(kept)}
    when = f"after a buffer of {neighbourhood.buffer:g} {neighbourhood.unit}".rstrip()
    _check_sides(kept, when, "make clusters larger or the buffer smaller")
    if looks is not None:
        pairs = near_duplicates(kept, looks)
        same = {train for train, _, _ in pairs}
        kept = [record for record in kept if record.id not in same]
        dropped[NEAR_DUPLICATE] = len(same)
        alike = "".join(f" (`{one}` looks like `{other}` in `{kind}`)" for one, other, kind in pairs[:1])
        remedy = "give records that do not look all the same, or crop the images to what differs"
        _check_sides(kept, f"without pictures of the test split{alike}", remedy)
    return kept, dropped


def problems(records: Sequence[Record], neighbourhood: Neighbourhood, looks: Looks) -> Iterator[str]:
    """What is wrong with a split, whoever made it: clusters on both sides, pairs within the buffer, the same picture on
    both sides. Records without a split are left out."""
    sides: dict[str, set[str]] = {}
    for record in records:
        sides.setdefault(record.cluster, set()).add(record.split)
    both = sorted(cluster for cluster, own in sides.items() if {"train", "test"} <= own)
    yield from _cut([f"cluster `{cluster}` has records in train and in test" for cluster in both])
    assigned = [record for record in records if record.split]
    nearest = _nearest_test(assigned, neighbourhood)
    close = np.flatnonzero(nearest < neighbourhood.buffer * (1 - SLACK)).tolist()
    unit = neighbourhood.unit
    yield from _cut(
        [
            f"train record `{assigned[i].id}` is {nearest[i]:g} {unit} from a test record, the buffer is "
            f"{neighbourhood.buffer:g} {unit}"
            for i in close
        ]
    )
    pairs = near_duplicates(assigned, looks)
    yield from _cut(
        [f"records `{one}` (train) and `{two}` (test) look the same in `{kind}`" for one, two, kind in pairs]
    )


def describe(records: Sequence[Record], neighbourhood: Neighbourhood) -> dict[str, Any]:
    """A split for the manifest: records and clusters on each side, and the least distance between the sides."""
    found: dict[str, Any] = {
        side: {
            "records": sum(record.split == side for record in records),
            "clusters": len({record.cluster for record in records if record.split == side}),
        }
        for side in ("train", "test")
    }
    gap = float(_nearest_test(records, neighbourhood).min())
    found |= {"buffer": neighbourhood.buffer, "gap": gap if np.isfinite(gap) else None, "unit": neighbourhood.unit}
    return found | {"near_duplicates": {"bits": phash.NEAR, "correlation": phash.CORRELATION}}


def near_duplicates(records: Sequence[Record], looks: Looks) -> list[tuple[str, str, str]]:
    """(train id, test id, kind of view), sorted, of records on both sides that show the same picture."""
    shown: dict[tuple[str, str], list[tuple[str, Look]]] = {}
    for record in records:
        for view in record.views.values():
            if view.modality == "image" and record.split:
                shown.setdefault((view.kind, record.split), []).append((record.id, looks.of(view)))
    found: set[tuple[str, str, str]] = set()
    for kind in sorted({kind for kind, _ in shown}):
        train, test = shown.get((kind, "train"), []), shown.get((kind, "test"), [])
        hashes = [np.array([look.hash for _, look in own], dtype=np.uint64) for own in (train, test)]
        pairs = [(train[i], test[j]) for i, j in phash.near_pairs(hashes[0], hashes[1]).tolist()]
        found |= {(one, two, kind) for (one, first), (two, second) in pairs if same_picture(first, second)}
    return sorted(found)


def _cut(found: list[str]) -> Iterator[str]:
    yield from islice(found, LISTED)
    if len(found) > LISTED:
        yield f"{len(found) - LISTED} more like the last one"


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


def _kept(records: Sequence[Record], keep: Flags) -> list[Record]:
    return [record for record, kept in zip(records, keep, strict=True) if kept]


def _nearest_test(records: Sequence[Record], neighbourhood: Neighbourhood) -> Floats:
    """How far each train record is from the nearest test record; infinite for test records and without positions."""
    nearest = np.full(len(records), np.inf)
    test = np.array([record.split == "test" for record in records], dtype=np.bool_)
    if neighbourhood.position is None or test.all() or not test.any():
        return nearest
    where = points(records, neighbourhood)
    straight, _ = cKDTree(where[test], balanced_tree=False).query(where[~test])
    nearest[~test] = straight
    return nearest
