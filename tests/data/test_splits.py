"""A cluster lies on one side, a buffer lies between the sides, and neither side is empty."""

from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from indirect_rlvr.data.splits import BUFFER, assign
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Neighbourhood, Record, View

STEADY = settings(deadline=None, derandomize=True, max_examples=50)

PLANE = Neighbourhood(position=lambda r: (float(r.facts["x"]), float(r.facts["y"])), unit="m", buffer=1.5)


def place(name: str, cluster: str, x: float = 0.0, y: float = 0.0, split: str = "") -> Record:
    views = {"note": View("note", "text", name)}
    return Record(name, cluster, views, {"x": x, "y": y}, split)  # type: ignore[arg-type]


def blocks(side: int = 12, block: int = 4) -> list[Record]:
    """A plane of places 1 m apart, in square blocks."""
    return [
        place(f"{x}-{y}", f"{x // block}/{y // block}", float(x), float(y)) for x in range(side) for y in range(side)
    ]


def test_a_cluster_on_both_sides_is_refused() -> None:
    records = [place("a", "c", split="train"), place("b", "c", split="test")]
    with pytest.raises(DataError) as raised:
        assign(records, Neighbourhood(), seed=0)
    assert str(raised.value) == (
        "cluster `c` stands on both sides: record `b` says test, an earlier one the other; a cluster is the barrier "
        "between them, so split by cluster"
    )


@pytest.mark.parametrize(("share", "side"), [(0.0, "test"), (1.0, "train")])
def test_an_empty_side_is_refused_with_a_remedy(share: float, side: str) -> None:
    with pytest.raises(DataError) as raised:
        assign(blocks(), Neighbourhood(), seed=0, test_share=share)
    assert str(raised.value) == (
        f"the {side} split is empty of 9 clusters; give more clusters, another seed, or set `split` on the records"
    )


def test_a_buffer_that_leaves_no_train_record_is_refused() -> None:
    wide = Neighbourhood(position=PLANE.position, unit="m", buffer=100.0)
    with pytest.raises(
        DataError,
        match=r"^the train split is empty after a buffer of 100 m; make clusters larger or the buffer smaller$",
    ):
        assign(blocks(), wide, seed=0)


def test_a_buffer_without_positions_is_refused() -> None:
    with pytest.raises(DataError, match=r"has cells, r_min or buffer but no `position`"):
        assign(blocks(), Neighbourhood(buffer=1.0), seed=0)


def test_a_position_that_is_not_finite_names_its_record() -> None:
    records = [*blocks(), place("lost", "far", float("nan"))]
    with pytest.raises(DataError, match=r"^record `lost`: position is \(nan, 0.0\); expected finite coordinates$"):
        assign(records, PLANE, seed=0)


def test_the_split_of_the_domain_wins_and_holds_for_its_cluster() -> None:
    records = [place("a", "c", split="test"), place("b", "c"), place("d", "e", split="train"), place("f", "e")]
    for seed in range(10):
        assigned, _ = assign(records, Neighbourhood(), seed=seed)
        assert [record.split for record in assigned] == ["test", "test", "train", "train"]


def test_the_share_of_test_clusters_is_about_what_was_asked_for() -> None:
    records = [place(str(i), f"c{i}") for i in range(2000)]
    assigned, _ = assign(records, Neighbourhood(), seed=3, test_share=0.2)
    assert 0.16 < sum(record.split == "test" for record in assigned) / 2000 < 0.24


def test_a_train_record_exactly_at_the_buffer_stays() -> None:
    records = [place("a", "c", 0.0, split="test"), place("b", "d", 1.5, split="train")]
    records += [place("e", "d", -1.4, split="train")]
    kept, dropped = assign(records, PLANE, seed=0)
    assert [record.id for record in kept] == ["a", "b"]
    assert dropped == {BUFFER: 1}


@STEADY
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_no_cluster_is_cut_the_gap_is_empty_and_the_order_does_not_matter(seed: int, order: Random) -> None:
    records = blocks()
    try:
        kept, dropped = assign(records, PLANE, seed)
    except DataError:
        assume(False)  # every block fell on one side
    sides: dict[str, set[str]] = {}
    for record in kept:
        sides.setdefault(record.cluster, set()).add(record.split)
    assert all(len(own) == 1 for own in sides.values())
    where = {s: np.array([(r.facts["x"], r.facts["y"]) for r in kept if r.split == s]) for s in ("train", "test")}
    assert np.linalg.norm(where["train"][:, None] - where["test"][None], axis=2).min() >= 1.5
    assert dropped[BUFFER] == len(records) - len(kept)
    order.shuffle(records)
    assert {r.id: r.split for r in assign(records, PLANE, seed)[0]} == {r.id: r.split for r in kept}
