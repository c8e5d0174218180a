"""Two processes: what they tell each other, and that where one ends all end, with one message and one exit code."""

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from indirect_rlvr import processes

SCRIPT = """
import os, signal, sys, time
import typer
from indirect_rlvr import cli, processes
from indirect_rlvr.errors import ConfigError, RunError

app = typer.Typer(cls=cli._Messages, pretty_exceptions_enable=False)

@app.command()
def work() -> None:
    processes.join()
    first = processes.is_first()
{work}
    processes.leave()

@app.command()
def other() -> None: ...

app(["work"])
"""

LATE = """
import os, time
from indirect_rlvr import processes

del os.environ["TORCHELASTIC_USE_AGENT_STORE"]
os.environ["MASTER_PORT"] = "{port}"
processes.join()
if not processes.is_first():
    kind = type(processes._store)
    real = kind.wait
    kind.wait = lambda *given: time.sleep(1) or real(*given)
processes.leave()
"""


@pytest.fixture
def do(tmp_path: Path, in_processes: Callable[..., list[subprocess.CompletedProcess[str]]]) -> Callable[..., tuple]:
    def run(work: str) -> tuple[list[int], list[str], list[str]]:
        path = tmp_path / "work.py"
        path.write_text(SCRIPT.replace("{work}", "".join(f"    {line}\n" for line in work.splitlines())), "utf-8")
        done = in_processes([str(path)], [str(path)])
        return [each.returncode for each in done], [each.stdout for each in done], [each.stderr for each in done]

    return run


def test_the_error_of_one_is_said_once_with_its_number_and_ends_both(do: Callable[..., tuple]) -> None:
    codes, _, said = do("if not first: raise ConfigError('no such key')\nprocesses.wait()")
    assert codes == [2, 2]
    assert said == ["", "rlvr: process 1: no such key\n"]


def test_what_both_fail_of_is_said_by_the_first_alone(do: Callable[..., tuple]) -> None:
    codes, _, said = do("time.sleep(0.5 * first)\nraise RunError('no room')")
    assert codes == [1, 1]
    assert said == ["rlvr: no room\n", ""]


def test_where_one_is_killed_the_other_ends_and_says_so(do: Callable[..., tuple]) -> None:
    codes, _, said = do("if not first: os.kill(os.getpid(), signal.SIGKILL)\nprocesses.wait()")
    assert codes == [1, -9]
    assert said == [
        "rlvr: another process of the run ended; finished stages and the newest checkpoint are kept: the same command "
        "continues there\n",
        "",
    ]


def test_a_defect_in_one_keeps_its_traceback_and_the_other_is_silent(do: Callable[..., tuple]) -> None:
    codes, _, said = do("if not first: 1 / 0\nprocesses.wait()")
    assert codes == [1, 1]
    assert said[0] == ""
    assert "ZeroDivisionError" in said[1]


def test_an_error_of_the_first_alone_is_raised_in_both_and_said_once(do: Callable[..., tuple]) -> None:
    codes, _, said = do("def fail(): raise RunError('full')\nprocesses.by_first(fail)")
    assert codes == [1, 1]
    assert said == ["rlvr: full\n", ""]


def test_a_folder_that_not_all_see_is_refused_in_both_and_named(do: Callable[..., tuple]) -> None:
    codes, _, said = do(
        "from pathlib import Path\n"
        "from indirect_rlvr import common\n"
        "common.SECONDS = 0.5\n"
        "folder = Path(__file__).parent\n"
        "common.require_shared(folder)\n"
        "assert not (folder / common.SEEN).exists() or not first\n"
        "common.require_shared(folder / str(processes.rank()))"
    )
    assert codes == [1, 1]
    host = os.uname().nodename
    assert (
        f"/0` on {host} is not the folder of that name on {host}, where the first process runs; give --out" in said[0]
    )
    assert said[1] == ""


def test_they_know_what_the_first_says_and_what_each_has(do: Callable[..., tuple]) -> None:
    codes, printed, said = do(
        "import json\n"
        "mine = processes.rank()\n"
        "print(json.dumps([processes.agreed(f'of {mine}'), processes.gathered(mine), processes.any_of(mine == 1), "
        "processes.any_of(False), processes.by_first(lambda: mine + 5), processes.count()]))"
    )
    assert codes == [0, 0], said
    assert [json.loads(text) for text in printed] == [["of 0", [0, 1], True, False, 5, 2]] * 2


def test_the_first_goes_after_the_others_where_it_holds_what_they_meet_at(
    tmp_path: Path, in_processes: Callable[..., list[subprocess.CompletedProcess[str]]]
) -> None:
    """As under a launcher that has no store of its own."""
    path = tmp_path / "late.py"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path.write_text(LATE.format(port=port), "utf-8")
    done = in_processes([str(path)], [str(path)])
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 2


def test_alone_nothing_is_asked_of_anybody() -> None:
    assert "WORLD_SIZE" not in os.environ
    processes.join()
    processes.wait()
    assert processes.agreed(3) == 3
    assert processes.gathered(3) == [3]
    assert processes.any_of(True)
    assert not processes.any_of(False)
    assert processes.speaks(2) == (True, 2)
    processes.leave()
