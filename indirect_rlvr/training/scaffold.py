"""Build the SFT set: the domain's traces for train tasks, each checked against metadata before it is kept.

A trace that states a contradicted fact or breaks the answer format would teach just that; it is dropped and counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Counts, ProxyTask, Verdict


def build(domain: Domain, tasks: Sequence[ProxyTask], *, count: int, seed: int) -> tuple[list[dict[str, Any]], Counts]:
    """At most `count` traces, one a task, from the train tasks in an order that depends on the seed alone.

    A row holds `task_id`, `completion`, how many `claims` it states, how many of them are `supported`, and whether its
    final answer is `right`: such traces leak the answer into SFT, so their share belongs in the report
    (`right_share`). No rows at all where the domain writes no scaffold; a task it passes on counts as `no trace`.
    Raises DataError where tasks gave traces and every one was dropped.
    """
    rows: list[dict[str, Any]] = []
    dropped: Counter[str] = Counter()
    train = [task for task in tasks if task.split == "train"]
    for task in sorted(train, key=lambda task: (keyed_rng(seed, "scaffold-order", task.id).random(), task.id)):
        if len(rows) == count:
            break
        text = domain.scaffold(task, keyed_rng(seed, "scaffold", task.id))
        verdicts = () if text is None else domain.check_facts(task, text)
        reason = _fault(text, verdicts)
        if text is None or reason:
            dropped[reason] += 1
        else:
            rows.append(_row(task, text, verdicts))
    if not rows and dropped - Counter({"no trace": dropped["no trace"]}):
        raise DataError(
            f"every scaffold of domain `{domain.name}` was dropped: {dict(dropped)}; mend its scaffold hook"
        )
    return rows, Counts(len(rows), "scaffolds", dict(dropped))


def _fault(text: str | None, verdicts: Sequence[Verdict]) -> str:
    """Why a trace is dropped; "" where it is kept."""
    if text is None:
        return "no trace"
    if not has_format(text):
        return "bad format"
    if any(verdict.status == "contradicted" for verdict in verdicts):
        return "contradicted claim"
    return ""


def _row(task: ProxyTask, text: str, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "completion": text,
        "claims": len(verdicts),
        "supported": sum(verdict.status == "supported" for verdict in verdicts),
        "right": parse_answer(text, task.labels) == task.answer,
    }


def right_share(rows: Sequence[Mapping[str, Any]]) -> float:
    """The share of traces whose final answer is the true one: 1/K where answers are drawn at random, 1 where SFT sees
    every answer. 0 without rows."""
    return sum(bool(row["right"]) for row in rows) / max(len(rows), 1)
