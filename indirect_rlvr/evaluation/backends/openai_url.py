"""Answers from any server that speaks OpenAI's chat completions: images as data URLs, some requests at a time.

The key comes from an environment variable, goes into one header, and is never written or printed.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.evaluation.backends.answers import Answer, Ask, Limits, seed_of
from indirect_rlvr.evaluation.backends.pictures import chat_messages, frames, shown
from indirect_rlvr.types import Prompt

MAX_BODY = 16 * 2**20
"""Bytes of one reply that are read."""
LONGEST_PAUSE_S = 60.0
QUOTED = 300
"""Characters of a server's reply in a message."""
MOST_TOKENS = 2**31
"""A count of tokens at and beyond which is not believed: as good as none."""
AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


@dataclass(frozen=True, slots=True)
class Server:
    """Which server to ask, and how.

    `url` is the base URL, for example http://localhost:8000/v1. `timeout_s` is for one whole request; after a failure
    that may pass (a dropped connection, a timeout, 408, 425, 429, 5xx, a reply that is no completion) it is asked
    again at most `retries` times, each pause twice the last from `backoff_s` on, at most a minute. Sides of images are
    rounded to multiples of `multiple` pixels (28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL, 1 for none), so that the
    server leaves them alone. `body` is merged into each request; a key that is None is taken out.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout_s: float = 300.0
    retries: int = 5
    backoff_s: float = 1.0
    multiple: int = 28
    body: Mapping[str, Any] = field(default_factory=dict)


class _RefusedError(Exception):
    """A failure that may pass; `pause_s` is how long the server wants to be left alone."""

    def __init__(self, message: str, pause_s: float = 0.0) -> None:
        super().__init__(message)
        self.pause_s = pause_s


def asker(server: Server, limits: Limits) -> Ask:
    """The answers of `server`, greedy or sampled; nothing is sent before the first question.

    Raises ConfigError where the URL is not http(s) or holds a password, or the key cannot stand in a header. Asking
    raises RunError where a request fails for good, after the answers to all requests under way have been given; it
    cannot be done from within a running event loop.
    """
    url = _url(server)
    key = os.environ.get(server.key_variable, "")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the key in ${server.key_variable} holds characters that no header can; set it again")

    def ask(
        prompts: Sequence[Prompt], views: Path, skip: Collection[int] = (), seed: int = 0
    ) -> Iterator[tuple[int, Answer]]:
        left = [index for index in range(len(prompts)) if index not in skip]
        with asyncio.Runner() as runner:
            answers = _answers(_Asking(server, url, key, limits, prompts, views, seed), left)
            while (found := runner.run(_next(answers))) is not None:
                yield found

    return ask


@dataclass(frozen=True, slots=True)
class _Asking:
    server: Server
    url: str
    key: str = field(repr=False)
    limits: Limits
    prompts: Sequence[Prompt]
    folder: Path
    seed: int


async def _next(answers: AsyncIterator[tuple[int, Answer]]) -> tuple[int, Answer] | None:
    return await anext(answers, None)


async def _answers(asking: _Asking, wanted: Sequence[int]) -> AsyncIterator[tuple[int, Answer]]:
    """Those of the wanted prompts, as they come; after a first failure nothing new is asked, and what is under way is
    still given."""
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {asking.key}"} if asking.key else {})
    left = iter(wanted)
    running: dict[asyncio.Task[Answer], int] = {}
    failure: BaseException | None = None
    pool = httpx.Limits(max_connections=asking.server.concurrency)
    async with httpx.AsyncClient(headers=headers, timeout=None, limits=pool) as client:  # noqa: S113 (_answer has it)
        while True:
            while failure is None and len(running) < asking.server.concurrency and (at := next(left, None)) is not None:
                running[asyncio.create_task(_answer(client, asking, at))] = at
            if not running:
                break
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                index, error = running.pop(task), task.exception()
                failure = failure or error
                if error is None:
                    yield index, task.result()
    if failure is not None:
        raise failure


async def _answer(client: httpx.AsyncClient, asking: _Asking, index: int) -> Answer:
    """One answer, asked for again after failures that may pass."""
    server, prompt = asking.server, asking.prompts[index]
    images = shown(prompt, asking.folder, asking.limits.max_pixels, server.multiple)
    body = _body(asking, prompt, chat_messages(prompt, images))
    for attempt in range(server.retries + 1):
        try:
            async with asyncio.timeout(server.timeout_s):
                reply = await _post(client, asking, body)
            answer = _read(reply, asking.key)
            return replace(answer, frames=frames(images))
        except _RefusedError as error:
            said, wanted = str(error), error.pause_s
        except TimeoutError:
            said, wanted = f"no whole reply within {server.timeout_s:g} s", 0.0
        except httpx.RequestError as error:
            said, wanted = str(error) or type(error).__name__, 0.0
        if attempt < server.retries:
            await asyncio.sleep(min(LONGEST_PAUSE_S, max(wanted, server.backoff_s * 2**attempt)))
    raise RunError(
        f"`{asking.url}` gave no answer to prompt {index} in {server.retries + 1} attempts; the last: {said}. See "
        f"whether the server is up and serves `{server.model}`, then give the same command again: answers that came "
        "are kept"
    )


async def _post(client: httpx.AsyncClient, asking: _Asking, body: bytes) -> bytes:
    """The body of a successful reply, never unpacked: a few packed bytes may hold any number of others."""
    received = bytearray()
    kind = {"Content-Type": "application/json"}
    async with client.stream("POST", asking.url, content=body, headers=kind) as reply:
        async for chunk in reply.aiter_raw():
            received += chunk
            if len(received) > MAX_BODY:
                raise _RefusedError(f"a reply of more than {MAX_BODY:,} bytes")
    if reply.is_success:
        return bytes(received)
    said = f"HTTP {reply.status_code}: {_quoted(received, asking.key)}"
    if reply.is_server_error or reply.status_code in AGAIN:
        raise _RefusedError(said, _retry_after(reply))
    raise RunError(
        f"`{asking.url}` refuses the request with {said}. Mend the URL, the model's name "
        f"`{asking.server.model}`, the key in ${asking.server.key_variable}, or the limits on tokens and pixels"
    )


def _read(reply: bytes, key: str) -> Answer:
    """The text without the key, should the server send it back, its tokens and whether it is finished; `content` that
    is null, as in a refusal, is the empty text."""
    try:
        found = json.loads(reply)
        choice = found["choices"][0]
        text, finished = choice["message"]["content"], choice.get("finish_reason") != "length"
        usage = found.get("usage") or {}
        counted = [usage.get(f"{side}_tokens") for side in ("completion", "prompt")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _RefusedError(f"a reply that is no chat completion: {_quoted(reply, key)}") from error
    if not isinstance(text, str | None):
        raise _RefusedError(f"a reply whose content is no text: {_quoted(reply, key)}")
    tokens, prompt_tokens = (count if isinstance(count, int) and 0 < count < MOST_TOKENS else 0 for count in counted)
    said = (text or "").replace(key, "[key]") if key else text or ""
    return Answer(said, tokens, finished, prompt_tokens=prompt_tokens)


def _body(asking: _Asking, prompt: Prompt, messages: list[dict[str, Any]]) -> bytes:
    sampled = asking.limits.temperature > 0
    whole = {
        "model": asking.server.model,
        "messages": messages,
        "max_tokens": asking.limits.max_new_tokens,
        "temperature": asking.limits.temperature,
        "seed": seed_of(asking.seed, prompt) if sampled else None,
        **asking.server.body,
    }
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


def _url(server: Server) -> str:
    try:
        url = httpx.URL(server.url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"`{server.url}` is no URL: {error}; for example http://localhost:8000/v1") from error
    if url.userinfo:
        raise ConfigError(f"the server's URL holds a name or password; put the key into ${server.key_variable}")
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"the server's URL `{server.url}` is not http(s); for example http://localhost:8000/v1")
    return f"{str(url).rstrip('/')}/chat/completions"


def _retry_after(reply: httpx.Response) -> float:
    """Seconds, 0 where the header is missing or a date."""
    wanted = reply.headers.get("Retry-After", "")
    return float(wanted) if wanted.isdecimal() and wanted.isascii() and len(wanted) < 6 else 0.0


def _quoted(reply: bytes | bytearray, key: str) -> str:
    """The start of a reply for a message, without the key, should the server send it back."""
    text = bytes(reply).decode(errors="replace")
    return repr((text.replace(key, "[key]") if key else text)[:QUOTED])
