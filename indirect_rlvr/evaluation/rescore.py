"""Score the rollouts of a run again, with the reward as it is now, and show old against new; nothing is written.

A reward has changed when its code has, when the pack's has, or when the recipe or an override says so.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from indirect_rlvr import engine, shapes
from indirect_rlvr.data import proxy
from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.composite import Composite, Score, build
from indirect_rlvr.run import MANIFEST, read_jsonl
from indirect_rlvr.types import Completion, ProxyTask

STAGES = ("grpo-zero", "grpo")
ROLLOUTS = "rollouts.jsonl"
MOVED = 1e-5
"""A change below this is rounding: rollouts are saved with the seven places of float32."""
TOTAL = "reward"
FIELDS = {"step": int, "task_id": str, "text": str, "finished": bool, "terms": dict, TOTAL: int | float}


@dataclass(frozen=True, slots=True)
class Pair:
    """One rollout, and what it earned then and earns now; None where a term did not or does not apply, or where the
    saved rollout does not tell."""

    step: int
    task_id: str
    text: str
    old: Mapping[str, float | None]
    new: Mapping[str, float | None]

    def change(self, name: str) -> float | None:
        """New minus old, None where either is not there."""
        old, new = self.old.get(name), self.new.get(name)
        return None if old is None or new is None else new - old


def rescore(folder: Path, recipe: str | None = None, overrides: Sequence[str] = (), most: int = 10) -> dict[str, Any]:
    """Old against new for every GRPO stage of a run, JSON-able: means and shifts of the reward and of each term, how
    many rollouts moved, and the `most` that moved most.

    The reward is that of the run's own recipe, or of `recipe` (a name or path), with `overrides` on top. Raises
    DataError where the folder holds no rollouts or a line is not one, and RunError as the composite does.
    """
    manifest = shapes.read(folder / MANIFEST, shapes.Manifest)
    stages = [stage for stage in STAGES if (folder / stage / ROLLOUTS).is_file()]
    if not stages:
        raise DataError(f"`{folder}` holds no rollouts to score again; run it up to a GRPO stage first")
    own = str(folder / "recipe.toml")
    run, _ = engine.prepare(manifest["domain"], recipe or own, list(overrides), folder)
    reward = build(run.recipe.reward, run.domain.rewards())
    tasks = {task.id: task for task in proxy.read(folder / "tasks.jsonl")}
    made = {stage: manifest.get("artefacts", {}).get(stage, {}) for stage in stages}
    return {
        "reward_version": {
            "old": {stage: made[stage].get("reward_version") for stage in stages},
            "new": reward.version(),
        },
        "stages": {
            stage: _compared(
                pairs(folder / stage / ROLLOUTS, tasks, reward), made[stage].get("reward", []), reward, most
            )
            for stage in stages
        },
    }


def pairs(path: Path, tasks: Mapping[str, ProxyTask], reward: Composite) -> list[Pair]:
    """Every saved rollout with its old and new values.

    A rollout saved without token ids is scored on its text; where a term then does not apply, its new total is None.
    Raises DataError that names file and line for anything but a rollout of one of `tasks`.
    """
    rows = [_checked(row, f"`{path}` line {number}", tasks) for number, row in enumerate(read_jsonl(path), 1)]
    groups = (list(group) for _, group in groupby(rows, key=lambda row: (row["step"], row["task_id"])))
    return [pair for group in groups for pair in _pairs(group, tasks, reward)]


def _checked(row: Any, place: str, tasks: Mapping[str, ProxyTask]) -> dict[str, Any]:
    if not isinstance(row, dict) or any(not isinstance(row.get(name), kind) for name, kind in FIELDS.items()):
        raise DataError(f"{place} is not a rollout; expected an object with {', '.join(FIELDS)}: run the stage again")
    if row["task_id"] not in tasks:
        raise DataError(
            f"{place} is of task {row['task_id']!r:.80}, which tasks.jsonl does not hold; run the stage again"
        )
    _check_values(row, place)
    return row


def _check_values(row: Mapping[str, Any], place: str) -> None:
    values = {**row["terms"], TOTAL: row[TOTAL]}
    odd = [name for name, value in values.items() if not (value is None or _is_number(value, -1e300, 1e300))]
    if odd:
        raise DataError(
            f"{place}: `{odd[0]:.80}` is {values[odd[0]]!r:.80}; expected a number or null: run the stage again"
        )
    ids = row.get("token_ids", [])
    if not isinstance(ids, list) or not all(isinstance(i, int) and _is_number(i, 0, 2**32 - 1) for i in ids):
        raise DataError(f"{place}: `token_ids` is {ids!r:.80}; expected a list of whole numbers: run the stage again")
    if not _is_number(row["step"], 0, 2**53):
        raise DataError(f"{place}: `step` is {row['step']!r:.80}; expected a whole number: run the stage again")


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _pairs(group: Sequence[dict[str, Any]], tasks: Mapping[str, ProxyTask], reward: Composite) -> list[Pair]:
    """The rollouts of one group, scored together because a group term sees them all."""
    scores = reward.score_group(tasks[group[0]["task_id"]], [_completion(row) for row in group])
    return [_pair(row, score) for row, score in zip(group, scores, strict=True)]


def _completion(row: Mapping[str, Any]) -> Completion:
    ids = row.get("token_ids", [])
    return Completion(row["text"], tuple(ids[:-1] if row["finished"] else ids), row["finished"])


def _pair(row: Mapping[str, Any], found: Score) -> Pair:
    values = {
        name: None if outcome.status == "not_applicable" else outcome.value for name, outcome in found.outcomes.items()
    }
    known = "token_ids" in row or None not in values.values()
    return Pair(
        row["step"],
        row["task_id"],
        row["text"],
        {TOTAL: row[TOTAL], **row["terms"]},
        {TOTAL: found.total if known else None, **values},
    )


def _compared(
    found: Sequence[Pair], old_reward: Sequence[Mapping[str, Any]], reward: Composite, most: int
) -> dict[str, Any]:
    old_weights = {term["name"]: term["weight"] for term in old_reward}
    new_weights = {str(term["name"]): term["weight"] for term in reward.describe()}
    names = dict.fromkeys([TOTAL, *(name for pair in found for name in pair.old), *new_weights])
    moved = [pair for pair in found if abs(pair.change(TOTAL) or 0.0) > MOVED]
    moved.sort(key=lambda pair: -abs(pair.change(TOTAL) or 0.0))  # stable: ties stay in the order of training
    return {
        "rollouts": len(found),
        "terms": [
            {"term": n, "old_weight": old_weights.get(n), "new_weight": new_weights.get(n), **_line(found, n)}
            for n in names
        ],
        "advantages_that_change_sign": _turned(found),
        "moved_most": [
            {
                "step": pair.step, "task_id": pair.task_id, "old": pair.old[TOTAL], "new": pair.new[TOTAL],
                "change": pair.change(TOTAL), "terms": _changes(pair, names), "text": pair.text,
            }
            for pair in moved[:most]
        ],
    }  # fmt: skip


def _line(found: Sequence[Pair], name: str) -> dict[str, Any]:
    """One term over all rollouts: both means are over those that can be compared, where there are any."""
    changes = [change for pair in found if (change := pair.change(name)) is not None]
    both = [pair for pair in found if pair.change(name) is not None] or found
    return {
        "old_mean": _mean([pair.old.get(name) for pair in both]),
        "new_mean": _mean([pair.new.get(name) for pair in both]),
        "shift": _mean(changes),
        "up": sum(change > MOVED for change in changes),
        "down": sum(change < -MOVED for change in changes),
        "not_comparable": len(found) - len(changes),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return fmean(there) if there else None


def _turned(found: Sequence[Pair]) -> int:
    """How many rollouts stood above their group's mean reward and stand below it now, or the other way round."""
    groups: dict[tuple[int, str], list[Pair]] = defaultdict(list)
    for pair in found:
        if pair.change(TOTAL) is not None:
            groups[pair.step, pair.task_id].append(pair)
    return sum(
        old * new < 0
        for group in groups.values()
        for old, new in zip(_signs([p.old[TOTAL] for p in group]), _signs([p.new[TOTAL] for p in group]), strict=True)
    )


def _signs(rewards: Sequence[float | None]) -> list[int]:
    """-1, 0 or 1: below, at or above the mean of the group."""
    mean = _mean(rewards) or 0.0
    differences = [(reward or 0.0) - mean for reward in rewards]
    return [0 if abs(difference) <= MOVED else int(math.copysign(1, difference)) for difference in differences]


def _changes(pair: Pair, names: Mapping[str, None]) -> dict[str, list[float | None]]:
    """Old and new value of each term that moved, came or went."""
    values = {name: [pair.old.get(name), pair.new.get(name)] for name in names if name != TOTAL}
    return {
        name: [old, new]
        for name, (old, new) in values.items()
        if old != new and (old is None or new is None or abs(new - old) > MOVED)
    }
