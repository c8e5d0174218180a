"""The transfer matrix: what training on each proxy recipe did to each target task, against one base."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import ConfigError
from indirect_rlvr.evaluation.compare import compare


def matrix(base: Path, trained: Sequence[Path]) -> dict[str, Any]:
    """Each evaluation folder of `trained` against `base`, as plain JSON.

    `tasks` are the columns, in the order in which they come, and a row's `cells` are in that order, None where the row
    did not measure that task. Holm's correction is within a row: the tasks of one recipe are one family. Rows have the
    names of their folders. Raises ConfigError where there is no row or two have one name, DataError as `compare` does.
    """
    names = [folder.resolve().name for folder in trained]
    if not names:
        raise ConfigError("a transfer matrix needs the evaluation of a base and of at least one trained model")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two evaluation folders are named `{twice[0]}`, and rows have the names of their folders")
    found = [compare(base, folder) for folder in trained]
    tasks = list(dict.fromkeys((cell["benchmark"], cell["task"]) for row in found for cell in row["tasks"]))
    return {
        "base": found[0]["first"],
        "tasks": [{"benchmark": benchmark, "task": task} for benchmark, task in tasks],
        "rows": [_row(name, row, tasks) for name, row in zip(names, found, strict=True)],
    }


def _row(name: str, found: dict[str, Any], tasks: Sequence[tuple[str, str]]) -> dict[str, Any]:
    cells = {(cell["benchmark"], cell["task"]): cell for cell in found["tasks"]}
    kept = {key: found[key] for key in ("improved", "worse", "statement", "not_compared")}
    return {"name": name, **found["second"], **kept, "cells": [cells.get(task) for task in tasks]}
