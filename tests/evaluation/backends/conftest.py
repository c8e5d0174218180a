"""A tiny vision model, prompts with images, and a real HTTP server on this machine that does what a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indirect_rlvr.config import Tiny
from indirect_rlvr.training.tiny import build_tiny, save_tiny
from indirect_rlvr.types import Prompt, View

WORDS = ["<think>", "</think>", "<answer>", "</answer>", "A", "B", "Which", " chip", "?", " red", " blue"]
SIZES = {"red": (28, 28), "wide": (112, 56), "large": (400, 300)}
Behaviour = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny(*build_tiny(Tiny(hidden=64, layers=2, vision_hidden=48, vision_depth=1), WORDS, seed=0), folder)
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for index, (name, size) in enumerate(SIZES.items()):
        Image.linear_gradient("L").resize(size).convert("RGB").rotate(40 * index).save(folder / f"{name}.png")
    (folder / "torn.png").write_bytes((folder / "large.png").read_bytes()[:200])
    return folder


@pytest.fixture(scope="session")
def prompts() -> list[Prompt]:
    """No image, one, two, and one that is too large for a cap of 40,000 pixels."""
    red, wide, large = (View("chip", "image", f"{name}.png") for name in SIZES)
    return [Prompt(("Which?",)), Prompt((red, "Which?")), Prompt(("A", red, "B", wide, "Which?")), Prompt((large, "?"))]


class Recorder(ThreadingHTTPServer):
    """Answers each POST with the next behaviour, the last one again and again; keeps what it was sent."""

    daemon_threads = True

    def __init__(self, behaviours: list[Behaviour]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviours = behaviours
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.lock = threading.Lock()
        self.running = 0
        self.most = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is part of some tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            index = len(server.bodies)
            server.bodies.append(body)
            server.keys.append(self.headers["Authorization"])
            server.paths.append(self.path)
            server.running += 1
            server.most = max(server.most, server.running)
        try:
            server.behaviours[min(index, len(server.behaviours) - 1)](self, body)
        finally:
            with server.lock:
                server.running -= 1

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def serve() -> Iterator[Callable[..., Recorder]]:
    """Start a server with the behaviours, in the order of its requests; it is stopped after the test."""
    started = []

    def start(*behaviours: Behaviour) -> Recorder:
        server = Recorder(list(behaviours))
        started.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def _send(handler: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture
def replies() -> Callable[..., Behaviour]:
    """(status, content, **headers) to a behaviour."""

    def make(status: int = 200, content: bytes = b"", **headers: str) -> Behaviour:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda handler, body: _send(handler, status, content, named)

    return make


@pytest.fixture
def says() -> Callable[..., Behaviour]:
    """What to write to a behaviour that says it as a chat completion; None says the prompt's last text."""

    def make(text: str | None = None, finish: str = "stop") -> Behaviour:
        def behave(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
            said = body["messages"][0]["content"][-1]["text"] if text is None else text
            choice = {"message": {"role": "assistant", "content": said}, "finish_reason": finish}
            _send(handler, 200, json.dumps({"choices": [choice], "usage": {"completion_tokens": 7}}).encode(), {})

        return behave

    return make
