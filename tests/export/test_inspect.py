"""inspect evaluates the exported tasks with a model whose answers are known, and measures what we measure."""

import ast
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from indirect_rlvr.export import callbacks, harness, inspect

Said = Callable[[str, list[str]], dict[str, str]]


@pytest.fixture
def out(pack: str, data_root: Path, tmp_path: Path) -> Path:
    inspect.export(pack, "all", tmp_path / "out", data_root=data_root)
    return tmp_path / "out"


def test_an_unread_response_has_its_values_and_no_answer(out: Path) -> None:
    assert inspect.judged(out / "bundle", "far-away", "n1", "no idea") == {"value": {"parsed": 0.0}, "answer": None}
    found = inspect.judged(out / "bundle", "far-away", "n1", "90")
    assert found == {"value": {"km": 10.0, "parsed": 1.0}, "answer": '{"km": 90}'}


def test_there_is_a_task_for_each_benchmark(out: Path) -> None:
    tree = ast.parse((out / "rlvr_chips.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("rlvr_")]
    assert [(node.name, ast.unparse(node.body[0])) for node in functions] == [
        ("rlvr_chips_chip_colour", "return _task('chip-colour')"), ("rlvr_chips_far_away", "return _task('far-away')")
    ]  # fmt: skip


def test_a_sample_shows_texts_and_images_in_reading_order(out: Path) -> None:
    pair, one = inspect.samples(out / "bundle", "chip-colour")[:2]
    assert [part["type"] for part in pair.content] == ["text", "image", "text", "image", "text"]
    assert [part["type"] for part in one.content] == ["image", "text"]
    assert all(Path(part["image"]).is_file() for part in pair.content if part["type"] == "image")
    assert one.metadata == {"task": "one", "cluster": "green", "flags": []}


def test_examples_without_their_images_are_no_samples(out: Path) -> None:
    ids = [sample.id for sample in inspect.samples(out / "bundle", "chip-colour")]
    assert len(ids) == 7 and "2020-01-07" not in ids


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["chip-colour", "far-away"])
def test_the_real_inspect_gives_the_metrics_of_the_benchmark(
    name: str,
    out: Path,
    said: Said,
    installed: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inspect_ai, models = installed("inspect_ai"), installed("inspect_ai.model")
    monkeypatch.chdir(tmp_path)
    asked = inspect.samples(out / "bundle", name)
    texts = said(name, [sample.id for sample in asked])
    shown: list[list[str]] = []

    def answer(messages: list[Any], tools: Any, choice: Any, config: Any) -> Any:
        (turn,) = messages
        shown.append([part.type for part in turn.content])
        output = models.ModelOutput.from_content("mockllm/model", texts[asked[len(shown) - 1].id])
        output.usage = models.ModelUsage()  # else inspect fetches a tokenizer to count with
        return output

    (log,) = inspect_ai.eval(
        f"{out / 'rlvr_chips.py'}@{harness.task_name('chips', name)}",
        model=models.get_model("mockllm/model", custom_outputs=answer),
        log_dir=str(tmp_path / "logs"), display="none", max_samples=1, max_connections=1, epochs=1,
    )  # fmt: skip
    assert log.status == "success", log.error
    (score,) = log.results.scores
    found = {key: metric.value for key, metric in score.metrics.items()}
    expected = callbacks.measured(out / "bundle", name, texts)
    assert sorted(found.values()) == sorted(value for value in expected.values() if math.isfinite(value))
    assert shown == [[part["type"] for part in sample.content] for sample in asked]
    for sample in log.samples:
        given = callbacks.judged(out / "bundle", name, sample.id, texts[sample.id])
        (made,) = sample.scores.values()
        assert made.value == {**given.values, "parsed": float(given.parsed is not None)}
