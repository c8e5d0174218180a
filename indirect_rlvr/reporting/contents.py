"""Reads what a run folder holds for its report; nothing is computed here and nothing is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indirect_rlvr import shapes
from indirect_rlvr.data import proxy
from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.benchmark import PROXY
from indirect_rlvr.evaluation.score import Prediction, read_predictions
from indirect_rlvr.run import MANIFEST, read_jsonl
from indirect_rlvr.types import ProxyTask

TRAININGS = ("sft", "grpo-zero", "grpo")
"""The training stages, in order; each writes `<stage>/log.jsonl`."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A run's files: `logs` by training stage, `tasks` the held-out tasks asked, `predictions` by row and task id."""

    folder: Path
    manifest: Mapping[str, Any]
    results: Mapping[str, Any]
    audit: Mapping[str, Any]
    logs: Mapping[str, Sequence[Mapping[str, Any]]]
    tasks: Sequence[ProxyTask]
    predictions: Mapping[str, Mapping[str, Prediction]]


def read(run: Path) -> Contents:
    """The files of an evaluated run; training logs are read where their stage has run.

    Raises DataError that names the file which is missing or broken.
    """
    require_evaluated(run)
    results = shapes.read(run / "results.json", shapes.Results)
    manifest = shapes.read(run / MANIFEST, shapes.Manifest)
    predictions = {
        row["model"]: _by_id(run / "evaluation" / row["model"] / f"{PROXY}.jsonl") for row in results["rows"]
    }
    asked = {prediction for found in predictions.values() for prediction in found}
    logs = {stage: run / stage / "log.jsonl" for stage in TRAININGS}
    return Contents(
        folder=run,
        manifest=manifest,
        results=results,
        audit=shapes.read(run / "audit.json", shapes.Audit),
        logs={stage: _log(path) for stage, path in logs.items() if path.exists()},
        tasks=[task for task in proxy.read(run / "tasks.jsonl") if task.id in asked],
        predictions=predictions,
    )


def require_evaluated(run: Path) -> None:
    """Raises DataError that says what to do where `run` is no run, or one that is not evaluated yet."""
    if not (run / MANIFEST).is_file():
        raise DataError(f"`{run}` holds no run: there is no {MANIFEST}; name the folder that `rlvr run` wrote")
    if not (run / "results.json").is_file():
        done = ", ".join(shapes.read(run / MANIFEST, shapes.Manifest)["stages"]) or "none"
        raise DataError(
            f"the run in `{run}` is not evaluated yet; its finished stages: {done}; give its `rlvr run` command again"
        )


def _log(path: Path) -> list[Mapping[str, Any]]:
    rows = read_jsonl(path)
    odd = [number for number, row in enumerate(rows, 1) if not isinstance(row, dict)]
    if odd:
        raise DataError(f"`{path}` line {odd[0]} is no object; run the stage again")
    return rows


def _by_id(path: Path) -> dict[str, Prediction]:
    return {prediction.id: prediction for prediction in read_predictions(path)}
