"""What a model card must say against its own figures: leaks that were let through, shortcuts, what was not asked."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from indirect_rlvr.data.audit import wins
from indirect_rlvr.evaluation.controls import BLIND
from indirect_rlvr.reporting.markdown import HEADS, plain
from indirect_rlvr.reporting.wording import interval, percent

ELSEWHERE = (
    "Held-out tasks come from the same source as the training tasks, split by cluster; they say nothing about other "
    "sources."
)
NO_TARGET = "No target task was asked, so nothing is known of any transfer."
PUBLISHED = (
    "Published benchmarks are not in this table. `rlvr eval` asks them, and reports every metric with and without the "
    "examples that share cities or images with the training data (contamination flags)."
)


def limits(
    row: str,
    stages: Sequence[str],
    manifest: Mapping[str, Any],
    results: Mapping[str, Any],
    audit: Mapping[str, Any],
    recipe: Mapping[str, Any],
) -> str:
    """A list with a line for each; `stages` are those that the row went through, oldest first."""
    artefacts = manifest["artefacts"]
    found = [
        *_leaks(audit, recipe), *_scaffold(stages, artefacts, results["chance"]), *_still(stages, artefacts),
        *_controls(row, results), ELSEWHERE, *([] if results["targets"] else [NO_TARGET]), PUBLISHED,
    ]  # fmt: skip
    return "\n".join(f"* {line}" for line in found)


def _leaks(audit: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    found = [
        f"**The tasks leak**, and the run went on because that was allowed: {plain(one)}" for one in audit["overridden"]
    ]
    for probe in [*audit["probes"], *audit["oracle"]]:
        if probe["name"] in audit["accepted"] and wins(audit, probe):
            found.append(
                f"Probe {plain(probe['name'])} beats chance ({percent(probe['accuracy'])}, "
                f"{interval((probe['low'], probe['high']))}), and the recipe accepts it."
            )
    if recipe["tasks"]["sampler"] == "ring":
        found.append("Candidate sets are rings around the record that is asked for, which gives the answer away.")
    return found


def _scaffold(stages: Sequence[str], artefacts: Mapping[str, Any], chance: float) -> list[str]:
    made = artefacts.get("scaffold", {})
    if "sft" not in stages or "right_share" not in made:
        return []
    judged = (
        "more than chance: part of the proxy task was taught with labels, not by the reward"
        if made["right_share"] > chance
        else "no more than chance"
    )
    return [
        f"{percent(made['right_share'])} of the traces of SFT end in the true answer, where chance is "
        f"{percent(chance)}: {judged}. What a trace says on the way may still point at the answer."
    ]


def _still(stages: Sequence[str], artefacts: Mapping[str, Any]) -> list[str]:
    """A stage that left every parameter as it was."""
    digests = [(stage, artefacts.get(stage, {}).get("weights_sha256")) for stage in stages]
    return [
        f"Stage {plain(stage)} changed no parameter."
        for (_, old), (stage, new) in pairwise(digests)
        if new and old == new
    ]


def _controls(name: str, results: Mapping[str, Any]) -> list[str]:
    (row,) = (row for row in results["rows"] if row["model"] == name)
    chance, found = results["chance"], []
    for blind in BLIND:
        control = row["controls"].get(blind)
        if control and control["ci95"][0] > chance:
            found.append(
                f"**{HEADS[blind].capitalize()}** this row is above chance ({percent(control['accuracy'])}, "
                f"{interval(control['ci95'])}): it has a shortcut."
            )
    reordered = row["controls"]["permuted"]
    if reordered["ci95"][1] < row["ci95"][0]:
        found.append(
            f"With the candidates reordered this row falls to {percent(reordered['accuracy'])} "
            f"({interval(reordered['ci95'])}): it prefers positions."
        )
    return found
