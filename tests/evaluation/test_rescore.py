"""Scoring saved rollouts again: what is refused, what is compared, and that a run is never changed."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr import engine, pipeline
from indirect_rlvr.data import proxy
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.evaluation.rescore import pairs, rescore
from indirect_rlvr.reporting.rescored import table
from indirect_rlvr.rewards.composite import Composite, build
from indirect_rlvr.run import file_digest, write_json, write_jsonl
from indirect_rlvr.types import Completion, GroupTerm, Outcome, ProxyTask

OLD = "reward.weights={accuracy=1.0,format=0.5,length=0.3}"
SMALL = ["records.patients=40", "tasks.train=4", "tasks.test=4", "tasks.audit_alpha=1e-9", OLD]
END = 9


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> pipeline.Run:
    run, _ = engine.prepare("template", "default", SMALL, tmp_path_factory.mktemp("rescore") / "run")
    engine.execute(run, "default", None, "tasks", lambda line: None)
    return run


@pytest.fixture()
def run(prepared: pipeline.Run) -> pipeline.Run:
    """A run whose `grpo` stage has two groups of three rollouts: right and brief, right and long, wrong."""
    reward = build(prepared.recipe.reward, prepared.domain.rewards())
    tasks = [task for task in proxy.read(prepared.folder / "tasks.jsonl") if task.split == "train"][:2]
    rows = [row for step, task in enumerate(tasks, 1) for row in group(step, task, reward)]
    write_jsonl(prepared.folder / "grpo" / "rollouts.jsonl", rows)
    manifest = json.loads((prepared.folder / "manifest.json").read_text())
    manifest["artefacts"]["grpo"] = {"reward_version": reward.version(), "reward": reward.describe()}
    write_json(prepared.folder / "manifest.json", manifest)
    return prepared


def group(step: int, task: ProxyTask, reward: Composite) -> list[dict[str, Any]]:
    """Rollouts as `RecordingTrainer` writes them."""
    other = next(label for label in task.labels if label != task.answer)
    rows = []
    for answer, tokens in ((task.answer, 10), (task.answer, 900), (other, 10)):
        text = f"<think>because</think><answer>{answer}</answer>"
        found = reward.score(task, Completion(text, tuple(range(tokens)), True))
        rows.append(
            {
                "step": step, "task_id": task.id, "text": text, "token_ids": [*range(tokens), END], "finished": True,
                "terms": {name: round(one.value, 7) for name, one in found.outcomes.items()},
                "reward": round(found.total, 7), "advantage": 0.0,
            }
        )  # fmt: skip
    return rows


def lines(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change every saved rollout."""
    path = folder / "grpo" / "rollouts.jsonl"
    write_jsonl(path, [change(json.loads(line)) for line in path.read_text().splitlines()])


def test_a_folder_without_rollouts_is_refused(prepared: pipeline.Run, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((prepared.folder / "manifest.json").read_bytes())
    with pytest.raises(DataError, match="holds no rollouts to score again; run it up to a GRPO stage first"):
        rescore(tmp_path)


@pytest.mark.parametrize(
    "change", [lambda row: [row], lambda row: {**row, "finished": "yes"}, lambda row: {**row, "reward": None}]
)
def test_a_line_that_is_no_rollout_is_named(run: pipeline.Run, change: Callable[[dict[str, Any]], Any]) -> None:
    lines(run.folder, change)
    with pytest.raises(
        DataError, match=r"rollouts.jsonl` line 1 is not a rollout; expected an object with step, task_id"
    ):
        rescore(run.folder)


def test_a_rollout_of_no_task_is_named(run: pipeline.Run) -> None:
    lines(run.folder, lambda row: {**row, "task_id": "gone"})
    with pytest.raises(DataError, match="line 1 is of task 'gone', which tasks.jsonl does not hold"):
        rescore(run.folder)


def test_an_unknown_term_lists_the_known(run: pipeline.Run) -> None:
    with pytest.raises(ConfigError, match="names the unknown term `speed`; known terms: accuracy, format"):
        rescore(run.folder, None, ["reward.weights.speed=1.0"])


def test_the_same_reward_moves_nothing_and_nothing_is_written(run: pipeline.Run) -> None:
    before = file_digest(run.folder)
    found = rescore(run.folder)
    assert file_digest(run.folder) == before
    assert found["reward_version"]["old"]["grpo"] == found["reward_version"]["new"]
    stage = found["stages"]["grpo"]
    assert (stage["rollouts"], stage["moved_most"], stage["advantages_that_change_sign"]) == (6, [], 0)
    assert [line["term"] for line in stage["terms"]] == ["reward", "accuracy", "format", "length"]
    assert all((line["up"], line["down"], line["not_comparable"]) == (0, 0, 0) for line in stage["terms"])
    assert "the version of the reward it was trained with" in table(found)
    assert "no total moved" in table(found)


def test_a_shorter_length_limit_moves_the_long_right_answers_down(run: pipeline.Run) -> None:
    found = rescore(run.folder, None, ["reward.length_limit=20"], most=1)
    stage = found["stages"]["grpo"]
    terms = {line["term"]: line for line in stage["terms"]}
    assert found["reward_version"]["old"]["grpo"] != found["reward_version"]["new"]
    assert (terms["accuracy"]["shift"], terms["accuracy"]["down"]) == (0.0, 0)
    assert (terms["length"]["up"], terms["length"]["down"]) == (0, 4)
    assert terms["reward"]["shift"] == pytest.approx(0.3 * terms["length"]["shift"], abs=1e-6)
    assert terms["length"]["new_mean"] - terms["length"]["old_mean"] == pytest.approx(terms["length"]["shift"])
    (most,) = stage["moved_most"]
    assert most["step"] == 1
    assert most["terms"]["length"][1] == pytest.approx(0.5)  # 10 tokens of 20; a lost cosine of 10 of 1024
    assert "length 1 → 0.5" in table(found)


def test_terms_that_come_and_go_are_shown_and_not_compared(run: pipeline.Run) -> None:
    found = rescore(run.folder, None, ["reward.weights={accuracy=1.0,grounded=0.2}"])
    terms = {line["term"]: line for line in found["stages"]["grpo"]["terms"]}
    assert (terms["length"]["old_weight"], terms["length"]["new_weight"]) == (0.3, None)
    assert (terms["grounded"]["old_weight"], terms["grounded"]["new_weight"]) == (None, 0.2)
    assert terms["length"]["not_comparable"] == terms["grounded"]["not_comparable"] == 6
    assert terms["reward"]["not_comparable"] == 0
    assert found["stages"]["grpo"]["moved_most"][0]["terms"]["format"] == [1.0, None]


def test_a_reward_turned_round_turns_the_advantages_round(run: pipeline.Run) -> None:
    found = rescore(run.folder, None, ["reward.weights={accuracy=-1.0}"])
    assert found["stages"]["grpo"]["advantages_that_change_sign"] == 6


def test_rollouts_saved_without_token_ids_are_compared_where_the_text_is_enough(run: pipeline.Run) -> None:
    lines(run.folder, lambda row: {name: value for name, value in row.items() if name != "token_ids"})
    found = rescore(run.folder)
    terms = {line["term"]: line["not_comparable"] for line in found["stages"]["grpo"]["terms"]}
    assert terms == {"reward": 6, "accuracy": 0, "format": 0, "length": 6}
    assert "no total can be compared: the rollouts were saved without token ids" in table(found)
    found = rescore(run.folder, None, ["reward.weights={accuracy=1.0}"])
    assert found["stages"]["grpo"]["terms"][0]["not_comparable"] == 0


def test_a_cut_rollout_keeps_its_last_token_and_a_finished_one_loses_its_end(run: pipeline.Run) -> None:
    seen: list[tuple[int, bool]] = []

    def note(task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
        seen.extend((len(one.token_ids), one.finished) for one in group)
        return [Outcome(float(len(group)))] * len(group)

    lines(run.folder, lambda row: {**row, "finished": len(row["token_ids"]) < 100})
    reward = Composite((), (), (GroupTerm("size", 0.0, 9.0, note),), (1.0,))
    tasks = {task.id: task for task in proxy.read(run.folder / "tasks.jsonl")}
    found = pairs(run.folder / "grpo" / "rollouts.jsonl", tasks, reward)
    assert seen == [(10, True), (901, False), (10, True)] * 2
    assert [pair.new["reward"] for pair in found] == [3.0] * 6  # a group term sees its group, whole and alone


def test_a_terminal_is_shown_no_control_characters(run: pipeline.Run) -> None:
    lines(run.folder, lambda row: {**row, "text": "\x1b[2J\x1b]0;owned\x07" + row["text"], "reward": 5.0})
    shown = table(rescore(run.folder))
    assert "owned" in shown
    assert "\x1b" not in shown and "\x07" not in shown
