"""A cluster lies on one side, a buffer lies between the sides, no picture is on both, and neither side is empty."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from indirect_rlvr.data.looks import Looks
from indirect_rlvr.data.splits import BUFFER, NEAR_DUPLICATE, assign, describe, near_duplicates, problems
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


def pictured(tmp_path: Path, numbers: dict[str, int], split: str) -> list[Record]:
    """Records that show a picture of their number, stored as split-id.png."""
    records = []
    for name, number in numbers.items():
        noise = np.random.default_rng(number).integers(0, 256, (9, 9), dtype=np.uint8)
        side = 64 if split == "train" else 48
        image = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
        image.save(tmp_path / f"{split}-{name}.png")
        view = View("tile", "image", f"{split}-{name}.png")
        records.append(Record(name, f"cluster {name}", {"tile": view}, {}, split))  # type: ignore[arg-type]
    return records


def test_train_records_that_look_like_a_test_record_are_dropped_and_counted(tmp_path: Path) -> None:
    records = pictured(tmp_path, {"a": 1, "b": 2, "c": 3}, "train") + pictured(tmp_path, {"d": 2, "e": 4}, "test")
    looks = Looks(tmp_path)
    assert near_duplicates(records, looks) == [("b", "d", "tile")]
    kept, dropped = assign(records, Neighbourhood(), seed=0, looks=looks)
    assert [record.id for record in kept] == ["a", "c", "d", "e"]
    assert dropped == {BUFFER: 0, NEAR_DUPLICATE: 1}
    assert list(problems(kept, Neighbourhood(), looks)) == []


def test_pictures_of_another_kind_are_not_compared(tmp_path: Path) -> None:
    records = pictured(tmp_path, {"a": 1}, "train")
    ground = {"ground": View("ground", "image", records[0].views["tile"].content)}
    assert near_duplicates([*records, Record("b", "c", ground, {}, "test")], Looks(tmp_path)) == []


def test_a_split_in_which_everything_looks_the_same_is_refused(tmp_path: Path) -> None:
    records = pictured(tmp_path, {"a": 1}, "train") + pictured(tmp_path, {"b": 1}, "test")
    with pytest.raises(
        DataError,
        match=r"^the train split is empty without pictures of the test split \(`a` looks like `b` in `tile`\); give",
    ):
        assign(records, Neighbourhood(), seed=0, looks=Looks(tmp_path))


def test_everything_wrong_with_a_split_made_elsewhere_is_said(tmp_path: Path) -> None:
    records = [
        place("a", "c", 0.0, split="train"),
        place("b", "c", 9.0, split="test"),
        *(place(f"t{i}", f"d{i}", 9.0 - i / 10, split="train") for i in range(1, 8)),
        place("nowhere", "c"),
        *(replace(r, facts={"x": 90.0, "y": 90.0}) for r in pictured(tmp_path, {"p": 5}, "train")),
        *(replace(r, facts={"x": 99.0, "y": 90.0}) for r in pictured(tmp_path, {"q": 5}, "test")),
    ]
    assert list(problems(records, PLANE, Looks(tmp_path))) == [
        "cluster `c` has records in train and in test",
        *(
            f"train record `t{i}` is 0.{i} m from a test record, the buffer is 1.5 m"
            for i in range(1, 6)
        ),
        "2 more like the last one",
        "records `p` (train) and `q` (test) look the same in `tile`",
    ]  # fmt: skip


def test_the_buffer_is_kept_across_the_antimeridian() -> None:
    near = Neighbourhood(
        position=lambda r: (float(r.facts["x"]), float(r.facts["y"])), metric="lon_lat_degrees", unit="m", buffer=2000.0
    )
    records = [
        place("fiji", "a", 179.995, -17.0, "test"),
        place("neighbour", "b", -179.995, -17.0, "train"),
        place("far", "c", -179.9, -17.0, "train"),
    ]
    kept, dropped = assign(records, near, seed=0)
    assert ([record.id for record in kept], dropped) == (["fiji", "far"], {BUFFER: 1})
    assert 11_000 < describe(kept, near)["gap"] < 11_300


def test_the_manifest_gets_sizes_and_the_measured_gap() -> None:
    kept, _ = assign(blocks(), PLANE, seed=1)
    found = describe(kept, PLANE)
    assert found["train"]["records"] + found["test"]["records"] == len(kept)
    assert found["train"]["clusters"] + found["test"]["clusters"] <= 9
    assert found["gap"] == 2.0
    assert (found["buffer"], found["unit"]) == (1.5, "m")
    assert describe(kept, Neighbourhood())["gap"] is None
