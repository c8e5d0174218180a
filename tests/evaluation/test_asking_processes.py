"""Two processes share the questions: each is asked once, a killed one loses nothing, and all know all answers."""

import json
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.evaluation.asking import ask
from indirect_rlvr.evaluation.backends.answers import Answer
from indirect_rlvr.types import Prompt

SCRIPT = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from indirect_rlvr import processes
from indirect_rlvr.errors import RlvrError
from indirect_rlvr.evaluation.asking import ask
from indirect_rlvr.evaluation.backends.answers import Answer
from indirect_rlvr.training.dataset import images
from questions import queries

folder, last, asked = Path(sys.argv[2]), int(sys.argv[3]), []

def say(prompts, views, skip=()):
    for index, prompt in enumerate(prompts):
        if index in skip or index % processes.count() != processes.rank():
            continue
        images(prompt, views)
        if len(asked) == last and processes.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        asked.append(prompt.parts[0])
        yield index, Answer("I say " + prompt.parts[0], 3, True)

processes.join()
try:
    rows = ask(lambda: say, folder / "a.jsonl", queries(), folder, "test")
except RlvrError as error:
    print(json.dumps([str(error), asked]), flush=True)
    os._exit(1)
print(json.dumps([{name: row.get("text") for name, row in rows.items()}, asked]))
processes.leave()
"""
NAMES = [f"q{number}" for number in range(6)]
ALL = {name: f"I say {name}" for name in NAMES}
QUESTIONS = """
from indirect_rlvr.evaluation.asking import Policy, query
from indirect_rlvr.types import Prompt, View

def queries():
    policy = Policy("toy", "weights", None)
    prompts = {f"q{number}": Prompt((f"q{number}", View("photo", "image", f"{number}.png"))) for number in range(6)}
    return [query(policy, name, prompt) for name, prompt in prompts.items()]
"""


@pytest.fixture
def share(tmp_path: Path, in_processes: Callable[..., list[subprocess.CompletedProcess[str]]]) -> Callable[..., list]:
    """What two processes print that ask six questions, process 1 killed after `last` of its own."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "share.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "code" / "questions.py").write_text(QUESTIONS, encoding="utf-8")
    for number in range(6):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    command = [str(tmp_path / "code" / "share.py"), str(tmp_path / "code"), str(tmp_path)]

    def run(last: int = -1) -> list:
        done = in_processes([*command, str(last)], [*command, str(last)])
        return [json.loads(each.stdout) if each.stdout else each.returncode for each in done]

    return run


def ids(folder: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (folder / "a.jsonl").read_text(encoding="utf-8").splitlines()]


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*")]


def test_each_question_is_asked_once_and_all_know_all_answers(tmp_path: Path, share: Callable[..., list]) -> None:
    assert share() == [[ALL, ["q0", "q2", "q4"]], [ALL, ["q1", "q3", "q5"]]]
    assert (ids(tmp_path), hidden(tmp_path)) == (NAMES, [])


def test_a_killed_process_loses_nothing_that_was_asked(tmp_path: Path, share: Callable[..., list]) -> None:
    (said, asked), code = share(last=2)
    assert said.startswith("another process of the run ended")
    assert (asked, code) == (["q0", "q2", "q4"], -9)
    assert (ids(tmp_path), hidden(tmp_path)) == (["q0", "q2", "q4"], [".a.jsonl.part-1"])
    assert share() == [[ALL, []], [ALL, ["q5"]]]
    assert (ids(tmp_path), hidden(tmp_path)) == (NAMES, [])


def test_one_process_goes_on_where_two_were_killed(tmp_path: Path, share: Callable[..., list]) -> None:
    share(last=1)
    asked = []

    def say(prompts: list[Prompt], views: Path, skip: frozenset[int] = frozenset()) -> object:
        for index, prompt in enumerate(prompts):
            if index not in skip:
                asked.append(prompt.parts[0])
                yield index, Answer("alone", 3, True)

    queries = runpy.run_path(str(tmp_path / "code" / "questions.py"))["queries"]
    ask(lambda: say, tmp_path / "a.jsonl", queries(), tmp_path, "test")
    assert asked == ["q3", "q5"]
    assert (sorted(ids(tmp_path)), hidden(tmp_path)) == (NAMES, [])


def test_an_image_that_one_process_cannot_open_stops_no_other_question(
    tmp_path: Path, share: Callable[..., list]
) -> None:
    (tmp_path / "1.png").write_bytes(b"torn")
    first, second = share()
    assert first[0] == second[0] == {**ALL, "q1": None}
    assert sorted(first[1] + second[1]) == ["q0", "q2", "q3", "q4", "q5"]
    assert (ids(tmp_path), hidden(tmp_path)) == (NAMES, [])
