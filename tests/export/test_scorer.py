"""The scorer of an export gives what the composite gives, and refuses what it cannot know."""

import json
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.export import verl
from indirect_rlvr.export.scorer import Scorer
from indirect_rlvr.pipeline import Run


@pytest.fixture(scope="module")
def folder(text_run: Run, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scorer") / "out"
    verl.export(text_run, out, str(tokenizer_folder))
    return out


def test_a_task_that_was_not_exported_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="task `t9` is none of the 16 of the export"):
        Scorer(folder)("t9", "")


def test_another_version_of_the_reward_is_refused(folder: Path, tmp_path: Path) -> None:
    about = json.loads((folder / "export.json").read_text())
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in folder.glob("*.*"):
        (changed / path.name).write_bytes(path.read_bytes())
    recipe = (folder / "recipe.toml").read_text().replace("length = 0.3", "length = 0.4")
    (changed / "recipe.toml").write_text(recipe)
    with pytest.raises(RunError, match=r"was made from another version of its reward \(packages then: .*indirect-rlvr"):
        Scorer(changed)
    assert about["reward_version"] != ""


def test_every_rollout_earns_what_the_composite_says(folder: Path, rollouts: list[Any], expected: list[Any]) -> None:
    score = Scorer(folder)
    for rollout, values in zip(rollouts, expected, strict=True):
        assert score(rollout.task.id, rollout.text, rollout.ids, rollout.finished) == values
        assert score(rollout.task.id, rollout.text, rollout.ids) == values
        assert score(rollout.task.id, rollout.text) == values


def test_a_cut_completion_is_told_by_its_length_where_nothing_else_tells(folder: Path, rollouts: list[Any]) -> None:
    score, (cut, *_) = Scorer(folder), [r for r in rollouts if not r.finished]
    assert score(cut.task.id, cut.text)["length"] == 0.0
    short = "<think>because</think>" + f"<answer>{cut.task.answer}</answer>"
    assert score(cut.task.id, short)["length"] > 0.5
    assert score(cut.task.id, short, finished=False)["length"] == 0.0


def test_an_end_token_is_no_token_of_the_text(folder: Path, rollouts: list[Any]) -> None:
    score, gold = Scorer(folder), rollouts[0]
    with_end, without = (score.completion(gold.text, ids, True) for ids in (gold.ids, gold.ids[:-1]))
    assert with_end == without
    assert len(without.token_ids) == len(gold.ids) - 1
