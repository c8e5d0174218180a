"""Sets of `rlvr data mine` in a run: which are taken, which are left out and counted, what is refused as a whole."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indirect_rlvr import engine
from indirect_rlvr.config import Tasks
from indirect_rlvr.data.columns import Columns, Job
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.data.mined import ILLEGAL, UNKNOWN, adopt
from indirect_rlvr.data.mining import mine_files, read_sets
from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.run import file_digest, read_json, write_json
from indirect_rlvr.types import Neighbourhood, Record, View

NEAR = Neighbourhood(
    position=lambda record: (float(record.facts["x"]), float(record.facts["y"])), unit="m", cells=(400.0,), r_min=10.0
)
JOB = Job(Columns(position=("x", "y"), metric="euclidean", split="split"), k=3, cells=(400.0,), r_min=10.0)
THREE = Tasks(k=3)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Sixty places within 300 m, half of them held out; every one says something else."""
    rng = np.random.default_rng(0)
    return [
        Record(f"r{i}", f"c{i}", {"note": View("note", "text", f"note {i}")}, {"x": x, "y": y}, side)  # type: ignore[arg-type]
        for i, (x, y, side) in enumerate(
            zip(*rng.uniform(0, 300, (2, 60)).tolist(), ["train", "test"] * 30, strict=True)
        )
    ]


@pytest.fixture(scope="module")
def mined(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mined")
    columns = {"id": [r.id for r in records], "split": [r.split for r in records]}
    columns |= {name: [r.facts[name] for r in records] for name in ("x", "y")}  # type: ignore[misc]
    pq.write_table(pa.table(columns), folder / "records.parquet")
    mine_files([folder / "records.parquet"], folder / "sets", JOB)
    return folder / "sets"


def taken(
    mined: Path, records: list[Record], near: Neighbourhood = NEAR, settings: Tasks = THREE, seed: int = 0
) -> tuple[dict[frozenset[str], int], dict[str, int]]:
    """The members of each set with its level, and what was left out."""
    sets, dropped, origin = adopt(mined, records, near, settings, seed, Looks(mined))
    assert origin == {"mined": read_json(mined / "manifest.json")["sha256"]}
    assert all(each.split == {r.id: r.split for r in records}[each.members[0]] for each in sets)
    return {frozenset(each.members): each.level for each in sets}, dropped


def all_of(mined: Path) -> dict[frozenset[str], int]:
    return {frozenset(row["members"]): row["level"] for row in read_sets(mined).to_pylist()}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"job": 5}, "`job`: Input should be a valid dictionary"),
        ({"shards": []}, "`shards`: List should have at least 1 item"),
        ({"shards": [{"file": "../sets.parquet", "sha256": ""}]}, "`shards.0.file`: Value error, expected letters"),
    ],
)
def test_a_manifest_of_another_shape_is_refused(
    changed: dict[str, object], said: str, mined: Path, records: list[Record], tmp_path: Path
) -> None:
    write_json(tmp_path / "manifest.json", read_json(mined / "manifest.json") | changed)
    with pytest.raises(DataError, match=f"is not what `rlvr data mine` writes: {said}"):
        adopt(tmp_path, records, NEAR, THREE, 0, Looks(mined))


@pytest.mark.parametrize(
    ("near", "settings", "message"),
    [
        (NEAR, Tasks(k=4), "k 3 there, 4 in the run; mine into another folder"),
        (NEAR, Tasks(k=3, sampler="blocks"), "sampler symmetric there, blocks in the run"),
        (replace(NEAR, cells=(400.0, 800.0)), THREE, r"cells \[400.0\] there, \[400.0, 800.0\] in the run"),
        (replace(NEAR, r_min=20.0), THREE, "r_min 10.0 there, 20.0 in the run"),
    ],
)
def test_a_mining_by_other_rules_is_refused(
    mined: Path, records: list[Record], near: Neighbourhood, settings: Tasks, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        taken(mined, records, near, settings)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda sets: sets.drop(["members"]), "holds no sets of 3 records: .*members"),
        (lambda sets: with_members(sets, [["r0", "r2"]] * len(sets)), "holds no sets of 3 records: .*size"),
        (lambda sets: with_members(sets, [[["r0"]] * 3] * len(sets)), "holds no sets of 3 records"),
        (lambda sets: with_members(sets, [["r0", None, "r2"]] * len(sets)), "lacks values"),
        (lambda sets: with_members(sets, [None] * len(sets)), "lacks values"),
        (lambda sets: sets.set_column(2, "level", pa.nulls(len(sets), pa.int16())), "lacks values"),
    ],
)
def test_a_shard_of_other_columns_under_its_own_digest_is_refused(
    spoil: Callable[[pa.Table], pa.Table], said: str, mined: Path, records: list[Record], tmp_path: Path
) -> None:
    manifest = read_json(mined / "manifest.json")
    path = tmp_path / manifest["shards"][0]["file"]
    pq.write_table(spoil(read_sets(mined)), path)
    entry = manifest["shards"][0] | {"sha256": file_digest(path)}
    write_json(tmp_path / "manifest.json", manifest | {"shards": [entry]})
    with pytest.raises(RunError, match=said):
        adopt(tmp_path, records, NEAR, THREE, 0, Looks(mined))


def with_members(sets: pa.Table, members: list[object]) -> pa.Table:
    return sets.set_column(sets.schema.get_field_index("members"), "members", pa.array(members))


def test_a_folder_without_a_finished_mining_is_refused(records: list[Record], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no mining: there is no manifest.json"):
        taken(tmp_path, records)


def test_records_of_which_no_set_is_left_in_a_split_are_refused(mined: Path, records: list[Record]) -> None:
    strangers = [replace(r, id=f"other-{r.id}") if r.split == "train" else r for r in records]
    with pytest.raises(
        DataError, match="gives no set to the train split: of .* sets .* have a record that the run does"
    ):
        taken(mined, strangers)


def test_a_run_that_lacks_a_record_does_without_its_sets(mined: Path, records: list[Record]) -> None:
    found, dropped = taken(mined, records[1:])
    expected = {members: level for members, level in all_of(mined).items() if "r0" not in members}
    assert found == expected
    assert dropped == {UNKNOWN: len(all_of(mined)) - len(expected), ILLEGAL: 0}
    assert dropped[UNKNOWN] > 0


def test_a_set_that_a_look_at_the_records_forbids_is_left_out(mined: Path, records: list[Record]) -> None:
    first, second = sorted(next(iter(all_of(mined))))[:2]
    without = {members for members in all_of(mined) if not {first, second} <= members}
    note = next(r for r in records if r.id == first).views
    same = [replace(r, views=note) if r.id == second else r for r in records]
    matching = replace(NEAR, matches=lambda one, other: {one.id, other.id} == {first, second})
    for found, dropped in (taken(mined, same), taken(mined, records, matching)):
        assert found.keys() == without
        assert dropped == {UNKNOWN: 0, ILLEGAL: len(all_of(mined)) - len(without)}


def test_a_record_that_changed_sides_is_in_no_set_with_its_old_neighbours(mined: Path, records: list[Record]) -> None:
    moved = [replace(r, split="test") if r.id == "r0" else r for r in records]
    assert "r0" not in {member for members in taken(mined, moved)[0] for member in members}


def test_all_sets_are_taken_whatever_the_seed_of_the_run(mined: Path, records: list[Record]) -> None:
    for seed in (0, 1):
        assert taken(mined, records, seed=seed) == (all_of(mined), {UNKNOWN: 0, ILLEGAL: 0})


def test_a_run_without_the_mining_that_its_recipe_names_does_not_begin(tmp_path: Path) -> None:
    prepared, name = engine.prepare("template", "default", [f"tasks.mined={tmp_path / 'none'}"], tmp_path / "run")
    with pytest.raises(RunError, match="mend the path, or mine into it"):
        engine.execute(prepared, name, None, "tasks", lambda line: None)
    assert not prepared.folder.exists()
