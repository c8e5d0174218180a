"""Masks, EarthReason and RRSIS-D: overlaps by pixels, both empty conventions, boxes as masks, and the REFER layout."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.shapes import runs_of
from indirect_rlvr.types import Benchmark, Example, Prompt, Response
from indirect_rlvr_geo.benchmarks import earthreason, rrsis
from indirect_rlvr_geo.benchmarks.masks import judge_mask, runs_of_boxes

STEADY = settings(deadline=None, derandomize=True)
VAL, TEST = earthreason.benchmarks()
(RRSIS,) = rrsis.benchmarks()
ONE, ZERO = "empty=1, masks as given, else box masks", "empty=0, masks as given, else box masks"
MASKS = "masks as given, else box masks"


def block(height: int, width: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def reason(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    """Three images of 10 x 10: a target of 4 x 5 pixels, one of a single pixel, and none."""
    for number, mask in enumerate([block(10, 10, 0, 0, 4, 5), block(10, 10, 9, 9, 10, 10), block(10, 10, 0, 0, 0, 0)]):
        for name in ("images", "labels", "QAs"):
            (tmp_path / "val" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray((mask * 128).astype(np.uint8)).save(tmp_path / "val" / "labels" / f"mask_{number}.png")
        picture(tmp_path / "val" / "images" / f"{number}.jpg")
        qa = {"questions": [f"Where to moor? {number}", "second"], "answer": ["the pier"] if number < 2 else []}
        (tmp_path / "val" / "QAs" / f"q{number}.json").write_text(json.dumps(qa))
    return tmp_path


@STEADY
@given(st.text())
def test_no_answer_raises(text: str) -> None:
    truth = {"mask": runs_of(block(4, 4, 0, 0, 2, 2)), "size": [4, 4]}
    example = Example("a", "a", Prompt(("?",)), truth)
    VAL.judge(example, VAL.parse(example, Response(text)))


JUNK = st.recursive(
    st.integers() | st.text(max_size=3) | st.none(), lambda inner: st.lists(inner, max_size=4), max_leaves=6
)


@STEADY
@given(st.fixed_dictionaries({}, optional={"mask": JUNK, "boxes": JUNK}))
def test_parsed_fields_of_others_never_raise(parsed: dict[str, Any]) -> None:
    values = judge_mask(runs_of(block(4, 4, 0, 0, 2, 2)), parsed)
    assert 0 <= values["intersection"] <= values["union"]


def test_folders_of_different_lengths_are_refused(reason: Path) -> None:
    (reason / "val" / "labels" / "mask_1.png").unlink()
    with pytest.raises(DataError, match="has 3 images, 2 labels and 3 questions"):
        list(VAL.examples(reason))


def test_a_question_file_without_questions_is_refused(reason: Path) -> None:
    (reason / "val" / "QAs" / "q1.json").write_text('{"questions": []}')
    with pytest.raises(DataError, match="q1.json` holds no questions"):
        list(VAL.examples(reason))


def test_saying_nothing_is_not_saying_none() -> None:
    empty = runs_of(block(4, 4, 0, 0, 0, 0))
    assert judge_mask(empty, {"boxes": []}) == {"intersection": 0, "union": 0, "empty=1": 1, "empty=0": 0}
    assert judge_mask(empty, None)["empty=1"] == 0
    assert judge_mask(empty, {"boxes": [[0, 0, 1, 1]]})["empty=1"] == 0


@STEADY
@given(st.lists(st.tuples(*[st.integers(-2, 12)] * 4), max_size=4), st.lists(st.tuples(*[st.integers(-2, 12)] * 4)))
def test_overlaps_are_those_of_the_pixels(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> None:
    masks = []
    for boxes in (first, second):
        mask = np.zeros((8, 11), dtype=np.bool_)
        for left, top, right, bottom in boxes:
            mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
        masks.append(mask)
    values = judge_mask(runs_of_boxes(first, 8, 11), {"mask": runs_of(masks[1])})
    assert values["intersection"] == (masks[0] & masks[1]).sum()
    assert values["union"] == (masks[0] | masks[1]).sum()


def test_a_mask_of_another_size_is_resized_to_the_nearest_pixel() -> None:
    values = judge_mask(runs_of(block(8, 8, 0, 0, 4, 8)), {"mask": runs_of(block(4, 2, 0, 0, 2, 2))})
    assert values["empty=1"] == 1
    bomb = {"size": [2**20, 2**20], "counts": [2**31] * 512}
    assert judge_mask(runs_of(block(8, 8, 0, 0, 4, 8)), {"mask": bomb})["empty=1"] == 0


def test_earthreason_scores_as_by_hand(reason: Path, scored: Callable[..., Any]) -> None:
    answers = {
        "val-0": '<think>t</think><answer>[{"bbox_2d": [0, 0, 5, 2], "keypoint1": [1, 1], "keypoint2": [2, 1]}]'
        "</answer>",
        "val-2": "<answer>None</answer>",
    }
    found = scored(VAL, reason, answers)
    assert found["", "gIoU", ONE]["value"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert found["", "gIoU", ZERO]["value"] == pytest.approx((0.5 + 0 + 0) / 3)
    assert found["", "cIoU", MASKS]["value"] == pytest.approx(10 / 21)
    assert found["", "P@0.5", ONE]["value"] == pytest.approx(2 / 3)
    assert found["", "P@0.6", ONE]["value"] == pytest.approx(1 / 3)
    assert found["target", "gIoU", ONE]["value"] == pytest.approx(0.25)
    assert found["no target", "gIoU", ZERO]["value"] == 0
    assert ("no target", "cIoU", MASKS) not in found
    whole = (20 + 1) / 100 / 3
    assert found["", "gIoU", ONE]["baselines"] == {"whole image": pytest.approx(whole), "nothing": pytest.approx(1 / 3)}
    assert found["", "gIoU", ZERO]["baselines"] == {"whole image": pytest.approx(whole), "nothing": 0}
    assert found["", "cIoU", MASKS]["baselines"]["whole image"] == pytest.approx(21 / 300)
    assert (found["", "gIoU", ONE]["n"], found["", "gIoU", ONE]["n_parsed"]) == (3, 2)


def test_the_first_question_is_asked_in_the_released_wording(reason: Path) -> None:
    text = str(next(iter(VAL.examples(reason))).prompt.parts[1])
    assert "check the image and answer: Where to moor? 0. Based on your answer, detect all relevant objects" in text
    assert "in the image.Output each detected target's bbox" in text and '{"bbox_2d": [x1, y1, x2, y2], "key' in text


@pytest.fixture
def refer(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    picture(tmp_path / "images" / "rrsisd" / "JPEGImages" / "00001.jpg")
    (tmp_path / "rrsisd").mkdir()
    runs = runs_of(block(6, 8, 0, 0, 3, 4))
    instances = {
        "images": [{"id": 11, "file_name": "00001.jpg"}, {"id": 12, "file_name": "00002.jpg"}],
        "annotations": [
            {"id": 5, "image_id": 11, "segmentation": [runs]},
            {"id": 6, "image_id": 12, "segmentation": runs},
            {"id": 7, "image_id": 12, "segmentation": [[0, 0, 1, 1, 0, 1]]},
        ],
        "categories": [{"id": 1, "name": "ship"}],
    }
    refs = [
        {
            "ref_id": 1,
            "ann_id": 5,
            "image_id": 11,
            "split": "test",
            "sentences": [{"raw": "the left ship", "sent": "x"}],
        },
        {"ref_id": 2, "ann_id": 6, "image_id": 12, "split": "test", "sentences": [{"sent": "a ship"}]},
        {"ref_id": 3, "ann_id": 6, "image_id": 12, "split": "train", "sentences": [{"sent": "a ship"}]},
    ]
    (tmp_path / "rrsisd" / "instances.json").write_text(json.dumps(instances))
    (tmp_path / "rrsisd" / "refs.json").write_text(json.dumps(refs))
    return tmp_path


def test_rrsis_scores_as_by_hand_and_counts_missing_images(refer: Path, scored: Callable[..., Any]) -> None:
    found = scored(RRSIS, refer, {"1": '[{"bbox_2d": [0, 0, 4, 6]}]'})
    assert found["", "gIoU", ZERO]["value"] == pytest.approx(12 / 24)
    assert (found["", "gIoU", ZERO]["n"], found["", "gIoU", ZERO]["n_missing_media"]) == (1, 1)


def test_polygons_and_unknown_numbers_are_refused(refer: Path) -> None:
    path = refer / "rrsisd" / "refs.json"
    refs = json.loads(path.read_text())
    path.write_text(json.dumps([{**refs[0], "ann_id": 7}]))
    with pytest.raises(DataError, match="annotation 7: expected one run-length mask"):
        list(RRSIS.examples(refer))
    path.write_text(json.dumps([{**refs[0], "ann_id": 99}]))
    with pytest.raises(DataError, match="has no image 11 or no mask 99"):
        list(RRSIS.examples(refer))


@pytest.mark.parametrize("benchmark", [VAL, TEST, RRSIS], ids=lambda benchmark: benchmark.name)
def test_every_benchmark_says_where_its_data_comes_from(benchmark: Benchmark) -> None:
    assert benchmark.source is not None and benchmark.source.homepage.startswith("https://")
