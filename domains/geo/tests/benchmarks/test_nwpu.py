"""NWPU VHR-10: COCO AP over the data set equal to pycocotools, on the real annotations and in a fixture by hand."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.geometry import average_precision, iou
from indirect_rlvr.types import Example, Graded, Prompt, Response
from indirect_rlvr_geo.benchmarks.coco import average_precisions, matched
from indirect_rlvr_geo.benchmarks.nwpu import CONVENTION, benchmarks

STEADY = settings(deadline=None, derandomize=True)
(BENCHMARK,) = benchmarks()
REAL = Path(__file__).parents[5] / "shared" / "data" / "nwpu_vhr10"
EXAMPLE = Example("0-ship", "0", Prompt(("?",)), {"category": "ship", "boxes": [[0, 0, 10, 10]], "size": [100, 100]})


def annotations(boxes: list[tuple[int, int, list[float]]]) -> dict[str, Any]:
    """COCO annotations of 100-pixel images from (image, category, xywh)."""
    return {
        "images": [{"id": n, "file_name": f"{n:03d}.jpg", "width": 100, "height": 100} for n in range(4)],
        "categories": [{"id": 1, "name": "airplane"}, {"id": 3, "name": "storage_tank"}],
        "annotations": [
            {"id": n, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for n, (image, category, box) in enumerate(boxes, 1)
        ],
    }


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    boxes = [
        (0, 1, [10.0, 10.0, 20.0, 20.0]),
        (0, 1, [50.0, 50.0, 20.0, 20.0]),
        (1, 1, [0.0, 0.0, 10.0, 10.0]),
        (1, 3, [0.0, 0.0, 40.0, 40.0]),
        (3, 3, [0.0, 0.0, 40.0, 40.0]),
    ]
    (tmp_path / "annotations.json").write_text(json.dumps(annotations(boxes)), encoding="utf-8")
    for name in ("000.jpg", "001.jpg"):
        picture(tmp_path / "images" / name)
    return tmp_path


@STEADY
@given(st.text())
def test_no_answer_raises(text: str) -> None:
    parsed = BENCHMARK.parse(EXAMPLE, Response(text))
    assert 0 <= BENCHMARK.judge(EXAMPLE, parsed)["AP of the example"] <= 1


@pytest.mark.parametrize(
    "parsed", [{}, {"boxes": 3}, {"boxes": [1, None, "x", [1, 2]]}, {"boxes": [[1, 2, 3, float("nan")]]}]
)
def test_parsed_fields_of_others_that_are_no_boxes_find_nothing(parsed: dict[str, Any]) -> None:
    assert BENCHMARK.judge(EXAMPLE, parsed)["AP of the example"] == 0
    assert BENCHMARK.metrics([Graded(EXAMPLE, parsed, {})])[0].value == 0


def test_a_box_out_of_range_stays_as_a_false_alarm() -> None:
    parsed = BENCHMARK.parse(EXAMPLE, Response("[[0, 0, 500, 10], [0, 0, 10, 10]]"))
    assert parsed is not None and parsed["boxes"] == [[0, 0, 0, 0], [0, 0, 10, 10]]
    assert BENCHMARK.judge(EXAMPLE, parsed)["AP of the example"] == pytest.approx(0.5)


def test_a_file_that_is_no_annotation_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text('{"images": [], "categories": [], "annotations": [{"bbox": [1]}]}')
    with pytest.raises(DataError, match="is no COCO annotation file"):
        list(BENCHMARK.examples(tmp_path))
    (tmp_path / "annotations.json").write_text(json.dumps(annotations([(0, 1, [0, 0, float("inf"), 1])])))
    with pytest.raises(DataError, match=r"is no COCO annotation file: ValueError: bbox \[0, 0, inf, 1\]"):
        list(BENCHMARK.examples(tmp_path))
    (tmp_path / "annotations.json").write_text('{"images": [')
    with pytest.raises(DataError, match="cannot read .* as JSON"):
        list(BENCHMARK.examples(tmp_path))


def test_the_fixture_scores_as_by_hand(folder: Path, scored: Callable[..., Any]) -> None:
    hit = {"bbox_2d": [10, 10, 30, 30], "label": "airplane"}
    wrong = {"bbox_2d": [80, 80, 90, 90], "label": "airplane"}
    answers = {
        "0-airplane": json.dumps([hit, wrong]),
        "1-airplane": "```json\n" + json.dumps([{"bbox_2d": [0, 0, 10, 6]}]) + "\n```",
        "1-storage_tank": "None",
    }
    found = scored(BENCHMARK, folder, answers)
    # airplane at IoU 0.5: right, wrong, right (0.6) of 3 gold: precision 1 up to recall 1/3, 2/3 up to 2/3, then 0
    recalls = np.linspace(0, 1, 101)
    both = np.where(recalls <= 1 / 3, 1.0, np.where(recalls <= 2 / 3, 2 / 3, 0.0)).mean()
    first = np.where(recalls <= 1 / 3, 1.0, 0.0).mean()
    assert found["", "AP50", CONVENTION]["value"] == pytest.approx(both / 2)
    # 0.6 passes 0.5, 0.55 and 0.6
    airplane = found["airplane", "AP@[.5:.95]", CONVENTION]
    assert airplane["value"] == pytest.approx((3 * both + 7 * first) / 10)
    assert found["storage_tank", "AP@[.5:.95]", CONVENTION]["value"] == 0
    overall = found["", "mAP@[.5:.95]", CONVENTION]
    assert overall["baselines"] == {"whole image": 0}
    assert overall["value"] == pytest.approx(airplane["value"] / 2)
    assert (overall["n"], overall["n_parsed"], overall["n_missing_media"]) == (3, 3, 1)


def test_the_prompt_names_one_category_as_it_is_spoken(folder: Path) -> None:
    texts = {example.id: str(example.prompt.parts[1]) for example in BENCHMARK.examples(folder)}
    assert list(texts) == ["0-airplane", "1-airplane", "1-storage_tank", "3-storage_tank"]
    assert texts["3-storage_tank"].startswith(
        "Please carefully check the image and detect the following objects: storage tank. Output each detected target's"
    )
    assert texts["3-storage_tank"].endswith("simply respond with None.")


@pytest.mark.parametrize(("before", "seen"), [(99, True), (100, False)])
def test_a_box_after_the_first_hundred_is_not_seen(before: int, seen: bool) -> None:
    boxes = [[50.0, 50.0, 60.0, 60.0]] * before + [[0.0, 0.0, 10.0, 10.0]]
    assert matched(np.array(boxes), np.array(EXAMPLE.truth["boxes"], dtype=np.float64)).hits.any() == seen


def test_of_equal_overlaps_the_last_true_box_is_taken() -> None:
    gold = np.array([[0, 0, 12, 10], [4, 0, 16, 10]], dtype=np.float64)
    found = np.array([[2, 0, 14, 10], [4, 0, 16, 10]], dtype=np.float64)  # 5/7 with both; 1/2 and 1
    hits_TN = matched(found, gold).hits
    assert hits_TN[:, 0].tolist() == [True] * 5 + [False] * 5
    assert hits_TN[:, 1].tolist() == [True] + [False] * 4 + [True] * 5


def test_one_image_is_the_average_precision_of_the_rewards() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        found, gold = (_random_boxes(rng, int(rng.integers(1, 12))) for _ in range(2))
        assert average_precisions([matched(found, gold)]).mean() == pytest.approx(average_precision(iou(found, gold)))


@pytest.mark.skipif(not REAL.is_dir(), reason="the NWPU VHR-10 annotations are not in ../shared/data")
def test_the_real_annotations_give_every_image_and_category_once(tmp_path: Path) -> None:
    examples = _real_examples(tmp_path)
    assert len({example.truth["image"] for example in examples}) == 650
    assert sum(len(example.truth["boxes"]) for example in examples) == 3921
    assert {example.truth["category"] for example in examples} >= {"airplane", "vehicle"} and len(examples) == 887


@pytest.mark.skipif(not REAL.is_dir(), reason="the NWPU VHR-10 annotations are not in ../shared/data")
def test_ap_over_the_real_annotations_is_that_of_pycocotools(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools.cocoeval", reason="pycocotools is in the dev extra")
    examples = _real_examples(tmp_path)
    rng = Random(1)
    graded = [Graded(example, {"boxes": _noisy(example.truth["boxes"], rng)}, {}) for example in examples]
    data = json.loads((REAL / "annotations.json").read_text())
    found = {(metric.task, metric.name): metric.value for metric in BENCHMARK.metrics(graded)}
    for annotation in data["annotations"]:
        annotation["id"] += 1  # the file counts from 0
    precision = _pycocotools(data, graded, tmp_path / "from_1.json")
    assert found["", "mAP@[.5:.95]"] == pytest.approx(precision.mean(), abs=1e-12)
    assert found["", "AP50"] == pytest.approx(precision[0].mean(), abs=1e-12)
    for number, category in enumerate(sorted(data["categories"], key=lambda each: int(each["id"]))):
        expected = precision[:, :, number].mean()
        assert found[category["name"], "AP@[.5:.95]"] == pytest.approx(expected, abs=1e-12)


def test_pycocotools_loses_the_annotation_with_the_number_0_and_we_do_not(folder: Path) -> None:
    pytest.importorskip("pycocotools.cocoeval", reason="pycocotools is in the dev extra")
    data = json.loads((folder / "annotations.json").read_text())
    asked = [Example(e.id, e.cluster, e.prompt, e.truth) for e in BENCHMARK.examples(folder)]
    graded = [Graded(example, {"boxes": example.truth["boxes"]}, {}) for example in asked]
    assert BENCHMARK.metrics(graded)[0].value == 1
    assert _pycocotools(data, graded, folder / "from_1.json").mean() == pytest.approx(1)
    data["annotations"][0]["id"] = 0
    assert _pycocotools(data, graded, folder / "from_0.json").mean() < 0.95


def _pycocotools(data: dict[str, Any], graded: list[Graded], file: Path) -> np.ndarray:
    """Precision at (threshold, recall, category), all areas, a hundred boxes at most."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    names = {category["name"]: category["id"] for category in data["categories"]}
    rows = [
        {
            "image_id": one.example.truth["image"],
            "category_id": names[one.example.truth["category"]],
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "score": 1.0,
        }
        for one in graded
        for box in (one.parsed or {})["boxes"]
    ]
    file.write_text(json.dumps(data), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision: np.ndarray = evaluation.eval["precision"][:, :, :, 0, 2]
    return precision


def _real_examples(folder: Path) -> list[Example]:
    (folder / "annotations.json").symlink_to(REAL / "annotations.json")
    found = list(BENCHMARK.examples(folder))
    assert all(example.missing for example in found)
    return [Example(e.id, e.cluster, e.prompt, e.truth) for e in found]


def _noisy(boxes: list[list[float]], rng: Random) -> list[list[float]]:
    """Some boxes lost, some moved, some invented, in another order; some answers beyond a hundred boxes."""
    found = [[box[0] + _jitter(rng), box[1] + _jitter(rng), box[2], box[3]] for box in boxes if rng.random() < 0.8]
    found = [box for box in found if box[0] < box[2] and box[1] < box[3]]
    for _ in range(rng.choice([0, 0, 1, 3, 120 if rng.random() < 0.05 else 0])):
        x, y = rng.uniform(0, 400), rng.uniform(0, 400)
        found.append([x, y, x + rng.uniform(5, 90), y + rng.uniform(5, 90)])
    rng.shuffle(found)
    return found


def _jitter(rng: Random) -> float:
    return rng.choice([0.0, 0.0, 1.0, 5.0, -4.0])


def _random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.integers(0, 20, (count, 2)).astype(np.float64)
    return np.concatenate([corners, corners + rng.integers(4, 12, (count, 2))], axis=1)
