"""GEOBench-VLM: paraphrases under both readings, the macro mean over tasks, missing images, boxes and masks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Example, Prompt, Response
from indirect_rlvr_geo.benchmarks.geobench import MEAN, SINGLE_TASKS, VOTE, benchmarks, parse
from indirect_rlvr_geo.benchmarks.geobench_boxes import PER_OBJECT, POOLED

STEADY = settings(deadline=None, derandomize=True)
SINGLE, TEMPORAL, DETECTION, SEGMENTATION = benchmarks()
OPTIONS = ["Harbor", "Airport", "Forest", "Desert", "Meadow"]
ONE = "empty=1, masks as given, else box masks"
LETTERS = Example("a", "a", Prompt(("?",)), {"labels": list("ABCDE"), "answer": "B"})


def record(task: str, image: object, answer: str, prompts: list[str]) -> dict[str, Any]:
    return {
        "image_path": image,
        "ground_truth": OPTIONS["ABCDE".index(answer)] if answer in "ABCDE" else "",
        "ground_truth_option": answer,
        "options_list": OPTIONS,
        "options": "A. Harbor B. Airport C. Forest D. Desert E. Meadow",
        "prompts": prompts,
        "task": task,
        "image_name": "x",
        "question_id": 7,
        "cls_description": "A scene.",
    }


def write(folder: Path, part: str, rows: list[dict[str, Any]]) -> None:
    (folder / part).mkdir(exist_ok=True)
    (folder / part / "qa.json").write_text(json.dumps(rows), encoding="utf-8")


@STEADY
@given(st.text() | st.text(alphabet="ABCDE.)(: answer<>/\n"))
def test_no_answer_raises(text: str) -> None:
    found = parse(LETTERS, Response(text))
    assert found is None or found["answer"] in "ABCDE"


def test_a_megabyte_is_read_as_nothing() -> None:
    for text in ("A" * 1_000_000, "\n" * 1_000_000 + "A.", "<answer>" * 125_000, "A. " * 333_333):
        parse(LETTERS, Response(text))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", "B"),
        ("B.", "B"),
        ("B. Airport", "B"),
        ("(B) because of runways, not A", "B"),
        ("<think>A or C</think><answer>B</answer>", "B"),
        ("The answer is B.", "B"),
        ("Answer: B", "B"),
        ("A ship lies in it", None),
        ("F", None),
        ("", None),
        ("A or B", None),
    ],
)
def test_letters_are_read_as_said(text: str, answer: str | None) -> None:
    found = parse(LETTERS, Response(text))
    assert (found or {}).get("answer") == answer


@pytest.mark.parametrize(
    "change", [{"ground_truth_option": "F"}, {"options_list": []}, {"prompts": "one"}, {"prompts": []}]
)
def test_a_record_that_cannot_be_asked_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path, "Single", [record("Ship Classification", "a.png", "A", ["?"]) | change])
    with pytest.raises(DataError, match=r"qa.json` record 0: answer"):
        list(SINGLE.examples(tmp_path))


def test_a_record_without_a_field_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "Single", [{"task": "x"}])
    with pytest.raises(DataError, match=r"record 0 has no `image_path`"):
        list(SINGLE.examples(tmp_path))


def test_paraphrases_are_averaged_and_voted_and_tasks_weigh_the_same(
    tmp_path: Path, picture: Callable[[Path], None], scored: Callable[..., Any]
) -> None:
    write(
        tmp_path,
        "Single",
        [
            record("Scene Classification", "Single/a.png", "B", ["one?", "two?", "three?"]),
            record("Ship Classification", "Single/a.png", "A", ["one?"]),
            record("Ship Classification", "a.png", "C", ["one?", "two?"]),
            record("Disaster Classification", "Single/xBD.png", "A", ["one?", "two?"]),
        ],
    )
    picture(tmp_path / "Single" / "a.png")
    said = {"Single-0-0": "B.", "Single-0-1": "B", "Single-0-2": "A", "Single-1-0": "no idea", "Single-2-1": "C"}
    found = scored(SINGLE, tmp_path, said)
    assert found["Scene Classification", "accuracy", MEAN]["value"] == pytest.approx(2 / 3)
    assert found["Scene Classification", "accuracy", VOTE]["value"] == 1
    ship = found["Ship Classification", "accuracy", MEAN]
    assert (ship["value"], ship["n"], ship["n_parsed"]) == (pytest.approx(0.25), 2, 1)
    assert found["Ship Classification", "accuracy", VOTE]["value"] == 0.5
    lost = found["Disaster Classification", "accuracy", MEAN]
    assert (lost["n"], lost["n_missing_media"], lost["value"]) == (0, 1, None)
    macro = found["", "macro accuracy (2 of 17 tasks)", MEAN]
    assert macro["value"] == pytest.approx((2 / 3 + 0.25) / 2)
    assert macro["baselines"]["chance"] == pytest.approx(0.2)


def test_a_task_that_is_none_of_the_seventeen_is_reported_and_not_averaged(
    tmp_path: Path, picture: Callable[[Path], None], scored: Callable[..., Any]
) -> None:
    rows = [record(task, "Single/a.png", "B", ["?"]) for task in ("Scene Classification", "A New Task")]
    write(tmp_path, "Single", rows)
    picture(tmp_path / "Single" / "a.png")
    found = scored(SINGLE, tmp_path, {"Single-1-0": "B"})
    assert found["A New Task", "accuracy", VOTE]["value"] == 1
    assert found["", "accuracy", VOTE]["value"] == 0.5
    assert found["", "macro accuracy (1 of 17 tasks)", VOTE]["value"] == 0


def test_there_are_seventeen_tasks_and_the_prompt_is_the_released_one(
    tmp_path: Path, picture: Callable[[Path], None]
) -> None:
    assert len(set(SINGLE_TASKS)) == 17
    write(tmp_path, "Single", [record("Scene Classification", "Single/a.png", "B", ["Which scene?"])])
    (example,) = SINGLE.examples(tmp_path)
    assert example.missing == ("Single/a.png",)
    assert str(example.prompt.parts[1]).endswith(
        "multiple-choice question given. A scene.\nWhich scene?\nOptions: A. Harbor B. Airport C. Forest D. Desert E. "
        "Meadow"
    )


def test_of_several_dates_the_first_and_the_last_are_shown(
    tmp_path: Path, picture: Callable[[Path], None], scored: Callable[..., Any]
) -> None:
    rows = [
        record("Farm Pond Change", ["Temporal/1.png", "Temporal/2.png", "Temporal/3.png"], "A", ["Change?"]),
        record("Land Use", [], "A", ["Change?"]),
    ]
    write(tmp_path, "Temporal", rows)
    for name in ("1.png", "3.png"):
        picture(tmp_path / "Temporal" / name)
    first, second = TEMPORAL.examples(tmp_path)
    shown = [part if isinstance(part, str) else part.content for part in first.prompt.parts]
    assert shown[:5] == [
        "The following images show the condition before and after the event.",
        "This is the 'pre' image:",
        "Temporal/1.png",
        "This is the 'post' image:",
        "Temporal/3.png",
    ]
    assert not first.missing and second.missing
    found = scored(TEMPORAL, tmp_path, {"Temporal-0-0": "A"})
    assert found["Farm Pond Change", "accuracy", MEAN]["value"] == 1


def test_detection_counts_one_to_one_matches(
    tmp_path: Path, picture: Callable[[Path], None], scored: Callable[..., Any]
) -> None:
    square = [[10, 10], [20, 10], [20, 20], [10, 20]]
    other = [[50, 50], [60, 50], [60, 60], [50, 60]]
    base = {"image_path": "Ref-Det/a.png", "prompts": ["the tanks"], "image_size": 100, "task": "Ref"}
    write(tmp_path, "Ref-Det", [{**base, "ground_truth": [square, other]}, {**base, "ground_truth": [square]}])
    picture(tmp_path / "Ref-Det" / "a.png")
    # twice the same square: one match; and a box with an IoU of 0.3 with the other
    answer = json.dumps([{"bbox_2d": box} for box in ([10, 10, 20, 20], [10, 10, 20, 20], [50, 50, 60, 53])])
    found = scored(DETECTION, tmp_path, {"Ref-Det-0": answer, "Ref-Det-1": "no"})
    assert found["", "precision@0.5", POOLED]["value"] == pytest.approx(1 / 3)
    assert found["", "precision@0.25", POOLED]["value"] == pytest.approx(2 / 3)
    assert found["", "recall@0.25", PER_OBJECT]["value"] == pytest.approx(2 / 3)
    assert found["", "precision@0.25", "mean over examples"]["value"] == pytest.approx(1 / 3)
    assert found["", "precision@0.5", POOLED]["n_parsed"] == 1


def test_polygons_are_filled_for_segmentation(
    tmp_path: Path, picture: Callable[[Path], None], scored: Callable[..., Any]
) -> None:
    base = {"image_path": "a.png", "prompts": ["the field"], "image_size": 20}
    write(tmp_path, "Ref-Seg", [{**base, "ground_truth": [[[0, 0], [9, 0], [9, 9], [0, 9]]]}])
    picture(tmp_path / "Ref-Seg" / "a.png")
    found = scored(SEGMENTATION, tmp_path, {"Ref-Seg-0": "[[0, 0, 10, 5]]"})
    assert found["", "gIoU", ONE]["value"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"ground_truth": [[1, 2]]},
        {"ground_truth": []},
        {"image_size": 10**6},
        {"ground_truth": [[]]},
        {"ground_truth": None},
        {"ground_truth": [[[0, float("nan")]]]},
        {"prompts": []},
        {"prompts": "x"},
    ],
)
@pytest.mark.parametrize("benchmark", [DETECTION, SEGMENTATION], ids=lambda each: each.name)
def test_a_truth_that_is_no_polygons_and_a_question_without_wording_are_refused(
    tmp_path: Path, change: dict[str, Any], benchmark: Any
) -> None:
    part = "Ref-Det" if benchmark is DETECTION else "Ref-Seg"
    row = {"image_path": "a.png", "prompts": ["x"], "image_size": 20, "ground_truth": [[[0, 0], [9, 0], [9, 9]]]}
    write(tmp_path, part, [row | change])
    with pytest.raises(DataError, match=r"record 0: .*; expected `ground_truth` as polygons"):
        list(benchmark.examples(tmp_path))
