"""A real HTTP server on this machine that speaks chat completions and says what a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Say = Callable[[dict[str, Any]], str | int]
"""From a request's body to what is answered, or the status of a refusal."""
USAGE = {"prompt_tokens": 100, "completion_tokens": 50}


class Server(ThreadingHTTPServer):
    """Keeps the bodies of what it was asked."""

    daemon_threads = True

    def __init__(self, say: Say, usage: dict[str, int] | None, finish: str) -> None:
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
        counts = {"usage": self.server.usage} if self.server.usage else {}
        return self._send(200, json.dumps({"choices": [choice], **counts}).encode())

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def teacher(say: Say, usage: dict[str, int] | None = USAGE, finish: str = "stop") -> Iterator[Server]:
    """A server that is gone after the block; without `usage` it does not say what an answer cost."""
    with Server(say, usage, finish) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
