"""verifiers loads the exported package, and its tasks pay what the composite pays."""

import ast
import asyncio
import base64
import importlib
import json
import sys
import tomllib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from indirect_rlvr.config import load_recipe
from indirect_rlvr.domain import recipe_path
from indirect_rlvr.errors import DataError
from indirect_rlvr.export import verifiers
from indirect_rlvr.pipeline import Run

INSIDE = Path("rlvr_template") / "bundle"


@pytest.fixture(scope="module")
def folder(text_run: Run, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verifiers") / "out"
    verifiers.export(text_run, out, str(tokenizer_folder))
    return out


def test_a_reward_that_does_not_pay_the_truth_fails_validation(image_run: Run, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_path("template", "default"), ["reward.weights={format=1.0}"])
    verifiers.export(Run(image_run.folder, recipe, image_run.domain), tmp_path / "out")
    assert not verifiers.pays_the_truth(tmp_path / "out" / INSIDE, "t0")


def test_every_task_pays_the_truth(folder: Path, rollouts: list[Any]) -> None:
    for rollout in rollouts:
        assert verifiers.pays_the_truth(folder / INSIDE, rollout.task.id)


def test_every_rollout_earns_what_the_composite_says(folder: Path, rollouts: list[Any], expected: list[Any]) -> None:
    for rollout, values in zip(rollouts, expected, strict=True):
        assert verifiers.score(folder / INSIDE, rollout.task.id, rollout.text, rollout.ids, rollout.finished) == values


def test_the_package_exports_one_taskset_and_installs_with_what_it_needs(folder: Path) -> None:
    tree = ast.parse((folder / "rlvr_template" / "__init__.py").read_text())
    exported = [
        node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert [ast.literal_eval(node.value) for node in exported] == [["ProxyTaskset"]]
    bases = {node.name: ast.unparse(node.bases[0]) for node in tree.body if isinstance(node, ast.ClassDef)}
    assert bases["ProxyTaskset"] == "vf.Taskset[ProxyTask, ProxyTasksetConfig]"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "rlvr-template"
    assert [name.partition("=")[0].rstrip(">") for name in project["dependencies"]] == [
        "indirect-rlvr", "indirect-rlvr-template", "verifiers"
    ]  # fmt: skip


def test_a_prompt_reads_as_the_policy_saw_it(image_run: Run, tmp_path: Path) -> None:
    verifiers.export(image_run, tmp_path / "out")
    (shown,) = verifiers.prompts(tmp_path / "out" / INSIDE, "test")
    assert [kind for kind, _ in shown.parts] == ["image", "text"] * 4
    assert [value for kind, value in shown.parts if kind == "text"] == ["A", "B", "C", "Which?"]
    urls = [value for kind, value in shown.parts if kind == "image"]
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    colours = [Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).getpixel((0, 0)) for url in urls]
    assert colours[1:] == [(220, 30, 30), (30, 200, 30), (30, 30, 220)]


def test_a_prompt_whose_image_lies_outside_the_bundle_is_refused(image_run: Run, tmp_path: Path) -> None:
    verifiers.export(image_run, tmp_path / "out")
    path = tmp_path / "out" / INSIDE / "prompts.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"images": ["../a.png"] * len(row["images"])}) + "\n" for row in rows))
    with pytest.raises(DataError, match="is not a relative path inside the records folder"):
        verifiers.prompts(path.parent, "test")


@pytest.mark.filterwarnings("ignore")
def test_the_real_verifiers_loads_validates_and_pays_the_same(
    folder: Path,
    rollouts: list[Any],
    expected: list[Any],
    installed: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vf, loaders = installed("verifiers.v1"), installed("verifiers.v1.utils.loaders")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "rlvr_template", raising=False)
    config = importlib.import_module("rlvr_template").ProxyTasksetConfig
    tasks = {
        task.key: task
        for split in ("train", "test")
        for task in loaders.load_taskset(config(id="rlvr-template", split=split))
    }
    assert set(tasks) == {rollout.task.id for rollout in rollouts}
    for rollout, values in zip(rollouts, expected, strict=True):
        task = tasks[rollout.task.id]
        assert asyncio.run(task.validate(None)) is True
        trace = sampled(vf, task, rollout)
        asyncio.run(task.score(trace))
        assert trace.reward == values["score"]
        assert trace.metrics == {name: v for name, v in values.items() if v is not None and name != "score"}


@pytest.mark.filterwarnings("ignore")
def test_in_the_real_verifiers_a_thought_of_its_own_counts_as_written(
    folder: Path, rollouts: list[Any], installed: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    vf = installed("verifiers.v1")
    monkeypatch.syspath_prepend(folder)
    package = importlib.import_module("rlvr_template")
    task = next(iter(package.ProxyTaskset(package.ProxyTasksetConfig(id="rlvr-template", split="test"))))
    trace = vf.Trace(task=vf.TraceTask(type="ProxyTask", data=task.data), agent=vf.AgentInfo(config=vf.AgentConfig()))
    assert package.completion(trace) == ("", None, False)
    message = vf.AssistantMessage(content="<answer>A</answer>", reasoning_content="because")
    trace.nodes = [vf.MessageNode(message=message, sampled=True)]
    assert package.completion(trace) == ("<think>because</think><answer>A</answer>", None, True)


def sampled(vf: ModuleType, task: Any, rollout: Any) -> Any:
    """A trace as a client that records tokens leaves it: the prompt, then what was sampled."""
    scaffold = [1, 2]
    node = vf.MessageNode(
        message=vf.AssistantMessage(content=rollout.text),
        parent=0,
        sampled=True,
        token_ids=[*scaffold, *rollout.ids],
        mask=[False] * len(scaffold) + [True] * len(rollout.ids),
    )
    trace = vf.Trace(task=vf.TraceTask(type="ProxyTask", data=task.data), agent=vf.AgentInfo(config=vf.AgentConfig()))
    trace.nodes = [vf.MessageNode(message=vf.UserMessage(content="question")), node]
    trace.calls = [vf.ModelCall(node=1, finish_reason="stop" if rollout.finished else "length")]
    return trace
