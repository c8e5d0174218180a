"""COCO's average precision over a data set, for predictions that are all equally confident.

A language model gives no confidences, so that every score is 1.0 and the order decides: images in the order given, and
in each image its boxes in the order said. Equal to pycocotools 2.0.11, whose sort is stable, where images come in the
order of their ids, nothing is a crowd, no predicted box has a negative area (pycocotools forgets those, here they are
false alarms), and no annotation has the id 0 (pycocotools takes a match with it for none).
`rewards.geometry.average_precision` is the same for a single image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.rewards.geometry import MAX_DETECTIONS, THRESHOLDS, Floats, iou

_RECALLS: Floats = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class Matched:
    """One image's predictions of one class: whether each finds a true box at each threshold, (T, N), and how many true
    boxes there are."""

    hits: NDArray[np.bool_]
    golds: int


def matched(found_N4: Floats, gold_M4: Floats) -> Matched:
    """Match the first hundred predictions of one class in one image, rows (x1, y1, x2, y2), greedily in their order.

    At each threshold a prediction takes the free true box that it overlaps most, of equals the last one.
    """
    overlaps_NM = iou(found_N4[:MAX_DETECTIONS], gold_M4)
    hits_TN = np.zeros((len(THRESHOLDS), len(overlaps_NM)), dtype=np.bool_)
    for level, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(gold_M4), dtype=np.bool_)
        for number, row in enumerate(overlaps_NM):
            usable = np.where(free & (row >= threshold), row, -1.0)
            if len(usable) and usable.max() >= 0:
                best = len(usable) - 1 - int(usable[::-1].argmax())
                hits_TN[level, number], free[best] = True, False
    return Matched(hits_TN, len(gold_M4))


def average_precisions(images: Sequence[Matched]) -> Floats:
    """AP at each of COCO's ten thresholds, (10,), of one class over `images`; NaN where there is no true box at all.

    Precision is made monotone and read at 101 recalls.
    """
    golds = sum(image.golds for image in images)
    if not golds:
        return np.full(len(THRESHOLDS), np.nan)
    hits_TN = np.concatenate([image.hits for image in images], axis=1).cumsum(axis=1)
    count = hits_TN.shape[1]
    precision_TN = hits_TN / (np.arange(1, count + 1) + np.spacing(1))
    envelope_TN = np.maximum.accumulate(precision_TN[:, ::-1], axis=1)[:, ::-1]
    padded_TN = np.pad(envelope_TN, ((0, 0), (0, 1)))
    places = [np.searchsorted(row, _RECALLS, side="left") for row in hits_TN / golds]
    return np.array([row[at].mean() for row, at in zip(padded_TN, places, strict=True)], dtype=np.float64)
