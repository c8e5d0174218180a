"""Audit proxy tasks before any training: legality, answer positions, probes that must not beat 1/K, the entropy gap.

`audit` measures, `findings` judges, `gate` refuses. Every probe answers each task after learning from tasks of other
clusters alone; `probes` says what they see and how they learn.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, chisquare

from indirect_rlvr.data import entropy, folds, legality, probes, splits
from indirect_rlvr.data.folds import Places
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.data.panel import LEARNED, RAW_PIXELS, TOGETHER, Panel
from indirect_rlvr.data.probe import SEMANTICS, Probe
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.run import plain
from indirect_rlvr.types import Neighbourhood, ProxyTask, Record

MARGIN = 0.05
"""What likeness of pixels may win above 1/K."""

LISTED = 5
"""Problems that a refusal spells out."""


def audit(
    tasks: Sequence[ProxyTask],
    records: Sequence[Record],
    neighbourhood: Neighbourhood,
    looks: Looks,
    alpha: float,
    *,
    own_probes: Sequence[Probe] = (),
    accepted: Sequence[str] = (),
) -> dict[str, Any]:
    """What can be known of the tasks without a model, as JSON values; `findings` says what is wrong with it.

    `problems` lists what is illegal at any significance. Each probe has its accuracy over all tasks, cross-validated by
    cluster, with the exact 95 % interval (Clopper-Pearson) and the exact one-sided binomial p of beating 1/K. A probe
    that sees the semantics is the pack's oracle and stands apart. With several values of K there are no probes. Records
    that are not given have no position and no metadata. Names in `accepted` are probes whose win the recipe accepts.
    Raises DataError where a task is malformed, a split has no task, an image cannot be read, or clusters are too few,
    and ConfigError where `accepted` names no probe.
    """
    legality.check_form(tasks)
    sides = {side: [task for task in tasks if task.split == side] for side in ("train", "test")}
    for side, own in sides.items():
        if not own:
            raise DataError(f"the {side} split has no task to audit; set `tasks.{side}` above 0 and give more records")
    ks = sorted({len(task.question.candidates) for task in tasks})
    report: dict[str, Any] = {
        "alpha": alpha,
        "k": ks,
        "chance": 1 / ks[0] if len(ks) == 1 else None,
        "splits": {side: _split(own) for side, own in sides.items()},
        "problems": [
            *legality.of_tasks(tasks, looks),
            *legality.of_sides(sides),
            *splits.problems(records, neighbourhood, looks),
        ],
        "probes": [],
        "accepted": list(accepted),
        "overridden": [],
        "controls": {},
    }
    if len(ks) == 1:
        _fill(report, Panel(tasks, {record.id: record for record in records}, neighbourhood, looks, own_probes))
        names = [probe["name"] for probe in report["probes"]]
        if unknown := [name for name in accepted if name not in names]:
            raise ConfigError(
                f"`tasks.accepted_probes` names no probe: {', '.join(unknown)}; known: {', '.join(names)}"
            )
    return report


def findings(report: Mapping[str, Any]) -> list[str]:
    """Everything for which tasks are refused, in words: problems, K that varies, answer positions that are not uniform,
    and every probe that beats 1/K at alpha divided by the number of probes and that is not accepted."""
    alpha, problems = report["alpha"], report["problems"]
    found = list(problems[:LISTED])
    if len(problems) > LISTED:
        found.append(f"{len(problems) - LISTED} more problems like these")
    if len(report["k"]) > 1:
        found.append(f"K varies: {', '.join(map(str, report['k']))}")
    for side, split in report["splits"].items():
        if split["answers_p"] < alpha:
            found.append(
                f"answer positions of {side} are not uniform: {split['answers']} (p = {split['answers_p']:.1e})"
            )
    for probe in report["probes"]:
        if wins(report, probe) and probe["name"] not in report["accepted"]:
            found.append(
                f"probe `{probe['name']}` sees only {probe['sees']} and is right in {probe['accuracy']:.1%} of "
                f"{probe['n']} tasks, chance {probe['chance']:.1%} (p = {probe['p']:.1e})"
            )
    return found


def wins(report: Mapping[str, Any], probe: Mapping[str, Any]) -> bool:
    """Whether a probe beats 1/K, corrected for the number of probes (Bonferroni).

    One that compares pixels of query and candidates sees the query, and a little of what it wins may be semantics (a
    high horizon is a dark picture): it wins only where its interval lies wholly above 1/K + MARGIN.
    """
    margin = MARGIN if probe["sees"] == RAW_PIXELS else 0.0
    return bool(_significant(report, probe) and probe["low"] > probe["chance"] + margin)


def verdict(report: Mapping[str, Any]) -> str:
    """What the audit comes to, in one line: passed, allowed or refused, with every win that was let pass."""
    if report["overridden"]:
        return "allowed although: " + "; ".join(report["overridden"])
    if found := findings(report):
        return "refused: " + "; ".join(found)
    said = [f"{probe['name']} wins {probe['accuracy']:.1%}, which the recipe accepts" for probe in _accepted(report)]
    said += [
        f"{probe['name']} at {probe['accuracy']:.1%} beats chance, within {100 * MARGIN:g} points that raw pixels may"
        for probe in report["probes"]
        if probe["sees"] == RAW_PIXELS and _significant(report, probe) and not wins(report, probe)
    ]
    return "; ".join(["passed: nothing wins without the query, and nothing is illegal", *said])


def _accepted(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [probe for probe in report["probes"] if probe["name"] in report["accepted"] and wins(report, probe)]


def _significant(report: Mapping[str, Any], probe: Mapping[str, Any]) -> bool:
    return bool(probe["p"] < report["alpha"] / len(report["probes"]))


def gate(report: Mapping[str, Any]) -> None:
    """Refuse tasks that a shortcut can win: raises DataError that lists the findings."""
    found = findings(report)
    if found:
        pixels = any(f"sees only {RAW_PIXELS}" in each for each in found)
        accept = (
            " where likeness is what you want to teach, name the probe in `tasks.accepted_probes`;" if pixels else ""
        )
        raise DataError(
            "the tasks can be won by a shortcut, or are not legal: " + "; ".join(found) + "; mend the views or the "
            f"neighbourhood (see audit.json), then make the tasks again;{accept} or give --allow-leaks, which is put "
            "on record"
        )


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


def _fill(report: dict[str, Any], panel: Panel) -> None:
    """Enter candidates that are too close, probes, oracle, entropy and the table by level."""
    if panel.positions is not None:
        apart = probes.distances(panel.positions) + np.diag(np.full(panel.k, np.inf))
        nearest = apart.min(axis=(1, 2))
        report["closest"] = float(nearest.min())
        report["problems"] += legality.of_distances(panel.tasks, nearest, panel.near)
    parts = folds.make(panel.tasks, {name: record.cluster for name, record in panel.by_id.items()})
    answered = {name: (sees, folds.cross_validate(learner, parts)) for name, sees, learner in panel.learners()}
    verdicts = {name: _verdict(name, sees, panel, found.picked) for name, (sees, found) in answered.items()}
    if panel.medoid is not None:
        verdicts["medoid"] = _verdict("medoid", "candidates", panel, panel.medoid)
    oracles = [name for name, (sees, _) in answered.items() if sees == SEMANTICS]
    report["probes"] = [verdict for name, verdict in verdicts.items() if name not in oracles]
    report["oracle"] = [verdicts[name] for name in oracles]
    measured = {name: answered[name][1] for name in (LEARNED, TOGETHER, *oracles) if name in answered}
    own = [task.cluster for task in panel.tasks]
    left = {name: plain(entropy.conditional(found, panel.right, own)) for name, found in measured.items()}
    report["entropy"] = {"log_k": float(np.log(panel.k)), "left": left}
    hits = {name: found.picked == panel.right for name, found in measured.items()}
    report["by_level"] = [_level(level, panel, hits) for level in sorted({task.level for task in panel.tasks})]


def _level(level: int, panel: Panel, hits: Mapping[str, NDArray[np.bool_]]) -> dict[str, Any]:
    """How often the measured probes are right among the tasks of one level; `cell` is its side, None without."""
    own = np.array([task.level == level for task in panel.tasks])
    return {
        "level": level,
        "cell": panel.near.cells[level] if level < len(panel.near.cells) else None,
        "unit": panel.near.unit,
        "n": int(own.sum()),
        "accuracy": {name: _share(int(hit[own].sum()), int(own.sum())) for name, hit in hits.items()},
    }


def _verdict(name: str, sees: str, panel: Panel, picked: Places) -> dict[str, Any]:
    """How often a probe is right, and how likely a blind one would be right so often."""
    hit, n, chance = picked == panel.right, len(panel.tasks), 1 / panel.k
    correct, train = int(hit.sum()), np.array([task.split == "train" for task in panel.tasks])
    return {
        "name": name,
        "sees": sees,
        "n": n,
        "correct": correct,
        **_share(correct, n),
        "train": float(hit[train].mean()),
        "test": float(hit[~train].mean()),
        "chance": chance,
        "p": float(binomtest(correct, n, chance, alternative="greater").pvalue),
    }


def _share(correct: int, n: int) -> dict[str, float]:
    """An accuracy with its exact 95 % interval."""
    interval = binomtest(correct, n).proportion_ci(0.95, method="exact")
    return {"accuracy": correct / n, "low": float(interval.low), "high": float(interval.high)}
