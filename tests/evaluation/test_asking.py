import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.evaluation.asking import Policy, ask, image_sizes, query, read
from indirect_rlvr.evaluation.backends.answers import Answer
from indirect_rlvr.types import Prompt, View

POLICY = Policy("toy", "weights", lambda: saying([]))
NAMES = [f"q{number}" for number in range(6)]


def queries(names=NAMES, fingerprint="weights", data=""):
    return [query(Policy("toy", fingerprint, POLICY.load), name, Prompt((f"say {name}",)), data) for name in names]


def saying(asked, text="{}"):
    def say(prompts, views, skip=()):
        for index, prompt in enumerate(prompts):
            if index in skip:
                continue
            asked.append(prompt.parts[0])
            yield index, Answer(text.format(prompt.parts[0]), 3, True, ((4, 5),))

    return say


def put(path, wanted, text="{}", **options):
    asked = []
    return ask(lambda: saying(asked, text), path, wanted, path.parent, "test", **options), asked


@pytest.mark.parametrize("indices", [[0, 0], [0, 9], [0, -1]])
def test_an_answer_to_no_prompt_or_a_second_one_is_refused(tmp_path, indices):
    def say(prompts, views, skip=()):
        yield from ((index, Answer("x", 1, True)) for index in indices)

    with pytest.raises(RunError, match=r"gave prompt -?\d of 6 a second answer, or there is no such one"):
        ask(lambda: say, tmp_path / "a.jsonl", queries(), tmp_path, "test")


def test_a_policy_that_skips_a_prompt_is_told_and_what_came_is_kept(tmp_path):
    path = tmp_path / "a.jsonl"

    def lazy(prompts, views, skip=()):
        yield 1, Answer("x", 1, True)

    with pytest.raises(RunError, match="gave 1 answers to 6 prompts; the first without one is `q0`"):
        ask(lambda: lazy, path, queries(), tmp_path, "test")
    assert [row["id"] for row in read(path)[0]] == ["q1"]
    _, asked = put(path, queries())
    assert asked == ["say q0", "say q2", "say q3", "say q4", "say q5"]


def test_a_failure_loses_no_answer_that_came_before_it(tmp_path):
    def failing(prompts, views, skip=()):
        yield 0, Answer("x", 1, True)
        raise RunError("the server is gone")

    with pytest.raises(RunError, match="the server is gone"):
        ask(lambda: failing, tmp_path / "a.jsonl", queries(), tmp_path, "test")
    assert put(tmp_path / "a.jsonl", queries())[1] == [f"say {name}" for name in NAMES[1:]]


@pytest.mark.parametrize("cut", [1, 2, 20, 60])
def test_a_torn_last_line_is_asked_again_and_nothing_else(tmp_path, cut):
    path = tmp_path / "a.jsonl"
    before, _ = put(path, queries())
    path.write_bytes(path.read_bytes()[:-cut])
    after, asked = put(path, queries())
    assert asked == ([] if cut == 1 else ["say q5"])
    assert after == before
    assert [json.loads(line)["id"] for line in path.read_bytes().splitlines()] == NAMES


def test_a_last_line_without_its_end_does_not_run_into_the_next(tmp_path):
    path = tmp_path / "a.jsonl"
    put(path, queries(NAMES[:2]))
    path.write_bytes(path.read_bytes()[:-1])
    assert put(path, queries(NAMES[:3]))[1] == ["say q2"]
    assert ([row["id"] for row in read(path)[0]], read(path)[1]) == (NAMES[:3], 0)


@pytest.mark.parametrize(
    "line", [b"\x00\x00\x00", b"[]", b"{}", b'{"id": 3, "asked": "x", "text": ""}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_damaged_line_in_the_middle_is_dropped_and_counted(tmp_path, line):
    path = tmp_path / "a.jsonl"
    put(path, queries())
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines[:2], line, *lines[3:]]) + b"\n")
    assert read(path)[1] == 1
    assert put(path, queries())[1] == ["say q2"]
    assert read(path)[1] == 0


def test_other_weights_another_prompt_or_other_data_are_asked_anew(tmp_path):
    path = tmp_path / "a.jsonl"
    put(path, queries())
    assert put(path, queries())[1] == []
    assert len(put(path, queries(fingerprint="other weights"))[1]) == 6
    assert len(put(path, queries(fingerprint="other weights", data="other images"))[1]) == 6


@pytest.mark.parametrize(
    "odd",
    [
        {"frames": float("nan")}, {"frames": [[float("nan"), 5]]}, {"frames": [[4]]}, {"frames": [["4", 5]]},
        {"frames": "4x5"}, {"frames": [[0, 5]]}, {"frames": [[10**400, 5]]}, {"tokens": float("inf")}, {"tokens": "3"},
        {"tokens": -3}, {"prompt_tokens": 1.5}, {"finished": "yes"}, {"note": float("nan")},
    ],
)  # fmt: skip
def test_a_line_with_odd_frames_or_numbers_is_asked_again_and_nothing_else(tmp_path, odd):
    path = tmp_path / "a.jsonl"
    before, _ = put(path, queries())
    lines = [json.dumps(row | (odd if row["id"] == "q2" else {})) for row in before.values()]
    path.write_text("\n".join(lines) + "\n")
    assert [row["id"] for row in read(path)[0]] == ["q0", "q1", "q3", "q4", "q5"]
    after, asked = put(path, queries())
    assert (after, asked) == (before, ["say q2"])


def test_a_line_with_the_text_alone_is_an_answer(tmp_path):
    path = tmp_path / "a.jsonl"
    (asked,) = queries(["q0"])
    path.write_text(json.dumps({"id": "q0", "text": "x", "asked": asked.mark}) + "\n")
    assert put(path, [asked])[1] == []


def test_answers_to_what_is_not_asked_now_stay_only_where_wanted(tmp_path):
    path = tmp_path / "a.jsonl"
    put(path, queries())
    rows, asked = put(path, queries(NAMES[:2]), keep_others=True)
    assert (sorted(rows), asked) == (["q0", "q1"], [])
    assert len(read(path)[0]) == 6
    put(path, queries(NAMES[:2]))
    assert [row["id"] for row in read(path)[0]] == ["q0", "q1"]


@pytest.mark.parametrize("text", ["\ud800", "line\nline\r\u2028", "x" * 1_000_000, "日本", "\x00"])
def test_any_text_comes_back_as_it_was_said(tmp_path, text):
    path = tmp_path / "a.jsonl"
    put(path, queries(["q0"]), text=text)
    ((row,), torn) = read(path)
    assert (row["text"], torn, row["frames"], row["tokens"]) == (text, 0, [[4, 5]], 3)
    assert put(path, queries(["q0"]))[1] == []


def pictured(folder):
    Image.new("RGB", (8, 8)).save(folder / "whole.png")
    (folder / "torn.png").write_bytes((folder / "whole.png").read_bytes()[:40])
    views = {name: View("photo", "image", f"{name}.png") for name in ("whole", "torn", "absent")}
    return [
        query(POLICY, name, Prompt((view, "?")), image_sizes(Prompt((view,)), folder)) for name, view in views.items()
    ]


def looking(prompts, views, skip=()):
    from indirect_rlvr.training.dataset import images

    for index, prompt in enumerate(prompts):
        if index in skip:
            continue
        images(prompt, views)
        yield index, Answer("seen", 1, True)


def test_a_torn_or_absent_image_is_named_and_stops_no_other(tmp_path):
    rows = ask(lambda: looking, tmp_path / "a.jsonl", pictured(tmp_path), tmp_path, "test")
    assert rows["whole"]["text"] == "seen"
    assert "torn.png" in rows["torn"]["missing"][0] and "absent.png" in rows["absent"]["missing"][0]


def test_missing_media_are_written_down_and_not_asked(tmp_path):
    wanted = [query(POLICY, "lost", Prompt(("?",)), missing=("lost.png",))]
    rows, asked = put(tmp_path / "a.jsonl", [*queries(["q0"]), *wanted])
    assert (asked, rows["lost"]["missing"]) == (["say q0"], ["lost.png"])
    assert ask(lambda: pytest.fail("loaded"), tmp_path / "b.jsonl", wanted, tmp_path, "test").keys() == {"lost"}


def test_a_mended_image_is_asked_about_again(tmp_path):
    ask(lambda: looking, tmp_path / "a.jsonl", pictured(tmp_path), tmp_path, "test")
    Image.new("RGB", (8, 8)).save(tmp_path / "absent.png")
    wanted = [
        *pictured(tmp_path)[:2],
        query(POLICY, "absent", Prompt((View("photo", "image", "absent.png"), "?")), [70]),
    ]
    assert ask(lambda: looking, tmp_path / "a.jsonl", wanted, tmp_path, "test")["absent"]["text"] == "seen"


def test_an_error_that_no_image_explains_goes_on(tmp_path):
    def refusing(prompts, views, skip=()):
        raise DataError("a text-only model was given a prompt with images")
        yield

    with pytest.raises(DataError, match="text-only"):
        ask(lambda: refusing, tmp_path / "a.jsonl", pictured(tmp_path)[:1], tmp_path, "test")


KILLED = """
import os, signal, sys
from pathlib import Path
from indirect_rlvr.evaluation.asking import Policy, ask, query
from indirect_rlvr.evaluation.backends.answers import Answer
from indirect_rlvr.types import Prompt

path, log = Path(sys.argv[1]), open(sys.argv[2], "a")

def say(prompts, views, skip=()):
    for index, prompt in enumerate(prompts):
        if index in skip:
            continue
        if index - len(skip) == 7:
            path.open("ab").write(b'{"id": "q7", "te')
            os.kill(os.getpid(), signal.SIGKILL)
        print(prompt.parts[0], file=log, flush=True)
        yield index, Answer("x", 1, True)

policy = Policy("toy", "weights", lambda: say)
asked = [query(policy, f"q{n}", Prompt((f"q{n}",))) for n in range(20)]
print(len(ask(policy.load, path, asked, path.parent, "test")))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_and_continued_it_asks_everything_once(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(tmp_path / "a.jsonl"), str(tmp_path / "log")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    ends = [subprocess.run(command, capture_output=True, env=environment, check=False) for _ in range(3)]
    assert [end.returncode for end in ends] == [-signal.SIGKILL, -signal.SIGKILL, 0], ends[-1].stderr
    assert ends[-1].stdout.strip() == b"20"
    assert (tmp_path / "log").read_text().split() == [f"q{n}" for n in range(20)]
