"""lmms-eval loads the exported tasks, asks a model whose answers are known, and measures what we measure."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from indirect_rlvr.export import callbacks, harness, lmms_eval

Said = Callable[[str, list[str]], dict[str, str]]


@pytest.fixture
def out(pack: str, data_root: Path, tmp_path: Path) -> Path:
    lmms_eval.export(pack, "all", tmp_path / "out", data_root=data_root)
    return tmp_path / "out"


def docs(out: Path, name: str) -> list[dict[str, Any]]:
    return list(pq.read_table(out / "bundle" / name / "docs.parquet").to_pylist())


def test_examples_without_their_images_are_not_asked_and_ids_stay_texts(out: Path) -> None:
    found = docs(out, "chip-colour")
    assert len(found) == 7 and "2020-01-07" not in {doc["id"] for doc in found}
    assert found[0] == {"id": "2020-01-01", "benchmark": "chip-colour", "target": found[0]["target"]}


def test_a_prompt_is_a_chat_turn_or_a_text_with_numbered_images(out: Path) -> None:
    pair, one = docs(out, "chip-colour")[:2]
    assert lmms_eval.text(out / "bundle", pair) == "First:\n[image 1]\nSecond:\n[image 2]\nWhich?"
    assert lmms_eval.text(out / "bundle", one) == "Which?"
    assert [image.getpixel((0, 0)) for image in lmms_eval.visuals(out / "bundle", pair)] == [(220, 30, 30)] * 2
    (turn,) = lmms_eval.messages(out / "bundle", pair)
    assert [part["type"] for part in turn["content"]] == ["text", "image", "text", "image", "text"]
    assert all(isinstance(part["url"], Image.Image) for part in turn["content"] if part["type"] == "image")


def test_metrics_are_aggregated_over_all_responses(out: Path, said: Said) -> None:
    found = docs(out, "far-away")
    texts = said("far-away", [doc["id"] for doc in found])
    rows = [lmms_eval.results(out / "bundle", doc, [texts[doc["id"]]]) for doc in found]
    expected = callbacks.measured(out / "bundle", "far-away", texts)
    for key, value in expected.items():
        assert lmms_eval.aggregate(out / "bundle", "far-away", key, [row[key] for row in rows]) == value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["simple", "chat"])
def test_the_real_lmms_eval_gives_the_metrics_of_the_benchmark(
    kind: str,
    out: Path,
    said: Said,
    installed: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LMMS_EVAL_DATASETS_CACHE", str(tmp_path / "cache"))
    evaluator, tasks = installed("lmms_eval.evaluator"), installed("lmms_eval.tasks")
    base = installed("lmms_eval.api.model").lmms
    manager = tasks.TaskManager("ERROR", include_path=str(out), include_defaults=False)
    names = {harness.task_name("chips", name): name for name in ("chip-colour", "far-away")}
    loaded = tasks.get_task_dict(list(names), manager, kind)
    texts = {task: said(name, [doc["id"] for doc in docs(out, name)]) for task, name in names.items()}
    turns = []

    class Known(base):  # type: ignore[misc, valid-type]
        is_simple = kind == "simple"

        def generate_until(self, requests: list[Any]) -> list[str]:
            answers = []
            for request in requests:
                *_, doc_id, task, split = request.args
                doc = loaded[task].dataset[split][doc_id]
                show = request.args[2] if self.is_simple else request.args[1]
                turns.append(show(doc))
                answers.append(texts[task][doc["id"]])
            return answers

        def loglikelihood(self, requests: list[Any]) -> list[Any]:
            raise NotImplementedError

        def generate_until_multi_round(self, requests: list[Any]) -> list[Any]:
            raise NotImplementedError

    found = evaluator.evaluate(lm=Known(), task_dict=loaded, bootstrap_iters=0, log_samples=True)
    for task, name in names.items():
        stripped = {key: text.strip() for key, text in texts[task].items()}
        expected = callbacks.measured(out / "bundle", name, stripped)
        given = {key.removesuffix(",none"): value for key, value in found["results"][task].items() if "," in key}
        assert {key: given[key] for key in expected} == expected
    assert len(turns) == sum(len(one) for one in texts.values())
