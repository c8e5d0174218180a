"""The rows of a run: asks its policies the held-out tasks, their controls and the target tasks, and scores them.

It knows no model: a policy is a function from prompts to answers. Answers that are on disk for the same policy and the
same prompts are not asked for again, so an interrupted evaluation continues where it stopped.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from indirect_rlvr import processes
from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation import asking, targets, transfer
from indirect_rlvr.evaluation.asking import Policy
from indirect_rlvr.evaluation.controls import control_tasks as controlled
from indirect_rlvr.evaluation.grade import grade
from indirect_rlvr.evaluation.score import Score, Summary, read_predictions, score_predictions, summarise
from indirect_rlvr.evaluation.suite import check_names
from indirect_rlvr.run import plain
from indirect_rlvr.types import Benchmark, Graded, Prompt, ProxyTask, Response

Asked = Mapping[str, Sequence[ProxyTask]]
PROXY = "proxy"

logger = logging.getLogger(__name__)


def conditions(tasks: Sequence[ProxyTask], control_tasks: Sequence[ProxyTask], seed: int) -> Asked:
    """What each row is asked: the held-out tasks as trained, and some of them in the modality controls.

    Without its query, without images or with the query of another task it can only be won by a shortcut: expect chance.
    With its candidates in another order an honest policy does as well as before, and one that prefers positions does
    not: expect no change.
    """
    return {PROXY: list(tasks), **controlled(control_tasks, seed)}


def evaluate(
    policies: Sequence[Policy],
    asked: Asked,
    benchmarks: Sequence[Benchmark],
    render: Callable[[ProxyTask], Prompt],
    folder: Path,
    views: Path,
    data: str,
) -> dict[str, Any]:
    """Ask every policy under every condition, and the first and the last the target tasks too; then score.

    Answers are written to `folder/<model>/<condition>.jsonl` and `folder/<model>/target-<benchmark>.jsonl`, one model
    in memory at a time. `views` is the folder of the records' images, `data` a digest of the records. Returns what
    `results` returns. A target task without an example is left out with a warning. Raises DataError where names repeat
    or nothing is asked, RunError where a policy does not answer every prompt. Several processes share the questions,
    and the first one scores.
    """
    models = [policy.model for policy in policies]
    check_names("row", models)
    check_names("target task", [benchmark.name for benchmark in benchmarks])
    benchmarks = _with_examples(benchmarks, views)
    proxy = {name: [(task.id, render(task)) for task in tasks] for name, tasks in asked.items()}
    target = {_file(benchmark): [(e.id, e.prompt) for e in benchmark.examples(views)] for benchmark in benchmarks}
    for policy in policies:
        load = cache(policy.load)
        wanted = proxy | target if policy.model in (models[0], models[-1]) else proxy
        for name, prompts in wanted.items():
            queries = [asking.query(policy, item, prompt, data) for item, prompt in prompts]
            path = folder / policy.model / f"{name}.jsonl"
            asking.ask(load, path, queries, views, f"{policy.model}: {name}")
    return processes.by_first(lambda: results(models, asked, benchmarks, folder))


def _with_examples(benchmarks: Sequence[Benchmark], views: Path) -> list[Benchmark]:
    kept = []
    for benchmark in benchmarks:
        if any(True for _ in benchmark.examples(views)):
            kept.append(benchmark)
        else:
            logger.warning(
                "target task `%s` is left out: the held-out records gave no example of it; raise evaluation.targets, "
                "or the number of records",
                benchmark.name,
            )
    return kept


def results(models: Sequence[str], asked: Asked, benchmarks: Sequence[Benchmark], folder: Path) -> dict[str, Any]:
    """Score the answers in `folder` without a model, as plain JSON: rows, their controls, target tasks, transfer.

    Accuracies and rates are in [0, 1]. Rows are compared with the first one; a target's results are under the names
    of the first and the last row with "-" as "_". Raises DataError where an answer or a file is missing.
    """
    if not asked[PROXY] or len(models) < 2:
        raise DataError(
            f"results need held-out tasks and two rows, got {len(asked[PROXY])} tasks and rows {list(models)}; raise "
            "evaluation.tasks, or train at least one row beside the base"
        )
    scores = {m: {name: _scored(folder / m, name, items) for name, items in asked.items()} for m in models}
    ends = (models[0], models[-1])
    compared = [
        targets.target(b, ends, (_graded(b, folder / ends[0]), _graded(b, folder / ends[1]))) for b in benchmarks
    ]
    before, after = (scores[model][PROXY] for model in ends)
    gain = transfer.compare(before, after)
    said = transfer.statement(summarise(asked[PROXY], before), summarise(asked[PROXY], after), gain, compared)
    return {
        "chance": sum(1 / len(task.labels) for task in asked[PROXY]) / len(asked[PROXY]),
        "answer_key": dict(sorted(Counter(task.answer for task in asked[PROXY]).items())),
        "rows": [_row(model, asked, scores[model], scores[models[0]][PROXY]) for model in models],
        "targets": compared,
        "transfer": {"first": ends[0], "last": ends[1], **transfer.comparison_json(gain), "statement": said},
    }


def _scored(folder: Path, name: str, tasks: Sequence[ProxyTask]) -> list[Score]:
    return score_predictions(tasks, read_predictions(folder / f"{name}.jsonl"))


def _graded(benchmark: Benchmark, folder: Path) -> list[Graded]:
    said = read_predictions(folder / f"{_file(benchmark)}.jsonl")
    return grade(benchmark, list(benchmark.examples(folder)), {each.id: Response(each.text) for each in said})


def _row(model: str, asked: Asked, scores: Mapping[str, list[Score]], first: list[Score]) -> dict[str, Any]:
    summaries = {name: summarise(items, scores[name]) for name, items in asked.items()}
    return {
        "model": model,
        **plain(summaries[PROXY]),
        "controls": {name: _brief(summaries[name]) for name in asked if name != PROXY},
        "vs_first": transfer.comparison_json(transfer.compare(first, scores[PROXY])),
    }


def _brief(summary: Summary) -> dict[str, Any]:
    found = {"accuracy": summary.accuracy, "ci95": list(summary.ci95), "n": summary.n}
    return found | {"answered": plain(summary.answered)}


def _file(benchmark: Benchmark) -> str:
    return f"target-{benchmark.name}"
