"""VRSBench VQA: the rule without a judge, its bounds, a run by hand."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark, Example, Prompt, Response
from indirect_rlvr_geo.benchmarks import vrsbench_vqa

VQA = vrsbench_vqa.benchmarks()[0]
Scored = Callable[[Benchmark, Path, Mapping[str, str]], dict[tuple[str, str, str], dict[str, Any]]]


@pytest.mark.parametrize(("gold", "text", "values"), [
    ("yes", "", {"correct": 0, "substring": 0, "undecided": 0}),
    ("yes", "<answer>Yes.</answer>", {"correct": 1, "substring": 1, "undecided": 0}),
    ("no", "unknown", {"correct": 0, "substring": 1, "undecided": 0}),
    ("1", "10", {"correct": 0, "substring": 1, "undecided": 0}),
    ("7", "two", {"correct": 0, "substring": 0, "undecided": 0}),
    ("120", "about 120", {"correct": 1, "substring": 1, "undecided": 0}),
    ("tennis court", "A Tennis Court", {"correct": 1, "substring": 1, "undecided": 0}),
    ("soccer field", "football pitch", {"undecided": 1}),
    ("yes", "<think>yes", {"correct": 0, "substring": 0, "undecided": 0}),
])  # fmt: skip
def test_the_rule_decides_or_says_that_it_cannot(gold: str, text: str, values: Mapping[str, float]) -> None:
    example = Example("x", "x", Prompt(("",)), {"answer": gold})
    assert vrsbench_vqa.judge(example, vrsbench_vqa.parse(example, Response(text))) == values


ROWS = [
    {
        "image_id": "P1.png",
        "question": "Is there a ship?",
        "ground_truth": "Yes",
        "question_id": 0,
        "type": "object existence",
    },
    {"image_id": "P1.png", "question": "What is it?", "ground_truth": "harbor", "question_id": 1, "type": "image"},
    {"image_id": "P1.png", "question": "What?", "ground_truth": "pier", "question_id": 1, "type": "mystery"},
    {"image_id": "P2.png", "question": "How many?", "ground_truth": "3", "question_id": 0, "type": "object quantity"},
]


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    (tmp_path / "VRSBench_EVAL_vqa.json").write_text(json.dumps(ROWS))
    picture(tmp_path / "Images_val/P1.png")
    return tmp_path


def test_a_record_without_a_truth_is_named(folder: Path) -> None:
    row = {key: value for key, value in ROWS[1].items() if key != "ground_truth"}
    (folder / "VRSBench_EVAL_vqa.json").write_text(json.dumps([ROWS[0], row]))
    with pytest.raises(DataError, match="VRSBench_EVAL_vqa.json` record 1 has no `ground_truth`"):
        list(vrsbench_vqa.examples(folder))


def test_a_run_by_hand(folder: Path, scored: Scored) -> None:
    examples = list(vrsbench_vqa.examples(folder))
    assert [example.task for example in examples] == ["object existence", "scene type", "other", "object quantity"]
    assert examples[2].flags == ("duplicate id",) and examples[3].missing == ("Images_val/P2.png",)
    answers = dict(zip([example.id for example in examples], ["yes", "a port", "pier", "3"], strict=True))
    found = scored(VQA, folder, answers)
    strict = found["", "accuracy", "strict"]
    assert (strict["value"], strict["n"], strict["n_missing_media"]) == (pytest.approx(2 / 3), 3, 1)
    assert found["", "accuracy", vrsbench_vqa.UPPER]["value"] == 1
    assert found["", "accuracy", vrsbench_vqa.RELEASED]["value"] == pytest.approx(2 / 3)
    assert found["", "left to a judge", "strict"]["value"] == pytest.approx(1 / 3)
    assert found["", "macro accuracy (3 of 11 tasks)", "strict"]["value"] == pytest.approx(2 / 3)
