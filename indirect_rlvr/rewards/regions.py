"""Reward terms for answers that draw: one box, a set of boxes, detections of several classes, a mask.

Each reads the last `<answer>` (see `shapes.py`) and compares it with the fact whose key the domain names, in the same
JSON form. All of them can be pickled.
"""

import math
from functools import partial
from typing import Literal

import numpy as np

from indirect_rlvr.rewards.geometry import average_precision, best_matching, giou, iou, mask_iou
from indirect_rlvr.rewards.gold import fact, wrong_kind
from indirect_rlvr.rewards.parsing import last_answer
from indirect_rlvr.rewards.shapes import Boxes, boxes_of, mask_of, parse_boxes, parse_mask
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

Overlap = Literal["iou", "giou"]
_LOW = {"iou": 0.0, "giou": -1.0}
_KERNEL = {"iou": iou, "giou": giou}


def box(name: str, gold: str, overlap: Overlap) -> Term:
    """The IoU, in [0, 1], or GIoU, in [−1, 1], of the one box answered and the one box of the fact `gold`.

    The reward of arXiv 2509.21976 for referring expressions is this IoU. Two boxes are unparsable, not the better one.
    """
    return Term(name, _LOW[overlap], 1.0, partial(_box, gold=gold, overlap=overlap))


def box_set(name: str, gold: str, overlap: Overlap) -> Term:
    """Σ overlap of the best one-to-one matching / the larger number of boxes, so that each box too many or missing
    counts as the lowest overlap; labels that differ do too. Nothing found where nothing is there is worth 1."""
    return Term(name, _LOW[overlap], 1.0, partial(_box_set, gold=gold, overlap=overlap))


def detection(name: str, gold: str) -> Term:
    """min(1, √(N_gold / N)) · mAP@[.5:.95] of the N boxes answered (arXiv 2509.21976, equation 6), in [0, 1].

    mAP is the mean of `geometry.average_precision` over the classes of the gold. N counts every box, those of unknown
    classes too, which the released code drops without a penalty. Both empty is 1, one empty 0.
    """
    return Term(name, 0.0, 1.0, partial(_detection, gold=gold))


def mask(name: str, gold: str) -> Term:
    """IoU of the mask answered and the mask of the fact `gold`, in [0, 1]; two empty masks are worth 1, exactly one is
    worth 0, and a mask of another size is unparsable."""
    return Term(name, 0.0, 1.0, partial(_mask, gold=gold))


def mean_average_precision(found: Boxes, gold: Boxes) -> float:
    """The mean of `average_precision` over the classes of `gold`, in [0, 1]; both empty is 1, one empty 0."""
    if not gold.labels or not found.labels:
        return float(not gold.labels and not found.labels)
    values = []
    for label in sorted(set(gold.labels)):
        predicted, expected = (boxes.corners[[name == label for name in boxes.labels]] for boxes in (found, gold))
        values.append(average_precision(iou(predicted, expected)))
    return math.fsum(values) / len(values)


def _box(task: ProxyTask, completion: Completion, gold: str, overlap: Overlap) -> Outcome:
    expected, written = _gold_boxes(task, gold), _written_boxes(completion)
    if len(expected.labels) != 1:
        raise wrong_kind(task, gold, fact(task, gold), "one box; use `box_set` for several")
    if written is None or len(written.labels) != 1:
        return Outcome(_LOW[overlap], "unparsable")
    return Outcome(float(_KERNEL[overlap](written.corners, expected.corners)[0, 0]))


def _box_set(task: ProxyTask, completion: Completion, gold: str, overlap: Overlap) -> Outcome:
    expected, written = _gold_boxes(task, gold), _written_boxes(completion)
    low = _LOW[overlap]
    if written is None:
        return Outcome(low, "unparsable")
    most = max(len(expected.labels), len(written.labels))
    if most == 0:
        return Outcome(1.0)
    same = np.array([[a == b for b in expected.labels] for a in written.labels], dtype=np.bool_)
    if not same.size:
        return Outcome(low)
    overlaps = np.where(same, _KERNEL[overlap](written.corners, expected.corners), low)
    rows, columns = best_matching(overlaps)
    return Outcome((math.fsum(overlaps[rows, columns]) + low * (most - len(rows))) / most)


def _detection(task: ProxyTask, completion: Completion, gold: str) -> Outcome:
    expected, written = _gold_boxes(task, gold), _written_boxes(completion)
    if written is None:
        return Outcome(0.0, "unparsable")
    crowding = math.sqrt(len(expected.labels) / len(written.labels)) if written.labels else 1.0
    return Outcome(min(1.0, crowding) * mean_average_precision(written, expected))


def _mask(task: ProxyTask, completion: Completion, gold: str) -> Outcome:
    expected = mask_of(fact(task, gold))
    if expected is None:
        raise wrong_kind(task, gold, fact(task, gold), '{"size": [height, width], "counts": run lengths}')
    written = parse_mask(last_answer(completion.text) or "")
    if written is None or (written.height, written.width) != (expected.height, expected.width):
        return Outcome(0.0, "unparsable")
    return Outcome(mask_iou(written.boundaries, expected.boundaries))


def _gold_boxes(task: ProxyTask, gold: str) -> Boxes:
    boxes = boxes_of(fact(task, gold))
    if boxes is None:
        raise wrong_kind(
            task, gold, fact(task, gold), "a box [x1, y1, x2, y2], a list of them, or of bbox_2d and label"
        )
    return boxes


def _written_boxes(completion: Completion) -> Boxes | None:
    written = last_answer(completion.text)
    return None if written is None else parse_boxes(written)
