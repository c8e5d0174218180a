"""NWPU VHR-10 detection in the COCO re-annotation: every object of one category, asked for each category in an image.

The categories present are known to the prompt (as in the released evaluation of arXiv 2509.21976), so that there are no
false alarms for absent ones: the numbers are not those of an ordinary detector.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.metrics import Columns, asked, bootstrap
from indirect_rlvr.rewards.geometry import Floats, average_precision, iou
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Source
from indirect_rlvr_geo.benchmarks import constants
from indirect_rlvr_geo.benchmarks.boxes_in_text import box_of
from indirect_rlvr_geo.benchmarks.coco import Matched, average_precisions, matched
from indirect_rlvr_geo.benchmarks.files import json_file, photo
from indirect_rlvr_geo.benchmarks.referring import boxes_parsed, parse_boxes

DRAWS = 100
"""Bootstrap draws of the intervals: each computes an AP over all images."""
CONVENTION = "COCO, every score 1.0, categories present known"
PROMPT = """Please carefully check the image and detect the following objects: {category}. \
Output each detected target's bbox coordinates in JSON format. The format of the bbox coordinates is:
```json
[
    {{"bbox_2d": [x1, y1, x2, y2], "label": "target name"}},
    {{"bbox_2d": [x1, y1, x2, y2], "label": "target name"}}
]
```
If there are no such targets in the image, simply respond with None."""
_SOURCE = Source(
    homepage="https://github.com/chaozhong2010/VHR-10_dataset_coco",
    licence="annotations MIT; images of the original NWPU VHR-10, research use",
    size="650 images, 3,921 boxes, 10 categories",
    layout="annotations.json (the COCO file of the 650 positive images), and the images 001.jpg … in images/",
    files=("annotations.json",),
    revision="annotations of 2019-07-15",
)


def benchmarks() -> list[Benchmark]:
    """NWPU VHR-10 detection."""
    return [
        Benchmark(
            name="nwpu-vhr10",
            description="every object of a category that the image holds",
            source=_SOURCE,
            examples=examples,
            parse=parse_boxes,
            judge=judge,
            metrics=metrics,
            main="AP of the example",
        )
    ]


def examples(folder: Path) -> Iterator[Example]:
    """One example for each (image, category present), in the order of image ids and category ids.

    Raises DataError where the annotations name an image or a category that the file does not have.
    """
    path = folder / "annotations.json"
    data = json_file(path)
    try:
        images = {image["id"]: image for image in data["images"]}
        names = {category["id"]: str(category["name"]) for category in data["categories"]}
        boxes: dict[tuple[int, int], list[list[float]]] = defaultdict(list)
        for annotation in data["annotations"]:
            box = box_of(annotation["bbox"])
            if box is None:
                raise ValueError(f"bbox {annotation['bbox']!r}")
            left, top, width, height = box
            boxes[annotation["image_id"], annotation["category_id"]].append([left, top, left + width, top + height])
        for (image_id, category_id), gold in sorted(boxes.items()):
            yield _example(folder, images[image_id], names[category_id], gold)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"`{path}` is no COCO annotation file: {type(error).__name__}: {error}; download it again"
        ) from error


def _example(folder: Path, image: Mapping[str, Any], category: str, gold: list[list[float]]) -> Example:
    view, missing = photo(folder, f"images/{image['file_name']}")
    spoken = category.replace("_", " ")
    truth = {"image": image["id"], "category": category, "boxes": gold, "size": [image["width"], image["height"]]}
    name = f"{image['id']}-{category}"
    return Example(name, str(image["id"]), Prompt((view, PROMPT.format(category=spoken))), truth, "", missing)


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """The AP@[.5:.95] of this image and category alone, by which models are compared; published numbers pool all."""
    return {"AP of the example": average_precision(iou(_found(parsed), _gold(example)))}


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """mAP@[.5:.95] and AP50 over all categories, and the AP of each."""
    return constants.measured(graded, judge, _metrics, ("whole image",))


def _metrics(graded: Sequence[Graded]) -> list[Metric]:
    there = asked(graded)
    matches = [matched(_found(one.parsed), _gold(one.example)) for one in there]
    categories = [str(one.example.truth["category"]) for one in there]
    found = [
        _metric("mAP@[.5:.95]", "", graded, matches, categories, slice(None)),
        _metric("AP50", "", graded, matches, categories, slice(0, 1)),
    ]
    for category in sorted(set(categories)):
        found.append(_metric("AP@[.5:.95]", category, graded, matches, categories, slice(None)))
    return found


def _metric(
    name: str, category: str, graded: Sequence[Graded], matches: list[Matched], categories: list[str], levels: slice
) -> Metric:
    of_category = [one for one in graded if category in ("", one.example.truth["category"])]
    rows = [number for number, found in enumerate(categories) if category in ("", found)]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 1)
    there = asked(of_category)

    def mean_ap(columns: Columns) -> float:
        by_category: dict[str, list[Matched]] = defaultdict(list)
        for row in columns[:, 0].astype(np.intp):
            by_category[categories[row]].append(matches[row])
        return float(np.mean([average_precisions(images)[levels].mean() for images in by_category.values()]))

    return Metric(
        name=name,
        value=mean_ap(columns) if rows else float("nan"),
        unit="share",
        n=len(there),
        n_parsed=sum(one.parsed is not None for one in there),
        n_missing_media=len(of_category) - len(there),
        convention=CONVENTION,
        ci95=bootstrap(columns, [one.example.cluster for one in there], mean_ap, DRAWS) if rows else None,
        task=category,
    )


def _found(parsed: Mapping[str, Any] | None) -> Floats:
    return np.array(boxes_parsed(parsed), dtype=np.float64).reshape(-1, 4)


def _gold(example: Example) -> Floats:
    return np.array(example.truth["boxes"], dtype=np.float64).reshape(-1, 4)
