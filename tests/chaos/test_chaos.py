"""The short form of `benchmarks/chaos.py`: a killed run ends as an undisturbed one, and says who holds its folder."""

import os
import runpy
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
CHAOS: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "chaos.py"))


def test_a_run_killed_again_and_again_ends_in_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    found = CHAOS["torment"](tmp_path, kills=3, seed=1)
    assert found["kills"].total() >= 3
    assert found["differences"] == []


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base")
    CHAOS["_whole"](folder, ("model.prime.steps=5", "model.prime.batch=4"), "base")
    return f"model.path={folder / 'base'}"


@contextmanager
def begun(out: Path, base: str) -> Iterator["subprocess.Popen[str]"]:
    """A run that will not end by itself, in its first training with at least one checkpoint; killed after the block."""
    command = CHAOS["_command"](out, (base, "sft.steps=100000"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            while not list(out.glob(".sft.partial/checkpoint-*/complete.json")):
                assert run.poll() is None, run.communicate()[1]
                time.sleep(0.01)
            yield run
        finally:
            run.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
@pytest.mark.usefixtures("terminal")
def test_a_signal_is_a_clean_stop_with_a_checkpoint(
    tmp_path: Path, base: str, number: signal.Signals, code: int
) -> None:
    with begun(tmp_path, base) as run:
        run.send_signal(number)
        _, said = run.communicate(timeout=60)
    assert run.returncode == code
    assert said.rstrip().endswith("rlvr: interrupted; the same command continues where it stopped")
    assert "Traceback" not in said
    assert list(tmp_path.glob(".sft.partial/checkpoint-*/complete.json"))


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_goes_on(tmp_path: Path, base: str) -> None:
    with begun(tmp_path, base) as run:
        again = CHAOS["_command"](tmp_path, (base, "sft.steps=100000"))
        second = subprocess.run(again, capture_output=True, text=True)
        assert second.returncode == 1
        assert f"is in use by process {run.pid} on {os.uname().nodename} since" in second.stderr
        assert run.poll() is None
