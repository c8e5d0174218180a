"""Audit proxy tasks before any training: legality, answer positions, and probes that must not beat 1/K.

`audit` measures, `gate` refuses. What the learned probe leaves of log K is the measured entropy gap of the theory.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest, chisquare

from indirect_rlvr.data import probes
from indirect_rlvr.data.places import nuisances, points
from indirect_rlvr.data.records import image_path
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import file_digest
from indirect_rlvr.types import Neighbourhood, ProxyTask, Record, View

LEARNED_TASKS = 3000
"""The learned probe looks at this many tasks of each split at most, which bounds its memory and time."""

SLACK = 1e-3
"""Share of r_min by which coordinates rounded to the lattice may come closer than it."""


def audit(
    tasks: Sequence[ProxyTask],
    records: Sequence[Record],
    neighbourhood: Neighbourhood,
    folder: Path,
    alpha: float,
) -> dict[str, Any]:
    """What can be known of the tasks without a model, as JSON values.

    `problems` lists what is illegal at any significance. Each probe has its accuracy with a 95 % Wilson interval and
    the one-sided binomial p of beating 1/K; with several values of K there are no probes and no `entropy`. Raises
    DataError where a split has no task or an image cannot be read.
    """
    sides: dict[str, list[ProxyTask]] = {side: [t for t in tasks if t.split == side] for side in ("train", "test")}
    for side, own in sides.items():
        if not own:
            raise DataError(f"the {side} split has no task to audit; set `tasks.{side}` above 0 and give more records")
    ks = sorted({len(task.question.candidates) for task in tasks})
    report: dict[str, Any] = {
        "alpha": alpha,
        "k": ks,
        "chance": 1 / ks[0] if len(ks) == 1 else None,
        "splits": {side: _split(own) for side, own in sides.items()},
        "problems": [*_illegal(tasks, folder), *_overlap(sides)],
        "probes": [],
    }
    if len(ks) > 1:
        return report
    by_id = {record.id: record for record in records}
    for side, own in sides.items():
        if neighbourhood.position is not None:
            apart = probes.distances(_candidates(points, own, by_id, neighbourhood))
            report["splits"][side]["closest"], problems = _closest(own, apart, neighbourhood)
            report["problems"] += problems
            report["probes"] += _centrality(side, own, apart)
        if neighbourhood.nuisance is not None:
            report["probes"] += _nuisance(side, own, _candidates(nuisances, own, by_id, neighbourhood))
    trained, report["entropy"] = _trained(sides["train"], sides["test"], folder)
    report["probes"] += trained
    return report


def _split(tasks: Sequence[ProxyTask]) -> dict[str, Any]:
    labels = max((task.labels for task in tasks), key=len)
    counts = Counter(task.answer for task in tasks)
    return {
        "tasks": len(tasks),
        "clusters": len({task.cluster for task in tasks}),
        "levels": {str(level): n for level, n in sorted(Counter(task.level for task in tasks).items())},
        "answers": {label: counts[label] for label in labels},
        "answers_p": float(chisquare([counts[label] for label in labels]).pvalue),
    }


def _overlap(sides: Mapping[str, Sequence[ProxyTask]]) -> Iterator[str]:
    """Clusters, and records, that a train and a test task share."""
    train, test = sides["train"], sides["test"]
    for cluster in sorted({task.cluster for task in train} & {task.cluster for task in test}):
        yield f"cluster `{cluster}` has tasks in train and in test"
    used = [{record for task in own for record in task.candidate_records} for own in (train, test)]
    for record in sorted(used[0] & used[1]):
        yield f"record `{record}` is a candidate in train and in test"


def _illegal(tasks: Sequence[ProxyTask], folder: Path) -> Iterator[str]:
    """Tasks with a wrong answer key, or with two candidates of the same bytes."""
    digests: dict[View, str] = {}
    for task in tasks:
        if task.candidate_records[task.labels.index(task.answer)] != task.query_record:
            yield f"task `{task.id}`: the answer {task.answer} is not the record asked for"
        same = defaultdict(list)
        for label, view in zip(task.labels, task.question.candidates, strict=True):
            if view not in digests:
                digests[view] = (
                    file_digest(image_path(folder, view.content)) if view.modality == "image" else view.content
                )
            same[digests[view]].append(label)
        yield from (
            f"task `{task.id}`: candidates {' and '.join(labels)} are identical"
            for labels in same.values()
            if len(labels) > 1
        )


def _candidates(
    read: Callable[[Sequence[Record], Neighbourhood], probes.Floats],
    tasks: Sequence[ProxyTask],
    by_id: Mapping[str, Record],
    neighbourhood: Neighbourhood,
) -> probes.Floats:
    """What `read` says of the candidates, shape (tasks, K, ...)."""
    used = sorted({record for task in tasks for record in task.candidate_records})
    row = {record: number for number, record in enumerate(used)}
    table = read([by_id[record] for record in used], neighbourhood)
    rows = np.array([[row[record] for record in task.candidate_records] for task in tasks])
    return np.asarray(table[rows], dtype=np.float64)


def _closest(tasks: Sequence[ProxyTask], apart: probes.Floats, neighbourhood: Neighbourhood) -> tuple[float, list[str]]:
    """The smallest distance between two candidates of a task, and the tasks where it is below r_min."""
    nearest = (apart + np.diag(np.full(apart.shape[1], np.inf))).min(axis=(1, 2))
    return float(nearest.min()), [
        f"task `{task.id}`: two candidates are {d:g} {neighbourhood.unit} apart, r_min is {neighbourhood.r_min:g}"
        for task, d in zip(tasks, nearest.tolist(), strict=True)
        if d < neighbourhood.r_min * (1 - SLACK)
    ]


def _centrality(side: str, tasks: Sequence[ProxyTask], apart: probes.Floats) -> Iterator[dict[str, Any]]:
    """The candidate in the middle of its set, and the one at the edge."""
    spread = apart.sum(axis=2)
    yield _verdict("most central", "candidates", side, tasks, probes.ranked(spread, 0))
    yield _verdict("least central", "candidates", side, tasks, probes.ranked(spread, -1))


def _nuisance(side: str, tasks: Sequence[ProxyTask], nuisance: probes.Floats) -> Iterator[dict[str, Any]]:
    """The candidate with the smallest, the middle and the largest nuisance of its set."""
    for name, rank in (("smallest", 0), ("median", (nuisance.shape[1] - 1) // 2), ("largest", -1)):
        yield _verdict(f"{name} nuisance", "nuisance", side, tasks, probes.ranked(nuisance, rank))


def _trained(
    train: list[ProxyTask], test: list[ProxyTask], folder: Path
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Probes that learn from train, asked on test, and what the strongest of them leaves of log K (in nats)."""
    some = test[:LEARNED_TASKS]
    learned = probes.learned(train[:LEARNED_TASKS], some, folder)
    log_k = math.log(len(test[0].labels))
    return [
        _verdict("position", "position", "test", test, probes.position(train, test)),
        _verdict("wording", "text", "test", test, probes.wording(train, test)),
        _verdict("learned", "candidates", "test", some, learned.picked),
    ], {"log_k": log_k, "posterior": learned.entropy, "gap": log_k - learned.entropy}


def _verdict(name: str, sees: str, side: str, tasks: Sequence[ProxyTask], picked: probes.Places) -> dict[str, Any]:
    """How often a probe is right, and how likely a blind one would be right so often."""
    correct, n, chance = int((picked == probes.answers(tasks)).sum()), len(tasks), 1 / len(tasks[0].labels)
    interval = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    return {
        "name": name,
        "sees": sees,
        "split": side,
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
        "low": float(interval.low),
        "high": float(interval.high),
        "chance": chance,
        "p": float(binomtest(correct, n, chance, alternative="greater").pvalue),
    }


def gate(report: Mapping[str, Any], alpha: float) -> None:
    """Refuse tasks that a shortcut can win.

    Raises DataError that lists everything illegal, K where it varies, answer positions that are not uniform at
    `alpha`, and every probe that beats 1/K at `alpha` divided by the number of probes.
    """
    reasons = list(report["problems"][:5])
    if len(report["problems"]) > 5:
        reasons.append(f"{len(report['problems']) - 5} more problems like these")
    if len(report["k"]) > 1:
        reasons.append(f"K varies: {', '.join(map(str, report['k']))}")
    for side, split in report["splits"].items():
        if split["answers_p"] < alpha:
            reasons.append(
                f"answer positions of {side} are not uniform: {split['answers']} (p = {split['answers_p']:.1e})"
            )
    for probe in report["probes"]:
        if probe["p"] < alpha / len(report["probes"]):
            reasons.append(
                f"probe `{probe['name']}` sees only {probe['sees']} and is right in {probe['accuracy']:.1%} of "
                f"{probe['n']} {probe['split']} tasks, chance {probe['chance']:.1%} (p = {probe['p']:.1e})"
            )
    if reasons:
        raise DataError(
            "the tasks can be won without the query, or are not legal: "
            + "; ".join(reasons)
            + "; mend the views or the "
            "neighbourhood (see audit.json), then make the tasks again"
        )
