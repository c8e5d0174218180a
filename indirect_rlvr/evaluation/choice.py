"""Multiple choice as a benchmark: one constructor for our own target tasks and for published question sets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.metrics import STRICT, asked, chance, majority, per_task, share
from indirect_rlvr.rewards.parsing import parse_answer
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source

CORRECT = "correct"
Parse = Callable[[Example, Response], Mapping[str, Any] | None]


def choice_example(
    id: str,  # noqa: A002
    cluster: str,
    prompt: Prompt,
    labels: Sequence[str],
    answer: str,
    *,
    task: str = "",
    missing: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
    truth: Mapping[str, Any] | None = None,
) -> Example:
    """One multiple-choice question: its truth is {"labels": [...], "answer": label} and whatever `truth` adds.

    Raises DataError where the answer is none of the labels.
    """
    if answer not in labels:
        raise DataError(f"example `{id}`: the answer {answer!r} is none of the labels {list(labels)}; mend the file")
    return Example(
        id, cluster, prompt, {"labels": list(labels), "answer": answer, **(truth or {})}, task, missing, flags
    )


def choice_benchmark(
    name: str,
    description: str,
    examples: Callable[[Path], Iterable[Example]],
    *,
    source: Source | None = None,
    parse: Parse | None = None,
    tasks: tuple[str, ...] = ("",),
    parser_version: str = "1",
    suites: tuple[str, ...] = (),
) -> Benchmark:
    """A benchmark of `choice_example`s: accuracy with failures as wrong, and chance and majority beside it.

    `parse` gives {"answer": label} or None; without it the answer tag is read as the reward reads it. With several
    `tasks` there is an accuracy for each, their macro mean, and the accuracy over all examples.
    """
    return Benchmark(
        name=name,
        description=description,
        source=source,
        examples=examples,
        parse=parse or parse_label,
        judge=judge_label,
        metrics=partial(accuracies, tasks=tasks),
        main=CORRECT,
        tasks=tasks,
        parser_version=parser_version,
        suites=suites,
    )


def parse_label(example: Example, response: Response) -> Mapping[str, Any] | None:
    """The label that the last answer tag clearly chooses, by the same parser the reward uses."""
    label = parse_answer(response.text, example.truth["labels"])
    return None if label is None else {"answer": label}


def judge_label(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """{"correct": 1.0} for the right label, 0.0 for another and for none."""
    return {CORRECT: float(parsed is not None and parsed.get("answer") == example.truth["answer"])}


def accuracies(graded: Sequence[Graded], tasks: Sequence[str] = ("",)) -> list[Metric]:
    """Accuracy over all examples, and with several `tasks` each task's and their macro mean."""
    overall = accuracy(graded, "")
    if tuple(tasks) == ("",):
        return [overall]
    return [overall, *per_task(graded, tasks, accuracy, value=CORRECT)]


def accuracy(graded: Sequence[Graded], task: str) -> Metric:
    """The share of right answers among all that were asked, with chance and majority."""
    truths = [one.example.truth for one in asked(graded)]
    baselines = {
        "chance": chance([len(truth["labels"]) for truth in truths]),
        "majority": majority([truth["answer"] for truth in truths]),
    }
    return share(graded, CORRECT, STRICT, name="accuracy", task=task, baselines=baselines if truths else {})
