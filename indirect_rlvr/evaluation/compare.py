"""Compares two evaluation folders item by item: which target tasks improved, which got worse, and how sure that is.

The two must have been asked the same: same items, same prompts, same release of data and parser.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.items import Item, items, require_same, require_same_items, results
from indirect_rlvr.evaluation.stats import Paired, holm, paired, paired_values
from indirect_rlvr.evaluation.transfer import ALPHA, direction
from indirect_rlvr.run import plain

FARTHEST_KM = 20_015.1
"""Half the earth's circumference: what an answer without a position counts as, where the other side gave one."""
Unit = Literal["share", "km", "points"]
Verdict = Literal["improved", "worse", "no measurable change"]
WORDS: dict[str, Verdict] = {"rose": "improved", "fell": "worse", "no measurable change": "no measurable change"}


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One target task on both sides.

    `first` and `second` are means of the value `main`, for distances (`km`, or a name that ends in km) medians; the
    unit is "points" where a value exceeds 1, such as a GeoScore. `gain` is the share of items that got better minus the
    share that got worse, in [-1, 1]; where all values are 0 or 1 that is the gain in accuracy, and `test` is McNemar's,
    else Wilcoxon's. `ci95` is clustered, `p_holm` is corrected for all tasks compared together.
    """

    benchmark: str
    task: str
    main: str
    n: int
    first: float
    second: float
    unit: Unit
    test: Literal["McNemar", "Wilcoxon"]
    gain: float
    ci95: tuple[float, float]
    p_value: float
    p_holm: float
    verdict: Verdict


def compare(first: Path, second: Path) -> dict[str, Any]:
    """Every target task that both evaluation folders measured, as plain JSON, with the count of those that improved.

    `not_compared` names what is left out and why. Raises DataError where a folder holds no evaluation, where nothing is
    common to both, or where the two were not asked the same.
    """
    sides = results(first), results(second)
    benchmarks = [{row["name"]: row for row in side["benchmarks"]} for side in sides]
    common = [name for name in benchmarks[0] if name in benchmarks[1]]
    if not common:
        raise DataError(f"`{first}` and `{second}` have no benchmark in common: {list(benchmarks[0])} and "
                        f"{list(benchmarks[1])}; evaluate both with the same --suite")  # fmt: skip
    left_out = [
        {"benchmark": name, "task": "", "why": f"only in `{folder}`"}
        for folder, mine in zip((first, second), benchmarks, strict=True)
        for name in mine
        if name not in common
    ]
    found: list[TaskComparison] = []
    for name in common:
        rows = benchmarks[0][name], benchmarks[1][name]
        require_same(name, rows, (first, second))
        made, empty = _benchmark(rows[0], first, second)
        found += made
        left_out += [{"benchmark": name, "task": task, "why": "nothing was asked"} for task in empty]
    tasks = _corrected(found)
    return {
        "first": {"folder": str(first), "model": sides[0].get("model")},
        "second": {"folder": str(second), "model": sides[1].get("model")},
        "tasks": plain(tasks),
        **count(tasks),
        "not_compared": left_out,
    }


def count(tasks: Sequence[TaskComparison]) -> dict[str, Any]:
    """How many of the tasks improved and got worse, and the sentence that says so."""
    improved, worse = (sum(task.verdict == word for task in tasks) for word in ("improved", "worse"))
    same, noun = len(tasks) - improved - worse, "target task" if len(tasks) == 1 else "target tasks"
    return {
        "improved": improved,
        "worse": worse,
        "statement": (
            f"{improved} of {len(tasks)} {noun} improved, {worse} got worse and {same} did not change measurably "
            f"(p < {ALPHA} after Holm's correction for {len(tasks)}, and an interval without zero)."
        ),
    }


def _benchmark(result: Mapping[str, Any], first: Path, second: Path) -> tuple[list[TaskComparison], list[str]]:
    """The comparison of each sub-task, not corrected yet, and the sub-tasks of which nothing was asked."""
    name, main = result["name"], result["main"]
    sides = [items(folder / "items" / f"{name}.jsonl", main) for folder in (first, second)]
    require_same_items(name, sides, (first, second))
    pairs: dict[str, list[tuple[Item, Item]]] = {task: [] for task in result["tasks"]}
    for one in sides[0].values():
        if one.task in pairs and not one.is_missing:
            pairs[one.task].append((one, sides[1][one.id]))
    found = {task: _task(name, task, main, rows) for task, rows in pairs.items()}
    return [each for each in found.values() if each], [task for task, each in found.items() if not each]


def _task(name: str, task: str, main: str, pairs: Sequence[tuple[Item, Item]]) -> TaskComparison | None:
    is_distance = main == "km" or main.endswith((" km", "_km"))
    worst = FARTHEST_KM if is_distance else 0.0
    kept = [(a, b) for a, b in pairs if _applies(a, b)]
    if not kept:
        return None
    before = [worst if a.value is None else a.value for a, _ in kept]
    after = [worst if b.value is None else b.value for _, b in kept]
    clusters = [a.cluster for a, _ in kept]
    is_binary = not is_distance and {*before, *after} <= {0.0, 1.0}
    sign = -1.0 if is_distance else 1.0
    made = (
        paired([x == 1.0 for x in before], [x == 1.0 for x in after], clusters)
        if is_binary
        else paired_values([sign * x for x in before], [sign * x for x in after], clusters)
    )
    middle = median if is_distance else fmean
    unit: Unit = "km" if is_distance else "share" if max(*before, *after) <= 1 else "points"
    return TaskComparison(
        name, task, main, len(kept), float(middle(before)), float(middle(after)), unit,
        "McNemar" if is_binary else "Wilcoxon", made.gain, made.ci95, made.p_value, made.p_value,
        "no measurable change",
    )  # fmt: skip


def _applies(first: Item, second: Item) -> bool:
    """Whether the value says anything of this item: an answer nobody could read is the worst one, but a value that is
    absent on both sides although something was read does not apply to the item."""
    if first.value is None and second.value is None:
        return not (first.is_parsed or second.is_parsed)
    return True


def _corrected(tasks: Sequence[TaskComparison]) -> list[TaskComparison]:
    corrected = holm([task.p_value for task in tasks])
    return [
        replace(task, p_holm=p, verdict=WORDS[direction(Paired(task.gain, task.ci95, p))])
        for task, p in zip(tasks, corrected, strict=True)
    ]
