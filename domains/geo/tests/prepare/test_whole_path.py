"""The whole path on 200 pairs in the layout of CV-Cities, by the published commands: from the preparation to exports.

The recipe is that of 7 billion parameters on eight GPUs, scaled down by `SMALLER` and nothing else: two processes share
the tiny primed model in its checkpoint's place, and a server on this machine takes the teacher's.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from teaching import Say, teacher
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.config import load_recipe
from indirect_rlvr.data import mining, proxy
from indirect_rlvr.data import records as store
from indirect_rlvr.domain import recipe_path
from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.run import file_digest, read_json, read_jsonl
from indirect_rlvr.training import models
from indirect_rlvr.types import ProxyTask
from indirect_rlvr_geo.benchmarks.cv_cities import CITIES

pytestmark = pytest.mark.slow
RECIPE, PROCESSES = "geo-r1-7b-8xh100", 2
TRACES, STEPS, PROMPTS, GROUP, ASKED, CONTROL = 24, 2, 2, 8, 20, 5
SMALLER = (
    # Another model on another machine.
    "model.path=primed",
    "model.dtype=float32",  # the tiny model's own; processors are slow in bfloat16
    f"parallel.processes={PROCESSES}",
    "parallel.gpu=any",
    "threads=1",
    "grpo.trl.use_vllm=false",  # needs a GPU or a build of its own: tests/training/with_vllm
    # Fewer of everything.
    "tasks.train=400", "tasks.test=300", f"scaffold.count={TRACES}", "sft.steps=10", "sft.batch=8", "sft.save_steps=10",
    f"grpo.steps={STEPS}", f"grpo.prompts_per_step={PROMPTS}", "grpo.save_steps=1", "grpo.max_completion_tokens=24",
    f"evaluation.tasks={ASKED}", f"evaluation.control_tasks={CONTROL}", "evaluation.targets=5", "evaluation.batch=20",
    # Ten steps instead of 590 have to teach the template.
    "sft.trl.learning_rate=4e-3",
    "sft.trl.warmup_steps=0",
)  # fmt: skip
URL = "scaffold.teacher.url"
PLACES = {"records.prepared", "tasks.mined", URL}
ROWS = ("base", "geo-sft", "geo-r1")
LIE = "This is a street in Mongolia."
MINE = (
    "--longitude-degrees longitude --latitude-degrees latitude --cells 500 --cells 1000 --cells 2000 --cells 4000 "
    "--r-min 120 --split split --match place --content ground_content --content overhead_content"
)
"""As `docs/data.md` has it."""


def busy_once() -> Say:
    """A teacher that first has no time, and then says what `_said` says."""
    refusals = iter((503,))
    return lambda body: next(refusals, None) or _said(body["seed"])


def _said(seed: int) -> str:
    """An eighth is no trace, an eighth false throughout, an eighth false in part; the letter is drawn."""
    rng = Random(seed)
    cues = f"Visual cues: {rng.randrange(10, 20)}"
    thought = {1: LIE, 2: f"{cues}. {LIE}"}.get(seed % 8, cues)
    return f"<think>\n{thought}\n</think>\n<answer>{rng.choice('ABCDE')}</answer>" if seed % 8 else "I see no images."


def rlvr(*words: object) -> str:
    """What the command prints; here in this process."""
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


@dataclass(frozen=True)
class Done:
    """A finished run, the preparation and the mining that it began from, and how to give its command again."""

    made: Path
    asked: Counter[str]
    command: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.made / "run"

    @property
    def tasks(self) -> list[ProxyTask]:
        return proxy.read(self.folder / "tasks.jsonl")

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / "manifest.json")
        return found

    def rows(self, name: str) -> list[dict[str, Any]]:
        return list(read_jsonl(self.folder / name))

    def together(self, count: int = PROCESSES) -> list[str]:
        """The lines of the run's command with --nproc."""
        given = [sys.executable, "-W", "ignore", "-m", "indirect_rlvr", *self.command, "--nproc", str(count)]
        done = subprocess.run(given, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, cv_cities: Callable[..., Path]) -> Done:
    """Prepared, mined, scaffolded by one process while the teacher is there, and the rest by two without it."""
    made = tmp_path_factory.mktemp("whole")
    cv_cities(made / "in", each=50, months=("2019-05", "2021-11"))
    rlvr("data", "prepare", "geo", "--source", "cv-cities", "--root", made / "in", "--out", made / "out")
    rlvr("data", "mine", *(made / "out" / "records").glob("*.parquet"), "--out", made / "sets", *MINE.split())
    with teacher(busy_once()) as server:
        places = (f"records.prepared={made / 'out'}", f"tasks.mined={made / 'sets'}", f"{URL}={server.url}")
        given = [word for each in (*SMALLER, *places) for word in ("--set", each)]
        command = ("run", "--domain", "geo", "--recipe", RECIPE, "--out", str(made / "run"), *given)
        rlvr(*command, "--until", "scaffold")
    images = [sum(part["type"] == "image_url" for part in body["messages"][0]["content"]) for body in server.bodies]
    asked = Counter(f"{body['model']}, {n} images" for body, n in zip(server.bodies, images, strict=True))
    finished = Done(made, asked, command)
    finished.together()
    return finished


def test_nothing_but_what_is_listed_here_differs_from_the_recipe(done: Done) -> None:
    published = load_recipe(recipe_path("geo", RECIPE), []).model_dump(mode="json")
    used = dict(settings(done.manifest["recipe"]))
    changed = {name for name, value in settings(published) if used[name] != value}
    assert changed == {each.partition("=")[0] for each in SMALLER} | PLACES
    assert used.keys() - dict(settings(published)).keys() == set()


def settings(tree: dict[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything in a recipe."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from settings(value, f"{section}{name}.")
        else:
            yield f"{section}{name}", value


def test_every_stage_ends_well_and_a_second_time_does_nothing(done: Done) -> None:
    assert done.manifest["state"] == "complete"
    assert done.manifest["hardware"]["processes"] == PROCESSES
    assert list(done.manifest["stages"]) == [
        "records", "tasks", "scaffold", "base", "sft", "grpo", "evaluate", "report"
    ]  # fmt: skip
    before = {path: file_digest(path) for path in done.folder.rglob("*") if path.suffix in (".jsonl", ".safetensors")}
    for count in (PROCESSES, 1):  # one process may look at what only several can make
        *stages, last = done.together(count)
        assert [line.partition(": ")[2] for line in stages] == ["finished before, skipped"] * 8
        assert last == f"the report is {done.folder / 'report.html'}"
    assert {path: file_digest(path) for path in before} == before


def test_the_digests_in_the_manifests_are_those_of_the_files(done: Done) -> None:
    prepared, artefacts = read_json(done.made / "out" / "manifest.json"), done.manifest["artefacts"]
    assert prepared["records"] == {"train": 100, "test": 100}
    assert all(file_digest(done.made / "out" / entry["file"]) == entry["sha256"] for entry in prepared["files"])
    assert artefacts["records"]["sha256"] == file_digest(done.folder / "records" / "records.jsonl")
    assert artefacts["tasks"]["sha256"] == file_digest(done.folder / "tasks.jsonl")
    assert artefacts["tasks"]["mined"] == read_json(done.made / "sets" / "manifest.json")["sha256"]
    assert artefacts["scaffold"]["sha256"] == file_digest(done.folder / "sft.jsonl")
    assert artefacts["grpo"]["rollouts_sha256"] == file_digest(done.folder / "grpo" / "rollouts.jsonl")
    assert artefacts["sft"]["weights_sha256"] != artefacts["grpo"]["weights_sha256"]


def test_every_task_asks_of_a_set_that_was_mined_and_every_set_is_asked(done: Done) -> None:
    mined = Counter(frozenset(row["members"]) for row in mining.read_sets(done.made / "sets").to_pylist())
    asked = Counter(frozenset(task.candidate_records) for task in done.tasks)
    assert asked == Counter({members: 5 * times for members, times in mined.items()})
    assert len({task.query_record for task in done.tasks}) > 50


def test_held_out_cities_are_never_trained_on(done: Done) -> None:
    known = {record.id: record for record in store.read(done.folder / "records" / "records.jsonl")}
    assert len(known) == 200
    trained_on = {city.name: city.trained_on for city in CITIES.values()}
    tasks = {task.id: task for task in done.tasks}
    for task in tasks.values():
        cities = {str(known[record].facts["city"]) for record in (task.query_record, *task.candidate_records)}
        assert [trained_on[city] for city in cities] == [task.split == "train"]
    used = {row["task_id"] for name in ("sft.jsonl", "grpo/rollouts.jsonl") for row in done.rows(name)}
    assert {tasks[name].split for name in used} == {"train"}
    asked = {row["id"] for row in done.rows("evaluation/geo-r1/proxy.jsonl")}
    assert {tasks[name].split for name in asked} == {"test"}


def test_what_the_teacher_says_is_kept_mended_or_dropped_and_paid_for_once(done: Done) -> None:
    rows, stage = done.rows("sft.jsonl"), done.manifest["stages"]["scaffold"]
    assert len(rows) == TRACES == len({row["task_id"] for row in rows})
    assert all(has_format(row["completion"]) and "Mongolia" not in row["completion"] for row in rows)
    assert 0 < sum(row["repaired"] for row in rows) < TRACES
    assert 0 < sum(row["right"] for row in rows) < TRACES / 2
    assert min(stage["dropped"][why] for why in ("bad format", "contradicted claim", "too like an earlier one")) > 0
    answers = done.manifest["artefacts"]["scaffold"]["answers"]
    assert answers == TRACES + sum(stage["dropped"].values())
    assert done.asked == {"Qwen/Qwen2.5-VL-32B-Instruct, 6 images": answers + 1}, "one was refused and asked again"


def test_training_moves_all_weights_the_vision_tower_too(done: Done) -> None:
    weights = {name: load_file(done.folder / name / "model.safetensors") for name in ("base", "sft", "grpo")}
    for start, end in (("base", "sft"), ("sft", "grpo")):
        moved = {name for name, value in weights[end].items() if not torch.equal(value, weights[start][name])}
        assert {name for name in moved if "visual" in name}, f"the vision tower of {end} is that of {start}"
        assert {name for name in moved if "visual" not in name}, f"the language model of {end} is that of {start}"
        assert all(bool(torch.isfinite(value).all()) for value in weights[end].values())


def test_groups_share_their_prompts_and_the_divergence_is_measured(done: Done) -> None:
    assert done.manifest["artefacts"]["grpo"]["shared_prefix"]["used"]
    log = done.rows("grpo/log.jsonl")
    assert [line["step"] for line in log if "kl" in line] == [1, 2]
    assert log[1]["kl"] > log[0]["kl"] == 0.0


def test_every_rollout_is_on_record_with_what_it_was_paid_for(done: Done) -> None:
    tasks, rows = {task.id: task for task in done.tasks}, done.rows("grpo/rollouts.jsonl")
    assert len(rows) == STEPS * PROMPTS * GROUP == done.manifest["artefacts"]["grpo"]["rollouts"]
    assert set(Counter((row["step"], row["task_id"]) for row in rows).values()) == {GROUP}
    for row in rows:
        terms = row["terms"]
        assert (terms["accuracy"], terms["format"]) == (float(is_right(tasks, row)), float(has_format(row["text"])))
        assert row["reward"] == pytest.approx(sum(terms.values()))
    assert sum(row["terms"]["format"] for row in rows) > len(rows) / 2


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
    rlvr("export", "verl", done.folder, "--out", tmp_path / "verl", "--tokenizer", done.folder / "sft")
    trained = [task for task in done.tasks if task.split == "train"]
    assert pq.read_metadata(tmp_path / "verl" / "train.parquet").num_rows == len(trained)


def test_the_run_is_exported_for_the_hub_with_its_results_on_the_card(done: Done, tmp_path: Path) -> None:
    rlvr("export", "hub", done.folder, "--out", tmp_path / "hub")
    policy = models.load(tmp_path / "hub")
    assert models.weights_digest(policy.model) == done.manifest["artefacts"]["grpo"]["weights_sha256"]
    rows, card = read_json(done.folder / "results.json")["rows"], (tmp_path / "hub" / "README.md").read_text()
    assert read_json(tmp_path / "hub" / "results.json")["rows"] == rows
    for row in rows:
        assert f"{row['accuracy']:.1%}".replace("%", " %") in next(
            line for line in card.splitlines() if line.startswith(f"| {row['model']} ")
        )
