"""`rlvr audit` reads a run, or tasks made elsewhere; its exit code and its audit.json say what it found."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from indirect_rlvr import engine
from indirect_rlvr.audit_run import audit_path, summary
from indirect_rlvr.commands.audit import audit
from indirect_rlvr.data import proxy
from indirect_rlvr.data.audit import verdict
from indirect_rlvr.data.panel import RAW_PIXELS
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.evaluation.controls import control_tasks
from indirect_rlvr.run import write_json, write_jsonl
from indirect_rlvr.types import ProxyTask

app = typer.Typer()
app.command()(audit)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's world up to its tasks."""
    folder: Path = tmp_path_factory.mktemp("audit") / "run"
    run, name = engine.prepare("template", "default", [], folder)
    engine.execute(run, name, None, "records", lambda line: None)
    from indirect_rlvr.data import negatives
    from indirect_rlvr.data import records as store

    known = store.read(run.views / "records.jsonl")
    sets, _ = negatives.form_sets(known, run.domain.neighbourhood(), run.recipe.tasks.k, 0)
    limit = {"train": 300, "test": 150}
    made = proxy.make_tasks(run.domain, sets, known, queries_per_set=2, limit=limit, seed=0)  # type: ignore[arg-type]
    proxy.save(folder / "tasks.jsonl", made)
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy with tasks that a test may change."""
    for name in ("tasks.jsonl", "manifest.json", "records/records.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    return tmp_path


def leak(folder: Path) -> None:
    """Say in the wording where the answer is."""
    tasks = proxy.read(folder / "tasks.jsonl")
    told = [replace(t, question=replace(t.question, text=f"{t.question.text} Not {_wrong(t)}.")) for t in tasks]
    proxy.save(folder / "tasks.jsonl", told)


def _wrong(task: ProxyTask) -> str:
    return task.labels[(task.labels.index(task.answer) + 1) % len(task.labels)]


def quiet(line: str) -> None:
    """Say nothing."""


def test_a_path_with_nothing_to_audit_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is neither a run folder with a `tasks.jsonl` nor a .jsonl file of tasks"):
        audit_path(tmp_path, None, None, False, quiet)


def test_another_domain_than_the_run_s_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^the run is of domain `template`, not `geo`; leave --domain out$"):
        audit_path(folder, None, "geo", False, quiet)


def test_a_leak_is_refused_and_is_in_the_file_all_the_same(folder: Path) -> None:
    leak(folder)
    with pytest.raises(DataError, match=r"probe `wording` sees only text"):
        audit_path(folder, None, None, False, quiet)
    report = json.loads((folder / "audit.json").read_text())
    assert report["overridden"] == []
    assert next(probe for probe in report["probes"] if probe["name"] == "wording")["accuracy"] > 0.9


def test_an_override_is_said_and_put_on_record(folder: Path) -> None:
    leak(folder)
    said: list[str] = []
    report = audit_path(folder, None, None, True, said.append)
    assert len(said) == len(report["overridden"]) >= 1
    assert said[0].startswith("allowed: probe `wording` sees only text")
    assert json.loads((folder / "audit.json").read_text()) == report
    assert summary(report).splitlines()[-1].startswith("allowed although: probe `wording` sees only text")


def test_a_verdict_names_wins_that_are_accepted_and_pixels_within_their_margin() -> None:
    probe = {"sees": "text", "accuracy": 0.9, "n": 100, "low": 0.8, "chance": 0.2, "p": 1e-9}
    pixels = {**probe, "name": "colours", "sees": RAW_PIXELS, "accuracy": 0.24, "low": 0.22}
    report = {
        "alpha": 0.001, "problems": [], "k": [5], "splits": {}, "overridden": [], "accepted": ["words"],
        "probes": [{**probe, "name": "words"}, pixels],
    }  # fmt: skip
    assert verdict(report) == (
        "passed: nothing wins without the query, and nothing is illegal; words wins 90.0%, which the recipe accepts; "
        "colours at 24.0% beats chance, within 5 points that raw pixels may"
    )
    assert verdict({**report, "accepted": []}).startswith("refused: probe `words` sees only text")


def test_a_run_is_audited_with_its_domain_and_the_command_says_so(folder: Path) -> None:
    result = CliRunner().invoke(app, [str(folder)])
    assert result.exit_code == 0, result.output
    assert "the domain's nuisance" in result.stdout
    assert "nats" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("passed: nothing wins without the query")
    as_json = CliRunner().invoke(app, [str(folder), "--json"])
    assert json.loads(as_json.stdout) == json.loads((folder / "audit.json").read_text())


def test_tasks_made_elsewhere_need_neither_run_nor_domain_nor_records(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    (folder / "tasks.jsonl").rename(alone / "tasks.jsonl")
    report = audit_path(alone / "tasks.jsonl", None, None, False, quiet)
    assert {"text length", "learned"} & {probe["name"] for probe in report["probes"]}
    assert (alone / "audit.json").exists()
    with_domain = audit_path(alone / "tasks.jsonl", folder / "records", "template", False, quiet)
    assert "medoid" in {probe["name"] for probe in with_domain["probes"]}


def test_a_split_made_elsewhere_is_checked_again(folder: Path) -> None:
    path = folder / "records/records.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    moved = next(row for row in rows if row["split"] == "train")
    used = {name for task in proxy.read(folder / "tasks.jsonl") for name in task.candidate_records}
    stranger = {**moved, "id": "stranger", "split": "test"}
    assert "stranger" not in used
    write_jsonl(path, [*rows, stranger])
    with pytest.raises(DataError, match=rf"cluster `{moved['cluster']}` has records in train and in test"):
        audit_path(folder, None, None, False, quiet)


def test_saved_answers_give_the_controls(folder: Path) -> None:
    tasks = [task for task in proxy.read(folder / "tasks.jsonl") if task.split == "test"][:60]
    made = control_tasks(tasks, 0)
    for name, shown in {"proxy": tasks, "permuted": made["permuted"], "no_query": made["no_query"]}.items():
        save_answers(folder / f"evaluation/base/{name}.jsonl", shown)
    report = audit_path(folder, None, None, False, quiet)
    assert set(report["controls"]["base"]) == {"permuted", "no_query"}
    assert (report["controls"]["base"]["permuted"]["moved"], report["controls"]["base"]["no_query"]["leaks"]) == (
        1,
        True,
    )
    assert "base, permuted: 100.0% of 60" in summary(report)


def save_answers(path: Path, tasks: Sequence[ProxyTask]) -> None:
    """The right answer to each task."""
    rows = [{"id": t.id, "text": f"<answer>{t.answer}</answer>", "tokens": 1, "finished": True} for t in tasks]
    write_jsonl(path, rows)


def test_a_run_without_a_manifest_is_a_folder_of_tasks(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").unlink()
    report = audit_path(folder, None, None, False, quiet)
    assert "medoid" not in {probe["name"] for probe in report["probes"]}
    write_json(folder / "manifest.json", {**manifest, "recipe": {"tasks": {"audit_alpha": 0.01}}})
    assert audit_path(folder, None, None, False, quiet)["alpha"] == 0.01
