"""Sets have exactly K members of one split and neighbourhood, r_min apart, whatever order the records come in."""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from math import dist
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from indirect_rlvr.data.lattice import integer_points, plan_of, rows_of
from indirect_rlvr.data.legal import legal_pairs
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.data.mine import mine
from indirect_rlvr.data.negatives import LEFT_OVER, form_sets
from indirect_rlvr.data.rows import tags
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Neighbourhood, Record, Split, View

STEADY = settings(deadline=None, derandomize=True, max_examples=50)


def where(record: Record) -> tuple[float, float]:
    return float(record.facts["x"]), float(record.facts["y"])


PLANE = Neighbourhood(position=where, unit="m", cells=(20.0, 60.0), r_min=2.0)


def place(number: int, x: float, y: float, split: Split = "train", ward: int = 0) -> Record:
    views = {"note": View("note", "text", str(number))}
    return Record(f"p{number:04}", f"c{number}", views, {"x": x, "y": y, "ward": ward}, split)


def plane(n: int = 300, seed: int = 0, side: float = 100.0) -> list[Record]:
    """Places at random, half of them test."""
    rng = Random(seed)
    return [
        place(i, rng.uniform(0, side), rng.uniform(0, side), "test" if i % 2 else "train", rng.randrange(2))
        for i in range(n)
    ]


def test_too_few_records_are_refused_with_all_that_could_be_changed() -> None:
    records = [place(i, 0.1 * i, 0.0) for i in range(6)]
    with pytest.raises(DataError) as raised:
        form_sets(records, replace(PLANE, keys=("ward",)), k=4, seed=0)
    assert str(raised.value) == (
        "fewer than K records in every neighbourhood of the train split: K is 4, r_min 2 m, cells [20.0, 60.0] m, keys "
        "['ward'], and the largest has 6 records, those closer than r_min included; lower `tasks.k` or r_min, enlarge "
        "the last cell, or give more records"
    )


def test_one_split_without_a_set_is_refused_though_the_other_has_some() -> None:
    records = [place(i, i, 0.0, "test" if i == 0 else "train") for i in range(9)]
    with pytest.raises(DataError, match=r"in every neighbourhood of the test split: K is 3"):
        form_sets(records, Neighbourhood(), k=3, seed=0)


@pytest.mark.parametrize(
    ("neighbourhood", "message"),
    [
        (Neighbourhood(keys=("age",)), "lacks the fact `age` that the neighbourhood needs; it has: ward, x, y$"),
        (replace(PLANE, cells=(60.0, 20.0)), r"^`neighbourhood.cells` is \(60.0, 20.0\); expected positive sides"),
        (replace(PLANE, cells=(0.0,)), r"^`neighbourhood.cells` is \(0.0,\); expected positive sides"),
        (replace(PLANE, r_min=-1.0), "^`neighbourhood.r_min` is -1.0; expected a finite distance, 0 or more$"),
        (replace(PLANE, position=None), "^`neighbourhood` has cells, r_min or buffer but no `position`"),
        (
            replace(PLANE, position=lambda r: (1e300, 0.0)),
            "^positions reach 1e[+]300, too far for lengths in steps",
        ),
        (replace(PLANE, position=lambda r: (0.0,) * (1 + int(r.id[-1]))), "expected the same number, at least one$"),
    ],
)
def test_a_neighbourhood_that_cannot_be_is_refused(neighbourhood: Neighbourhood, message: str) -> None:
    with pytest.raises(DataError, match=message):
        form_sets(plane(), neighbourhood, k=4, seed=0)


def test_an_error_of_the_domain_names_the_record() -> None:
    with pytest.raises(KeyError) as raised:
        form_sets(plane(9), replace(PLANE, position=lambda r: (r.facts["z"],)), k=2, seed=0)  # type: ignore[arg-type,return-value]
    assert raised.value.__notes__[0].startswith("in `position` of the domain's neighbourhood, at record `p")


def test_a_record_without_a_split_is_refused() -> None:
    with pytest.raises(DataError, match=r"has no split; assign splits before sets are formed$"):
        form_sets([replace(record, split="") for record in plane(9)], Neighbourhood(), k=2, seed=0)


@STEADY
@given(
    n=st.integers(120, 200),
    seed=st.integers(0, 1000),
    k=st.integers(2, 5),
    r_min=st.sampled_from([0.0, 0.7, 3.0]),
    cells=st.sampled_from([(), (70.0,), (15.0, 40.0, 300.0)]),
    keys=st.sampled_from([(), ("ward",)]),
)
def test_every_set_is_legal_and_every_record_is_used_or_counted(
    n: int, seed: int, k: int, r_min: float, cells: tuple[float, ...], keys: tuple[str, ...]
) -> None:
    records = plane(n, seed)
    by_id = {record.id: record for record in records}
    neighbourhood = Neighbourhood(keys=keys, position=where, unit="m", cells=cells, r_min=r_min)
    sets, dropped = form_sets(records, neighbourhood, k, seed)
    for candidates in sets:
        members = [by_id[member] for member in candidates.members]
        assert len(members) == k
        assert {member.split for member in members} == {candidates.split}
        assert len({member.facts["ward"] for member in members}) == 1 or not keys
        for one, other in combinations(members, 2):
            assert dist(where(one), where(other)) >= r_min * (1 - 1e-4)
            side = cells[candidates.level] if cells else np.inf
            assert max(abs(a - b) for a, b in zip(where(one), where(other), strict=True)) <= side * (1 + 1e-4)
    used = {member for candidates in sets for member in candidates.members}
    assert len(used) == n - dropped[LEFT_OVER]
    assert len({frozenset(candidates.members) for candidates in sets}) == len({s.id for s in sets}) == len(sets)


@settings(STEADY, max_examples=15)
@given(order=st.randoms(use_true_random=False), seed=st.integers(0, 50))
def test_sets_do_not_depend_on_the_order_of_the_records(order: Random, seed: int) -> None:
    records = plane(120)
    before = form_sets(records, PLANE, 4, seed)
    order.shuffle(records)
    assert form_sets(records, PLANE, 4, seed) == before


def test_another_seed_gives_other_sets() -> None:
    assert form_sets(plane(), PLANE, 4, 1) != form_sets(plane(), PLANE, 4, 2)


def test_small_cells_are_filled_before_large_ones() -> None:
    sets, dropped = form_sets(plane(600), PLANE, 4, 0)
    levels = [candidates.level for candidates in sets]
    assert levels.count(0) > levels.count(1) > 0
    assert dropped[LEFT_OVER] < 60


def test_without_position_every_record_of_a_key_is_a_neighbour_and_none_is_left() -> None:
    sets, dropped = form_sets(plane(43), Neighbourhood(), 5, 0)
    times = Counter(member for candidates in sets for member in candidates.members)
    assert (len(times), dropped) == (43, {LEFT_OVER: 0})
    assert sum(count > 1 for count in times.values()) < 20  # only records left over ask others to serve again


def test_a_record_too_close_for_one_set_serves_in_the_next() -> None:
    twins = [place(2 * i + j, 10.0 * i, 0.5 * j) for i in range(3) for j in range(2)]
    sets, dropped = form_sets(twins, Neighbourhood(position=where, r_min=2.0), 3, 0)
    assert (len(sets), dropped) == (2, {LEFT_OVER: 0})


def test_places_exactly_r_min_apart_are_far_enough_whatever_floats_say() -> None:
    row = [place(i, 0.3 * i, 0.0) for i in range(40)]
    near = Neighbourhood(position=where, cells=(6.0,), r_min=0.3)
    assert any(0.3 * (i + 1) - 0.3 * i < 0.3 for i in range(39))
    rows = rows_of(row, near, np.zeros((40, 0), dtype=np.uint64), 0)
    assert legal_pairs(rows, plan_of(near, 2, 0, 2), np.arange(39), np.arange(1, 40)).all()
    assert not legal_pairs(rows, plan_of(replace(near, r_min=0.30001), 2, 0, 2), np.arange(39), np.arange(1, 40)).any()


def test_coordinates_of_few_decimals_are_exact_integers() -> None:
    records = [place(0, 1234.56, -0.01), place(1, 1e6, 0.0)]
    near = Neighbourhood(position=where, cells=(1000.0, 2500.0), r_min=300.0)
    assert integer_points(records, near).tolist() == [[1234560, -10], [10**9, 0]]
    plan = plan_of(near, 2, 0, 2)
    assert (plan.axes[0].sides, plan.axes[0].low) == ((1_000_000, 2_500_000), 300_000**2)


def test_short_neighbourhoods_are_widened_or_dropped_and_counted_but_never_padded() -> None:
    records = plane(200)
    widened, without = form_sets(records, PLANE, 4, 0)
    dropped, many = form_sets(records, PLANE, 4, 0, short="drop")
    assert {s.level for s in widened} == {0, 1} and {s.level for s in dropped} == {0}
    assert many[LEFT_OVER] > without[LEFT_OVER]
    assert {len(s.members) for s in widened + dropped} == {4}


def test_nine_of_ten_records_with_enough_legal_neighbours_get_a_set() -> None:
    records, k = plane(1500, seed=3, side=900.0), 4
    near = Neighbourhood(position=where, unit="m", cells=(20.0, 40.0, 80.0), r_min=2.0)
    used = {member for candidates in form_sets(records, near, k, 0)[0] for member in candidates.members}
    anchors = {candidates.anchor for candidates in form_sets(records, near, k, 0, sampler="ring")[0]}
    assert 1000 < len(anchors) < 1450  # the ring gives a set to exactly those with K - 1 neighbours within half a cell
    assert len(anchors & used) >= 0.9 * len(anchors)


def test_a_crowd_at_one_place_is_in_one_set_only_once_and_costs_no_more_than_anyone() -> None:
    crowd = [place(i, 50.0 + i % 7 * 1e-3, 50.0) for i in range(20_000)]
    others = [place(20_000 + i, 45.0 + 2.5 * (i % 5), 45.0 + 2.5 * (i // 5)) for i in range(20)]
    near = Neighbourhood(position=where, unit="m", cells=(20.0,), r_min=2.0)
    distinct, places = np.zeros((20_020, 0), dtype=np.uint64), plan_of(near, 4, 0, 2)
    made = mine(rows_of([*crowd, *others], near, distinct, 0), np.ones(20_020, dtype=np.bool_), places)
    is_crowd = np.isin(made.members, tags(0, [record.id for record in crowd]))
    assert (is_crowd.sum(axis=1) <= 1).all()
    assert len(np.unique(made.members)) > 0.99 * 20_020


def test_records_that_match_never_stand_in_one_set() -> None:
    records = plane(300)
    fact = [replace(r, facts={**r.facts, "street": int(float(r.facts["x"])) // 3}) for r in records]
    by_id = {record.id: record for record in fact}

    def overlap(one: Record, other: Record) -> bool:
        return bool(one.facts["street"] == other.facts["street"])

    for near in (replace(PLANE, match_keys=("street",)), replace(PLANE, matches=overlap)):
        sets, _ = form_sets(fact, near, 4, 0)
        for candidates in sets:
            assert not any(overlap(by_id[a], by_id[b]) for a, b in combinations(candidates.members, 2))
    assert any(
        overlap(by_id[a], by_id[b]) for s in form_sets(fact, PLANE, 4, 0)[0] for a, b in combinations(s.members, 2)
    )


def test_matches_that_leave_nothing_are_refused() -> None:
    with pytest.raises(DataError, match=r"^after 100 trials|^fewer than K records in every neighbourhood"):
        form_sets(plane(60), replace(PLANE, matches=lambda one, other: True), 4, 0)


def test_records_with_the_same_bytes_or_pictures_that_look_the_same_never_meet(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    looks = rng.integers(0, 255, (12, 8, 8), dtype=np.uint8)
    records = []
    for i in range(48):
        picture = Image.fromarray(looks[i % 12]).resize((64, 64), Image.Resampling.BICUBIC)
        name = f"{i}.{'png' if i < 24 else 'jpg'}"
        picture.save(tmp_path / name, quality=80) if i >= 24 else picture.save(tmp_path / name)
        records.append(replace(place(i, i, 0.0), views={"tile": View("tile", "image", name)}))
    sets, _ = form_sets(records, Neighbourhood(), 4, 0, looks=Looks(tmp_path))
    shown = {record.id: i % 12 for i, record in enumerate(records)}
    assert all(len({shown[member] for member in candidates.members}) == 4 for candidates in sets)
    blind = [{shown[member] for member in s.members} for s in form_sets(records, Neighbourhood(), 4, 0)[0]]
    assert any(len(s) < 4 for s in blind)


def test_the_middle_of_a_set_is_its_answer_no_more_often_than_chance() -> None:
    records = plane(6000, seed=5, side=400.0)
    by_id = {record.id: record for record in records}
    sets, _ = form_sets(records, PLANE, 5, 0)
    first = 0
    for candidates in sets:
        spread = [sum(dist(where(by_id[a]), where(by_id[b])) for b in candidates.members) for a in candidates.members]
        first += spread.index(min(spread)) == 0
    # members come in rank order, so even a query chosen by rank would stay near 1/5; a ring's anchor is at 0.4 and more
    assert abs(first / len(sets) - 0.2) < 4 * (0.16 / len(sets)) ** 0.5
