"""The whole path on 200 pairs in the layout of CV-Cities, from the preparation to the report and an export.

The tiny primed model takes the place of a checkpoint; otherwise stages and keys are those of a recipe at full size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from pydantic import BaseModel
from safetensors.torch import load_file
from typer.testing import CliRunner

from indirect_rlvr import cli, engine
from indirect_rlvr.data import proxy
from indirect_rlvr.data import records as store
from indirect_rlvr.domain import Domain
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.pipeline import Run
from indirect_rlvr.rewards.parsing import parse_answer
from indirect_rlvr.run import file_digest, read_json, read_jsonl
from indirect_rlvr.types import ProxyTask
from indirect_rlvr_geo import hooks
from indirect_rlvr_geo.benchmarks.cv_cities import CITIES

pytestmark = pytest.mark.slow
TRACES, STEPS, PROMPTS, GROUP, ASKED, CONTROL = 40, 2, 2, 4, 20, 5
ROWS = ("base", "geo-sft", "geo-r1-zero", "geo-r1")
OWN = (
    "tasks.train=60", "tasks.test=40", f"scaffold.count={TRACES}", "sft.steps=12", "sft.batch=8",
    "sft.trl.learning_rate=2e-3",
    f"grpo.steps={STEPS}", f"grpo.prompts_per_step={PROMPTS}", f"grpo.group_size={GROUP}", "grpo.save_steps=1",
    "grpo.max_completion_tokens=24", f"evaluation.tasks={ASKED}", f"evaluation.control_tasks={CONTROL}",
    "evaluation.targets=5", "evaluation.batch=20",
)  # fmt: skip


@hookimpl
def traced(settings: BaseModel, task: ProxyTask, rng: Random) -> str:
    """A trace in the template that states nothing and ends in a random letter: what stands in for a teacher's."""
    letter = rng.choice(task.labels)
    return f"<think>\nVisual cues: relief\n</think>\n<answer>{letter}</answer>"


def with_traces() -> ModuleType:
    """The geo pack, whose hook `scaffold` writes of photos too."""
    pack = ModuleType(hooks.__name__)
    vars(pack).update({name: value for name, value in vars(hooks).items() if not name.startswith("__")})
    vars(pack)["scaffold"] = traced
    return pack


@dataclass(frozen=True)
class Done:
    """A finished run, what was printed on the way, and the preparation that it began from."""

    out: Path
    folder: Path
    lines: list[str]
    run: Callable[[], list[str]]

    @property
    def tasks(self) -> list[ProxyTask]:
        return proxy.read(self.folder / "tasks.jsonl")

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / "manifest.json")
        return found

    def rows(self, name: str) -> list[dict[str, Any]]:
        return list(read_jsonl(self.folder / name))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, cv_cities: Callable[..., Path]) -> Done:
    made = tmp_path_factory.mktemp("whole")
    cv_cities(made / "in", each=50, months=("2019-05", "2021-11"))
    words = ["data", "prepare", "geo", "--source", "cv-cities", "--root", made / "in", "--out", made / "out"]
    prepared = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert prepared.exit_code == 0, prepared.output
    overrides = [*OWN, f"records.prepared={made / 'out'}"]

    def run() -> list[str]:
        resolved, name = engine.prepare("geo", "default", overrides, made / "run")
        domain = Domain("geo", with_traces(), resolved.recipe.records)
        lines: list[str] = []
        engine.execute(Run(resolved.folder, resolved.recipe, domain), name, None, None, lines.append)
        return lines

    return Done(made / "out", made / "run", run(), run)


def test_every_stage_ends_well_and_a_second_time_does_nothing(done: Done) -> None:
    assert done.manifest["state"] == "complete"
    assert list(done.manifest["stages"]) == [
        "records", "tasks", "scaffold", "base", "sft", "grpo-zero", "grpo", "evaluate", "report",
    ]  # fmt: skip
    before = {path: file_digest(path) for path in done.folder.rglob("*") if path.suffix in (".jsonl", ".safetensors")}
    assert [line.partition(": ")[2] for line in done.run()] == ["finished before, skipped"] * 9
    assert {path: file_digest(path) for path in before} == before


def test_the_digests_in_the_manifests_are_those_of_the_files(done: Done) -> None:
    prepared, artefacts = read_json(done.out / "manifest.json"), done.manifest["artefacts"]
    assert prepared["records"] == {"train": 100, "test": 100}
    assert all(file_digest(done.out / entry["file"]) == entry["sha256"] for entry in prepared["files"])
    assert artefacts["records"]["sha256"] == file_digest(done.folder / "records" / "records.jsonl")
    assert artefacts["tasks"]["sha256"] == file_digest(done.folder / "tasks.jsonl")
    assert artefacts["scaffold"]["sha256"] == file_digest(done.folder / "sft.jsonl")
    for name in ("grpo-zero", "grpo"):
        assert artefacts[name]["rollouts_sha256"] == file_digest(done.folder / name / "rollouts.jsonl")
    assert len({artefacts[name]["weights_sha256"] for name in ("sft", "grpo-zero", "grpo")}) == 3


def test_held_out_cities_are_never_trained_on(done: Done) -> None:
    known = {record.id: record for record in store.read(done.folder / "records" / "records.jsonl")}
    assert len(known) == 200
    trained_on = {city.name: city.trained_on for city in CITIES.values()}
    tasks = {task.id: task for task in done.tasks}
    for task in tasks.values():
        cities = {str(known[record].facts["city"]) for record in (task.query_record, *task.candidate_records)}
        assert [trained_on[city] for city in cities] == [task.split == "train"]
    used = {row["task_id"] for row in done.rows("sft.jsonl")}
    used |= {row["task_id"] for name in ("grpo", "grpo-zero") for row in done.rows(f"{name}/rollouts.jsonl")}
    assert {tasks[name].split for name in used} == {"train"}
    asked = {row["id"] for row in done.rows("evaluation/geo-r1/proxy.jsonl")}
    assert {tasks[name].split for name in asked} == {"test"}


def test_the_traces_state_nothing_false_and_their_answers_are_chance(done: Done) -> None:
    rows = done.rows("sft.jsonl")
    assert len(rows) == TRACES == len({row["task_id"] for row in rows})
    assert [row["claims"] for row in rows] == [0] * TRACES
    assert 0 < sum(row["right"] for row in rows) < TRACES / 2


def test_training_moves_the_language_model_and_leaves_the_frozen_vision_tower(done: Done) -> None:
    weights = {
        name: load_file(done.folder / name / "model.safetensors") for name in ("base", "sft", "grpo", "grpo-zero")
    }
    for start, end in (("base", "sft"), ("sft", "grpo"), ("base", "grpo-zero")):
        moved = {name for name, value in weights[end].items() if not torch.equal(value, weights[start][name])}
        assert moved, f"{end} is {start}"
        assert not {name for name in moved if "visual" in name}
        assert all(bool(torch.isfinite(value).all()) for value in weights[end].values())


def test_every_rollout_is_on_record_with_what_it_was_paid_for(done: Done) -> None:
    tasks = {task.id: task for task in done.tasks}
    for name in ("grpo", "grpo-zero"):
        rows = done.rows(f"{name}/rollouts.jsonl")
        assert len(rows) == STEPS * PROMPTS * GROUP == done.manifest["artefacts"][name]["rollouts"]
        assert [row["terms"]["accuracy"] for row in rows] == [float(is_right(tasks, row)) for row in rows]
    assert sum(row["terms"]["format"] for row in done.rows("grpo/rollouts.jsonl")) > STEPS * PROMPTS * GROUP / 2


def is_right(tasks: dict[str, ProxyTask], row: dict[str, Any]) -> bool:
    """Whether an answer names the letter of its task."""
    task = tasks[row.get("task_id") or row["id"]]
    return parse_answer(row["text"], task.labels) == task.answer


def test_sft_teaches_the_template_and_held_out_answers_are_scored_as_they_are_written(done: Done) -> None:
    rows = read_json(done.folder / "results.json")["rows"]
    assert [row["model"] for row in rows] == list(ROWS)
    tasks = {task.id: task for task in done.tasks}
    for row in rows:
        answers = done.rows(f"evaluation/{row['model']}/proxy.jsonl")
        assert len(answers) == row["n"] == ASKED
        assert row["accuracy"] == pytest.approx(sum(is_right(tasks, each) for each in answers) / ASKED)
        assert {control["n"] for control in row["controls"].values()} == {CONTROL}
    formats = {row["model"]: row["format_rate"] for row in rows}
    assert formats["geo-sft"] > 0.5 > formats["base"]
    assert {row["model"] for row in rows if 0 < row["accuracy"] < 1} >= {"geo-sft"}


def test_without_target_tasks_the_report_says_so_and_shows_every_row(done: Done) -> None:
    page, summary = (done.folder / "report.html").read_text(), (done.folder / "report.md").read_text()
    assert all(row in page and row in summary for row in ROWS)
    assert read_json(done.folder / "results.json")["targets"] == []
    assert "no target task was asked" in page
    assert "no target task was asked" in summary


def test_the_run_is_exported_for_another_trainer(done: Done, tmp_path: Path) -> None:
    model, out = str(done.folder / "sft"), tmp_path / "verl"
    words = ["export", "verl", str(done.folder), "--out", str(out), "--tokenizer", model]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert pq.read_metadata(out / "train.parquet").num_rows == sum(task.split == "train" for task in done.tasks)
