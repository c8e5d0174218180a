import numpy as np
import pytest

from indirect_rlvr.rewards.geometry import average_precision, best_matching, giou, iou, mask_iou
from indirect_rlvr.rewards.shapes import boxes_of, decompress, mask_of, parse_boxes, parse_mask, runs_of

coco_mask = pytest.importorskip("pycocotools.mask", reason="pycocotools is in the dev extra")


def boxes(rng: np.random.Generator, count: int, whole: bool) -> np.ndarray:
    corner = rng.integers(0, 60, (count, 2)) if whole else rng.uniform(0, 60, (count, 2))
    size = rng.integers(1, 40, (count, 2)) if whole else rng.uniform(0.5, 40, (count, 2))
    return np.concatenate([corner, corner + size], axis=1).astype(float)


def coco_map(predicted: np.ndarray, gold: np.ndarray) -> float:
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(corners: np.ndarray) -> list[dict[str, object]]:
        return [
            {
                "id": at,
                "image_id": 1,
                "category_id": 1,
                "iscrowd": 0,
                "score": 1.0,
                "bbox": [x, y, x2 - x, y2 - y],
                "area": (x2 - x) * (y2 - y),
            }
            for at, (x, y, x2, y2) in enumerate(corners.tolist(), 1)
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, "images": [{"id": 1}], "categories": [{"id": 1}], "annotations": rows(gold)}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(rows(predicted)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


@pytest.mark.parametrize("seed", range(60))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold = boxes(rng, int(rng.integers(1, 9)), whole=seed % 2 == 0)
    near = gold[rng.integers(0, len(gold), 6)] + rng.integers(-3, 4, (6, 4)) * (seed % 3)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    predicted = rng.permutation(np.concatenate([near, gold[:2], boxes(rng, 4, whole=True)]))
    assert average_precision(iou(predicted, gold)) == pytest.approx(coco_map(predicted, gold), abs=1e-9)


def test_only_the_first_hundred_predictions_count() -> None:
    gold = np.array([[0.0, 0.0, 10.0, 10.0]])
    far = np.tile([[50.0, 50.0, 60.0, 60.0]], (100, 1))
    assert average_precision(iou(np.concatenate([far, gold]), gold)) == 0.0
    assert average_precision(iou(np.concatenate([far[:99], gold]), gold)) == pytest.approx(0.01)
    assert average_precision(np.zeros((0, 1))) == 0.0


def test_a_box_without_area_overlaps_nothing() -> None:
    odd = np.array([[5.0, 5.0, 5.0, 9.0], [9.0, 9.0, 5.0, 5.0], [5.0, 5.0, 5.0, 5.0]])
    whole = np.array([[0.0, 0.0, 10.0, 10.0]])
    assert not iou(odd, whole).any()
    assert not iou(odd, odd).any()
    assert (giou(odd, odd) == -1.0).all()


def test_iou_and_giou_have_their_known_values() -> None:
    one = np.array([[0.0, 0.0, 2.0, 2.0]])
    others = np.array([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0], [4.0, 0.0, 6.0, 2.0], [0.0, 0.0, 1.0, 1.0]])
    assert iou(one, others)[0] == pytest.approx([1.0, 1 / 7, 0.0, 0.25])
    assert giou(one, others)[0] == pytest.approx([1.0, 1 / 7 - 2 / 9, -1 / 3, 0.25])
    assert iou(np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([[0.0, 0.0, 1.0, 1.0]])) == 1.0


def test_the_matching_is_the_best_and_not_the_greedy_one() -> None:
    rows, columns = best_matching(np.array([[0.9, 0.8], [0.8, 0.0]]))
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


@pytest.mark.parametrize("seed", range(20))
def test_masks_agree_with_their_pixels_and_with_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.random((2, 7, 9)) < rng.random()
    found = [mask_of(runs_of(mask)) for mask in (one, other)]
    assert found[0] is not None and found[1] is not None
    union = (one | other).sum()
    expected = (one & other).sum() / union if union else 1.0
    assert mask_iou(found[0].boundaries, found[1].boundaries) == pytest.approx(expected)
    packed = coco_mask.encode(np.asfortranarray(one.astype(np.uint8)))
    assert decompress(packed["counts"].decode()) == runs_of(one)["counts"]


def test_two_empty_masks_agree_and_one_empty_mask_never_does() -> None:
    empty, full = (mask_of(runs_of(np.full((2, 3), filled))) for filled in (False, True))
    assert empty is not None and full is not None
    assert mask_iou(empty.boundaries, empty.boundaries) == 1.0
    assert mask_iou(empty.boundaries, full.boundaries) == 0.0
    assert mask_iou(full.boundaries, full.boundaries) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "boxes",
        "[1, 2, 3]",
        "[1, 2, 3, 4, 5]",
        '["1", 2, 3, 4]',
        "[1, 2, 3, true]",
        "[1, 2, 3, NaN]",
        "[1e99, 2, 3, 4]",
        "[" * 100_000,
        "[" + "9" * 4000 + ", 2, 3, 4]",
        '{"label": "a"}',
        '[{"bbox_2d": [1, 2, 3, 4], "label": 5}]',
        str([[0, 0, 1, 1]] * 1001),
        "[1, 2, 3, 4] and more",
    ],
)
def test_what_is_no_list_of_boxes_is_none(text: str) -> None:
    assert parse_boxes(text) is None


def test_boxes_are_read_in_every_form() -> None:
    for text in ("[1, 2, 3, 4]", "[[1, 2, 3, 4]]", '{"bbox_2d": [1, 2, 3, 4]}', "```json\n[[1, 2, 3, 4]]\n```"):
        found = parse_boxes(text)
        assert found is not None and found.corners.tolist() == [[1, 2, 3, 4]]
    for text in ("None", "none.", "[]"):
        assert parse_boxes(text) is not None
    labelled = boxes_of([{"bbox_2d": [1, 2, 3, 4], "label": " Storage  Tank"}])
    assert labelled is not None and labelled.labels == ("storage tank",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"size": [2, 2], "counts": [3]}',
        '{"size": [2, 2], "counts": [-1, 5]}',
        '{"size": [2], "counts": [4]}',
        '{"size": [2, 2], "counts": [4.0]}',
        '{"size": [2, 2], "counts": "?"}',
        '{"size": [1e9, 2], "counts": [4]}',
    ],
)
def test_what_is_no_mask_is_none(text: str) -> None:
    assert parse_mask(text) is None
