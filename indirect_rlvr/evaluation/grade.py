"""Turns answers into graded examples, and those into the plain JSON of typed metrics; no model and no files."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.run import digest, plain
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Response

MAX_RESPONSE = 4_000_000
"""A response with more characters is not read: it counts as unparsable."""
SHOWN = 10
"""So many ids stand behind a count."""


def grade(benchmark: Benchmark, examples: Sequence[Example], answers: Mapping[str, Response]) -> list[Graded]:
    """Each example with what was read from its response, in order; one without a response says nothing usable.

    An example with missing media is neither read nor judged. An exception of the benchmark's own functions is a defect:
    it keeps its type and gets a note that names benchmark and example.
    """
    return [_graded(benchmark, example, _parsed(benchmark, example, answers.get(example.id))) for example in examples]


def with_missing(examples: Sequence[Example], missing: Mapping[str, Sequence[str]]) -> list[Example]:
    """The examples, those named in `missing` marked as not askable."""
    return [replace(e, missing=tuple(missing[e.id])) if e.id in missing else e for e in examples]


def measured(benchmark: Benchmark, graded: Sequence[Graded]) -> dict[str, Any]:
    """Every metric as plain JSON, what was missing, and for each flag the metrics with and without its examples.

    Raises DataError where a metric is not what its type promises.
    """
    lost = [one.example.id for one in graded if one.example.missing]
    flags = sorted({flag for one in graded for flag in one.example.flags})
    return {
        "name": benchmark.name,
        "description": benchmark.description,
        "main": benchmark.main,
        "tasks": list(benchmark.tasks),
        "suites": list(benchmark.suites),
        "n_examples": len(graded),
        "missing_media": {"n": len(lost), "first": lost[:SHOWN]},
        "parser_version": benchmark.parser_version,
        "data_revision": benchmark.source.revision if benchmark.source else "",
        "prompt_hash": prompt_hash([one.example for one in graded]),
        "metrics": metrics(benchmark, graded),
        "flags": {flag: _split(benchmark, graded, flag) for flag in flags},
    }


def metrics(benchmark: Benchmark, graded: Sequence[Graded]) -> list[dict[str, Any]]:
    """The benchmark's metrics as plain JSON; a value of nothing (NaN) is null."""
    with _noting(benchmark, "metrics"):
        found = benchmark.metrics(graded)
    return [_json(benchmark, metric) for metric in found]


def prompt_hash(examples: Sequence[Example]) -> str:
    """A digest of every prompt with its id: equal where the same was asked."""
    return digest([[example.id, plain(example.prompt)] for example in examples])[:16]


def items(graded: Sequence[Graded]) -> list[dict[str, Any]]:
    """One row for each example: what a paired comparison of two models needs."""
    return [
        {
            "id": one.example.id, "cluster": one.example.cluster, "task": one.example.task,
            "flags": list(one.example.flags), "prompt": prompt_hash([one.example]),
            "missing": bool(one.example.missing), "parsed": plain(one.parsed), "values": dict(one.values),
        }
        for one in graded
    ]  # fmt: skip


def _parsed(benchmark: Benchmark, example: Example, response: Response | None) -> Mapping[str, Any] | None:
    if response is None or example.missing or len(response.text) > MAX_RESPONSE:
        return None
    with _noting(benchmark, "parse", example.id):
        return benchmark.parse(example, response)


def _graded(benchmark: Benchmark, example: Example, parsed: Mapping[str, Any] | None) -> Graded:
    if example.missing:
        return Graded(example, None, {})
    with _noting(benchmark, "judge", example.id):
        values = benchmark.judge(example, parsed)
    odd = {name: value for name, value in values.items() if not math.isfinite(value)}
    if odd:
        place = f"benchmark `{benchmark.name}`, example `{example.id}`"
        raise DataError(f"{place}: `judge` gave {odd}; leave out a value that does not apply")
    return Graded(example, parsed, values)


@contextmanager
def _noting(benchmark: Benchmark, function: str, item: str = "") -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"in `{function}` of benchmark `{benchmark.name}`" + (f", at example `{item}`" if item else ""))
        raise


def _split(benchmark: Benchmark, graded: Sequence[Graded], flag: str) -> dict[str, Any]:
    inside = [one for one in graded if flag in one.example.flags]
    outside = [one for one in graded if flag not in one.example.flags]
    return {
        "n": len(inside),
        "with": metrics(benchmark, inside),
        "without": metrics(benchmark, outside) if outside else [],
    }


def _json(benchmark: Benchmark, metric: Metric) -> dict[str, Any]:
    numbers = [metric.value, *(metric.ci95 or ()), *metric.baselines.values()]
    place = f"benchmark `{benchmark.name}`, metric `{metric.name}` ({metric.convention})"
    if metric.n and not all(map(math.isfinite, numbers)):
        raise DataError(f"{place}: {numbers} are not all finite over n = {metric.n}; mend the benchmark's `metrics`")
    if metric.unit == "share" and metric.n and not -1e-9 <= metric.value <= 1 + 1e-9:
        raise DataError(f"{place}: a share of {metric.value}; expected a value in [0, 1]")
    found = plain(asdict(metric))
    found["value"] = metric.value if metric.n else None
    found["baselines"] = {name: value for name, value in metric.baselines.items() if math.isfinite(value)}
    return dict(found)
