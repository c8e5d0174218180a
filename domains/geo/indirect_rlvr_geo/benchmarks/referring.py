"""One box for one expression: reading it, judging it by an IoU rule, and accuracies, mean IoU and cumulative IoU.

Every example counts: an answer without a usable box overlaps nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from indirect_rlvr.evaluation.metrics import Columns, aggregate, share
from indirect_rlvr.types import Example, Graded, Metric, Response
from indirect_rlvr_geo.benchmarks import overlaps
from indirect_rlvr_geo.benchmarks.boxes_in_text import box_of, grid_box, many_boxes, one_box
from indirect_rlvr_geo.benchmarks.frames import from_grid, in_file_pixels

Applies = Callable[[Example], bool]


def parse_box(example: Example, response: Response) -> Mapping[str, Any] | None:
    """{"box": [x1, y1, x2, y2]} in pixels of the file, whose size is `truth["size"]`; None without a usable box.

    The last bracketed list of four numbers counts, wherever it stands in the answer; without one, a box on the grid of
    VRSBench does.
    """
    size = example.truth["size"]
    written = one_box(response.text)
    if written is not None:
        box = in_file_pixels(written, response, size)
    else:
        grid = grid_box(response.text)
        box = from_grid(grid, size, 100) if grid is not None else None
    return None if box is None else {"box": list(box)}


def parse_boxes(example: Example, response: Response) -> Mapping[str, Any] | None:
    """{"boxes": [[x1, y1, x2, y2], …], "labels": [...]} in pixels of the file, in the order said; None without a list.

    A box out of range stays in the list without area: it was said, and it is wrong.
    """
    said = many_boxes(response.text)
    if said is None:
        return None
    found = [in_file_pixels(box, response, example.truth["size"]) or (0.0, 0.0, 0.0, 0.0) for box, _ in said]
    return {"boxes": [list(box) for box in found], "labels": [label for _, label in said]}


def boxes_parsed(parsed: Mapping[str, Any] | None) -> list[list[float]]:
    """The boxes of parsed fields, whoever wrote them: what is no box is one without area; [] where there are none."""
    boxes = parsed.get("boxes") if parsed is not None else None
    if not isinstance(boxes, (list, tuple)):
        return []
    return [list(box_of(box) or (0.0, 0.0, 0.0, 0.0)) for box in boxes]


def judged(
    prefix: str,
    box: object,
    truth: Sequence[float],
    rule: overlaps.Overlap,
    thresholds: Sequence[float],
    at_least: bool,
) -> dict[str, float]:
    """Per-example values: `<prefix>iou`, `<prefix>intersection`, `<prefix>union`, and `<prefix>hit@t` for each
    threshold, reached (`at_least`) or exceeded. What is no box has no intersection, and its union is the truth."""
    found = rule(box_of(box) or (0.0, 0.0, -1.0, -1.0), truth)
    iou = overlaps.share(found)
    hits = {f"{prefix}hit@{t}": float(iou >= t if at_least else iou > t) for t in thresholds}
    return {f"{prefix}iou": iou, f"{prefix}intersection": found[0], f"{prefix}union": found[1], **hits}


def accuracies(
    graded: Sequence[Graded], prefix: str, thresholds: Sequence[float], convention: str, task: str, applies: Applies
) -> list[Metric]:
    """Acc@t for each threshold of `judged`, over the examples that `applies` keeps, failures as wrong."""
    return [
        share(graded, f"{prefix}hit@{t}", convention, name=f"Acc@{t}", task=task, applies=applies) for t in thresholds
    ]


def ious(graded: Sequence[Graded], prefix: str, convention: str, task: str, applies: Applies) -> list[Metric]:
    """Mean IoU and cumulative IoU (ΣI/ΣU) of `judged`, failures with an empty intersection."""
    values = (f"{prefix}intersection", f"{prefix}union")
    return [
        share(graded, f"{prefix}iou", convention, name="mean IoU", task=task, applies=applies),
        aggregate(graded, values, summed_ratio, convention, name="cumulative IoU", task=task, applies=applies),
    ]


def of_task(task: str) -> Applies:
    """Whether an example counts for `task`; all do for ""."""
    return lambda example: task in ("", example.task)


def summed_ratio(columns: Columns) -> float:
    """Σ of the first column / Σ of the second, such as cumulative IoU; 0 where the second has nothing."""
    total = float(columns[:, 1].sum())
    return float(columns[:, 0].sum()) / total if total else 0.0
