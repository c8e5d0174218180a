"""How far a run is, from the files in its folder alone; nothing is written, and torn files are passed over."""

import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from indirect_rlvr import lock, shapes
from indirect_rlvr.config import Recipe
from indirect_rlvr.errors import DataError
from indirect_rlvr.foreign import loads
from indirect_rlvr.pipeline import stages
from indirect_rlvr.progress import duration, facts, size, speed
from indirect_rlvr.reporting.curves import FARTHEST
from indirect_rlvr.reporting.markup import visible
from indirect_rlvr.run import MANIFEST
from indirect_rlvr.validation import validate

TAIL = 256 * 1024
"""Bytes from the end of a log that are read."""
RECENT = 20
"""Steps that the rate is a mean of."""


def status(run: Path) -> dict[str, Any]:
    """State, owner, stages, the training at work, memory and disk, and where to look, as plain JSON.

    `state` is "running", "killed" (its process ended without a word), "interrupted", "partial" or "complete". Raises
    DataError where the folder holds no run, or a manifest that is not one.
    """
    if not (run / MANIFEST).is_file():
        raise DataError(f"`{run}` holds no run: there is no {MANIFEST}; start one with rlvr run --out {run}")
    manifest = shapes.read(run / MANIFEST, shapes.Manifest)
    recipe = validate(Recipe, manifest["recipe"], f"the recipe in `{run / MANIFEST}`")
    owner = _owner(run)
    state = _state(manifest, owner)
    rows = _stages(recipe, manifest, state)
    at_work = next((row["name"] for row in rows if row["state"] in ("at work", "unfinished")), None)
    training = _training(run, str(at_work), recipe) if at_work else None
    return {
        "run": str(run),
        "domain": manifest["domain"],
        "recipe": manifest["recipe_name"],
        "state": state,
        "owner": lock.owner(run) if owner else None,
        "started": manifest.get("started"),
        "stopped": manifest.get("stopped", ""),
        "stages": rows,
        "training": training,
        "memory_bytes": _memory(owner) if state == "running" else None,
        "disk_bytes": _size(run),
        "free_bytes": shutil.disk_usage(run).free,
        "look_at": _where(run, at_work, state),
    }


def text(found: Mapping[str, Any]) -> str:
    """The status for people."""
    lines = [f"{found['run']}: {found['state']} (domain {found['domain']}, recipe {found['recipe']})"]
    if found["owner"]:
        lines.append(("was " if found["state"] == "killed" else "") + f"in the hands of {found['owner']}")
    lines += [found["stopped"]] if found["stopped"] else []
    width = max(len(row["name"]) for row in found["stages"])
    for row in found["stages"]:
        lines.append(f"  {row['name']:{width}}  {row['state']:10}  {_row(row)}".rstrip())
        if found["training"] and row["name"] == found["training"]["stage"]:
            lines += [" " * (width + 16) + line for line in _progress(found["training"])]
    memory = f"memory {size(found['memory_bytes'])}, " if found["memory_bytes"] is not None else ""
    lines.append(f"{memory}run folder {size(found['disk_bytes'])}, {size(found['free_bytes'])} free")
    lines.append(f"look at {found['look_at']}")
    return "\n".join(visible(line, 2000) for line in lines)


def _owner(run: Path) -> dict[str, Any]:
    """Who holds the run as far as its file says; nothing where there is no such file or it is torn."""
    try:
        found = loads((run / lock.OWNER).read_text(encoding="utf-8"))
        return {"pid": int(found["pid"]), "host": str(found["host"]), "began": float(found["began"])}
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return {}


def _state(manifest: Mapping[str, Any], owner: Mapping[str, Any]) -> str:
    if owner and (owner["host"] != platform.node() or _process(owner) is not None):
        return "running"
    said = str(manifest.get("state", "partial"))
    return "killed" if said == "running" else said


def _process(owner: Mapping[str, Any]) -> psutil.Process | None:
    """The owner's process where it is of this machine and alive; one that began at another time only has its number."""
    if owner["host"] != platform.node():
        return None
    try:
        process = psutil.Process(owner["pid"])
        same = abs(lock.began(process) - owner["began"]) < 1
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError, OverflowError):
        return None
    return process if alive and same else None


def _memory(owner: Mapping[str, Any]) -> int | None:
    process = _process(owner) if owner else None
    try:
        return int(process.memory_info().rss) if process else None
    except psutil.Error:
        return None


def _stages(recipe: Recipe, manifest: Mapping[str, Any], state: str) -> list[dict[str, Any]]:
    """Each stage of the recipe in order; the first one that is not finished is at work while the run is."""
    rows: list[dict[str, Any]] = []
    begun = False
    for stage in stages(recipe):
        done = manifest["stages"].get(stage.name)
        if done:
            made = {"finished": done.get("finished"), "seconds": done["seconds"], "kept": done["kept"]}
            rows.append({"name": stage.name, "state": "finished", **made, "unit": done["unit"]})
            continue
        first = "at work" if state == "running" else "unfinished" if state in ("killed", "interrupted") else "to do"
        rows.append({"name": stage.name, "state": "to do" if begun else first})
        begun = True
    return rows


def _training(run: Path, stage: str, recipe: Recipe) -> dict[str, Any] | None:
    """How far the training in the hidden folder of `stage` is; None where it is not a training or has no step yet."""
    folder = run / f".{stage}.partial"
    lines = _last_lines(folder / "log.jsonl")
    if not lines:
        return None
    steps = recipe.sft.steps if stage == "sft" else recipe.grpo.steps
    times = [line["step_time"] for line in lines[-RECENT:] if isinstance(line.get("step_time"), (int, float))]
    seconds = sum(times) / len(times) if times else None
    step = lines[-1]["step"]
    marks = [path.parent.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*/complete.json")]
    return {
        "stage": stage,
        "step": step,
        "steps": steps,
        "seconds_per_step": seconds,
        "seconds_left": None if seconds is None else max(0, steps - step) * seconds,
        "checkpoint": max((int(mark) for mark in marks if mark.isdecimal() and len(mark) < 13), default=None),
        "last": facts(lines[-1]),
    }


def _last_lines(log: Path) -> list[dict[str, Any]]:
    """The whole lines at the end of a log that are steps; a torn line, one that is no step and one with a number that
    no trainer writes are passed over."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL))
            rows = stream.read(TAIL).decode("utf-8", errors="replace").split("\n")
    except OSError:
        return []
    found = []
    for row in rows:
        try:
            line = loads(row)
        except ValueError:
            continue
        if _is_step(line):
            found.append(line)
    return found


def _is_step(line: object) -> bool:
    if not isinstance(line, dict) or not isinstance(line.get("step"), int):
        return False
    numbers = {name: value for name, value in line.items() if isinstance(value, (int, float))}
    return (
        line["step"] >= 0
        and numbers.get("step_time", 0) >= 0
        and all(abs(value) <= FARTHEST for value in numbers.values())
    )


def _size(run: Path) -> int:
    """Bytes of the folder's files; a file that goes while they are counted counts nothing."""
    total = 0
    for parent, _, names in os.walk(run):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:
                continue
    return total


def _where(run: Path, at_work: str | None, state: str) -> str:
    log = run / f".{at_work}.partial" / "log.jsonl"
    if at_work and log.is_file():
        return str(log)
    page = run / "report.html"
    return str(page if page.is_file() and state == "complete" else run / MANIFEST)


def _row(row: Mapping[str, Any]) -> str:
    if row["state"] != "finished":
        return ""
    return f"{row['finished'] or ''}  {row['kept']:,} {row['unit']} in {duration(row['seconds'])}"


def _progress(training: Mapping[str, Any]) -> list[str]:
    step, steps, seconds = training["step"], training["steps"], training["seconds_per_step"]
    parts = [f"step {step:,} of {steps:,} ({step / steps:.0%})"]
    if seconds:
        parts += [speed(1 / seconds, "step"), f"{duration(training['seconds_left'])} left"]
    kept = "no checkpoint yet" if training["checkpoint"] is None else f"checkpoint of step {training['checkpoint']:,}"
    return [", ".join([*parts, kept]), ", ".join(f"{name} {value:.4g}" for name, value in training["last"].items())]
