"""The template pack: its hooks are plain functions, called here directly; one short run goes through every stage."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from indirect_rlvr import checks, engine
from indirect_rlvr.rewards.parsing import parse_answer
from indirect_rlvr.testing.battery import assert_reward_invariants
from indirect_rlvr.types import Completion, ProxyTask, Record
from indirect_rlvr_template import hooks, primer
from indirect_rlvr_template.signs import LEVEL_OF, SIGNS, trace

SETTINGS = hooks.Settings(patients=30)
LOW, HIGH = {"temp": 34, "pulse": 40, "breath": 6}, {"temp": 39, "pulse": 130, "breath": 32}


@pytest.fixture
def visits(tmp_path: Path) -> list[Record]:
    return list(hooks.load_records(SETTINGS, tmp_path, seed=0))


@pytest.fixture
def task(visits: list[Record]) -> ProxyTask:
    """Four visits of which the second is asked for; all low but the first, which is all high."""
    shown = [replace(visit, facts={**visit.facts, **(LOW if n else HIGH)}) for n, visit in enumerate(visits[:4])]
    question = hooks.make_task(SETTINGS, shown[1], shown)
    ids = tuple(visit.id for visit in shown)
    return ProxyTask("t", shown[1].cluster, "train", 0, question, ("A", "B", "C", "D"), "B", shown[1].id, ids)


def test_a_number_the_monitor_never_showed_is_contradicted(task: ProxyTask) -> None:
    verdicts = hooks.check_facts(SETTINGS, task, "A: temp 34\nB: temp 34")
    assert [(verdict.claim, verdict.status) for verdict in verdicts] == [
        ("A shows 34", "contradicted"),
        ("B shows 34", "supported"),
    ]


@pytest.mark.parametrize("text", ["", "34", "Z: 34", "A 34", "A:", "A: x", ":::", "\x00"])
def test_what_is_no_claim_gives_no_verdict(task: ProxyTask, text: str) -> None:
    assert hooks.check_facts(SETTINGS, task, text) == []


def test_a_text_without_claims_earns_nothing(task: ProxyTask) -> None:
    (grounded,) = hooks.rewards(SETTINGS)
    assert grounded.score(task, Completion("no idea")).value == 0.0
    assert grounded.score(task, Completion("A: 34\nB: 34")).value == 0.5


def test_the_reward_keeps_the_invariants(task: ProxyTask) -> None:
    assert_reward_invariants(hooks.rewards(SETTINGS), [task], examples=50)


def test_no_number_stands_under_two_signs() -> None:
    assert len(LEVEL_OF) == sum(len(readings) for ranges in SIGNS.values() for readings in ranges)


def test_views_show_levels_or_numbers_and_never_both(visits: list[Record]) -> None:
    for visit in visits:
        assert not any(word.isdigit() for word in visit.views["note"].content.split())
        assert not {"low", "normal", "high"} & set(visit.views["monitor"].content.split())


def test_a_trace_finds_the_line_that_agrees() -> None:
    text = trace(LOW, {"A": HIGH, "B": LOW})
    assert text.splitlines()[1] == "A: low 39 n low 130 n low 32 n best none"
    assert text.endswith("<answer>B</answer>")


def test_the_scaffold_s_answer_is_drawn_and_its_claims_hold(task: ProxyTask) -> None:
    traces = [hooks.scaffold(SETTINGS, task, Random(n)) for n in range(400)]
    answers = [parse_answer(text, task.labels) for text in traces]
    assert all(80 <= answers.count(label) <= 120 for label in task.labels)
    assert {verdict.status for verdict in hooks.check_facts(SETTINGS, task, traces[0])} == {"supported"}


def test_every_primer_example_is_in_the_lexicon_s_words() -> None:
    words = {word.strip() for word in primer.lexicon()}
    for index in range(200):
        example = primer.example(0, index)
        text = example.messages[0]["content"][0]["text"] + "\n" + example.completion
        spaced = text.replace("<answer>", "<answer> ").replace("</answer>", " </answer>")
        assert set(spaced.split()) <= words


def test_primer_examples_can_be_made_alone_and_differ() -> None:
    assert primer.example(0, 5) == primer.example(0, 5)
    assert len({primer.example(0, index).completion for index in range(50)}) > 40


def test_the_pack_passes_every_check() -> None:
    assert [result for result in checks.check("template") if not result.ok] == []


@pytest.mark.slow
def test_a_short_run_goes_through_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    short = {
        "records.patients": 60, "tasks.train": 24, "tasks.test": 20, "scaffold.count": 24, "model.prime.steps": 3,
        "sft.steps": 2, "grpo.steps": 2, "grpo.prompts_per_step": 2, "grpo.group_size": 4,
        "grpo.max_completion_tokens": 12, "evaluation.tasks": 8, "evaluation.control_tasks": 8, "evaluation.targets": 8,
    }  # fmt: skip
    overrides = [f"{key}={value}" for key, value in short.items()]
    monkeypatch.chdir(tmp_path)
    run, name = engine.prepare("template", "default", overrides, Path("out"))
    said: list[str] = []
    engine.execute(run, name, None, None, said.append)
    assert said[-1] == "the report is out/report.html"
    results = json.loads((run.folder / "results.json").read_text())
    assert [row["model"] for row in results["rows"]] == list(run.models())
    assert json.loads((run.folder / "manifest.json").read_text())["state"] == "complete"
    assert (run.folder / "report.html").read_text().startswith("<!doctype html>")
