"""ms-swift reads the JSON lines, and the exported ORMs pay what the composite pays."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from indirect_rlvr.errors import RunError
from indirect_rlvr.export import ms_swift
from indirect_rlvr.pipeline import Run

NAMES = ["rlvr_template", *(f"rlvr_template_{t}" for t in ("accuracy", "format", "length", "repetition", "grounded"))]


@pytest.fixture(scope="module")
def folder(text_run: Run, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("swift") / "out"
    ms_swift.export(text_run, out, str(tokenizer_folder))
    return out


def known(rollouts: list[Any]) -> dict[str, Any]:
    """What ms-swift knows of a batch, by the names of its reward rows."""
    return {
        "task_id": [rollout.task.id for rollout in rollouts],
        "response_token_ids": [rollout.ids for rollout in rollouts],
        "is_truncated": [not rollout.finished for rollout in rollouts],
        "finish_reason": ["stop" if rollout.finished else "length" for rollout in rollouts],
        "solution": [rollout.task.answer for rollout in rollouts],
        "trainer_state": None,
    }


def test_other_data_than_the_exported_is_refused(folder: Path) -> None:
    with pytest.raises(RunError, match="handed over 1 completions and 0 task ids; .* train on the exported data"):
        ms_swift.rewards(folder, "score", ["text"])


def test_a_conversation_of_several_turns_is_refused(folder: Path, rollouts: list[Any]) -> None:
    given = known(rollouts[:1]) | {"response_token_ids": [[[1, 2], [3]]]}
    with pytest.raises(RunError, match="a completion of 2 turns"):
        ms_swift.rewards(folder, "score", [rollouts[0].text], **given)


def test_every_column_is_the_composite_s(folder: Path, rollouts: list[Any], expected: list[Any]) -> None:
    texts = [rollout.text for rollout in rollouts]
    for column in expected[0]:
        values = [row[column] for row in expected]
        assert ms_swift.rewards(folder, column, texts, **known(rollouts)) == values
        nested = known(rollouts) | {"response_token_ids": [[rollout.ids] for rollout in rollouts]}
        assert ms_swift.rewards(folder, column, texts, **nested) == values


def test_the_plugin_registers_subclasses_of_orm_in_orms(
    folder: Path, rollouts: list[Any], expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for ms-swift that has what it documents: `ORM(args)`, called with completions, and `orms`."""
    stand_in = ModuleType("swift.rewards")
    orm = type("ORM", (), {"__init__": lambda self, args=None, **kwargs: None})
    vars(stand_in).update(ORM=orm, orms={})
    monkeypatch.setitem(sys.modules, "swift", ModuleType("swift"))
    monkeypatch.setitem(sys.modules, "swift.rewards", stand_in)
    spec = importlib.util.spec_from_file_location("plugin", folder / "plugin.py")
    assert spec and spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    registered: dict[str, Any] = vars(stand_in)["orms"]
    assert list(registered) == NAMES
    assert all(issubclass(one, orm) and one.__name__ == name for name, one in registered.items())
    total = registered["rlvr_template"](args=None)
    assert total([r.text for r in rollouts], **known(rollouts)) == [row["score"] for row in expected]


def test_the_rows_name_task_solution_and_copied_images(image_run: Run, tmp_path: Path) -> None:
    ms_swift.export(image_run, tmp_path / "out")
    (row,) = [json.loads(line) for line in (tmp_path / "out" / "test.jsonl").read_text().splitlines()]
    assert row["messages"] == [{"role": "user", "content": "<image>A<image>B<image>C<image>Which?"}]
    assert row["images"] == [f"images/chips/{name}.png" for name in ("red", "red", "green", "blue")]
    assert (row["solution"], row["task_id"]) == ("A", "t0")
    assert Image.open(tmp_path / "out" / row["images"][2]).getpixel((0, 0)) == (30, 200, 30)


@pytest.mark.filterwarnings("ignore")
def test_the_real_ms_swift_pays_the_same(
    folder: Path, rollouts: list[Any], expected: list[Any], installed: Callable[[str], ModuleType]
) -> None:
    import torch

    data, algorithm = installed("swift.rl_core.data"), installed("swift.rl_core.grpo_algorithm")
    installed("swift.utils").import_external_file(str(folder / "plugin.py"))
    orms = installed("swift.rewards").orms
    rows = {
        row["task_id"]: row
        for split in ("train", "test")
        for row in map(json.loads, (folder / f"{split}.jsonl").read_text().splitlines())
    }
    samples = []
    for rollout, finish in zip(rollouts, known(rollouts)["finish_reason"], strict=True):
        row = rows[rollout.task.id]
        said = [*row["messages"], {"role": "assistant", "content": rollout.text}]
        sampled = {"messages": said, "response_token_ids": rollout.ids, "finish_reason": finish}
        samples.append(data.GRPOSample.from_row(row | sampled))
    functions = [orms[name](args=None) for name in NAMES]
    found = algorithm.compute_rewards_per_func(samples, functions, [None] * len(NAMES), torch.device("cpu"))
    columns = ["score", *(name.removeprefix("rlvr_template_") for name in NAMES[1:])]
    values = [[float("nan") if row[column] is None else row[column] for column in columns] for row in expected]
    assert torch.equal(torch.nan_to_num(found, nan=-9.0), torch.nan_to_num(torch.tensor(values), nan=-9.0))
