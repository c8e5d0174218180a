"""Build the SFT set: one trace for each of so many train tasks, each checked against metadata before it is kept.

A trace that states a contradicted fact or breaks the answer format would teach just that: its false sentences are cut
out where the rest still stands, else it is dropped; so is one that is too like an earlier one. All is counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.facts import contradictions
from indirect_rlvr.rewards.parsing import parse_answer
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.scaffolds import faults
from indirect_rlvr.scaffolds.overlap import Kept
from indirect_rlvr.scaffolds.written import Rules, Writer, Written
from indirect_rlvr.types import Counts, ProxyTask, Verdict

ALIKE = "too like an earlier one"
QUOTED = 200
"""Characters of a dropped trace in a message."""


def build(
    domain: Domain,
    tasks: Sequence[ProxyTask],
    *,
    count: int,
    seed: int,
    writer: Writer | None = None,
    similarity: float = 1.0,
) -> tuple[list[dict[str, Any]], Counts]:
    """At most `count` traces, one a task, from the train tasks in an order that depends on the seed alone, by `writer`
    (the domain's own rules, if none is given).

    A row holds `task_id`, `completion`, how many `claims` it states, how many of them are `supported`, whether it was
    `repaired` (`repaired_share`), and whether its final answer is `right`: such traces leak the answer into SFT, so
    their share belongs in the report (`right_share`). No rows at all where the domain writes no scaffold; a task it
    passes on counts as `no trace`. A task whose trace is dropped is asked again as often as the writer says, and each
    dropped trace counts. Raises DataError where every trace was dropped.
    """
    writer = writer or Rules(domain, seed)
    train = [task for task in tasks if task.split == "train"]
    order = sorted(train, key=lambda task: (keyed_rng(seed, "scaffold-order", task.id).random(), task.id))
    made, asked = _Made(domain, writer, similarity), 0
    while asked < len(order) and len(made.rows) < count:
        portion = order[asked : asked + min(count - len(made.rows), writer.portion(asked))]
        made.ask(portion)
        asked += len(portion)
        if asked >= writer.trial or asked == len(order):
            made.refuse_nothing(asked)
    return made.rows, Counts(len(made.rows), "scaffolds", dict(made.dropped))


class _Made:
    """The rows so far, and what was dropped by reason."""

    def __init__(self, domain: Domain, writer: Writer, similarity: float) -> None:
        self.rows: list[dict[str, Any]] = []
        self.dropped: Counter[str] = Counter()
        self._domain, self._writer = domain, writer
        self._kept = Kept(similarity)
        self._first_dropped = ""

    def ask(self, portion: Sequence[ProxyTask]) -> None:
        """Have the tasks' traces written and judged; those dropped are asked for again."""
        for attempt in range(self._writer.attempts):
            found = self._writer.write(portion, attempt, len(self.rows))
            again = [task for task, written in zip(portion, found, strict=True) if not self._keep(task, written)]
            if not again:
                return
            portion = again

    def refuse_nothing(self, asked: int) -> None:
        """Raise DataError where there are dropped traces and no other ones."""
        if not self.rows and self.dropped - Counter({"no trace": self.dropped["no trace"]}):
            raise DataError(
                f"every scaffold of {asked:,} tasks was dropped: {dict(self.dropped)}; mend {self._writer.about}. The "
                f"first one dropped: {self._first_dropped!r}"
            )

    def _keep(self, task: ProxyTask, written: Written) -> bool:
        """Judge a trace and keep it, or count why not; says which."""
        text = written.text or ""
        verdicts: Sequence[Verdict] = ()
        reason = faults.of_form(task, written)
        if not reason:
            text, verdicts = faults.mended(self._domain, task, text)
            reason = "contradicted claim" if contradictions(verdicts) else ""
        if not reason and not self._kept.add(text):
            reason = ALIKE
        if reason:
            self.dropped[reason] += 1
            self._first_dropped = self._first_dropped or text[:QUOTED]
        else:
            self.rows.append(_row(task, text, verdicts, changed=text != written.text))
        return not reason


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
