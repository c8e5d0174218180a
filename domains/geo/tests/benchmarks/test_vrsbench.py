"""VRSBench referring: both IoU rules by hand, failures as wrong, and boxes from a resized frame."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Example, Prompt, Response
from indirect_rlvr_geo.benchmarks import overlaps
from indirect_rlvr_geo.benchmarks.vrsbench import OFFICIAL, PIXEL, RELEASED, benchmarks, judge, parse

STEADY = settings(deadline=None, derandomize=True)
(BENCHMARK,) = benchmarks()
EXAMPLE = Example("a", "a", Prompt(("?",)), {"grid": [25, 40, 35, 60], "size": [512, 512]})


def record(number: int, truth: str, unique: object, image: str = "P0003_0002.png") -> dict[str, Any]:
    return {
        "image_id": image,
        "question": "The large ship in the middle",
        "ground_truth": truth,
        "question_id": number,
        "type": "ref",
        "obj_cls": "ship",
        "obj_corner": [0.25, 0.4, 0.35, 0.4, 0.35, 0.6, 0.25, 0.6],
        "is_unique": unique,
        "dataset": "DOTA",
    }


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    rows = [
        record(0, "{<25><40><35><60>}", True),
        record(1, "{<0><0><50><50>}", False),
        record(2, "{<0><0><10><10>}", "False"),
        record(3, "{<0><0><10><10>}", True, "gone.png"),
    ]
    (tmp_path / "VRSBench_EVAL_referring.json").write_text(json.dumps(rows), encoding="utf-8")
    picture(tmp_path / "Images_val" / "P0003_0002.png")
    return tmp_path


@STEADY
@given(st.text())
def test_no_answer_raises(text: str) -> None:
    assert set(judge(EXAMPLE, parse(EXAMPLE, Response(text)))) == set(judge(EXAMPLE, None))


@pytest.mark.parametrize("parsed", [None, {}, {"box": "x"}, {"box": [1, 2]}, {"box": [None] * 4, "released": 3}])
def test_parsed_fields_of_others_that_are_no_box_are_wrong(parsed: dict[str, Any] | None) -> None:
    values = judge(EXAMPLE, parsed)
    assert values["hit@0.5"] == values["official hit@0.5"] == values["iou"] == 0.0
    assert values["union"] == pytest.approx(51.2 * 102.4)
    assert values["official union"] == 11 * 21


@pytest.mark.parametrize("truth", ["", "{<1><2><3>}", "{<1><2><3><101>}", "[1, 2, 3, 4]"])
def test_a_record_without_a_box_on_the_grid_is_refused(tmp_path: Path, truth: str) -> None:
    (tmp_path / "VRSBench_EVAL_referring.json").write_text(json.dumps([record(7, truth, True)]), encoding="utf-8")
    with pytest.raises(DataError, match="question 7: the truth is"):
        list(BENCHMARK.examples(tmp_path))


def test_both_rules_agree_with_hand_computed_overlaps() -> None:
    # two boxes of 10 x 10 that share a strip of 5 x 10
    assert overlaps.continuous((0, 0, 10, 10), (5, 0, 15, 10)) == (50, 150)
    assert overlaps.pixel((0, 0, 10, 10), (5, 0, 15, 10)) == (50, 150)
    # cells 0..10 and 5..15: 11 x 11 each, 6 x 11 in common
    assert overlaps.inclusive((0, 0, 10, 10), (5, 0, 15, 10)) == (66, 176)
    # an overlap of one pixel: nothing under `pixel`
    assert overlaps.continuous((0, 0, 10, 10), (9, 0, 19, 10)) == (10, 190)
    assert overlaps.pixel((0, 0, 10, 10), (9, 0, 19, 10)) == (0, 200)
    # neighbours share an edge of cells under the inclusive rule
    assert overlaps.inclusive((0, 0, 1, 1), (1, 0, 2, 1)) == (2, 6)
    assert overlaps.continuous((10, 0, 0, 10), (0, 0, 10, 10)) == (0, 100)


def released(box_a: tuple[float, ...], box_b: tuple[float, ...]) -> float:
    """The IoU of VLM-R1, as its formula stands."""
    x1, y1 = max(box_a[0], box_b[0]), max(box_a[1], box_b[1])
    x2, y2 = min(box_a[2] - 1, box_b[2] - 1), min(box_a[3] - 1, box_b[3] - 1)
    inter = (x2 - x1 + 1) * (y2 - y1 + 1) if x1 < x2 and y1 < y2 else 0
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box_a, box_b)]
    return inter / (sum(areas) - inter)


@STEADY
@given(st.lists(st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 20)] * 2), min_size=2, max_size=2))
def test_the_pixel_rule_is_the_released_formula(drawn: list[tuple[int, int, int, int]]) -> None:
    first, second = [(x, y, x + width, y + height) for x, y, width, height in drawn]
    assert overlaps.share(overlaps.pixel(first, second)) == pytest.approx(released(first, second))


def test_the_thresholds_are_reached_officially_and_exceeded_in_pixels() -> None:
    example = Example("a", "a", Prompt(("?",)), {"grid": [0, 0, 9, 9], "size": [100, 100]})
    # official: cells 0..9 and 0..4 x 0..9: 50 of 100; pixel: 9 x 9 and 4.5 x 9: exactly a half
    half = judge(example, {"box": [0, 0, 4.5, 9]})
    assert half["iou"] == pytest.approx(0.5) and half["hit@0.5"] == 0.0
    assert judge(example, {"box": [0, 0, 4, 9]})["official iou"] == pytest.approx(0.5)
    assert judge(example, {"box": [0, 0, 4, 9]})["official hit@0.5"] == 1.0


def test_an_answer_in_the_resized_frame_is_converted_and_the_released_reader_does_not() -> None:
    said = '<answer>{"bbox_2d": [126, 202, 176, 302]}</answer>'
    parsed = parse(EXAMPLE, Response(said, ((504, 504),)))
    assert parsed is not None
    assert parsed["box"] == pytest.approx([value * 512 / 504 for value in (126, 202, 176, 302)])
    assert parsed["released"] == [126, 202, 176, 302]


def test_the_released_reader_takes_a_box_that_leaves_the_image() -> None:
    parsed = parse(EXAMPLE, Response('<answer>{"bbox_2d": [126, 202, 176, 702]}</answer>'))
    assert parsed == {"released": [126, 202, 176, 702]}
    values = judge(EXAMPLE, parsed)
    assert values["iou"] == 0.0 and 0.0 < values["released iou"] < 0.5


def test_the_fixture_scores_as_by_hand(folder: Path, scored: Callable[..., Any]) -> None:
    answers = {
        "P0003_0002-0": '<think>x</think><answer>{"bbox_2d": [128, 205, 179, 307]}</answer>',
        "P0003_0002-1": "{<0><0><50><24>}",
    }
    found = scored(BENCHMARK, folder, answers)
    overall = found["", "Acc@0.5", PIXEL]
    assert (overall["n"], overall["n_parsed"], overall["n_missing_media"]) == (3, 2, 1)
    assert overall["value"] == pytest.approx(1 / 3)  # the second overlaps 24/50 in pixels
    assert found["", "Acc@0.5", OFFICIAL]["value"] == pytest.approx(1 / 3)  # and 25/51 of the cells
    assert found["unique", "Acc@0.7", PIXEL]["value"] == 1.0
    assert found["non-unique", "Acc@0.5", PIXEL]["value"] == 0.0
    assert found["", "Acc@0.5", RELEASED]["value"] == pytest.approx(1 / 3)
    # official: 231 of 231, 51 · 25 of 51 · 51, 0 of 121
    assert found["", "cumulative IoU", OFFICIAL]["value"] == pytest.approx((231 + 1275) / (231 + 2601 + 121))
    assert found["", "mean IoU", OFFICIAL]["value"] == pytest.approx((1 + 1275 / 2601) / 3)
    # the whole image covers 2 %, 25 % and 1 %
    assert found["", "mean IoU", PIXEL]["baselines"] == {"whole image": pytest.approx(0.28 / 3)}
    assert found["non-unique", "Acc@0.5", OFFICIAL]["baselines"] == {"whole image": 0}


def test_the_prompt_is_the_image_and_the_released_wording(folder: Path) -> None:
    first = next(iter(BENCHMARK.examples(folder)))
    assert first.prompt.parts[1] == (
        "Please provide the bounding box coordinate of the region this sentence describes: The large ship "
        "in the middle First output the thinking process in <think> </think> tags and then output the final answer in "
        "<answer> </answer> tags. Output the final answer in JSON format."
    )
