"""Two processes and one folder: the second is refused by name, and a killed owner locks nobody out."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from indirect_rlvr import lock
from indirect_rlvr.errors import RunError

HOLD = """
import sys, time
from pathlib import Path
from indirect_rlvr import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_process_is_refused_with_the_first_one_s_name(
    owner: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    with (
        pytest.raises(RunError, match=rf"in use by process {owner.pid} on {os.uname().nodename} since"),
        lock.held(tmp_path),
    ):
        pytest.fail("two processes hold one folder")


def test_an_owner_that_was_killed_locks_nobody_out(owner: "subprocess.Popen[str]", tmp_path: Path) -> None:
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert (tmp_path / lock.OWNER).exists()
    with lock.held(tmp_path):
        assert f"process {os.getpid()} on " in lock.owner(tmp_path)
    assert not (tmp_path / lock.OWNER).exists()


def test_an_owner_that_left_no_readable_name_is_another_process(tmp_path: Path) -> None:
    for torn in ("", "{}", "[]", '{"pid": 1'):
        (tmp_path / lock.OWNER).write_text(torn)
        assert lock.owner(tmp_path) == "another process"


def test_a_folder_can_be_held_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), lock.held(tmp_path / "new"):
        raise ValueError("inside")
    with lock.held(tmp_path / "new"):
        pass
