"""Modality controls of any model, from its answers alone: what is left when something is taken away or moved.

Without its query, without images or with the query of another task nothing but a shortcut can win: expect 1/K. With
candidates in another order the answer must move with its candidate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scipy.stats import binomtest

from indirect_rlvr.data.proxy import permuted, without_query
from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.score import Prediction, Score, score_predictions, summarise
from indirect_rlvr.evaluation.stats import accuracy_interval
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import ProxyTask, View

NO_QUERY, NO_IMAGES, OTHER_QUERY, PERMUTED = "no_query", "no_images", "other_query", "permuted"
BLIND = (NO_QUERY, NO_IMAGES, OTHER_QUERY)
"""Controls in which nobody can know the answer."""

CONTROLS = (*BLIND, PERMUTED)

WITHHELD = "(image withheld)"


def control_tasks(tasks: Sequence[ProxyTask], seed: int) -> dict[str, list[ProxyTask]]:
    """The same tasks in each control, under the same ids; "no_images" only where there are images to take away."""
    made = {
        NO_QUERY: [without_query(task) for task in tasks],
        OTHER_QUERY: other_query(tasks, seed),
        PERMUTED: [permuted(task, seed) for task in tasks],
    }
    blind = [without_images(task) for task in tasks]
    return made if blind == list(tasks) else made | {NO_IMAGES: blind}


def without_images(task: ProxyTask) -> ProxyTask:
    """The same task with a few words in place of each image, so that its form stays."""
    question = task.question
    hidden = {side: tuple(map(_hidden, views)) for side, views in (("q", question.query), ("c", question.candidates))}
    return replace(task, question=replace(question, query=hidden["q"], candidates=hidden["c"]))


def other_query(tasks: Sequence[ProxyTask], seed: int) -> list[ProxyTask]:
    """The same tasks, each with the query of the next one, in a keyed order, whose record is not among its candidates.

    Raises DataError where every query belongs to a candidate of some task.
    """
    order = sorted(range(len(tasks)), key=lambda i: keyed_rng(seed, "other query", tasks[i].id).getrandbits(64))
    made = list(tasks)
    for place, row in enumerate(order):
        task = tasks[row]
        others = (tasks[order[(place + step) % len(order)]] for step in range(1, len(order)))
        other = next((o for o in others if o.query_record not in task.candidate_records), None)
        if other is None:
            raise DataError(
                f"task `{task.id}`: every other task asks for one of its candidates, so no query of another place is "
                "left; give more tasks"
            )
        made[row] = replace(task, question=replace(task.question, query=other.question.query))
    return made


def score(
    tasks: Sequence[ProxyTask],
    proxy: Iterable[Prediction],
    controls: Mapping[str, Iterable[Prediction]],
    seed: int,
    alpha: float,
) -> dict[str, Any]:
    """Judge saved answers to tasks and to their controls, as JSON values.

    Of a blind control: its accuracy, the clustered 95 % interval, the one-sided binomial p of beating 1/K, and `leaks`,
    whether that is below `alpha`. Of "permuted": besides its accuracy the share of answers that `moved` with their
    candidate and the share that `stayed` at their label. A control may hold fewer tasks than were asked.
    Raises DataError where an answer is missing, belongs to no task, or a control has an unknown name.
    """
    known = {row.id: row for row in score_predictions(tasks, proxy)}
    found: dict[str, Any] = {}
    for name, predictions in controls.items():
        if name not in CONTROLS:
            raise DataError(f"unknown control `{name}`; the controls are: {', '.join(CONTROLS)}")
        given = list(predictions)
        ids = {prediction.id for prediction in given}
        asked = [task for task in tasks if task.id in ids]
        shown = [permuted(task, seed) for task in asked] if name == PERMUTED else asked
        scores = score_predictions(shown, given)
        found[name] = _accuracy(shown, scores)
        found[name] |= _followed(asked, shown, known, scores) if name == PERMUTED else _blind(shown, scores, alpha)
    return found


def _accuracy(tasks: Sequence[ProxyTask], scores: Sequence[Score]) -> dict[str, Any]:
    summary = summarise(tasks, scores)
    return {"n": summary.n, "accuracy": summary.accuracy, "ci95": list(summary.ci95)}


def _blind(tasks: Sequence[ProxyTask], scores: Sequence[Score], alpha: float) -> dict[str, Any]:
    chance = sum(1 / len(task.labels) for task in tasks) / len(tasks)
    correct = sum(row.correct for row in scores)
    p = float(binomtest(correct, len(scores), chance, alternative="greater").pvalue)
    return {"chance": chance, "p": p, "leaks": p < alpha}


def _followed(
    asked: Sequence[ProxyTask], shown: Sequence[ProxyTask], known: Mapping[str, Score], scores: Sequence[Score]
) -> dict[str, Any]:
    """Unreadable answers on either side neither move nor stay."""
    moved, stayed = [], []
    for before, after, row in zip(asked, shown, scores, strict=True):
        first, second = known[before.id].answer, row.answer
        readable = first is not None and second is not None
        moved.append(readable and _record(before, first) == _record(after, second))
        stayed.append(readable and first == second)
    clusters = [task.cluster for task in asked]
    return {
        "moved": sum(moved) / len(moved),
        "moved_ci95": list(accuracy_interval(moved, clusters)),
        "stayed": sum(stayed) / len(stayed),
        "stayed_ci95": list(accuracy_interval(stayed, clusters)),
    }


def _record(task: ProxyTask, label: str | None) -> str:
    assert label is not None
    return task.candidate_records[task.labels.index(label)]


def _hidden(view: View) -> View:
    return View(view.kind, "text", WITHHELD) if view.modality == "image" else view
