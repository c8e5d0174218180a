"""MMMU-Pro: the official reading with its defects, both settings, a run by hand."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark, View
from indirect_rlvr_geo.benchmarks import mmmu_pro
from indirect_rlvr_geo.benchmarks.mmmu_parsing import choice_pro

TEN = {chr(65 + number): f"option number {number}" for number in range(10)}
Scored = Callable[[Benchmark, Path, Mapping[str, str]], dict[tuple[str, str, str], dict[str, Any]]]


@pytest.mark.parametrize(("response", "letter"), [
    ("", None), ("z", None), ("no idea at all", None),
    ("So it is C.\nAnswer: D", "D"), ("Answer: A\nAnswer: B", "B"), ("Answer: (J)", "J"),
    ("(C) and (B)", "B"), ("B or C then", "C"), ("it is G.", "G"), ("so G.)", "G"),
    ("the last is option number 3 , really", "D"),
    ("I think it is Answer: E or F", "F"), ("I think so", "I"),
])  # fmt: skip
def test_a_choice_is_read_by_the_official_order_with_its_defects(response: str, letter: str | None) -> None:
    assert choice_pro(response, TEN) == letter


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    picture(tmp_path / "images/1.png")
    options = str(list(TEN.values())[:4])
    standard = [
        {"id": "test_Art_1", "question": "What is <image 1>?", "options": options, "answer": "B",
         "image_1": "images/1.png"},
        {"id": "test_Art_2", "question": "And?", "options": options, "answer": "A"},
    ]  # fmt: skip
    vision = [{"id": "test_Art_1", "image": "images/1.png", "options": options, "answer": "B"},
              {"id": "test_Art_2", "image": "images/gone.png", "options": options, "answer": "A"}]  # fmt: skip
    (tmp_path / "standard.jsonl").write_text("\n".join(map(json.dumps, standard)))
    (tmp_path / "vision.jsonl").write_text("\n".join(map(json.dumps, vision)))
    return tmp_path


def test_an_answer_that_is_no_option_is_named(folder: Path) -> None:
    row = {"id": "test_Art_1", "question": "?", "options": "['a']", "answer": "B"}
    (folder / "standard.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match=r"standard.jsonl` question `test_Art_1`: the answer 'B' is none of \['A'\]"):
        list(mmmu_pro.examples(folder))


def test_a_run_by_hand(folder: Path, scored: Scored) -> None:
    examples = {example.id: example for example in mmmu_pro.examples(folder)}
    assert list(examples) == ["standard-test_Art_1", "standard-test_Art_2", "vision-test_Art_1", "vision-test_Art_2"]
    assert examples["vision-test_Art_2"].missing == ("images/gone.png",)
    view, words = examples["vision-test_Art_1"].prompt.parts
    assert isinstance(view, View) and str(words).startswith(" Write out the multiple-choice question in the image")
    assert str(examples["standard-test_Art_2"].prompt.parts[0]).startswith("And?\nA. option number 0\nB. option")
    assert examples["standard-test_Art_1"].cluster == examples["vision-test_Art_1"].cluster
    found = scored(mmmu_pro.benchmarks()[0], folder, {
        "standard-test_Art_1": "Answer: B", "standard-test_Art_2": "hm", "vision-test_Art_1": "Answer: C"
    })  # fmt: skip
    assert found["standard", "accuracy", "strict"]["value"] == 0.5
    assert found["standard", "accuracy", mmmu_pro.EXPECTED_RANDOM]["value"] == (1 + 0.25) / 2
    assert (found["vision", "accuracy", "strict"]["value"], found["vision", "accuracy", "strict"]["n"]) == (0, 1)
    assert found["vision", "accuracy", "strict"]["n_missing_media"] == 1
    assert found["", "macro accuracy", "strict"]["value"] == 0.25
    assert found["", "macro accuracy", "strict"]["baselines"]["chance"] == 0.25
