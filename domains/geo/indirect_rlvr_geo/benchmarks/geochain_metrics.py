"""GeoChain's numbers: for each question accuracy, balanced accuracy, macro-F1 and recalls, the majority line beside
them, and means over the two readings of "13 tasks" and over all 20 questions with a right or wrong.

Most answers are constants of a city, so error bars are over cities.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from indirect_rlvr.evaluation.metrics import STRICT, Columns, asked, bootstrap, majority, per_task, share
from indirect_rlvr.types import Graded, Metric
from indirect_rlvr_geo.benchmarks.distances import distance_metrics
from indirect_rlvr_geo.benchmarks.geochain_answers import CITY, COORDINATES, COUNTRY, DIVISION, LANGUAGES
from indirect_rlvr_geo.benchmarks.geochain_key import BINARY, OPTIONS, QUESTIONS, RULED

CORRECT, RAW, SAME_SET = "correct", "raw", "same set"
SETS: Mapping[str, tuple[int, ...]] = {
    "13-A, the binary questions": BINARY,
    "13-B, the questions with a rule": RULED,
    "20, all but the coordinates": tuple(range(1, QUESTIONS)),
}
"""Convention → questions of its macro mean."""
DRAWS = 200


def task(question: int) -> str:
    """The name of a question's sub-task: "q01" … "q21"."""
    return f"q{question:02d}"


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """Every metric of every question that has examples, after the macro means."""
    by_question: dict[int, list[Graded]] = {}
    for one in graded:
        by_question.setdefault(one.example.truth["question"], []).append(one)
    found = [metric for question in sorted(by_question) for metric in _of(question, by_question[question])]
    return [*_macros(by_question, found), *found]


def _of(question: int, graded: Sequence[Graded]) -> list[Metric]:
    accuracy = _accuracy(graded, task(question))
    found = [accuracy]
    if question == LANGUAGES:
        return [*found, share(graded, SAME_SET, SAME_SET, name="accuracy", task=task(question))]
    if question == COORDINATES:
        return [*found, *distance_metrics(graded, task=task(question))]
    if question in (COUNTRY, DIVISION, CITY):
        found.append(share(graded, RAW, RAW, name="accuracy", task=task(question)))
    return [*found, *_by_class(question, graded, accuracy)]


def _accuracy(graded: Sequence[Graded], name: str) -> Metric:
    """The share of right answers; for coordinates, of those within 25 km."""
    truths = [one.example.truth for one in asked(graded)]
    return share(graded, CORRECT, STRICT, name="accuracy", task=name, baselines=_lines(truths))


def _lines(truths: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What the most frequent answer gets (the most frequent language, named alone), and a uniform guess."""
    if not truths or truths[0]["question"] == COORDINATES:
        return {}
    if truths[0]["question"] == LANGUAGES:
        named = Counter(language for truth in truths for language in truth["languages"])
        return {"majority": named.most_common(1)[0][1] / len(truths)}
    most = {"majority": majority([truth["label"] for truth in truths])}
    options = OPTIONS.get(truths[0]["question"])
    return most | ({"chance": 1 / len(options)} if options else {})


def _by_class(question: int, graded: Sequence[Graded], accuracy: Metric) -> list[Metric]:
    """Balanced accuracy and macro-F1 over the classes that occur in the key, and for closed questions their recalls."""
    there = asked(graded)
    gold = [one.example.truth["label"] for one in there]
    if not gold:
        return []
    classes = sorted(set(gold))
    number = {name: index for index, name in enumerate(classes)}
    said = [number.get(str(one.parsed["label"]), -1) if one.parsed else -1 for one in there]
    columns = np.array([[number[name] for name in gold], said], dtype=np.float64).T
    clusters = [one.example.cluster for one in there]
    common = replace(accuracy, baselines={}, ci95=None)
    most = majority(gold)
    found = []
    lines: tuple[tuple[str, Callable[[Columns], float], float], ...] = (
        ("balanced accuracy", balanced_accuracy, 1 / len(classes)),
        ("macro F1", macro_f1, 2 * most / (1 + most) / len(classes)),
    )
    for name, statistic, line in lines:
        interval = bootstrap(columns, clusters, statistic, DRAWS)
        found.append(replace(common, name=name, value=statistic(columns), ci95=interval, baselines={"majority": line}))
    recalls = zip(classes, *_recalls(columns), strict=True) if question in OPTIONS else ()
    read = Counter(name for name, one in zip(gold, there, strict=True) if one.parsed is not None)
    return found + [
        replace(common, name=f"recall of {name}", value=r, n=int(n), n_parsed=read[name]) for name, r, n in recalls
    ]


def balanced_accuracy(columns: Columns) -> float:
    """The mean recall of the classes in the first column; the second holds what was said, -1 for anything else."""
    recalls, _ = _recalls(columns)
    return float(recalls.mean())


def macro_f1(columns: Columns) -> float:
    """The mean F1 of the classes in the first column; the second holds what was said, -1 for anything else."""
    gold, said = columns.astype(np.intp).T
    size = int(gold.max()) + 1
    right = np.bincount(gold[gold == said], minlength=size)
    of_gold = np.bincount(gold, minlength=size)
    of_said = np.bincount(said[(said >= 0) & (said < size)], minlength=size)
    there = of_gold > 0
    return float((2 * right[there] / (of_gold + of_said)[there]).mean())


def _recalls(columns: Columns) -> tuple[Columns, Columns]:
    gold, said = columns.astype(np.intp).T
    counts = np.bincount(gold)
    right = np.bincount(gold[gold == said], minlength=len(counts))
    there = counts > 0
    return right[there] / counts[there], counts[there].astype(np.float64)


def _macros(by_question: Mapping[int, Sequence[Graded]], found: Sequence[Metric]) -> list[Metric]:
    macros = []
    known = {metric.task: metric for metric in found if metric.name == "accuracy" and metric.convention == STRICT}
    for convention, questions in SETS.items():
        graded = [one for question in questions for one in by_question.get(question, ())]
        names = [task(question) for question in questions]
        if not asked(graded):
            continue
        macro = replace(
            per_task(graded, names, lambda ones, name: known.get(name) or _accuracy(ones, name), value=CORRECT)[-1],
            convention=convention,
        )
        macros.append(macro)
        for name in ("balanced accuracy", "macro F1"):
            values = [metric for metric in found if metric.name == name and metric.task in names]
            if values:
                macros.append(_mean(values, f"mean {name}", macro, len(names)))
    return macros


def _mean(values: Sequence[Metric], name: str, like: Metric, questions: int) -> Metric:
    named = name if len(values) == questions else f"{name} ({len(values)} of {questions} questions)"
    lines = {"majority": fmean(metric.baselines["majority"] for metric in values)}
    return replace(like, name=named, value=fmean(metric.value for metric in values), ci95=None, baselines=lines)
