"""Build the SFT set: the domain's traces for train tasks, each checked against metadata before it is kept.

A trace that states a contradicted fact or breaks the answer format would teach just that: its false sentences are cut
out where the rest still stands, else it is dropped; both are counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.facts import contradictions, repaired
from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Counts, ProxyTask, Verdict


def build(domain: Domain, tasks: Sequence[ProxyTask], *, count: int, seed: int) -> tuple[list[dict[str, Any]], Counts]:
    """At most `count` traces, one a task, from the train tasks in an order that depends on the seed alone.

    A row holds `task_id`, `completion`, how many `claims` it states, how many of them are `supported`, whether it was
    `repaired` (`repaired_share`), and whether its final answer is `right`: such traces leak the answer into SFT, so
    their share belongs in the report (`right_share`). No rows at all where the domain writes no scaffold; a task it
    passes on counts as `no trace`. Raises DataError where tasks gave traces and every one was dropped.
    """
    rows: list[dict[str, Any]] = []
    dropped: Counter[str] = Counter()
    train = [task for task in tasks if task.split == "train"]
    for task in sorted(train, key=lambda task: (keyed_rng(seed, "scaffold-order", task.id).random(), task.id)):
        if len(rows) == count:
            break
        made = domain.scaffold(task, keyed_rng(seed, "scaffold", task.id))
        text, verdicts = _mended(domain, task, made)
        reason = _fault(text, verdicts)
        if text is None or reason:
            dropped[reason] += 1
        else:
            rows.append(_row(task, text, verdicts, changed=text != made))
    if not rows and dropped - Counter({"no trace": dropped["no trace"]}):
        raise DataError(
            f"every scaffold of domain `{domain.name}` was dropped: {dict(dropped)}; mend its scaffold hook"
        )
    return rows, Counts(len(rows), "scaffolds", dict(dropped))


def _mended(domain: Domain, task: ProxyTask, text: str | None) -> tuple[str | None, Sequence[Verdict]]:
    """A trace and its verdicts, or those of its repair where false sentences can go and format and answer stay."""
    if text is None:
        return None, ()
    verdicts = domain.check_facts(task, text)
    repair = repaired(text, verdicts) if contradictions(verdicts) else None
    if repair is None or not has_format(text):
        return text, verdicts
    again = domain.check_facts(task, repair)
    stands = has_format(repair) and parse_answer(repair, task.labels) == parse_answer(text, task.labels)
    return (repair, again) if stands and not contradictions(again) else (text, verdicts)


def _fault(text: str | None, verdicts: Sequence[Verdict]) -> str:
    """Why a trace is dropped; "" where it is kept."""
    if text is None:
        return "no trace"
    if not has_format(text):
        return "bad format"
    if contradictions(verdicts):
        return "contradicted claim"
    return ""


def _row(task: ProxyTask, text: str, verdicts: Sequence[Verdict], *, changed: bool) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "completion": text,
        "claims": len(verdicts),
        "supported": sum(verdict.status == "supported" for verdict in verdicts),
        "repaired": changed,
        "right": parse_answer(text, task.labels) == task.answer,
    }


def right_share(rows: Sequence[Mapping[str, Any]]) -> float:
    """The share of traces whose final answer is the true one: 1/K where answers are drawn at random, 1 where SFT sees
    every answer. 0 without rows."""
    return sum(bool(row["right"]) for row in rows) / max(len(rows), 1)


def repaired_share(rows: Sequence[Mapping[str, Any]]) -> float:
    """The share of traces that were kept only after their false sentences had been cut out. 0 without rows."""
    return sum(bool(row["repaired"]) for row in rows) / max(len(rows), 1)
