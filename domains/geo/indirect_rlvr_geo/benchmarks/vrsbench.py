"""VRSBench referring expressions (arXiv 2406.12384): one box for one sentence, under both IoU rules in use.

`vrsbench_official` is the benchmark's own rule, on its grid from 0 to 100 with inclusive cells; `pixel` is that of the
few-shot Geo-R1 (arXiv 2509.21976). They disagree on small boxes and are never mixed.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source, View
from indirect_rlvr_geo.benchmarks import constants, overlaps
from indirect_rlvr_geo.benchmarks.boxes_in_text import box_of, released_box
from indirect_rlvr_geo.benchmarks.files import json_rows, photo
from indirect_rlvr_geo.benchmarks.frames import from_grid, on_grid
from indirect_rlvr_geo.benchmarks.referring import accuracies, ious, judged, of_task, parse_box
from indirect_rlvr_geo.benchmarks.truths import distinct

OFFICIAL, PIXEL = "vrsbench_official", "pixel"
RELEASED = "pixel, released reader (whole numbers in braces in <answer>, no rescaling)"
STEPS = 100
SIZE = (512, 512)
"""Every image of VRSBench is 512 pixels square."""
THRESHOLDS = (0.5, 0.7)
UNIQUE, NON_UNIQUE = "unique", "non-unique"
INTRODUCTION = "Please provide the bounding box coordinate of the region this sentence describes: "
PROMPT = (
    "{problem} First output the thinking process in <think> </think> tags and then output the final answer in <answer> "
    "</answer> tags. Output the final answer in JSON format."
)
_TRUTH = re.compile(r"\{?<(\d{1,3})><(\d{1,3})><(\d{1,3})><(\d{1,3})>\}?")
_SOURCE = Source(
    homepage="https://huggingface.co/datasets/xiang709/VRSBench",
    licence="texts CC BY 4.0; images from DOTA and DIOR, academic use only",
    size="16,159 expressions on 9,350 images of 512 × 512 (4.0 GB)",
    layout="VRSBench_EVAL_referring.json, and Images_val.zip unpacked to Images_val/",
    files=("VRSBench_EVAL_referring.json",),
    revision="VRSBench_EVAL_referring.json, 10.3 MB",
)


def benchmarks() -> list[Benchmark]:
    """VRSBench referring."""
    return [
        Benchmark(
            name="vrsbench-referring",
            description="one box for the object that a sentence describes",
            source=_SOURCE,
            examples=examples,
            parse=parse,
            judge=judge,
            metrics=metrics,
            main="hit@0.5",
            tasks=(UNIQUE, NON_UNIQUE),
        )
    ]


def examples(folder: Path) -> Iterator[Example]:
    """One example for each record of the referring file; raises DataError for a record without a usable box."""
    path = folder / "VRSBench_EVAL_referring.json"
    seen: Counter[str] = Counter()
    for row in json_rows(path, ("image_id", "question", "ground_truth", "question_id", "is_unique")):
        written = _TRUTH.fullmatch(str(row["ground_truth"]).strip())
        if written is None or max(map(int, written.groups())) > STEPS:
            raise DataError(
                f"`{path}` question {row['question_id']}: the truth is {row['ground_truth']!r}; expected "
                "{<x1><y1><x2><y2>} on the grid from 0 to 100"
            )
        name, flags = distinct(f"{Path(str(row['image_id'])).stem}-{row['question_id']}", seen)
        view, missing = photo(folder, f"Images_val/{row['image_id']}")
        truth = {"grid": [int(cell) for cell in written.groups()], "size": list(SIZE)}
        unique = str(row["is_unique"]).casefold() == "true"
        yield Example(
            name, view.content, prompt(row, view), truth, UNIQUE if unique else NON_UNIQUE, missing, flags
        )  # fmt: skip


def prompt(row: Mapping[str, Any], view: View) -> Prompt:
    """The image and the wording of the released evaluation of the trained model."""
    question = str(row["question"])
    problem = question if "bounding box" in question.casefold() else INTRODUCTION + question
    return Prompt((view, PROMPT.format(problem=problem)))


def parse(example: Example, response: Response) -> Mapping[str, Any] | None:
    """{"box": pixels of the file} as `referring.parse_box` reads it, and {"released": numbers as written} where the
    released reader of arXiv 2509.21976 finds a box, which need not lie in the image; None where neither does."""
    found, released = parse_box(example, response) or {}, released_box(response.text)
    return {**found, **({} if released is None else {"released": list(released)})} or None


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """IoU, hits, intersection and union under `pixel`, the same under the official rule with the prefix "official ",
    and under the released reader with the prefix "released ".

    A box that was written on the grid comes back to the same cells; one in pixels is rounded to the nearest ones.
    """
    said = parsed or {}
    grid, size = example.truth["grid"], example.truth["size"]
    truth = from_grid((grid[0], grid[1], grid[2], grid[3]), size, STEPS)
    assert truth is not None, "the loader checked the cells"
    box = box_of(said.get("box"))
    cells = None if box is None else on_grid(box, size, STEPS)
    return {
        **judged("", box, truth, overlaps.pixel, THRESHOLDS, at_least=False),
        **judged("official ", cells, grid, overlaps.inclusive, THRESHOLDS, at_least=True),
        **judged("released ", said.get("released"), truth, overlaps.pixel, THRESHOLDS, at_least=False),
    }


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """Acc@0.5 and Acc@0.7 for all, unique and non-unique objects under each convention; mean and cumulative IoU;
    beside each what a box around the whole image wins."""
    return constants.measured(graded, judge, _metrics, ("whole image",))


def _metrics(graded: Sequence[Graded]) -> list[Metric]:
    found = []
    for task in ("", UNIQUE, NON_UNIQUE):
        applies = of_task(task)
        for prefix, convention in (("", PIXEL), ("official ", OFFICIAL), ("released ", RELEASED)):
            found += accuracies(graded, prefix, THRESHOLDS, convention, task, applies)
        for prefix, convention in (("", PIXEL), ("official ", OFFICIAL)):
            found += ious(graded, prefix, convention, task, applies)
    return found
