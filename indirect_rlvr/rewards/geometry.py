"""Overlap of boxes and masks, as array kernels: IoU, GIoU, the best matching, average precision, runs of a mask.

Boxes are rows (x1, y1, x2, y2), corners in continuous coordinates, so that the area is (x2 − x1)·(y2 − y1) without the
"+ 1" of inclusive pixels. A box with x2 ≤ x1 or y2 ≤ y1 has no area and overlaps nothing, itself included.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
"""The IoU thresholds of COCO's AP@[.5:.95]."""
MAX_DETECTIONS = 100
"""COCO looks at the first hundred predictions of a class."""
_RECALLS: Floats = np.linspace(0.0, 1.0, 101)


def iou(boxes_N4: Floats, others_M4: Floats) -> Floats:
    """Intersection over union of every pair, (N, M), in [0, 1]."""
    intersection, union, _ = _overlap(boxes_N4, others_M4)
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def giou(boxes_N4: Floats, others_M4: Floats) -> Floats:
    """Generalised IoU of every pair (arXiv 1902.09630, algorithm 1), (N, M), in [−1, 1]: IoU minus the share of the
    smallest enclosing box that neither covers. Pairs without any area get −1."""
    intersection, union, hull = _overlap(boxes_N4, others_M4)
    overlap = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return overlap - np.divide(hull - union, hull, out=np.ones_like(hull), where=(hull > 0) & (union > 0))


def best_matching(overlaps_NM: Floats) -> tuple[Integers, Integers]:
    """Rows and columns of the one-to-one matching with the largest sum (Hungarian algorithm), min(N, M) of each."""
    rows, columns = linear_sum_assignment(overlaps_NM, maximize=True)
    return rows, columns


def average_precision(overlaps_NM: Floats) -> float:
    """COCO's AP@[.5:.95] of one class in one image, in [0, 1], of N predictions in their given order and M ≥ 1 gold
    boxes. All predictions are equally confident, as when a language model writes them, so that their order decides.

    Each prediction takes, at each threshold, the free gold box it overlaps most (of equals the last one); precision is
    made monotone and read at 101 recalls. Equal to pycocotools 2.0.11 to rounding.
    """
    overlaps = overlaps_NM[:MAX_DETECTIONS]
    if not len(overlaps):
        return 0.0
    hits_TN = _hits(overlaps).cumsum(axis=1)
    recall_TN = hits_TN / overlaps.shape[1]
    precision_TN = hits_TN / (np.arange(1, len(overlaps) + 1) + np.spacing(1))
    envelope_TN = np.maximum.accumulate(precision_TN[:, ::-1], axis=1)[:, ::-1]
    reached_T101 = (recall_TN[:, :, None] < _RECALLS).sum(axis=1)
    read = np.take_along_axis(np.pad(envelope_TN, ((0, 0), (0, 1))), reached_T101, axis=1)
    return float(read.mean())


def run_boundaries(counts: Sequence[int]) -> Integers:
    """Where a run-length mask changes: cumulative ends of its runs, which alternate from background on."""
    return np.cumsum(np.asarray(counts, dtype=np.int64))


def mask_iou(boundaries: Integers, others: Integers) -> float:
    """IoU of two masks of equally many pixels, each given by `run_boundaries`, in [0, 1]; linear in the runs.

    Two empty masks have IoU 1 and exactly one empty mask 0: "nothing is there" is an answer that can be right (LISA and
    SegEarth-R1 count so; the released evaluation of arXiv 2509.21976 gives 0 to both).
    """
    edges = np.union1d(boundaries, others)
    lengths = np.diff(edges, prepend=0)
    inside, inside_other = (np.searchsorted(ends, edges, side="left") % 2 == 1 for ends in (boundaries, others))
    union = int(lengths[inside | inside_other].sum())
    return int(lengths[inside & inside_other].sum()) / union if union else 1.0


def _overlap(boxes: Floats, others: Floats) -> tuple[Floats, Floats, Floats]:
    """Intersection, union and enclosing area of every pair."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = np.maximum(high - low, 0.0)
    intersection = sides[..., 0] * sides[..., 1]
    union = _areas(boxes)[:, None] + _areas(others)[None, :] - intersection
    hull_low = np.minimum(boxes[:, None, :2], others[None, :, :2])
    hull_high = np.maximum(boxes[:, None, 2:], others[None, :, 2:])
    hull = np.maximum(hull_high - hull_low, 0.0)
    return intersection, union, hull[..., 0] * hull[..., 1]


def _areas(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return sides[:, 0] * sides[:, 1]


def _hits(overlaps: Floats) -> NDArray[np.bool_]:
    """Whether each prediction finds a gold box at each threshold, (T, N)."""
    count, golds = overlaps.shape
    hits = np.zeros((len(THRESHOLDS), count), dtype=np.bool_)
    free = np.ones((len(THRESHOLDS), golds), dtype=np.bool_)
    levels = np.arange(len(THRESHOLDS))
    for index in np.flatnonzero(overlaps.max(axis=1) >= THRESHOLDS[0]):
        row = overlaps[index]
        usable = np.where(free & (row >= THRESHOLDS[:, None]), row, -1.0)
        best = golds - 1 - usable[:, ::-1].argmax(axis=1)
        found = usable[levels, best] >= 0
        hits[:, index] = found
        free[levels[found], best[found]] = False
    return hits
