"""What an answer that is always the same wins: the whole image as one box, or nothing; baselines of each metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from indirect_rlvr.evaluation.metrics import asked
from indirect_rlvr.types import Example, Graded, Metric

Parsed = Mapping[str, Any]
Judge = Callable[[Example, Parsed | None], Mapping[str, float]]
Measure = Callable[[Sequence[Graded]], Sequence[Metric]]


def whole_image(example: Example) -> Parsed:
    """One box around the image of `truth["size"]`, in the fields of every kind of box."""
    width, height = example.truth["size"]
    box = [0.0, 0.0, float(width), float(height)]
    return {"box": box, "released": box, "boxes": [box], "labels": [""]}


def nothing(example: Example) -> Parsed:
    """No box at all, said clearly."""
    return {"boxes": [], "labels": []}


CONSTANTS = {"whole image": whole_image, "nothing": nothing}


def measured(graded: Sequence[Graded], judge: Judge, measure: Measure, constants: Sequence[str]) -> list[Metric]:
    """The metrics of `measure`, each with what the named constant answers win as baselines, by the same formulas."""
    found = list(measure(graded))
    for name in constants:
        said = [_saying(one.example, CONSTANTS[name], judge) for one in asked(graded)]
        won = {_key(metric): metric.value for metric in measure(said)}
        found = [
            replace(metric, baselines={**metric.baselines, name: won[_key(metric)]}) if _key(metric) in won else metric
            for metric in found
        ]
    return found


def _saying(example: Example, say: Callable[[Example], Parsed], judge: Judge) -> Graded:
    return Graded(example, say(example), judge(example, say(example)))


def _key(metric: Metric) -> tuple[str, str, str]:
    return metric.task, metric.name, metric.convention
