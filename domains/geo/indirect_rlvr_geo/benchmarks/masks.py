"""Masks as run-length JSON: read from label images, drawn from boxes, overlapped, and summed up as gIoU, cIoU and P@t.

No segmenter is part of the project. An answer of boxes is scored as the union of its boxes ("box masks"), which says
how well a model finds and not how well it outlines: such numbers compare with box masks only. Masks that a segmenter
made elsewhere are scored as they are, given as parsed fields {"mask": {"size", "counts"}}.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.data.records import MAX_PIXELS, open_image
from indirect_rlvr.evaluation.metrics import aggregate, share
from indirect_rlvr.rewards.geometry import mask_iou
from indirect_rlvr.rewards.shapes import Mask, mask_of, runs_of
from indirect_rlvr.types import Graded, Metric
from indirect_rlvr_geo.benchmarks.referring import boxes_parsed, of_task, summed_ratio

PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.9)
EMPTY_IS_ONE, EMPTY_IS_ZERO = "empty=1", "empty=0"
"""What two empty masks are worth: 1 in GRES, LISA and SegEarth-R1; 0 in the code of arXiv 2509.21976 and of RMSIN."""

Pixels = NDArray[np.bool_]


def runs_of_file(folder: Path, content: str) -> dict[str, Any]:
    """The run lengths of a label image, in which every pixel that is not black is target; raises DataError for none."""
    return runs_of(np.asarray(open_image(folder, content)).max(axis=2))


def runs_of_boxes(boxes: Sequence[Sequence[float]], height: int, width: int) -> dict[str, Any]:
    """The union of boxes (x1, y1, x2, y2) in pixels: each covers the pixels whose centre lies inside it."""
    mask_HW = np.zeros((height, width), dtype=np.bool_)
    for box in boxes:
        left, top, right, bottom = (max(0, round(side)) for side in box)
        mask_HW[top:bottom, left:right] = True
    return runs_of(mask_HW)


def judge_mask(truth: Mapping[str, Any], parsed: Mapping[str, Any] | None) -> dict[str, float]:
    """intersection and union in pixels, and the IoU under both empty conventions, against `truth` (size, counts).

    `parsed` holds a "mask", or "boxes" in pixels of the file. A mask of another size is resized to the nearest pixel.
    Without either nothing overlaps, an empty truth included: saying nothing is not saying "None".
    """
    gold = mask_of(truth)
    assert gold is not None, "truths are made by `runs_of`, or were checked by their loader"
    found = _found(parsed, gold)
    if found is None:
        return {"intersection": 0.0, "union": float(_area(gold)), EMPTY_IS_ONE: 0.0, EMPTY_IS_ZERO: 0.0}
    iou = mask_iou(found.boundaries, gold.boundaries)
    total = _area(found) + _area(gold)
    inside = round(iou * total / (1 + iou))
    return {
        "intersection": float(inside),
        "union": float(total - inside),
        EMPTY_IS_ONE: iou,
        EMPTY_IS_ZERO: iou if total else 0.0,
    }


def mask_metrics(
    graded: Sequence[Graded], task: str = "", masks: str = "masks as given, else box masks"
) -> list[Metric]:
    """gIoU (mean IoU) and P@t under both empty conventions, and cIoU (ΣI/ΣU), which has no empty case
    and is left out where every mask is empty."""
    applies = of_task(task)
    metrics = []
    for empty in (EMPTY_IS_ONE, EMPTY_IS_ZERO):
        convention = f"{empty}, {masks}"
        metrics.append(share(graded, empty, convention, name="gIoU", task=task, applies=applies))
        reached = [_reached(one, empty) for one in graded]
        metrics += [share(reached, f"P@{t}", convention, name=f"P@{t}", task=task, applies=applies) for t in PRECISIONS]
    if any(one.values.get("union") for one in graded if applies(one.example)):
        values = ("intersection", "union")
        metrics.append(aggregate(graded, values, summed_ratio, masks, name="cIoU", task=task, applies=applies))
    return metrics


def _reached(one: Graded, empty: str) -> Graded:
    return Graded(one.example, one.parsed, {f"P@{t}": float(one.values.get(empty, 0.0) >= t) for t in PRECISIONS})


def _found(parsed: Mapping[str, Any] | None, gold: Mask) -> Mask | None:
    if parsed is None:
        return None
    if "mask" not in parsed:
        return mask_of(runs_of_boxes(boxes_parsed(parsed), gold.height, gold.width)) if "boxes" in parsed else None
    mask = mask_of(parsed["mask"])
    if mask is None or (mask.height, mask.width) == (gold.height, gold.width):
        return mask
    return _resized(mask, gold.height, gold.width)


def _resized(mask: Mask, height: int, width: int) -> Mask | None:
    if not 0 < mask.height * mask.width <= MAX_PIXELS:
        return None
    rows = (np.arange(height) * mask.height) // height
    columns = (np.arange(width) * mask.width) // width
    return mask_of(runs_of(_pixels(mask)[np.ix_(rows, columns)]))


def _pixels(mask: Mask) -> Pixels:
    lengths = np.diff(mask.boundaries, prepend=0)
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape((mask.height, mask.width), order="F")


def _area(mask: Mask) -> int:
    return int(np.diff(mask.boundaries, prepend=0)[1::2].sum())
