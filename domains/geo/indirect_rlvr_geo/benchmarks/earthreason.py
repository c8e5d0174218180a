"""EarthReason (SegEarth-R1, arXiv 2504.09644): a mask for what an implicit question is about, or nothing at all.

The prompt is that of the few-shot Geo-R1 (arXiv 2509.21976), which answers with boxes and two points each for SAM 2.1;
without a segmenter the boxes themselves are the mask, and the convention says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Source
from indirect_rlvr_geo.benchmarks import constants
from indirect_rlvr_geo.benchmarks.files import json_file, photo
from indirect_rlvr_geo.benchmarks.masks import EMPTY_IS_ONE, judge_mask, mask_metrics, runs_of_file
from indirect_rlvr_geo.benchmarks.referring import parse_boxes

IMAGES, LABELS, QUESTIONS = (".jpg", ".jpeg", ".png"), (".png",), (".json", ".txt")
TARGET, NO_TARGET = "target", "no target"
PROMPT = """First thinks about the reasoning process in the mind and then provides the user with the answer. \
The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., \
<think> reasoning process here </think><answer> answer here </answer>
Please carefully check the image and answer: {question}. Based on your answer, detect all relevant objects in the \
image.Output each detected target's bbox coordinates in JSON format. The format of the bbox coordinates is:
```json
[
    {{"bbox_2d": [x1, y1, x2, y2], "keypoint1": [x3, y3], "keypoint2": [x4, y4]}},
    {{"bbox_2d": [x1, y1, x2, y2], "keypoint1": [x3, y3], "keypoint2": [x4, y4]}}
]
```
If there are no such targets in the image, simply respond with None."""
_SIZE = "5,434 images with masks, over 30,000 questions; the first of each image is asked"


def benchmarks() -> list[Benchmark]:
    """EarthReason's validation and test splits."""
    return [_benchmark("val"), _benchmark("test")]


def _benchmark(split: str) -> Benchmark:
    return Benchmark(
        name=f"earthreason-{split}",
        description="a mask for what an implicit question is about",
        source=Source(
            homepage="https://huggingface.co/datasets/earth-insights/EarthReason",
            licence="Apache-2.0 (repository)",
            size=_SIZE,
            layout=f"{split}/images/, {split}/labels/ and {split}/QAs/, paired by the sorted order of their files",
            files=(f"{split}/images/*", f"{split}/labels/*.png", f"{split}/QAs/*"),
        ),
        examples=partial(examples, split=split),
        parse=parse_boxes,
        judge=judge,
        metrics=metrics,
        main=EMPTY_IS_ONE,
        tasks=(TARGET, NO_TARGET),
    )


def examples(folder: Path, split: str) -> Iterator[Example]:
    """One example for each image of a split: its first question and its mask, which is empty where nothing is meant.

    Raises DataError where images, labels and questions are not equally many: the order that pairs them would be wrong.
    """
    images, labels, questions = (
        _listed(folder / split / name, suffixes)
        for name, suffixes in (("images", IMAGES), ("labels", LABELS), ("QAs", QUESTIONS))
    )
    if not len(images) == len(labels) == len(questions):
        raise DataError(
            f"`{folder / split}` has {len(images)} images, {len(labels)} labels and {len(questions)} questions; they "
            "are paired by their sorted order, so they must be equally many: download what is missing"
        )
    for image, label, file in zip(images, labels, questions, strict=True):
        asked = json_file(folder / split / "QAs" / file)
        if not isinstance(asked, dict) or not asked.get("questions") or not isinstance(asked["questions"], list):
            raise DataError(f"`{folder / split / 'QAs' / file}` holds no questions; download it again")
        runs = runs_of_file(folder, f"{split}/labels/{label}")
        height, width = runs["size"]
        view, missing = photo(folder, f"{split}/images/{image}")
        truth = {"mask": runs, "size": [width, height]}
        task = TARGET if len(runs["counts"]) > 1 else NO_TARGET
        text = PROMPT.format(question=str(asked["questions"][0]).strip())
        yield Example(f"{split}-{Path(image).stem}", view.content, Prompt((view, text)), truth, task, missing)


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """Intersection, union and IoU of the masks under both empty conventions."""
    return judge_mask(example.truth["mask"], parsed)


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """gIoU, cIoU and P@{.5 … .9} for all questions, and for those with and without a target; beside
    each what answering the whole image, or nothing, wins."""
    return constants.measured(graded, judge, _metrics, ("whole image", "nothing"))


def _metrics(graded: Sequence[Graded]) -> list[Metric]:
    return [metric for task in ("", TARGET, NO_TARGET) for metric in mask_metrics(graded, task)]


def _listed(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """The names of the files with one of the suffixes, sorted as the official loader sorts them."""
    return sorted(
        path.name for path in folder.iterdir() if path.is_file() and path.name.lower().endswith(tuple(suffixes))
    )
