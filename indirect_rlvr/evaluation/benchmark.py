"""Asks policies and keeps their answers: rows × conditions × target tasks, into `evaluation/` and one results object.

It knows no model: a policy is a function from prompts to completions. Answers that are on disk for the same policy
and the same prompts are not asked for again, so an interrupted evaluation continues where it stopped.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.evaluation import transfer
from indirect_rlvr.evaluation.controls import control_tasks as controlled
from indirect_rlvr.evaluation.score import Item, Score, Summary, read_predictions, score_predictions, summarise
from indirect_rlvr.run import digest, plain, read_jsonl, write_jsonl
from indirect_rlvr.types import Benchmark, Completion, Prompt, ProxyTask

Generate = Callable[[list[Prompt]], list[Completion]]
Asked = Mapping[str, Sequence[ProxyTask]]
PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Policy:
    """One row of the report. `load` is called at most once, and only where something is still to be asked;
    `fingerprint` changes whenever the answers would: weights, sampling limits, records."""

    model: str
    fingerprint: str
    load: Callable[[], Generate]


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
) -> dict[str, Any]:
    """Ask every policy under every condition, and the first and the last the target tasks too; then score.

    Answers are written to `folder/<model>/<condition>.jsonl` and `folder/<model>/target-<benchmark>.jsonl`, one model
    in memory at a time. Returns what `results` returns.
    Raises DataError where names repeat or nothing is asked, RunError where a policy does not answer every prompt.
    """
    models = [policy.model for policy in policies]
    _check_names("row", models)
    _check_names("target task", [benchmark.name for benchmark in benchmarks])
    proxy = {name: [(task.id, render(task)) for task in tasks] for name, tasks in asked.items()}
    targets = {_file(benchmark): [(e.id, e.prompt) for e in benchmark.examples] for benchmark in benchmarks}
    for policy in policies:
        wanted = proxy | targets if policy.model in (models[0], models[-1]) else proxy
        ask(policy, {folder / policy.model / f"{name}.jsonl": prompts for name, prompts in wanted.items()})
    return results(models, asked, benchmarks, folder)


def ask(policy: Policy, files: Mapping[Path, Sequence[tuple[str, Prompt]]]) -> None:
    """Put (id, prompt) pairs to a policy and write its answers, a file at a time, each atomically.

    A line is {"id", "text", "tokens", "finished", "asked"}; `asked` is a digest of policy and prompt, by which a
    finished file is recognised and kept. Raises RunError where the policy does not answer every prompt.
    """
    marks = {path: [_mark(policy, name, prompt) for name, prompt in pairs] for path, pairs in files.items()}
    todo = [path for path in files if not (path.exists() and _marks(path) == marks[path])]
    if not todo:
        return
    generate = policy.load()
    for path in todo:
        answers = generate([prompt for _, prompt in files[path]])
        if len(answers) != len(files[path]):
            raise RunError(
                f"`{policy.model}` gave {len(answers)} answers to the {len(files[path])} prompts of `{path}`; one each "
                "was expected, so nothing was written"
            )
        rows = zip(files[path], answers, marks[path], strict=True)
        write_jsonl(path, [_line(name, answer, mark) for (name, _), answer, mark in rows])


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
    targets = []
    for benchmark in benchmarks:
        first, last = (_scored(folder / model, _file(benchmark), benchmark.examples) for model in ends)
        targets.append(transfer.target(benchmark, ends, (first, last)))
    before, after = (scores[model][PROXY] for model in ends)
    gain = transfer.compare(before, after)
    said = transfer.statement(summarise(asked[PROXY], before), summarise(asked[PROXY], after), gain, targets)
    return {
        "chance": sum(1 / len(task.labels) for task in asked[PROXY]) / len(asked[PROXY]),
        "answer_key": dict(sorted(Counter(task.answer for task in asked[PROXY]).items())),
        "rows": [_row(model, asked, scores[model], scores[models[0]][PROXY]) for model in models],
        "targets": targets,
        "transfer": {"first": ends[0], "last": ends[1], **transfer.comparison_json(gain), "statement": said},
    }


def _scored(folder: Path, name: str, items: Sequence[Item]) -> list[Score]:
    return score_predictions(items, read_predictions(folder / f"{name}.jsonl"))


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


def _line(name: str, answer: Completion, mark: str) -> dict[str, Any]:
    tokens = len(answer.token_ids)
    return {"id": name, "text": answer.text, "tokens": tokens, "finished": answer.finished, "asked": mark}


def _mark(policy: Policy, name: str, prompt: Prompt) -> str:
    return digest([policy.fingerprint, name, plain(prompt)])[:16]


def _marks(path: Path) -> list[object]:
    return [row.get("asked") for row in read_jsonl(path)]


def _file(benchmark: Benchmark) -> str:
    return f"target-{benchmark.name}"


def _check_names(what: str, names: Iterable[str]) -> None:
    """Names become file names and keys of the results."""
    for name, times in Counter(names).items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise DataError(f"{what} `{name}` must be made of letters, digits, `.`, `_` and `-`; rename it")
        if times > 1:
            raise DataError(f"two {what}s are named `{name}`; give each a name of its own")
