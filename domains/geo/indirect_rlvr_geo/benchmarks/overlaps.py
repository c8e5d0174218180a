"""Overlap of one predicted box with one true box, by the three rules in use for referring expressions.

Each gives intersection and union, so that mean IoU and cumulative IoU (ΣI/ΣU) come from the same numbers. A box whose
corners are the wrong way round has no area and overlaps nothing.
"""

from collections.abc import Callable, Sequence

Overlap = Callable[[Sequence[float], Sequence[float]], tuple[float, float]]


def continuous(box: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Intersection and union of boxes whose corners are points of the plane, in square pixels."""
    width, height = _sides(box, other)
    return _of(width * height if width > 0 and height > 0 else 0.0, _area(box, 0), _area(other, 0))


def pixel(box: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """As the released evaluation of arXiv 2509.21976 (and VLM-R1) has it: the continuous overlap, except that one
    of one pixel or less in either direction is none."""
    width, height = _sides(box, other)
    return _of(width * height if width > 1 and height > 1 else 0.0, _area(box, 0), _area(other, 0))


def inclusive(box: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """As VRSBench's evaluation has it: whole-number cells, first and last included, so that widths are x2 − x1 + 1.

    On its grid from 0 to 100 that inflates small boxes: two cells side by side already share an edge.
    """
    width, height = _sides(box, other)
    return _of(max(0.0, width + 1) * max(0.0, height + 1), _area(box, 1), _area(other, 1))


def share(overlap: tuple[float, float]) -> float:
    """Intersection over union, in [0, 1]; 0 where there is no union."""
    return overlap[0] / overlap[1] if overlap[1] > 0 else 0.0


def _sides(box: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    return min(box[2], other[2]) - max(box[0], other[0]), min(box[3], other[3]) - max(box[1], other[1])


def _area(box: Sequence[float], extra: int) -> float:
    width, height = box[2] - box[0] + extra, box[3] - box[1] + extra
    return width * height if width > 0 and height > 0 else 0.0


def _of(intersection: float, area: float, other: float) -> tuple[float, float]:
    if not area or not other:
        return 0.0, area + other
    return intersection, area + other - intersection
