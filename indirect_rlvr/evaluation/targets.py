"""The target tasks of a run, made from its own held-out records: the first row against the last, as plain JSON."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation import transfer
from indirect_rlvr.evaluation.score import NONE
from indirect_rlvr.evaluation.stats import paired
from indirect_rlvr.types import Benchmark, Graded, Metric


def target(
    benchmark: Benchmark, ends: tuple[str, str], graded: tuple[Sequence[Graded], Sequence[Graded]]
) -> dict[str, Any]:
    """The results of one target task for the first and the last row.

    The accuracy is the benchmark's first metric; rows are compared by its `main` value. Raises DataError where that is
    not right or wrong for each example, or nothing was asked.
    """
    right = [[_right(benchmark, one) for one in row] for row in graded]
    if not right[0]:
        raise DataError(f"target task `{benchmark.name}` has no example; raise evaluation.targets, or leave it out")
    metrics = [_first(benchmark, row) for row in graded]
    names = [transfer.key(model) for model in ends]
    return {
        "name": benchmark.name,
        "description": benchmark.description,
        "n": metrics[0].n,
        "chance": metrics[0].baselines.get("chance", 0.0),
        **{name: metric.value for name, metric in zip(names, metrics, strict=True)},
        "ci95": {name: list(metric.ci95 or ()) for name, metric in zip(names, metrics, strict=True)},
        "answer_histogram": {name: _answers(row) for name, row in zip(names, graded, strict=True)},
        "unparsable": {name: metric.n - metric.n_parsed for name, metric in zip(names, metrics, strict=True)},
        **transfer.comparison_json(paired(right[0], right[1], [one.example.cluster for one in graded[0]])),
    }


def _first(benchmark: Benchmark, graded: Sequence[Graded]) -> Metric:
    return benchmark.metrics(graded)[0]


def _answers(graded: Sequence[Graded]) -> dict[str, int]:
    """How often each label was chosen, and how often none was; empty where there are no labels to choose from."""
    labels = dict.fromkeys(label for one in graded for label in one.example.truth.get("labels", ()))
    chosen = Counter(NONE if one.parsed is None else one.parsed.get("answer", NONE) for one in graded)
    return {label: chosen[label] for label in (*labels, NONE)} if labels else {}


def _right(benchmark: Benchmark, one: Graded) -> bool:
    value = one.values.get(benchmark.main)
    if value not in (0.0, 1.0):
        raise DataError(
            f"target task `{benchmark.name}`, example `{one.example.id}`: `{benchmark.main}` is {value}; targets from "
            "held-out records are judged right or wrong, 1.0 or 0.0: name such a value in `main`"
        )
    return value == 1.0
