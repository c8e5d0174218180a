"""GEOBench-VLM's referring tasks: boxes for what a sentence describes (one or several), and masks.

No code for them was released. Fields are as an independent evaluation reads them (`ground_truth` is a list of polygons
in pixels, `image_size` the side of the square image); the formulas are ours and named so.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.metrics import aggregate, share
from indirect_rlvr.rewards.geometry import best_matching, iou
from indirect_rlvr.rewards.shapes import runs_of
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Source
from indirect_rlvr_geo.benchmarks import constants
from indirect_rlvr_geo.benchmarks.earthreason import judge
from indirect_rlvr_geo.benchmarks.files import json_rows, photo
from indirect_rlvr_geo.benchmarks.masks import EMPTY_IS_ONE, mask_metrics, runs_of_file
from indirect_rlvr_geo.benchmarks.referring import boxes_parsed, parse_boxes, summed_ratio

THRESHOLDS = (0.5, 0.25)
LARGEST_SIDE = 10_000
POOLED = "one-to-one matches / predicted boxes, pooled"
PER_OBJECT = "one-to-one matches / true boxes, pooled"
PROMPT = """{question} Output the bbox coordinates of each object in JSON format. The format of the bbox coordinates is:
```json
[
    {{"bbox_2d": [x1, y1, x2, y2]}},
    {{"bbox_2d": [x1, y1, x2, y2]}}
]
```"""


def benchmarks() -> list[Benchmark]:
    """Referring detection and referring segmentation."""
    return [
        Benchmark(
            name="geobench-vlm-detection",
            description="a box for each object that a sentence describes",
            source=source("Ref-Det", "boxes (371 MB)"),
            examples=detection_examples,
            parse=parse_boxes,
            judge=judge_detection,
            metrics=detection_metrics,
            main="precision@0.5",
        ),
        Benchmark(
            name="geobench-vlm-segmentation",
            description="a mask for what a sentence describes",
            source=source("Ref-Seg", "masks (188 MB)"),
            examples=segmentation_examples,
            parse=parse_boxes,
            judge=judge,
            metrics=segmentation_metrics,
            main=EMPTY_IS_ONE,
        ),
    ]


def source(part: str, size: str) -> Source:
    """Where a part of GEOBench-VLM, which is one zip file and one folder, comes from and how it lies."""
    return Source(
        homepage="https://huggingface.co/datasets/aialliance/GEOBench-VLM",
        licence="Apache-2.0; images of about twenty sources under their own terms",
        size=size,
        layout=f"{part}.zip unpacked, so that {part}/qa.json and the images it names are there",
        files=(f"{part}/qa.json",),
        revision="hub files without the xBD images, which were removed in 2024-12 and after",
    )


def detection_examples(folder: Path) -> Iterator[Example]:
    """One example for each record of Ref-Det, asked in its first wording; truths are the bounding boxes of polygons."""
    for row, side, polygons in _rows(folder, "Ref-Det"):
        boxes = [[*np.min(polygon, axis=0).tolist(), *np.max(polygon, axis=0).tolist()] for polygon in polygons]
        yield _example(folder, "Ref-Det", row, {"boxes": boxes, "size": [side, side]})


def segmentation_examples(folder: Path) -> Iterator[Example]:
    """One example for each record of Ref-Seg, whose truth is a label image (`mask_path`) or polygons to be filled.

    The names of Ref-Seg's fields could not be confirmed: a file that has others is refused with a clear message.
    """
    for row, side, polygons in _rows(folder, "Ref-Seg"):
        if "mask_path" in row:
            runs = runs_of_file(folder, f"Ref-Seg/{str(row['mask_path']).removeprefix('Ref-Seg/')}")
        else:
            image = Image.new("1", (side, side))
            for polygon in polygons:
                ImageDraw.Draw(image).polygon([(x, y) for x, y in polygon], fill=1)
            runs = runs_of(np.asarray(image))
        yield _example(folder, "Ref-Seg", row, {"mask": runs, "size": [runs["size"][1], runs["size"][0]]})


def judge_detection(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """For each threshold the number of one-to-one matches and the precision of this example, and how many boxes were
    predicted and are true. No box where some are true is a precision of 0."""
    found = np.array(boxes_parsed(parsed), dtype=np.float64).reshape(-1, 4)
    gold = np.array(example.truth["boxes"], dtype=np.float64).reshape(-1, 4)
    overlaps = iou(found, gold)
    values = {"predicted": float(len(found)), "true": float(len(gold))}
    for threshold in THRESHOLDS:
        close = (overlaps >= threshold).astype(np.float64)
        matches = float(close[best_matching(close)].sum())
        values[f"matches@{threshold}"] = matches
        values[f"precision@{threshold}"] = matches / len(found) if len(found) else float(not len(gold))
    return values


def detection_metrics(graded: Sequence[Graded]) -> list[Metric]:
    """Precision at IoU 0.5 and 0.25 pooled over all predicted boxes and as the mean over examples, and recall, without
    which one sure box for each question would be perfect."""
    return constants.measured(graded, judge_detection, _detection_metrics, ("whole image",))


def segmentation_metrics(graded: Sequence[Graded]) -> list[Metric]:
    """Mean IoU (gIoU), cIoU and P@{.5 … .9}, beside each what the whole image wins."""
    return constants.measured(graded, judge, mask_metrics, ("whole image",))


def _detection_metrics(graded: Sequence[Graded]) -> list[Metric]:
    found = []
    for threshold in THRESHOLDS:
        matches = f"matches@{threshold}"
        for name, of, convention in (("precision", "predicted", POOLED), ("recall", "true", PER_OBJECT)):
            found.append(
                aggregate(graded, (matches, of), summed_ratio, convention, name=f"{name}@{threshold}", absent=0.0)
            )
        found.append(share(graded, f"precision@{threshold}", "mean over examples"))
    return found


def _rows(folder: Path, part: str) -> Iterator[tuple[Mapping[str, Any], int, list[list[list[float]]]]]:
    """(record, side in pixels, polygons) of every record; raises DataError for one whose truth is no polygons, or
    whose question has no wording."""
    path = folder / part / "qa.json"
    for number, row in enumerate(json_rows(path, ("image_path", "prompts"))):
        try:
            side = int(row.get("image_size", 0))
            polygons = _polygons(row.get("ground_truth", []))
            if not ("mask_path" in row or (polygons and 0 < side <= LARGEST_SIDE)):
                raise ValueError(f"image_size {side} and {len(polygons)} polygons")
            if not isinstance(row["prompts"], list) or not row["prompts"]:
                raise ValueError(f"`prompts` is {row['prompts']!r:.80}, no list of wordings")
        except (TypeError, ValueError) as error:
            raise DataError(
                f"`{path}` record {number}: {error}; expected `ground_truth` as polygons [[x, y], …] and `image_size`"
            ) from error
        yield {"number": number, **row}, side, polygons


def _polygons(value: Any) -> list[list[list[float]]]:
    """Lists of at least one finite point [x, y]; raises ValueError or TypeError for anything else."""
    polygons = [[[float(x), float(y)] for x, y in polygon] for polygon in value]
    if not all(polygons) or not all(math.isfinite(x) for polygon in polygons for point in polygon for x in point):
        raise ValueError("a polygon without finite points")
    return polygons


def _example(folder: Path, part: str, row: Mapping[str, Any], truth: Mapping[str, Any]) -> Example:
    view, missing = photo(folder, f"{part}/{str(row['image_path']).removeprefix(f'{part}/')}")
    text = PROMPT.format(question=str(row["prompts"][0]).strip())
    return Example(f"{part}-{row['number']}", view.content, Prompt((view, text)), truth, "", missing)
