"""The status of a run from its files: while it runs, after it was killed, torn, and never with a byte written."""

import json
import os
import platform
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from indirect_rlvr import engine, lock
from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.reporting.status import status, text

SMALL = ["records.patients=40", "tasks.train=20", "tasks.test=20", "grpo.steps=40"]
LINE = {"loss": 0.5, "reward": 0.25, "rewards/accuracy/mean": 0.125, "step_time": 2.0}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of the template domain, stopped after its tasks."""
    folder = tmp_path / "run"
    prepared, name = engine.prepare("template", "default", SMALL, folder)
    engine.execute(prepared, name, None, "tasks", lambda line: None)
    return folder


def pretend(run: Path, *finished: str, **owner: Any) -> None:
    """Bring the run to where a training is at work, in the hands of `owner`; none where nothing is given."""
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["stages"] |= dict.fromkeys(finished, manifest["stages"]["tasks"])
    manifest["state"] = "running"
    (run / "manifest.json").write_text(json.dumps(manifest))
    if owner:
        known = {"pid": os.getpid(), "host": platform.node(), "since": now(), "command": "rlvr run"}
        known["began"] = lock.began(psutil.Process())
        (run / lock.OWNER).write_text(json.dumps(known | owner))


def now(**later: int) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat(timespec="seconds")


def log(run: Path, stage: str, steps: int) -> Path:
    partial = run / f".{stage}.partial"
    (partial / "checkpoint-10").mkdir(parents=True)
    (partial / "checkpoint-10" / "complete.json").write_text("{}")
    (partial / "checkpoint-20").mkdir()
    lines = [json.dumps({"step": step, **LINE}) for step in range(1, steps + 1)]
    (partial / "log.jsonl").write_text("\n".join([*lines, '{"step": 99, "lo']))
    return partial / "log.jsonl"


def before_grpo(run: Path) -> tuple[str, ...]:
    return ("scaffold", "base", "sft", "grpo-zero")


def test_a_folder_that_holds_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no run: there is no manifest.json"):
        status(tmp_path)


def test_a_manifest_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"stages": 3}')
    with pytest.raises(DataError, match="is not what its stage writes"):
        status(tmp_path)


def test_a_training_at_work_tells_steps_rate_time_left_and_rewards(run: Path) -> None:
    pretend(run, *before_grpo(run), pid=os.getpid())
    where = log(run, "grpo", 12)
    found = status(run)
    assert (found["state"], found["look_at"]) == ("running", str(where))
    assert found["memory_bytes"] > 1e6 and found["disk_bytes"] > 0 and found["free_bytes"] > 0
    assert found["training"] == {
        "stage": "grpo",
        "step": 12,
        "steps": 40,
        "seconds_per_step": 2.0,
        "seconds_left": 56.0,
        "checkpoint": 10,
        "last": {"loss": 0.5, "reward": 0.25, "accuracy": 0.125},
    }
    assert [row["state"] for row in found["stages"]] == ["finished"] * 6 + ["at work", "to do", "to do"]
    shown = text(found)
    assert "step 12 of 40 (30%), 2 s/step, 56 s left, checkpoint of step 10" in shown
    assert f"in the hands of process {os.getpid()} on {platform.node()}" in shown


def test_a_process_that_died_without_a_word_is_told_from_one_that_runs(run: Path) -> None:
    dead = max(psutil.pids()) + 100_000
    pretend(run, *before_grpo(run), pid=dead)
    found = status(run)
    assert (found["state"], found["stages"][6]["state"]) == ("killed", "unfinished")
    assert f"was in the hands of process {dead}" in text(found)


def test_a_later_process_with_the_same_number_is_not_the_owner(run: Path) -> None:
    pretend(run, pid=os.getpid(), began=0.0)
    assert status(run)["state"] == "killed"


def test_a_clock_that_was_set_forward_kills_no_run(run: Path) -> None:
    pretend(run, since=now(days=-1), pid=os.getpid())
    assert status(run)["state"] == "running"


def test_a_run_of_another_machine_is_believed(run: Path) -> None:
    pretend(run, pid=1, host="elsewhere")
    found = status(run)
    assert (found["state"], found["memory_bytes"]) == ("running", None)


def test_a_run_that_was_stopped_says_why(tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "config.json").write_text('{"model_type": "qwen2_5_vl"}', encoding="utf-8")
    for name in ("model.safetensors", "tokenizer.json", "processor_config.json"):
        (tmp_path / "torn" / name).touch()
    overrides = [*SMALL, f"model.path={tmp_path / 'torn'}"]
    prepared, name = engine.prepare("template", "default", overrides, tmp_path / "run")
    with pytest.raises(RunError, match="the weights in `.*torn` do not fit its config") as caught:
        engine.execute(prepared, name, None, "sft", lambda line: None)
    found = status(tmp_path / "run")
    assert (found["state"], found["stopped"]) == ("interrupted", str(caught.value))
    assert found["stages"][4]["state"] == "unfinished"


def test_a_finished_part_leads_to_what_is_there(run: Path) -> None:
    found = status(run)
    assert (found["state"], found["owner"], found["training"]) == ("partial", None, None)
    assert [row["state"] for row in found["stages"]] == ["finished"] * 2 + ["to do"] * 7
    assert "  20 tasks in " in text(found) or "  40 tasks in " in text(found)


def test_nothing_is_written(run: Path) -> None:
    pretend(run, *before_grpo(run), pid=os.getpid())
    log(run, "grpo", 3)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")}
    text(status(run))
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")} == before


def test_torn_logs_and_owners_never_crash_it(run: Path) -> None:
    pretend(run, *before_grpo(run), pid=os.getpid())
    path = log(run, "grpo", 30)
    whole, owner = path.read_bytes(), (run / lock.OWNER).read_bytes()
    rng = random.Random(0)
    for _ in range(60):
        noise = rng.randbytes(rng.randrange(40))
        path.write_bytes(whole[: rng.randrange(len(whole))] + noise)
        (run / lock.OWNER).write_bytes(owner[: rng.randrange(len(owner) + 1)])
        text(status(run))
    path.write_text('{"step": "seven"}\n[]\n' + "[" * 100_000 + '\n{"step": 3, "step_time": "x", "loss": "y"}\n')
    assert status(run)["training"]["last"] == {}
    endless = "1" + "0" * 400
    odd = ('"step_time": NaN', '"step_time": 1e999', f'"step_time": {endless}', f'"loss": {endless}')
    path.write_text("".join(f'{{"step": 3, {each}}}\n' for each in odd) + f'{{"step": {endless}}}\n{{"step": 2}}\n')
    assert status(run)["training"]["step"] == 2
    path.write_text(f'{{"step": 2}}\n{{"step": -{endless}, "step_time": 1.0}}\n')
    assert "step 2 of 40" in text(status(run))


@pytest.mark.parametrize(
    "owner",
    [
        '{"pid": 1e400, "host": "h", "since": "2026-01-01"}',
        "[" * 100_000,
        '{"pid": 1, "host": "HERE", "since": "2026-01-01"}',
    ],
)
def test_a_file_of_the_owner_that_holds_anything_is_passed_over(run: Path, owner: str) -> None:
    (run / lock.OWNER).write_text(owner.replace("HERE", platform.node()))
    assert text(status(run)).startswith(f"{run}: ")
    assert lock.owner(run) == "another process"


def test_a_step_of_less_than_no_time_is_passed_over(run: Path) -> None:
    pretend(run, *before_grpo(run), pid=os.getpid())
    where = log(run, "grpo", 12)
    where.write_text(json.dumps({"step": 12, **LINE}) + '\n{"step": 13, "step_time": -200}\n')
    found = status(run)["training"]
    assert (found["step"], found["seconds_left"]) == (12, 28 * LINE["step_time"])


@pytest.mark.parametrize("value", ["NaN", "1e400", "1" + "0" * 400, "1e300", "[" * 100_000])
@pytest.mark.parametrize("name", ["step", "step_time", "loss"])
def test_a_line_of_a_log_that_no_training_writes_is_passed_over(run: Path, name: str, value: str) -> None:
    pretend(run, *before_grpo(run), pid=os.getpid())
    where = log(run, "grpo", 12)
    where.write_text(json.dumps({"step": 12, **LINE}) + f'\n{{"step": 13, "step_time": 2, "{name}": {value}}}\n')
    assert status(run)["training"]["step"] == 12
    assert "step 12 of 40" in text(status(run))
