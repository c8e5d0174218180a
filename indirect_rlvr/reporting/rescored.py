"""What scoring a run's rollouts again has found, for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.reporting.columns import columns


def table(result: Mapping[str, Any]) -> str:
    """The result of `evaluation.rescore.rescore`: for each stage the terms, old against new, and what moved most."""
    return "\n\n".join(
        _stage(stage, found, result["reward_version"]["old"][stage] == result["reward_version"]["new"])
        for stage, found in result["stages"].items()
    )


def _stage(stage: str, found: Mapping[str, Any], is_same: bool) -> str:
    version = "the version of the reward it was trained with" if is_same else "another version of the reward"
    rows = [
        {**{name: row[name] for name in ("step", "task_id", "old", "new", "change")}, "terms": _said(row["terms"]),
         "text": row["text"]}
        for row in found["moved_most"]
    ]  # fmt: skip
    total = found["terms"][0]
    if total["not_comparable"] == found["rollouts"]:
        moved = "no total can be compared: the rollouts were saved without token ids, and a term counts tokens"
    else:
        moved = "moved most:\n" + columns(rows) if rows else "no total moved"
    return "\n\n".join(
        [
            f"{stage}: {found['rollouts']:,} rollouts, scored with {version}",
            columns(found["terms"]),
            f"advantages that change sign: {found['advantages_that_change_sign']:,}",
            moved,
        ]
    )


def _said(changes: Mapping[str, Sequence[float | None]]) -> str:
    return ", ".join(f"{name} {_number(old)} → {_number(new)}" for name, (old, new) in changes.items())


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
