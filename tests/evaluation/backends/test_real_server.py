"""`transformers serve` in a process of its own, asked over HTTP, answers as the same model does in this process."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from indirect_rlvr.evaluation.backends import local, openai_url
from indirect_rlvr.evaluation.backends.answers import Limits
from indirect_rlvr.training import models
from indirect_rlvr.training.tiny import build_tokenizer
from indirect_rlvr.types import Prompt

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("fastapi", "uvicorn", "openai")),
    reason="transformers serve needs fastapi, uvicorn and openai; one of them is not installed",
)
PATIENCE_S = 120


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text model: for a vision model the server wants torchvision."""
    folder = tmp_path_factory.mktemp("text")
    tokenizer = build_tokenizer(["Which", " chip", "?", "A", "B"])
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    models.save(models.Policy(Qwen2ForCausalLM(config), tokenizer, "", False), folder)
    return folder


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--host", "127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*command, "--port", str(port)], env=os.environ | {"HF_HUB_OFFLINE": "1"}, **quiet) as server:
        try:
            for _ in range(PATIENCE_S * 4):
                assert server.poll() is None, "the server ended"
                try:
                    httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
                    break
                except httpx.TransportError:
                    time.sleep(0.25)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def test_a_real_server_answers_as_the_same_model_here(
    text_folder: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    prompts = [Prompt((f"Which chip? {index}",)) for index in range(6)]
    there = dict(openai_url.asker(openai_url.Server(url, str(text_folder), timeout_s=60), Limits(6))(prompts, tmp_path))
    here = dict(local.asker(text_folder, Limits(6), batch=1)(prompts, tmp_path))
    # this server takes white space off the ends
    assert [(there[i].text, there[i].tokens, there[i].finished) for i in range(6)] == [
        (here[i].text.strip(), here[i].tokens, here[i].finished) for i in range(6)
    ]
    assert len({answer.text for answer in here.values()}) > 1
