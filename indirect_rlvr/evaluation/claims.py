"""Checks the facts in every answer to a held-out task, for the report: one line of verdicts for each answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from indirect_rlvr.evaluation.score import read_predictions
from indirect_rlvr.rewards.facts import Check
from indirect_rlvr.run import write_jsonl
from indirect_rlvr.types import ProxyTask

FILE = "claims.jsonl"
"""Beside the answers of a row: {"id", "verdicts"} for each answer to the proxy task."""


def write(check: Check, tasks: Sequence[ProxyTask], answers: Path) -> int:
    """Write `FILE` beside a row's file of `answers`, a line for each answer to one of `tasks`; returns their number.

    Raises DataError where the answers cannot be read.
    """
    known: Mapping[str, ProxyTask] = {task.id: task for task in tasks}
    said = [(answer.id, answer.text) for answer in read_predictions(answers) if answer.id in known]
    rows = [{"id": name, "verdicts": list(check(known[name], text))} for name, text in said]
    return write_jsonl(answers.with_name(FILE), rows)
