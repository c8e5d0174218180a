"""Prepared records, real image files, go to other trainers: same tasks, same pictures, same reward, wherever it is."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.export import ms_swift, verl

WEIGHTS = "reward.weights={accuracy=1.0,format=0.5}"
TOKEN = "hf_" + "s3cret" * 6


def said(*words: object) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cv_cities: Callable[..., Path]) -> Path:
    """A folder with `verl` and `swift`, exports of a run on 200 pairs of CV-Cities; the pairs are gone since."""
    made = tmp_path_factory.mktemp("pairs")
    cv_cities(made / "in", each=50)
    said("data", "prepare", "geo", "--source", "cv-cities", "--root", made / "in", "--out", made / "out")
    token = f"grpo.trl.hub_token={TOKEN}"
    settings = ["--set", f"records.prepared={made / 'out'}", "--set", WEIGHTS, "--set", token]
    said("run", "--domain", "geo", "--out", made / "run", "--until", "tasks", *settings)
    said("export", "verl", made / "run", "--out", made / "verl")
    said("export", "ms-swift", "geo", "--out", made / "swift", *settings)
    for name in ("in", "out", "run"):
        (made / name).rename(made / f"{name}-elsewhere")
    return made


def original(folder: Path, name: str) -> Path:
    return folder / "run-elsewhere" / "records" / name


def test_verl_gets_the_pictures_themselves_in_their_order(folder: Path) -> None:
    rows = pq.read_table(folder / "verl" / "train.parquet").to_pylist()
    tasks = {task["id"]: task for task in map(json.loads, (folder / "verl" / "tasks.jsonl").read_text().splitlines())}
    assert len(rows) == sum(task["split"] == "train" for task in tasks.values()) > 100
    for row in rows[:20]:
        question = tasks[row["answer"]]["question"]
        views = [view["content"] for view in (*question["query"], *question["candidates"])]
        assert [image["path"] for image in row["images"]] == views
        assert [image["bytes"] for image in row["images"]] == [original(folder, view).read_bytes() for view in views]
        assert Image.open(BytesIO(row["images"][0]["bytes"])).size == (112, 56)
        assert row["problem"].count("<image>") == len(views) == 6


def test_ms_swift_gets_copies_that_stay_when_the_data_set_goes(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "swift" / "test.jsonl").read_text().splitlines()]
    assert {len(line["images"]) for line in lines} == {6}
    for name in lines[0]["images"]:
        copy = folder / "swift" / name
        assert not copy.is_symlink()
        with Image.open(copy) as image:
            assert image.size in {(112, 56), (56, 56)}


def test_rewards_are_paid_without_the_data_set(folder: Path) -> None:
    row: dict[str, Any] = pq.read_table(folder / "verl" / "train.parquet").to_pylist()[0]
    right = row["reward_model"]["ground_truth"]
    wrong = next(label for label in "ABCDE" if label != right)
    paid = [
        verl.compute_score(folder / "verl", f"<think>x</think><answer>{label}</answer>", right, row["extra_info"])
        for label in (right, wrong)
    ]
    assert [each["score"] for each in paid] == [1.5, 0.5]
    line = json.loads((folder / "swift" / "train.jsonl").read_text().splitlines()[0])
    completion = f"<think>x</think><answer>{line['solution']}</answer>"
    assert ms_swift.rewards(folder / "swift", "score", [completion], task_id=[line["task_id"]]) == [1.5]


@pytest.mark.parametrize("name", ["verl", "swift"])
def test_no_secret_of_the_recipe_is_exported(folder: Path, name: str) -> None:
    recipe = (folder / name / "recipe.toml").read_text()
    assert "hub_token" in recipe and TOKEN not in recipe
