"""RSVQA: files of another release, the authors' classes of numbers, a run by hand on both editions."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark
from indirect_rlvr_geo.benchmarks import rsvqa

BY_NAME = {benchmark.name: benchmark for benchmark in rsvqa.benchmarks()}
LR, HR = BY_NAME["rsvqa-lr"], BY_NAME["rsvqa-hr"]
Scored = Callable[[Benchmark, Path, Mapping[str, str]], dict[tuple[str, str, str], dict[str, Any]]]


def write(folder: Path, start: str, questions: list[tuple[int, str, str, str]], images: Mapping[int, bool]) -> None:
    """(image, type, question, answer) in the release's schema, inactive records in between."""
    idle = {"id": 0, "active": False}
    asked = [
        {"id": number, "active": True, "img_id": image, "type": kind, "question": text, "answers_ids": [number + 50]}
        for number, (image, kind, text, _) in enumerate(questions, 1)
    ]
    said = [
        {"id": number + 50, "active": True, "question_id": number, "answer": answer}
        for number, (*_, answer) in enumerate(questions, 1)
    ]
    shown = [{"id": image, "active": active} for image, active in images.items()]
    parts = {"questions": [idle, *asked], "answers": [idle, *said], "images": shown}
    for part, rows in parts.items():
        (folder / f"{start}_{part}.json").write_text(json.dumps({part: rows}))


LOW = [
    (7, "presence", "Is a road present?", "yes"), (7, "comp", "Are there more roads than parks?", "no"),
    (7, "count", "How many roads are there?", "37"), (7, "rural_urban", "Is it rural or urban?", "rural"),
    (8, "count", "How many parks are there?", "0"), (8, "presence", "Is a park present?", "no"),
]  # fmt: skip


@pytest.fixture
def low(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    write(tmp_path, "LR_split_test", LOW, {7: True, 8: True, 9: False})
    picture(tmp_path / "Images_LR/7.tif")
    return tmp_path


def refused(folder: Path, part: str, change: Callable[[dict[str, Any]], object], message: str) -> None:
    path = folder / f"LR_split_test_{part}.json"
    before = path.read_text()
    found = json.loads(before)
    change(found)
    path.write_text(json.dumps(found))
    with pytest.raises(DataError, match=message):
        list(LR.examples(folder))
    path.write_text(before)


def test_files_that_do_not_belong_together_are_refused(low: Path) -> None:
    refused(low, "questions", lambda x: x["questions"][1].pop("type"), "questions.json` record 1 has no `type`")
    refused(low, "questions", lambda x: x["questions"][1].update(type="area"), "question 1 is of type 'area'; expected")
    refused(
        low, "questions", lambda x: x["questions"][2].update(id=1), "questions.json` has 1 ids more than once, 1 first"
    )
    refused(low, "answers", lambda x: x["answers"].pop(), "question 6 has no active image or answer")
    refused(
        low, "answers", lambda x: x["answers"][1].update(answer="7"), "question 1: the answer '7' is none of type pre"
    )
    refused(low, "images", lambda x: x["images"][0].update(active=False), "question 1 has no active image or answer")
    refused(low, "images", lambda x: x.pop("images"), "images.json` has no list `images` of records with an id")
    (low / "LR_split_test_answers.json").write_text('{"answers": [{"id": 1')
    with pytest.raises(DataError, match=r"cannot read .*answers.json` as JSON"):
        list(LR.examples(low))


@pytest.mark.parametrize(("value", "low", "high"), [
    (0.0, "0", "0"), (1.0, "between 0 and 10", "between 0 and 10"), (10.0, "between 0 and 10", "between 0 and 10"),
    (11.0, "between 10 and 100", "between 10 and 100"), (1000.0, "between 100 and 1000", "between 100 and 1000"),
    (1001.0, "more than 1000", "more than 1000"),
])  # fmt: skip
def test_numbers_fall_into_the_authors_ranges(value: float, low: str, high: str) -> None:
    assert rsvqa.in_class("rsvqa-lr", "count", value) == low
    assert rsvqa.in_class("rsvqa-hr", "area", value) == high
    assert rsvqa.in_class("rsvqa-hr", "count", value) == str(value)


@pytest.mark.parametrize(("kind", "text", "found"), [
    ("presence", "Yes.", "yes"), ("presence", "maybe", None), ("comp", "NO", "no"),
    ("rural_urban", "It is urban", "urban"),
    ("count", "37", 37.0), ("count", "about 1,200", 1200.0), ("count", "many", None), ("count", "37m2", None),
    ("area", "1234m2", 1234.0), ("area", "1,234 m²", 1234.0), ("area", "12 square metres", 12.0), ("area", "12", 12.0),
])  # fmt: skip
def test_answers_are_read_by_type(kind: str, text: str, found: str | float | None) -> None:
    assert rsvqa.reading(kind, text) == found


def test_a_run_by_hand_on_low_resolution(low: Path, scored: Scored) -> None:
    examples = list(LR.examples(low))
    assert [example.missing for example in examples] == [()] * 4 + [("Images_LR/8.tif",)] * 2
    assert "then give only yes or no, between <answer>" in str(examples[0].prompt.parts[1])
    assert "then give only a number" in str(examples[2].prompt.parts[1])
    found = scored(LR, low, {
        "rsvqa-lr-1": "<answer>Yes</answer>", "rsvqa-lr-2": "<answer>yes</answer>", "rsvqa-lr-3": "40",
        "rsvqa-lr-4": "<think>rural",
    })  # fmt: skip
    overall = found["", "accuracy", "strict"]
    assert (overall["value"], overall["n"], overall["n_parsed"], overall["n_missing_media"]) == (0.5, 4, 3, 2)
    assert overall["baselines"] == {"majority": 1.0}
    assert found["", "macro accuracy", "strict"]["value"] == 0.5
    assert found["", "accuracy", rsvqa.WITHOUT_NUMBERS]["value"] == pytest.approx(1 / 3)
    assert found["", "macro accuracy", rsvqa.WITHOUT_NUMBERS]["value"] == pytest.approx(1 / 3)
    assert found["count", "accuracy", "strict"]["value"] == 1
    assert found["count", "accuracy", "exact number"]["value"] == 0


def test_a_run_by_hand_on_high_resolution(tmp_path: Path, picture: Callable[[Path], None], scored: Scored) -> None:
    questions = [(3, "area", "What is the area covered by houses?", "120m2"), (3, "count", "How many houses?", "12")]
    write(tmp_path, "USGS_split_test", questions, {3: True})
    picture(tmp_path / "Data/3.tif")
    found = scored(HR, tmp_path, {"rsvqa-hr-1": "150m2", "rsvqa-hr-2": "13"})
    assert found["area", "accuracy", "strict"]["value"] == 1
    assert found["count", "accuracy", "strict"]["value"] == 0
    assert found["", "macro accuracy (2 of 4 tasks)", "strict"]["value"] == 0.5
