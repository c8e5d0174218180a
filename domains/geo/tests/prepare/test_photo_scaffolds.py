"""`rlvr run --until scaffold` on photos: by the rules alone, and by a teacher over HTTP whose facts are checked."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.rewards.parsing import has_format
from indirect_rlvr_geo import photo_traces

Say = Callable[[str, int], str]
"""From the words of a request and its seed to the answer."""
SETS = ("scaffold.count=24", "tasks.k=3", "tasks.queries_per_set=2", "tasks.train=60", "tasks.test=30")


class Teacher(ThreadingHTTPServer):
    """A chat completion server on this machine that keeps what it was asked."""

    daemon_threads = True
    asked: list[list[dict[str, Any]]]
    say: Say


class Handler(BaseHTTPRequestHandler):
    server: Teacher

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = body["messages"][0]["content"]
        self.server.asked.append(parts)
        said = self.server.say("\n".join(part.get("text", "") for part in parts), body["seed"])
        reply = json.dumps({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Teacher]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Teacher(("127.0.0.1", 0), Handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, cv_cities: Callable[..., Path]) -> Path:
    made = tmp_path_factory.mktemp("pairs")
    cv_cities(made / "in", each=16)
    rlvr("data", "prepare", "geo", "--source", "cv-cities", "--root", made / "in", "--out", made / "out")
    return made / "out"


def rlvr(*words: object) -> None:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output


def scaffolds(prepared: Path, out: Path, *sets: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The traces of a run and its manifest."""
    words = [word for each in (f"records.prepared={prepared}", *SETS, *sets) for word in ("--set", each)]
    rlvr("run", "--domain", "geo", "--out", out, "--until", "scaffold", "--allow-leaks", *words)
    rows = [json.loads(line) for line in (out / "sft.jsonl").read_text().splitlines()]
    return rows, json.loads((out / "manifest.json").read_text())


def test_the_rules_write_true_traces_that_do_not_know_the_answer(prepared: Path, tmp_path: Path) -> None:
    rows, manifest = scaffolds(prepared, tmp_path)
    assert len(rows) == 24
    assert manifest["stages"]["scaffold"]["dropped"] == {}
    assert all(has_format(row["completion"]) for row in rows)
    assert all(row["claims"] == row["supported"] >= 2 and not row["repaired"] for row in rows)
    assert 2 <= sum(row["right"] for row in rows) <= 14
    assert {"Traffic keeps to the left.", "Traffic keeps to the right."} & set(
        re.findall(r"Traffic keeps to the \w+\.", " ".join(row["completion"] for row in rows))
    )


def test_a_teacher_s_false_sentences_are_cut_out_and_what_is_false_throughout_is_dropped(
    prepared: Path, tmp_path: Path, teacher: Teacher
) -> None:
    lie = "This is a street in Mongolia."
    truth = "The road runs past the houses and the trees, and the roofs of the view have the same layout."

    def say(words: str, seed: int) -> str:
        thought = {0: f"{truth} {lie}", 1: lie}.get(seed % 4, truth)
        return f"<think>{thought}</think><answer>{'ABC'[seed % 3]}</answer>"

    teacher.say = say
    url = f"http://127.0.0.1:{teacher.server_address[1]}/v1"
    sets = ["writer=openai-url", "teacher.model=wise", f"teacher.url={url}", "teacher.max_pixels=1000"]
    rows, manifest = scaffolds(prepared, tmp_path, *(f"scaffold.{each}" for each in sets))
    stage, artefact = manifest["stages"]["scaffold"], manifest["artefacts"]["scaffold"]
    assert len(rows) == stage["kept"] == 24
    assert stage["dropped"]["contradicted claim"] == artefact["answers"] - 24 > 0
    assert not [row for row in rows if "Mongolia" in row["completion"]]
    assert 0 < sum(row["repaired"] for row in rows) < 24
    assert artefact["answers_guessed"] == artefact["answers"] == len(teacher.asked)
    for parts in teacher.asked:
        assert [part["type"] for part in parts].count("image_url") == 4
        told = "\n".join(part.get("text", "") for part in parts).partition("Notes for you alone")[2]
        assert photo_traces.STEPS[0] in told
        assert re.search(r"The place lies in the (northern|southern) hemisphere\.", told)
        assert not re.search(r"\d|right answer|\.jpg", told)
