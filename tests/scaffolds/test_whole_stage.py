"""`rlvr run --until scaffold` with a teacher over HTTP: one that writes well, one that is the tiny model."""

import base64
import json
import re
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.config import Tiny
from indirect_rlvr.types import Prompt, View

THOUGHT = "The note and this line say the same of all the three signs, and the others do not."
GOOD = f"<think>{THOUGHT}</think><answer>{{}}</answer>"


def rlvr(out: Path, url: str, *sets: str) -> Any:
    teacher = [f"url={url}", "model=tiny", "retries=0", "timeout_s=60.0", "max_tokens=12", "concurrency=4"]
    small = [
        "records.patients=60",
        "tasks.train=60",
        "tasks.test=30",
        "scaffold.count=30",
        'scaffold.writer="openai-url"',
    ]
    words = [part for each in [*small, *(f"scaffold.teacher.{t}" for t in teacher), *sets] for part in ("--set", each)]
    return CliRunner().invoke(
        cli.app, ["run", "--domain", "template", "--out", str(out), "--until", "scaffold", *words]
    )


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())  # type: ignore[no-any-return]


def test_a_run_by_a_teacher_says_who_wrote_what_it_took_and_what_was_dropped(
    tmp_path: Path, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-4711")

    def say(body: dict[str, Any]) -> str:
        return "hm" if body["seed"] % 3 == 0 else GOOD.format("ABCD"[body["seed"] % 4])

    server = serve(say)
    failing = serve(lambda body: say(body) if len(failing.bodies) <= 20 else 401)
    torn = rlvr(tmp_path / "run", failing.url)
    assert torn.exit_code == 1
    assert "HTTP 401" in torn.output
    done = rlvr(tmp_path / "run", server.url, "scaffold.teacher.price_out=100.0")
    assert done.exit_code == 0, done.output
    assert re.search(r"30 scaffolds kept, \d+ dropped \(\d+ bad format\); the teacher took \d+ answers, ", done.output)
    assert len(server.bodies) + 20 == len((tmp_path / "run" / "teacher.jsonl").read_text().splitlines())
    rows = [json.loads(line) for line in (tmp_path / "run" / "sft.jsonl").read_text().splitlines()]
    found = manifest(tmp_path / "run")
    artefact, stage = found["artefacts"]["scaffold"], found["stages"]["scaffold"]
    assert len(rows) == stage["kept"] == 30
    assert stage["dropped"] == {"bad format": artefact["answers"] - 30}
    assert artefact["answers"] > 30
    assert (artefact["writer"], artefact["teacher"], artefact["shows_answer"]) == ("openai-url", "tiny", False)
    assert artefact["cost"] == artefact["completion_tokens"] * 100 / 1e6 == artefact["answers"] * 50 * 100 / 1e6
    assert "Written by the teacher tiny (openai-url), which was not told the true answer." in found["notes"]["scaffold"]
    assert "very-secret" not in "".join(
        p.read_text(errors="ignore") for p in (tmp_path / "run").rglob("*") if p.is_file()
    )
    assert {body["model"] for body in server.bodies} == {"tiny"}
    told = server.bodies[0]["messages"][0]["content"][-1]["text"]
    assert "Take one print-out after another" in told


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], str]:
    """The tiny model in this process, behind the body of a chat completion, pictures as data URLs."""
    from indirect_rlvr.evaluation.backends import local
    from indirect_rlvr.evaluation.backends.answers import Limits
    from indirect_rlvr.training.tiny import build_tiny, save_tiny

    folder, one_at_a_time = tmp_path_factory.mktemp("tiny"), threading.Lock()
    words = ["<think>", "</think>", "<answer>", "</answer>", "A", "B", "Which", " note", "?"]
    save_tiny(*build_tiny(Tiny(hidden=64, layers=2, vision_hidden=48, vision_depth=1), words, seed=0), folder)
    model = local.asker(folder, Limits(12, temperature=0.7))

    def say(body: dict[str, Any]) -> str:
        parts: list[str | View] = []
        for number, part in enumerate(body["messages"][0]["content"]):
            if part["type"] == "text":
                parts.append(part["text"])
                continue
            content = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            Image.open(BytesIO(content)).save(folder / f"{number}.png")
            parts.append(View("chip", "image", f"{number}.png"))
        with one_at_a_time:
            ((_, answer),) = model([Prompt(tuple(parts))], folder, (), body["seed"])
        return answer.text

    return say


def test_the_tiny_model_as_a_teacher_writes_nonsense_which_is_counted_and_refused_and_nothing_is_lost(
    tmp_path: Path, serve: Callable[..., Any], ask: Callable[[dict[str, Any]], str]
) -> None:
    server = serve(ask)
    result = rlvr(tmp_path, server.url)
    assert result.exit_code == 1
    assert "every scaffold of 16 tasks was dropped: {'" in result.output
    assert "mend the teacher `tiny`" in result.output
    assert len(server.bodies) == 32
    assert len(set((tmp_path / "teacher.jsonl").read_text().splitlines())) == 32
    assert not (tmp_path / "sft.jsonl").exists()
    assert "scaffold" not in manifest(tmp_path)["stages"]
    rules = rlvr(tmp_path, server.url, 'scaffold.writer="rules"')
    assert rules.exit_code == 0, rules.output
    assert manifest(tmp_path)["artefacts"]["scaffold"]["writer"] == "rules"
    assert len(server.bodies) == 32


def test_a_model_in_this_process_is_a_teacher_too(
    tmp_path: Path, serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    from indirect_rlvr.training.tiny import build_tiny, save_tiny

    folder = tmp_path_factory.mktemp("model")
    save_tiny(*build_tiny(Tiny(hidden=64, layers=2, vision_hidden=48, vision_depth=1), ["A", "B"], seed=0), folder)
    result = rlvr(tmp_path, "http://x", 'scaffold.writer="transformers"', f"scaffold.teacher.model={folder}")
    assert result.exit_code == 1
    assert "every scaffold of 16 tasks was dropped" in result.output
    rows = [json.loads(line) for line in (tmp_path / "teacher.jsonl").read_text().splitlines()]
    assert len(rows) == 32
    assert len({row["text"] for row in rows}) > 16
