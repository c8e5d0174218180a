"""Accuracy against difficulty: what policies answered, by how hard their tasks are.

The answers come from any file of rollouts or predictions; asking a model for them is left to `asked`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from indirect_rlvr import shapes
from indirect_rlvr.config import load_recipe
from indirect_rlvr.data import proxy
from indirect_rlvr.data.difficulty import MEASURES
from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation import asking
from indirect_rlvr.evaluation.benchmark import PROXY
from indirect_rlvr.evaluation.stats import accuracy_interval
from indirect_rlvr.rewards.parsing import parse_answer
from indirect_rlvr.run import file_digest, plain, read_jsonl
from indirect_rlvr.types import ProxyTask

BINS = 5
"""A measure with more values than this is cut into so many parts, each with about as many tasks."""

Answered = Sequence[tuple[ProxyTask, bool]]


@dataclass(frozen=True, slots=True)
class Bin:
    """Tasks whose measure lies in [low, high], and how one policy did on them; `n` counts its answers."""

    low: float
    high: float
    n: int
    clusters: int
    accuracy: float
    ci95: tuple[float, float]


def answered(tasks: Sequence[ProxyTask], path: Path) -> list[tuple[ProxyTask, bool]]:
    """Each line of a file of rollouts (`task_id`, `text`) or predictions (`id`, `text`): its task, and whether the
    text gives the right answer. A task may come any number of times.

    Raises DataError for a line without these, one of no task of `tasks`, or an empty file.
    """
    by_id = {task.id: task for task in tasks}
    found = []
    for number, row in enumerate(read_jsonl(path), 1):
        name = row.get("task_id", row.get("id")) if isinstance(row, dict) else None
        if not isinstance(name, str) or not isinstance(row.get("text"), str):
            raise DataError(f"`{path}` line {number}: expected `text` and the id of a task as `task_id` or `id`")
        if name not in by_id:
            raise DataError(
                f"`{path}` line {number} answers {name!r:.80}, which is none of the {len(by_id)} tasks; give answers "
                "to tasks of this run and split"
            )
        task = by_id[name]
        found.append((task, parse_answer(row["text"], task.labels) == task.answer))
    if not found:
        raise DataError(f"`{path}` holds no answer; let a policy answer these tasks first")
    return found


def with_pass_rate(tasks: Sequence[ProxyTask], answers: Answered) -> list[ProxyTask]:
    """The tasks with `pass_rate` in [0, 1], those of candidate sets without an answer unchanged.

    It is one value for all tasks of a candidate set, the mean over its tasks of the share of right answers, so that
    no choice by it can tell which member of a set is asked for.
    """
    by_task: dict[str, list[bool]] = defaultdict(list)
    for task, right in answers:
        by_task[task.id].append(right)
    by_set: dict[frozenset[str], list[float]] = defaultdict(list)
    for task in tasks:
        if task.id in by_task:
            by_set[frozenset(task.candidate_records)].append(sum(by_task[task.id]) / len(by_task[task.id]))
    found = []
    for task in tasks:
        shares = by_set.get(frozenset(task.candidate_records))
        measured = {**task.difficulty, "pass_rate": sum(shares) / len(shares)} if shares else task.difficulty
        found.append(replace(task, difficulty=measured))
    return found


def against(run: Path, model: Path | None = None) -> dict[str, Any]:
    """Accuracy against every measure the run's tasks have, as JSON: for the held-out answers of each evaluated row,
    or for one `model`: a file of answers, or a folder, whose model is asked the held-out tasks.

    Raises DataError where there is no task, no measure or no answer.
    """
    tasks = proxy.read(run / "tasks.jsonl")
    if model is not None:
        files = {model.name: asked(run, model, tasks)}
    elif (run / "results.json").exists():
        rows = [row["model"] for row in shapes.read(run / "results.json", shapes.Rows)["rows"]]
        files = {row: run / "evaluation" / row / f"{PROXY}.jsonl" for row in rows}
    else:
        raise DataError(f"`{run}` has no evaluated row; run the stage evaluate, or give --model")
    return table({name: answered(tasks, path) for name, path in files.items()}, str(run / "tasks.jsonl"))


def asked(run: Path, model: Path, tasks: Sequence[ProxyTask]) -> Path:
    """The file of a model's answers: `model` itself where it is a file; else its folder's model is asked the held-out
    tasks of the evaluation, greedily, and the answers are kept in `difficulty/` of the run.

    Raises DataError where `model` is neither.
    """
    if model.is_file():
        return model
    if not model.is_dir():
        raise DataError(f"`{model}` is neither a folder with a model nor a file of answers; give one of them")
    import torch

    from indirect_rlvr.domain import load_domain
    from indirect_rlvr.training.policies import policy

    recipe = load_recipe(run / "recipe.toml", [])
    torch.set_num_threads(recipe.threads)
    domain = load_domain(recipe.domain, recipe.records)
    held_out = [task for task in tasks if task.split == "test"][: recipe.evaluation.tasks]
    path = run / "difficulty" / f"{model.resolve().name}.jsonl"
    row, data = policy(model.name, model, recipe), file_digest(run / "records" / "records.jsonl")
    queries = [asking.query(row, task.id, domain.render(task), data) for task in held_out]
    asking.ask(row.load, path, queries, run / "records", f"ask {model.name}")
    return path


def table(answers: Mapping[str, Answered], place: str) -> dict[str, Any]:
    """`chance`, and for each measure its meaning, its hard end and the bins of every model; bins are the same for all.

    `place` is named in the DataError where no task has a measure.
    """
    tasks = {task.id: task for found in answers.values() for task, _ in found}.values()
    names = [name for name in MEASURES if any(name in task.difficulty for task in tasks)]
    if not names:
        raise DataError(f"no task of `{place}` has a measure of difficulty; run the stage tasks again")
    measures = {}
    for name in names:
        edges = _edges([task.difficulty[name] for task in tasks if name in task.difficulty])
        rows = {model: plain(bins(found, name, edges)) for model, found in answers.items()}
        measures[name] = {"about": MEASURES[name].about, "hard": MEASURES[name].hard, "models": rows}
    return {"chance": sum(1 / len(task.labels) for task in tasks) / len(tasks), "measures": measures}


def bins(answers: Answered, measure: str, edges: Sequence[float]) -> list[Bin]:
    """The answers by their task's measure, cut at `edges` (each the low end of a bin, ascending); empty bins are left
    out, and so are tasks without the measure. Intervals are those of `stats.accuracy_interval`."""
    parts: dict[int, list[tuple[ProxyTask, bool]]] = defaultdict(list)
    for task, right in answers:
        if measure in task.difficulty:
            at = int(np.searchsorted(edges, task.difficulty[measure], side="right")) - 1
            parts[at].append((task, right))
    return [_bin(parts[at], measure) for at in sorted(parts)]


def _bin(answers: Answered, measure: str) -> Bin:
    values = [task.difficulty[measure] for task, _ in answers]
    right, clusters = [right for _, right in answers], [task.cluster for task, _ in answers]
    return Bin(
        low=min(values),
        high=max(values),
        n=len(right),
        clusters=len(set(clusters)),
        accuracy=sum(right) / len(right),
        ci95=accuracy_interval(right, clusters),
    )


def _edges(values: Sequence[float]) -> list[float]:
    """The low ends of the bins: each value where there are few, else quantiles that are values themselves."""
    distinct = sorted(set(values))
    if len(distinct) <= BINS:
        return distinct
    ranked = sorted(values)
    return sorted({ranked[part * len(ranked) // BINS] for part in range(BINS)})
