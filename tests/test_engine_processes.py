"""A whole run over two processes: as one process would do it where nothing is summed, and whatever ends one of them.

The text domain on a model of the smallest size; the two processes meet over loopback with gloo.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from indirect_rlvr import engine
from indirect_rlvr.run import read_jsonl

pytestmark = pytest.mark.slow
SETTINGS = (
    "records.patients=40", "tasks.train=20", "tasks.test=20", "tasks.k=3", "scaffold.count=20", "model.prime.steps=2",
    "model.prime.batch=4", "sft.steps=2", "sft.batch=4", "grpo.steps=2", "grpo.save_steps=1", "grpo.from_base=false",
    "grpo.prompts_per_step=2", "grpo.group_size=4", "grpo.max_completion_tokens=16", "evaluation.tasks=8",
    "evaluation.control_tasks=4", "evaluation.targets=4", "evaluation.batch=3",
)  # fmt: skip
TIMES = ("step_time", "time")
"""Parts of the names of metrics that no two runs have in common."""


def command(out: Path, *more: str) -> list[str]:
    given = [part for setting in SETTINGS for part in ("--set", setting)]
    return ["-m", "indirect_rlvr", "run", "--domain", "template", "--out", str(out), *given, *more]


def whole(out: Path, *more: str, launcher: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "ignore", *launcher, *command(out, *more)], capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing disturbed."""
    folder = tmp_path_factory.mktemp("two") / "run"
    done = whole(folder, "--nproc", "2")
    assert done.returncode == 0, done.stderr
    *stages, last = done.stdout.splitlines()
    assert [line.partition("] ")[2].partition(":")[0] for line in stages[::2]] == [
        "records", "tasks", "scaffold", "base", "sft", "grpo", "evaluate", "report"
    ]  # fmt: skip
    assert last == f"the report is {folder / 'report.html'}"
    return folder


def made(folder: Path) -> dict[str, object]:
    """What a run made, by name of file: bytes, and of logs the lines without times."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in (".safetensors", ".jsonl", ".json") and name != "manifest.json":
            lines = read_jsonl(path) if path.name == "log.jsonl" else None
            found[name] = path.read_bytes() if lines is None else [_without_times(line) for line in lines]
    return found


def _without_times(line: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in line.items() if not any(part in name for part in TIMES)}


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_two_processes_are_answered_what_one_is_answered(two: Path, tmp_path: Path) -> None:
    alone = tmp_path / "run"
    shutil.copytree(two, alone)
    shutil.rmtree(alone / "evaluation")
    run, name = engine.prepare("template", "default", list(SETTINGS), alone, accept_changes=True)
    engine.execute(run, name, None, "evaluate", lambda line: None)
    answers = sorted(path.relative_to(two) for path in (two / "evaluation").rglob("*.jsonl"))
    assert len(answers) > 15
    for path in answers:
        both = [{row["id"]: row for row in read_jsonl(folder / path)} for folder in (two, alone)]
        assert both[0] == both[1]
    assert (two / "results.json").read_bytes() == (alone / "results.json").read_bytes()
    assert [manifest(folder)["hardware"]["processes"] for folder in (two, alone)] == [2, 1]


def test_a_killed_process_ends_the_run_and_the_same_command_ends_as_if_nothing_had_been(
    two: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run = subprocess.Popen(
        [sys.executable, "-W", "ignore", *command(out, "--nproc", "2")], stderr=subprocess.PIPE, text=True
    )
    while not list(out.glob(".grpo.partial/checkpoint-1/complete.json")):
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.01)
    workers = {each.environ()["RANK"]: each for each in psutil.Process(run.pid).children()}
    workers["1"].kill()
    _, said = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "rlvr: process 1 of 2 was ended by SIGKILL" in said
    assert "Traceback" not in said
    assert not psutil.pid_exists(workers["0"].pid)
    assert manifest(out)["state"] == "interrupted"
    again = whole(out, launcher=("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"))
    assert again.returncode == 0, again.stderr
    assert "find_unused_parameters" not in again.stderr
    assert made(out) == made(two)


def test_a_signal_to_the_launcher_is_a_clean_stop_with_a_checkpoint(tmp_path: Path) -> None:
    endless = command(tmp_path / "run", "--set", "sft.steps=100000", "--set", "sft.save_steps=1", "--nproc", "2")
    run = subprocess.Popen([sys.executable, "-W", "ignore", *endless], stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("run/.sft.partial/checkpoint-*/complete.json")):
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 143
    assert said.rstrip().endswith("rlvr: interrupted; the same command continues where it stopped")
    assert said.count("interrupted") == 1
    assert list(tmp_path.glob("run/.sft.partial/checkpoint-*/complete.json"))
    assert manifest(tmp_path / "run")["state"] == "interrupted"


def test_two_processes_train_calmly_on_what_one_has_prepared_and_one_does_not_go_on_with_their_model(
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    assert whole(out, "--until", "scaffold").returncode == 0
    done = whole(out, "--nproc", "2", "--until", "sft")
    assert (done.returncode, done.stderr) == (0, "")
    assert "[3/8] scaffold: finished before, skipped" in done.stdout
    refused = whole(out, "--until", "grpo")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "made under other conditions:\n  the processes changed" in refused.stderr


def test_another_recipe_in_one_process_is_one_error_and_nothing_starts(
    tmp_path: Path, in_processes: Callable[..., list[subprocess.CompletedProcess[str]]]
) -> None:
    out = tmp_path / "run"
    first, second = in_processes(command(out), command(out, "--set", "grpo.steps=4"))
    assert (first.returncode, second.returncode) == (2, 2)
    host = os.uname().nodename
    assert first.stderr.startswith(
        f"rlvr: process 1 on {host} differs from process 0 on {host} in `grpo` of the recipe;"
    )
    assert (first.stdout, second.stdout, second.stderr) == ("", "", "")
    assert not out.exists()
