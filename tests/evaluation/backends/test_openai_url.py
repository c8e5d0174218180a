"""Against a real HTTP server on this machine: one that fails in every way, and one that serves the tiny model."""

import base64
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.evaluation.backends import local, openai_url
from indirect_rlvr.evaluation.backends.answers import Answer, Ask, Limits
from indirect_rlvr.evaluation.backends.openai_url import Server
from indirect_rlvr.training import models, rollouts
from indirect_rlvr.types import Prompt, View

KEY = "sk-very-secret-4711"
Serve = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def asker(server: Any, **settings: Any) -> Ask:
    quick = {"retries": 2, "backoff_s": 0.001, "timeout_s": 5.0, **settings}
    return openai_url.asker(Server(server.url, "tiny", **quick), Limits(6))


def texts(count: int) -> list[Prompt]:
    return [Prompt((f"Which {index}?",)) for index in range(count)]


def dropped(handler: Any, body: dict[str, Any]) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def half(handler: Any, body: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')
    handler.close_connection = True


def hang(handler: Any, body: dict[str, Any]) -> None:
    time.sleep(1.0)


def trickle(handler: Any, body: dict[str, Any]) -> None:
    """A byte now and then: no single read ever times out."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "", "http://", "http://[::1/v1"])
def test_a_url_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigError, match="for example http://localhost:8000/v1"):
        openai_url.asker(Server(url, "m"), Limits(6))


def test_a_password_in_the_url_is_refused_and_not_printed() -> None:
    with pytest.raises(ConfigError, match="holds a name or password") as caught:
        openai_url.asker(Server("http://me:hunter2@localhost/v1", "m"), Limits(6))
    assert "hunter2" not in str(caught.value)


def test_a_key_with_a_line_break_is_refused_and_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "abc\r\nX-Evil: 1")
    with pytest.raises(ConfigError, match=r"\$OTHER_KEY") as caught:
        openai_url.asker(Server("http://localhost/v1", "m", key_variable="OTHER_KEY"), Limits(6))
    assert "Evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dropped", "gave no answer to prompt 0 in 3 attempts"),
        ("half", "peer closed connection"),
        ("500", "HTTP 500: 'out of memory'"),
        ("429", "HTTP 429"),
        ("garbage", "no chat completion: '<html>"),
        ("list", "no chat completion"),
        ("empty", "no chat completion: '{}'"),
        ("deep", "no chat completion"),
        ("number", "content is no text"),
    ],
)
def test_each_failure_that_may_pass_is_asked_again_and_then_named(
    name: str, said: str, serve: Serve, replies: Serve, tmp_path: Path
) -> None:
    behaviours = {
        "dropped": dropped,
        "half": half,
        "500": replies(500, b"out of memory"),
        "429": replies(429, b"slow down", Retry_After="0"),
        "garbage": replies(200, b"<html>busy</html>"),
        "list": replies(200, b"[1]"),
        "empty": replies(200, b"{}"),
        "deep": replies(200, b"[" * 100_000),
        "number": replies(200, b'{"choices": [{"message": {"content": 5}}]}'),
    }
    server = serve(behaviours[name])
    with pytest.raises(RunError) as caught:
        list(asker(server)(texts(1), tmp_path))
    assert said in str(caught.value)
    assert "answers that came are kept" in str(caught.value)
    assert len(server.bodies) == 3


@pytest.mark.parametrize("behaviour", [hang, trickle])
def test_a_server_that_hangs_is_given_up_after_the_timeout(behaviour: Any, serve: Serve, tmp_path: Path) -> None:
    server = serve(behaviour)
    with pytest.raises(RunError, match=r"no whole reply within 0\.15 s"):
        list(asker(server, timeout_s=0.15, retries=1)(texts(1), tmp_path))
    assert len(server.bodies) == 2


def test_nobody_at_the_address_is_an_error_that_says_so(serve: Serve, says: Serve, tmp_path: Path) -> None:
    server = serve(says())
    server.shutdown()
    server.server_close()
    with pytest.raises(RunError, match="See whether the server is up and serves `tiny`"):
        list(asker(server, retries=1)(texts(1), tmp_path))


@pytest.mark.parametrize("status", [400, 401, 404, 422, 302])
def test_a_refusal_that_will_not_pass_is_not_asked_again(
    status: int, serve: Serve, replies: Serve, tmp_path: Path
) -> None:
    server = serve(replies(status, b"no such model"))
    with pytest.raises(RunError, match=f"HTTP {status}: 'no such model'"):
        list(asker(server, concurrency=1)(texts(3), tmp_path))
    assert len(server.bodies) == 1


@pytest.mark.parametrize("status", [401, 500])
def test_a_server_that_echoes_the_key_does_not_get_it_into_a_message(
    status: int, serve: Serve, replies: Serve, tmp_path: Path
) -> None:
    server = serve(replies(status, b"x" * (openai_url.QUOTED - 10) + KEY.encode()))
    with pytest.raises(RunError) as caught:
        list(asker(server)(texts(1), tmp_path))
    assert KEY[:6] not in str(caught.value)
    assert "[key]" in str(caught.value)
    assert server.keys[0] == f"Bearer {KEY}"


def test_a_reply_without_end_is_cut_off(
    serve: Serve, replies: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_url, "MAX_BODY", 1000)
    server = serve(replies(200, b" " * 5000))
    with pytest.raises(RunError, match="more than 1,000 bytes"):
        list(asker(server, retries=0)(texts(1), tmp_path))


def test_answers_that_came_before_a_failure_are_all_given(
    serve: Serve, says: Serve, replies: Serve, tmp_path: Path
) -> None:
    def behave(handler: Any, body: dict[str, Any]) -> None:
        refused = body["messages"][0]["content"][0]["text"] == "Which 3?"
        (replies(400, b"too long") if refused else says())(handler, body)

    server, got = serve(behave), []
    with pytest.raises(RunError, match="HTTP 400"):
        for index, _ in asker(server, concurrency=4)(texts(50), tmp_path):
            got.append(index)
    assert {0, 1, 2} <= set(got)
    assert len(got) == len(server.bodies) - 1
    assert len(server.bodies) < 50


def test_a_torn_image_fails_like_any_other_and_nothing_else_is_lost(serve: Serve, says: Serve, images: Path) -> None:
    asked = [*texts(2), Prompt((View("chip", "image", "torn.png"), "?"))]
    answers, got = asker(serve(says()))(asked, images), []
    with pytest.raises(DataError, match="does not decode"):
        for index, _ in answers:
            got.append(index)
    assert sorted(got) == [0, 1]


def test_what_failed_for_a_while_is_answered_in_the_end(
    serve: Serve, says: Serve, replies: Serve, tmp_path: Path
) -> None:
    server = serve(replies(503), dropped, says("A"))
    assert list(asker(server)(texts(1), tmp_path)) == [(0, Answer("A", 7, True))]
    assert len(server.bodies) == 3


def test_a_server_that_asks_for_a_pause_gets_it(
    serve: Serve, says: Serve, replies: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_url, "LONGEST_PAUSE_S", 0.2)
    server = serve(replies(429, b"", Retry_After="3600"), says("A"))
    before = time.monotonic()
    assert len(list(asker(server)(texts(1), tmp_path))) == 1
    assert time.monotonic() - before >= 0.2


def test_each_pause_is_twice_the_last(serve: Serve, says: Serve, replies: Serve, tmp_path: Path) -> None:
    server = serve(replies(503), replies(503), replies(503), says("A"))
    before = time.monotonic()
    assert len(list(asker(server, retries=3, backoff_s=0.05)(texts(1), tmp_path))) == 1
    assert time.monotonic() - before >= 0.05 * (1 + 2 + 4)


def test_every_answer_belongs_to_its_prompt_whatever_the_order_of_arrival(
    serve: Serve, says: Serve, tmp_path: Path
) -> None:
    def behave(handler: Any, body: dict[str, Any]) -> None:
        number = int(body["messages"][0]["content"][0]["text"].split()[1][:-1])
        time.sleep(0.02 * (number % 3))
        says()(handler, body)

    server = serve(behave)
    found = list(asker(server, concurrency=4)(texts(20), tmp_path))
    assert sorted(index for index, _ in found) == list(range(20))
    assert all(answer.text == f"Which {index}?" for index, answer in found)
    assert 1 < server.most <= 4


def test_each_answer_is_given_before_the_next_question_is_answered(serve: Serve, says: Serve, tmp_path: Path) -> None:
    first_is_read = threading.Event()

    def behave(handler: Any, body: dict[str, Any]) -> None:
        if body["messages"][0]["content"][0]["text"] != "Which 0?":
            assert first_is_read.wait(5)
        says()(handler, body)

    answers = asker(serve(behave), concurrency=2)(texts(3), tmp_path)
    assert next(answers)[0] == 0
    first_is_read.set()
    assert sorted(index for index, _ in answers) == [1, 2]


def test_stopping_half_way_leaves_nothing_running(serve: Serve, says: Serve, tmp_path: Path) -> None:
    server = serve(says())
    answers = asker(server, concurrency=1)(texts(10), tmp_path)
    next(answers)
    answers.close()
    assert len(server.bodies) <= 2


def test_a_request_says_what_a_greedy_answer_needs(serve: Serve, says: Serve, tmp_path: Path) -> None:
    server = serve(says("A", finish="length"))
    settings = {"body": {"max_completion_tokens": 6, "max_tokens": None}}
    assert list(asker(server, **settings)(texts(1), tmp_path)) == [(0, Answer("A", 7, False))]
    (body,) = server.bodies
    assert body == {
        "model": "tiny", "temperature": 0.0, "max_completion_tokens": 6,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Which 0?"}]}],
    }  # fmt: skip
    assert server.paths == ["/v1/chat/completions"]


def test_an_answer_without_content_is_the_empty_text(serve: Serve, replies: Serve, tmp_path: Path) -> None:
    server = serve(replies(200, b'{"choices": [{"message": {"content": null}, "finish_reason": "content_filter"}]}'))
    assert list(asker(server)(texts(1), tmp_path)) == [(0, Answer("", 0, True))]


def test_images_are_sent_at_the_frames_that_are_reported(
    serve: Serve, says: Serve, images: Path, prompts: list[Prompt]
) -> None:
    server = serve(says("A"))
    found = dict(asker(server, concurrency=1)(prompts[2:], images))
    assert [found[i].frames for i in range(2)] == [((56, 56), (112, 56)), ((392, 308),)]
    assert [[_decoded(part).size for part in _parts(body)] for body in server.bodies] == [
        [(56, 56), (112, 56)], [(392, 308)]
    ]  # fmt: skip


def _parts(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in body["messages"][0]["content"] if part["type"] == "image_url"]


def _decoded(part: dict[str, Any]) -> Image.Image:
    data = part["image_url"]["url"].removeprefix("data:image/png;base64,")
    return Image.open(BytesIO(base64.b64decode(data))).convert("RGB")


def test_the_tiny_model_behind_a_server_answers_as_in_this_process(
    tiny_folder: Path, images: Path, prompts: list[Prompt], serve: Serve, replies: Serve
) -> None:
    policy, lock = models.load(tiny_folder), threading.Lock()

    def generate(handler: Any, body: dict[str, Any]) -> None:
        parts = body["messages"][0]["content"]
        turn = [{"type": "image"} if part["type"] == "image_url" else part for part in parts]
        shown = [_decoded(part) for part in _parts(body)]
        with lock:
            (made,) = rollouts.stream(
                policy, [([{"role": "user", "content": turn}], shown)], max_new_tokens=body["max_tokens"], batch=1
            )
        reason = "stop" if made[1].finished else "length"
        choice = {"message": {"content": made[1].text}, "finish_reason": reason}
        said = {"choices": [choice], "usage": {"completion_tokens": len(made[1].token_ids)}}
        replies(200, json.dumps(said).encode())(handler, body)

    there = dict(asker(serve(generate), multiple=1)(prompts, images))
    here = dict(local.asker(tiny_folder, Limits(6), batch=1)(prompts, images))
    assert [(there[i].text, there[i].tokens, there[i].finished) for i in range(4)] == [
        (here[i].text, here[i].tokens, here[i].finished) for i in range(4)
    ]
    assert len({answer.text for answer in here.values()}) > 1


def test_a_packed_reply_is_not_unpacked(serve: Serve, replies: Serve, tmp_path: Path) -> None:
    packed = gzip.compress(gzip.compress(json.dumps({"choices": [{"message": {"content": "A"}}]}).encode()))
    server = serve(replies(200, packed, Content_Encoding="gzip, gzip"))
    with pytest.raises(RunError, match="no chat completion"):
        list(asker(server)(texts(1), tmp_path))


@pytest.mark.parametrize("count", ["-1", "1e300", "4294967296", "1" + "0" * 400])
def test_a_count_of_tokens_that_cannot_be_is_none(serve: Serve, replies: Serve, tmp_path: Path, count: str) -> None:
    said = f'{{"choices": [{{"message": {{"content": "A"}}}}], "usage": {{"completion_tokens": {count}}}}}'
    [(_, answer)] = asker(serve(replies(200, said.encode())))(texts(1), tmp_path)
    assert answer.tokens == 0
