"""DIOR-RSVG (IEEE TGRS 2023, arXiv 2210.12634): one box for one sentence on images of 800 pixels square."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Source
from indirect_rlvr_geo.benchmarks import constants, overlaps
from indirect_rlvr_geo.benchmarks.boxes_in_text import box_of
from indirect_rlvr_geo.benchmarks.files import photo, table, xml_file
from indirect_rlvr_geo.benchmarks.referring import accuracies, ious, judged, of_task, parse_box
from indirect_rlvr_geo.benchmarks.truths import distinct
from indirect_rlvr_geo.benchmarks.vrsbench import INTRODUCTION, PROMPT

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
LARGEST = 800
"""Pixels of a side; larger coordinates come from a re-release that put boxes on a grid from 0 to 999."""
RESCALED_STEPS = 999
_SOURCE = Source(
    homepage="https://github.com/ZhanYang-nwpu/RSVG-pytorch",
    licence="none stated; images from DIOR, academic use",
    size="38,320 expressions on 17,402 images: 26,991 train, 3,829 val, 7,500 test",
    layout="test.txt (the split's numbers of objects), Annotations/*.xml and JPEGImages/*.jpg",
    files=("test.txt", "Annotations/*.xml"),
)


@dataclass(frozen=True, slots=True)
class Object:
    """One annotated object: its image file and the image's (width, height), its box (x1, y1, x2, y2), its sentence."""

    image: str
    size: tuple[int, int]
    box: tuple[float, ...]
    sentence: str


def benchmarks() -> list[Benchmark]:
    """The test split of DIOR-RSVG."""
    return [
        Benchmark(
            name="dior-rsvg",
            description="one box for the object that a sentence describes",
            source=_SOURCE,
            examples=examples,
            parse=parse_box,
            judge=judge,
            metrics=metrics,
            main="hit@0.5",
        )
    ]


def examples(folder: Path) -> Iterator[Example]:
    """One example for each number in test.txt, which counts the objects of all annotations in the order of their files.

    The official loader takes the files as the file system lists them; sorted by name is the order the numbers were made
    in. Boxes larger than the images are taken back to pixels and flagged. Raises DataError for a number too many.
    """
    objects = [each for path in sorted((folder / "Annotations").glob("*.xml")) for each in _objects(path)]
    rescaled = any(max(each.box) > LARGEST for each in objects)
    seen: Counter[str] = Counter()
    for line, (written, *_) in table(folder / "test.txt", 1):
        if not written.strip().isdecimal() or int(written) >= len(objects):
            raise DataError(
                f"`{folder / 'test.txt'}` line {line} is {written!r}; expected the number of one of the {len(objects)} "
                "objects in Annotations/, from 0: the annotations are not complete, or the split belongs to others"
            )
        found = objects[int(written)]
        name, flags = distinct(written.strip(), seen)
        view, missing = photo(folder, f"JPEGImages/{found.image}")
        sides = (*found.size, *found.size)
        box = [v * side / RESCALED_STEPS for v, side in zip(found.box, sides, strict=True)] if rescaled else found.box
        truth = {"box": list(box), "size": list(found.size)}
        text = PROMPT.format(problem=INTRODUCTION + found.sentence)
        flags += ("boxes re-scaled from 0..999",) if rescaled else ()
        yield Example(name, view.content, Prompt((view, text)), truth, "", missing, flags)


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """IoU, hits, intersection and union in continuous pixels, as the benchmark's own code computes them, and the hits
    of the rule "exceeded" of arXiv 2509.21976 with the prefix "pixel "."""
    box, truth = (parsed or {}).get("box"), example.truth["box"]
    return {
        **judged("", box, truth, overlaps.continuous, THRESHOLDS, at_least=True),
        **judged("pixel ", box, truth, overlaps.pixel, THRESHOLDS, at_least=False),
    }


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """Pr@{.5 … .9}, mean IoU and cumulative IoU; and Pr under the rule of arXiv 2509.21976; beside
    each what a box around the whole image wins."""
    return constants.measured(graded, judge, _metrics, ("whole image",))


def _metrics(graded: Sequence[Graded]) -> list[Metric]:
    everything = of_task("")
    return [
        *accuracies(graded, "", THRESHOLDS, "continuous", "", everything),
        *ious(graded, "", "continuous", "", everything),
        *accuracies(graded, "pixel ", THRESHOLDS, "pixel", "", everything),
    ]


def _objects(path: Path) -> Iterator[Object]:
    root = xml_file(path)
    for member in root.findall("object"):
        try:
            sides = [float(member.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")]
            size = int(root.findtext("size/width", "")), int(root.findtext("size/height", ""))
            image, sentence = root.findtext("filename", ""), member.findtext("description", "")
            if not image or not sentence.strip() or min(size) <= 0 or box_of(sides) is None:
                raise ValueError("filename, size, description and a finite box are needed")
        except ValueError as error:
            raise DataError(f"`{path}` holds an object that cannot be used: {error}; download it again") from error
        yield Object(image, size, tuple(sides), sentence.strip())
