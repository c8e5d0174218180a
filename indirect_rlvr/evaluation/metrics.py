"""What turns graded examples into metrics, for authors of benchmarks: denominators, intervals, macro means, baselines.

Examples with missing media are never in a denominator; they are counted in `Metric.n_missing_media`.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.evaluation.stats import CONFIDENCE, accuracy_interval
from indirect_rlvr.types import Example, Graded, Metric

Columns = NDArray[np.float64]
Statistic = Callable[[Columns], float]
Unit = Literal["share", "km", "points"]
DRAWS = 1000
STRICT = "strict"
"""The convention in which every example that was asked counts, and one without a usable answer is wrong."""


def asked(graded: Iterable[Graded]) -> list[Graded]:
    """The examples whose media are all there."""
    return [one for one in graded if not one.example.missing]


def share(
    graded: Sequence[Graded],
    value: str,
    convention: str = STRICT,
    *,
    name: str = "",
    task: str = "",
    absent: float | None = 0.0,
    applies: Callable[[Example], bool] | None = None,
    baselines: Mapping[str, float] | None = None,
) -> Metric:
    """The mean of a per-example value in [0, 1], with a clustered 95 % interval (Wilson for zeros and ones).

    `absent` is what an example without the value counts as: 0.0 is the strict denominator, None leaves the example out
    (pairwise-valid denominators). `applies` takes examples out whose truth lacks what the value needs. `name` is
    `value` where not given. The value is NaN where nothing is left.
    """
    found = aggregate(
        graded, (value,), _mean, convention, name=name or value, task=task, absent=absent, applies=applies,
        baselines=baselines, draws=0,
    )  # fmt: skip
    columns, clusters = _columns(graded, (value,), absent, applies)
    return replace(found, ci95=_share_interval(columns, clusters))


def aggregate(
    graded: Sequence[Graded],
    values: Sequence[str],
    statistic: Statistic,
    convention: str = STRICT,
    *,
    name: str,
    unit: Unit = "share",
    task: str = "",
    absent: float | None = None,
    applies: Callable[[Example], bool] | None = None,
    baselines: Mapping[str, float] | None = None,
    higher_is_better: bool = True,
    draws: int = DRAWS,
) -> Metric:
    """Any statistic of per-example values, with a bootstrap interval over clusters: medians, means, ratios of sums.

    `statistic` gets a float array of shape (examples, len(values)). An example counts where it has all values; absent
    ones are `absent` where that is a number. For example cIoU: `aggregate(graded, ("intersection", "union"),
    lambda c: c[:, 0].sum() / c[:, 1].sum(), name="cIoU")`.
    """
    columns, clusters = _columns(graded, values, absent, applies)
    counted = [one for one in _applying(asked(graded), applies) if _row(one, values, absent) is not None]
    return Metric(
        name=name,
        value=_defined(statistic, columns),
        unit=unit,
        n=len(columns),
        n_parsed=sum(one.parsed is not None for one in counted),
        n_missing_media=sum(bool(one.example.missing) for one in _applying(graded, applies)),
        convention=convention,
        ci95=bootstrap(columns, clusters, statistic, draws),
        task=task,
        baselines=dict(baselines or {}),
        higher_is_better=higher_is_better,
    )


def per_task(
    graded: Sequence[Graded],
    tasks: Sequence[str],
    metric: Callable[[Sequence[Graded], str], Metric],
    *,
    value: str,
    absent: float | None = 0.0,
) -> list[Metric]:
    """`metric(examples of a task, task)` for each sub-task, and their unweighted mean as one more metric, "macro …".

    The macro mean is of `Metric.value` over the tasks that have examples, and its name says so where some have none.
    Its interval is a bootstrap of the mean of `value` in each task, over clusters of all tasks together, because tasks
    often ask about the same images; it is None where that mean is not what `metric` gives.
    """
    by_task: dict[str, list[Graded]] = {task: [] for task in tasks}
    for one in graded:
        if one.example.task in by_task:
            by_task[one.example.task].append(one)
    found = [metric(by_task[task], task) for task in tasks]
    there = [each for each in found if each.n]
    if not there:
        return found
    named = f"macro {there[0].name}" + (f" ({len(there)} of {len(tasks)} tasks)" if len(there) < len(tasks) else "")
    together = replace(
        there[0],
        name=named,
        task="",
        value=float(np.mean([each.value for each in there])),
        n=sum(each.n for each in there),
        n_parsed=sum(each.n_parsed for each in there),
        n_missing_media=sum(each.n_missing_media for each in found),
        baselines={
            key: float(np.mean([each.baselines[key] for each in there]))
            for key in there[0].baselines
            if all(key in each.baselines for each in there)
        },
        ci95=None,
    )
    return [*found, replace(together, ci95=_macro_interval(graded, tasks, value, absent, together.value))]


def bootstrap(
    columns: Columns, clusters: Sequence[Hashable], statistic: Statistic, draws: int = DRAWS
) -> tuple[float, float] | None:
    """The percentile interval (95 %) of `statistic` when whole clusters are drawn anew; the same every time.

    `columns` has one row for each example. None where there are fewer than two clusters or no draws. Draws in which the
    statistic is undefined (NaN) are left out.
    """
    number = {cluster: index for index, cluster in enumerate(dict.fromkeys(clusters))}
    if len(number) < 2 or draws < 1:
        return None
    place = np.asarray([number[cluster] for cluster in clusters])
    rng = np.random.default_rng(len(number))
    found = np.empty(draws)
    for draw in range(draws):
        times = np.bincount(rng.integers(len(number), size=len(number)), minlength=len(number))
        found[draw] = _defined(statistic, np.repeat(columns, times[place], axis=0))
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def majority(answers: Sequence[Hashable]) -> float:
    """The share that the most frequent right answer has: what "always the same" wins; NaN where there is none."""
    return Counter(answers).most_common(1)[0][1] / len(answers) if answers else float("nan")


def chance(options: Sequence[int]) -> float:
    """What a uniform guess wins, given the number of options of each example; NaN where there is none."""
    return fsum(1 / number for number in options) / len(options) if options else float("nan")


def _applying(graded: Iterable[Graded], applies: Callable[[Example], bool] | None) -> list[Graded]:
    return [one for one in graded if applies is None or applies(one.example)]


def _row(one: Graded, values: Sequence[str], absent: float | None) -> list[float] | None:
    row = [one.values.get(value, absent) for value in values]
    return None if None in row else [float(number) for number in row if number is not None]


def _columns(
    graded: Sequence[Graded],
    values: Sequence[str],
    absent: float | None,
    applies: Callable[[Example], bool] | None,
) -> tuple[Columns, list[str]]:
    pairs = [(_row(one, values, absent), one.example.cluster) for one in _applying(asked(graded), applies)]
    rows = [(row, cluster) for row, cluster in pairs if row is not None]
    columns = np.array([row for row, _ in rows], dtype=np.float64).reshape(len(rows), len(values))
    return columns, [cluster for _, cluster in rows]


def _mean(columns: Columns) -> float:
    return float(columns[:, 0].mean())


def _defined(statistic: Statistic, columns: Columns) -> float:
    """NaN of nothing; a ratio whose denominator vanishes is NaN as well."""
    if not len(columns):
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(statistic(columns))


def _share_interval(columns: Columns, clusters: Sequence[str]) -> tuple[float, float] | None:
    numbers = columns[:, 0]
    if not len(numbers):
        return None
    if set(np.unique(numbers)) <= {0.0, 1.0}:
        return accuracy_interval([bool(number) for number in numbers], clusters)
    return bootstrap(columns, clusters, _mean)


def _macro_interval(
    graded: Sequence[Graded], tasks: Sequence[str], value: str, absent: float | None, expected: float
) -> tuple[float, float] | None:
    number = {task: index for index, task in enumerate(tasks)}
    kept = [
        (row[0], number[one.example.task], one.example.cluster)
        for one in asked(graded)
        if one.example.task in number and (row := _row(one, (value,), absent)) is not None
    ]
    columns = np.array([(first, task) for first, task, _ in kept], dtype=np.float64).reshape(len(kept), 2)
    if not abs(_defined(_macro, columns) - expected) < 1e-9:
        return None
    return bootstrap(columns, [cluster for *_, cluster in kept], _macro)


def _macro(columns: Columns) -> float:
    task = columns[:, 1].astype(np.intp)
    counts = np.bincount(task)
    sums = np.bincount(task, weights=columns[:, 0])
    return float((sums[counts > 0] / counts[counts > 0]).mean())
