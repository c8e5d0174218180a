"""A toy domain, its tasks and records, and a real HTTP server that says what a test tells it to; no model."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel

from indirect_rlvr.domain import Domain
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.types import Prompt, ProxyTask, Question, Record, Verdict, View

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "grey": (128, 128, 128)}
LABELS = ("A", "B", "C")


class ToyDomain:
    """Which candidate chip has the query's colour? The traces name it and answer at random."""

    @staticmethod
    @hookimpl
    def load_records(settings: BaseModel, folder: Path, seed: int) -> list[Record]:
        return []

    @staticmethod
    @hookimpl
    def make_task(settings: BaseModel, query: Record, candidates: Sequence[Record]) -> None:
        return None

    @staticmethod
    @hookimpl
    def render(settings: BaseModel, task: ProxyTask) -> Prompt:
        labelled = [part for pair in zip(task.labels, task.question.candidates, strict=True) for part in pair]
        return Prompt((*task.question.query, *labelled, task.question.text))

    @staticmethod
    @hookimpl
    def scaffold(settings: BaseModel, task: ProxyTask, rng: Random) -> str:
        return f"<think> chip is {task.question.facts['colour']}</think><answer>{rng.choice(task.labels)}</answer>"

    @staticmethod
    @hookimpl
    def brief(settings: BaseModel, record: Record) -> list[str]:
        return ["Name the colour first.", f"The box is {record.facts['box']}.", f"It is {record.facts['colour']}."]

    @staticmethod
    @hookimpl
    def check_facts(settings: BaseModel, task: ProxyTask, text: str) -> list[Verdict]:
        true = str(task.question.facts["colour"])
        named = [colour for colour in COLOURS if colour in text]
        return [Verdict(c, "supported" if c == true else "contradicted", f"it is {true}") for c in named]


def _make_tasks(count: int, split: str = "train") -> list[ProxyTask]:
    """Tasks 0…count-1 over the chips, the answer uniform over A, B, C."""
    tasks = []
    for index in range(count):
        rng = Random(index)
        colours = rng.sample(sorted(COLOURS), 3)
        answer = rng.randrange(3)
        views = [View("chip", "image", f"{colour}.png") for colour in colours]
        question = Question("Which chip matches?", (views[answer],), tuple(views), {"colour": colours[answer]})
        records = tuple(f"r{colour}" for colour in colours)
        tasks.append(
            ProxyTask(f"t{index}", "c", split, 0, question, LABELS, LABELS[answer], records[answer], records)  # type: ignore[arg-type]
        )
    return tasks


@pytest.fixture(scope="session")
def make_tasks() -> Callable[..., list[ProxyTask]]:
    """(count, split="train") to tasks; the first ones of a longer list are those of a shorter."""
    return _make_tasks


@pytest.fixture(scope="session")
def records() -> dict[str, Record]:
    return {f"r{colour}": Record(f"r{colour}", "c", {}, {"colour": colour, "box": "wooden"}) for colour in COLOURS}


@pytest.fixture(scope="session")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    for name, colour in COLOURS.items():
        Image.new("RGB", (28, 28), colour).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="session")
def domain() -> Domain:
    return Domain("toy", ToyDomain, {})


@pytest.fixture(scope="session")
def toy_plugin() -> type:
    return ToyDomain


Say = Callable[[dict[str, Any]], str | int]
"""From a request's body to what is answered, or the status of a refusal."""


class Server(ThreadingHTTPServer):
    """Speaks chat completions on this machine; keeps what it was asked."""

    daemon_threads = True

    def __init__(self, say: Say, usage: dict[str, int] | None, finish: str = "stop") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.say, self.usage, self.finish = say, usage, finish
        self.bodies: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is part of some tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        said = self.server.say(body)
        if isinstance(said, int):
            return self._send(said, b"no")
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": self.server.finish}
        return self._send(200, json.dumps({"choices": [choice], "usage": self.server.usage}).encode())

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """(say, usage=…, finish=…) to a server that is stopped after the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    started = []

    def start(say: Say, usage: dict[str, int] | None = None, finish: str = "stop") -> Server:
        server = Server(say, usage or {"prompt_tokens": 100, "completion_tokens": 50}, finish)
        started.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()
