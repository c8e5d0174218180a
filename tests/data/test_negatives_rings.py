"""Further metrics hold between all members; blocks are alike in nuisance; the anchor ring is exact, and leaks."""

from dataclasses import replace
from itertools import combinations
from math import dist
from random import Random

import pytest

from indirect_rlvr.data.negatives import form_sets
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import CandidateSet, Neighbourhood, Record, Ring, View


def where(record: Record) -> tuple[float, float]:
    return float(record.facts["x"]), float(record.facts["y"])


def world(n: int = 600, seed: int = 0, side: float = 100.0) -> list[Record]:
    rng = Random(seed)
    return [
        Record(
            f"p{i:04}",
            f"c{i}",
            {"note": View("note", "text", str(i))},
            {
                "x": rng.uniform(0, side),
                "y": rng.uniform(0, side),
                "hour": rng.uniform(0, 48),
                "bits": hex(rng.getrandbits(16) << 60 | rng.getrandbits(8)),
            },
            "train",
        )
        for i in range(n)
    ]


def bits(record: Record) -> int:
    return int(str(record.facts["bits"]), 16)


def tanimoto(one: int, other: int) -> float:
    return 1 - (one & other).bit_count() / max(1, (one | other).bit_count())


PLANE = Neighbourhood(position=where, unit="m", cells=(30.0, 60.0), r_min=2.0)
TIME = Ring("time", "euclidean", lambda r: (float(r.facts["hour"]),), r_min=0.5, r_max=12.0, unit="h")


def pairs(sets: list[CandidateSet], records: list[Record]) -> list[tuple[Record, Record]]:
    by_id = {record.id: record for record in records}
    return [(by_id[a], by_id[b]) for s in sets for a, b in combinations(s.members, 2)]


@pytest.mark.parametrize(
    ("ring", "message"),
    [
        (replace(TIME, r_min=13.0), r"^ring `time` is \[13.0, 12.0\]; expected 0 <= r_min <= r_max, one of them given"),
        (replace(TIME, r_min=0.0, r_max=None), "expected 0 <= r_min <= r_max, one of them given"),
        (replace(TIME, bits=8), "expected the length of the fingerprint for hamming and tanimoto, and 0 for euclidean"),
        (Ring("print", "hamming", bits, 1, 9), "has the metric hamming and 0 bits"),
        (Ring("print", "hamming", bits, 1, 9, bits=8), "^record `p0000`: ring `print` has the fingerprint"),
    ],
)
def test_a_ring_that_cannot_be_is_refused(ring: Ring, message: str) -> None:
    with pytest.raises(DataError, match=message):
        form_sets(world(20), replace(PLANE, rings=(ring,)), 3, 0)


def test_members_are_near_in_place_and_in_time_and_not_too_near() -> None:
    records = world()
    sets, _ = form_sets(records, replace(PLANE, rings=(TIME,)), 4, 0)
    assert len(sets) > 60
    for one, other in pairs(sets, records):
        assert dist(where(one), where(other)) >= 2.0 * (1 - 1e-4)
        assert 0.5 <= abs(float(one.facts["hour"]) - float(other.facts["hour"])) <= 12.0
    loose = pairs(form_sets(records, PLANE, 4, 0)[0], records)
    assert max(abs(float(a.facts["hour"]) - float(b.facts["hour"])) for a, b in loose) > 12


@pytest.mark.parametrize(("metric", "low", "high"), [("hamming", 2, 9), ("tanimoto", 0.1, 0.8), ("hamming", 3, None)])
def test_fingerprints_of_members_are_alike_but_not_the_same(metric: str, low: float, high: float | None) -> None:
    records = world()
    ring = Ring("print", metric, bits, low, high, bits=76)  # type: ignore[arg-type]
    sets, _ = form_sets(records, Neighbourhood(rings=(ring,)), 3, 0)
    assert len(sets) > 30
    for one, other in pairs(sets, records):
        apart = (bits(one) ^ bits(other)).bit_count() if metric == "hamming" else tanimoto(bits(one), bits(other))
        assert low - 1e-6 <= apart <= (high or 99) + 1e-6


def test_features_of_many_dimensions_are_a_ring_too() -> None:
    records = world()
    features = {r.id: [Random(r.id).gauss(0, 1) for _ in range(8)] for r in records}
    ring = Ring("look", "euclidean", lambda r: features[r.id], r_min=2.0)
    sets, _ = form_sets(records, replace(PLANE, rings=(ring,)), 4, 0)
    assert min(dist(features[a.id], features[b.id]) for a, b in pairs(sets, records)) >= 2.0 - 1e-4


def test_blocks_need_a_nuisance_and_rings_need_cells() -> None:
    with pytest.raises(DataError, match='^the sampler "blocks" needs `neighbourhood.nuisance`'):
        form_sets(world(20), PLANE, 4, 0, sampler="blocks")
    with pytest.raises(DataError, match='^the sampler "ring" needs a position and cells'):
        form_sets(world(20), Neighbourhood(), 4, 0, sampler="ring")


def test_blocks_are_much_more_alike_in_nuisance_than_symmetric_sets_and_nobody_is_their_middle() -> None:
    records = world(2000)
    near = replace(PLANE, nuisance=lambda r: float(r.facts["hour"]))
    by_id = {record.id: record for record in records}
    spread = {}
    for sampler in ("symmetric", "blocks"):
        sets, _ = form_sets(records, near, 5, 0, sampler=sampler)  # type: ignore[arg-type]
        hours = [[float(by_id[m].facts["hour"]) for m in s.members] for s in sets]
        spread[sampler] = sum(max(own) - min(own) for own in hours) / len(hours)
        middle = sum(sorted(own).index(own[0]) == 2 for own in hours) / len(hours)
        assert abs(middle - 0.2) < 4 * (0.16 / len(hours)) ** 0.5
    assert spread["blocks"] < 0.4 * spread["symmetric"]


def test_the_anchor_ring_is_what_comparing_with_everyone_gives_and_its_medoid_is_the_answer() -> None:
    records, k = world(400), 5
    near = Neighbourhood(position=where, unit="m", cells=(24.0,), r_min=2.0)
    sets, dropped = form_sets(records, near, k, 0, sampler="ring")
    by_id = {record.id: where(record) for record in records}
    reached = 0
    for candidates in sets:
        anchor, *others = candidates.members
        assert candidates.anchor == anchor
        wanted: list[str] = []
        for name in sorted(by_id, key=lambda name: dist(by_id[name], by_id[anchor])):
            apart = dist(by_id[name], by_id[anchor])
            spot_free = all(dist(by_id[name], by_id[other]) >= 2.0 for other in wanted)
            if 2.0 <= apart <= 12.0 and spot_free and len(wanted) < k - 1:
                wanted.append(name)
        reached += wanted == others
    assert reached > 0.8 * len(sets)  # where several records share a spot, one stands for all
    assert len(sets) + dropped["no K neighbours"] >= 400 - 40
    spread = [[sum(dist(by_id[a], by_id[b]) for b in s.members) for a in s.members] for s in sets]
    assert sum(own.index(min(own)) == 0 for own in spread) / len(spread) > 0.35  # chance is 0.2
