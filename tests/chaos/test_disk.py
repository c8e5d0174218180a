"""A disk that fills, or a folder that turns read-only, in the middle of a training: one message, nothing lost."""

import os
import resource
import runpy
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr.run import read_json

pytestmark = pytest.mark.slow
CHAOS: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "chaos.py"))
LONG = ("sft.steps=50", "sft.save_steps=2")
"""So that it is still training when the first checkpoint is seen."""


def command(out: Path, base: str) -> list[str]:
    """The run as far as SFT, without the power of root to write where it may not."""
    plain: list[str] = CHAOS["_command"](out, (base, *LONG), "sft")
    if os.geteuid():
        return plain
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to take that away")
    return ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", *plain]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base")
    CHAOS["_whole"](folder, ("model.prime.steps=5", "model.prime.batch=4"), "base")
    return f"model.path={folder / 'base'}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, base: str) -> dict[str, Any]:
    whole = CHAOS["_whole"](tmp_path_factory.mktemp("whole"), (base, *LONG), "sft")
    contents: dict[str, Any] = CHAOS["contents"](whole)
    return contents


def fill(run: "subprocess.Popen[str]", out: Path) -> Callable[[], None]:
    """No file may grow beyond 20 kB from now on: what a full disk does to the same calls."""
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    return lambda: None


def lock(run: "subprocess.Popen[str]", out: Path) -> Callable[[], None]:
    """The run's folders become read-only; gives what undoes it."""
    folders = [path for path in (out, *out.rglob("*")) if path.is_dir()]
    kept = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in folders}

    def mend() -> None:
        for folder, mode in kept.items():
            if folder.exists():
                folder.chmod(mode)

    for folder in folders:
        folder.chmod(0o555)
    return mend


@pytest.mark.parametrize(("disturb", "said"), [(fill, "free space"), (lock, "ermission")])
def test_a_disk_that_fails_in_the_middle_of_a_training_is_one_message_and_the_same_command_goes_on(
    tmp_path: Path, base: str, undisturbed: dict[str, Any], disturb: Callable[..., Callable[[], None]], said: str
) -> None:
    run = subprocess.Popen(command(tmp_path, base), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".sft.partial/checkpoint-*/complete.json")):
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.01)
    mend = disturb(run, tmp_path)
    _, errors = run.communicate(timeout=120)
    mend()
    assert run.returncode == 1
    assert "Traceback" not in errors, errors
    assert errors.strip().splitlines()[-1].startswith("rlvr: cannot write")
    assert said in errors
    finished = read_json(tmp_path / "manifest.json")["stages"]
    assert list(finished) == ["records", "tasks", "scaffold", "base"]
    assert not (tmp_path / "sft").exists()
    again = subprocess.run(command(tmp_path, base), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("finished before, skipped") == 4
    now = CHAOS["contents"](tmp_path)
    assert [name for name in sorted({*now, *undisturbed}) if now.get(name) != undisturbed.get(name)] == []
