"""RRSIS-D (RMSIN, CVPR 2024, arXiv 2312.12470): a mask for one sentence, in the layout of the REFER tools."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.shapes import mask_of
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Source
from indirect_rlvr_geo.benchmarks import constants
from indirect_rlvr_geo.benchmarks.earthreason import PROMPT, judge
from indirect_rlvr_geo.benchmarks.files import json_file, json_rows, photo
from indirect_rlvr_geo.benchmarks.masks import EMPTY_IS_ZERO, mask_metrics
from indirect_rlvr_geo.benchmarks.referring import parse_boxes
from indirect_rlvr_geo.benchmarks.truths import distinct

_SOURCE = Source(
    homepage="https://github.com/Lsan2401/RMSIN",
    licence="none stated; images from DIOR, academic use",
    size="17,402 images with a sentence and a mask each; test split 3,481",
    layout=(
        "rrsisd/instances.json as released; rrsisd/refs.json, the list in the released rrsisd/refs(unc).p written as "
        "JSON (a pickle runs whatever its author put in, so it is not opened here); images/rrsisd/JPEGImages/*.jpg"
    ),
    files=("rrsisd/instances.json", "rrsisd/refs.json"),
)


def benchmarks() -> list[Benchmark]:
    """The test split of RRSIS-D."""
    return [
        Benchmark(
            name="rrsis-d",
            description="a mask for the object that a sentence describes",
            source=_SOURCE,
            examples=examples,
            parse=parse_boxes,
            judge=judge,
            metrics=metrics,
            main=EMPTY_IS_ZERO,
        )
    ]


def examples(folder: Path) -> Iterator[Example]:
    """One example for each sentence of a reference whose split is "test".

    References find their image and mask by `image_id` and `ann_id`; the SegEarth-R1 loader uses the reference's own
    number instead, which is the same only as long as each image has one. Raises DataError where either is not there.
    """
    path = folder / "rrsisd" / "instances.json"
    data = json_file(path)
    try:
        images = {image["id"]: image for image in data["images"]}
        annotations = {annotation["id"]: annotation for annotation in data["annotations"]}
    except (KeyError, TypeError) as error:
        raise DataError(f"`{path}` is no annotation file: {error}; download it again") from error
    seen: Counter[str] = Counter()
    for ref in json_rows(folder / "rrsisd" / "refs.json", ("ref_id", "ann_id", "image_id", "split", "sentences")):
        if "test" not in str(ref["split"]):
            continue
        if ref["image_id"] not in images or ref["ann_id"] not in annotations:
            raise DataError(f"`{path}` has no image {ref['image_id']!r} or no mask {ref['ann_id']!r} of a reference")
        yield from _of_reference(folder, ref, images[ref["image_id"]], annotations[ref["ann_id"]], seen)


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """gIoU (RMSIN's mIoU), cIoU (its oIoU) and P@{.5 … .9}; the official code is the convention empty=0."""
    return constants.measured(graded, judge, mask_metrics, ("whole image",))


def _of_reference(
    folder: Path, ref: Mapping[str, Any], image: Mapping[str, Any], annotation: Mapping[str, Any], seen: Counter[str]
) -> Iterator[Example]:
    runs = _runs(annotation)
    view, missing = photo(folder, f"images/rrsisd/JPEGImages/{image['file_name']}")
    truth = {"mask": runs, "size": [runs["size"][1], runs["size"][0]]}
    for sentence in ref["sentences"]:
        name, flags = distinct(f"{ref['ref_id']}", seen)
        text = PROMPT.format(question=str(sentence.get("raw") or sentence["sent"]).strip())
        yield Example(name, view.content, Prompt((view, text)), truth, "", missing, flags)


def _runs(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """The one run-length mask of an annotation; raises DataError for polygons, several masks and what is no mask."""
    found = annotation.get("segmentation")
    runs = found[0] if isinstance(found, list) and len(found) == 1 else found
    mask = mask_of({key: runs[key] for key in ("size", "counts") if key in runs}) if isinstance(runs, dict) else None
    if mask is None:
        raise DataError(
            f"annotation {annotation.get('id')!r}: expected one run-length mask; download instances.json again"
        )
    counts = np.diff(mask.boundaries, prepend=0).tolist()
    return {"size": [mask.height, mask.width], "counts": counts}
