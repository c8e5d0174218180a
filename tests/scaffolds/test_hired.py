"""Which writer a recipe asks for is said before a run, and what is wrong with a teacher found before it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr import engine
from indirect_rlvr.config import Scaffold
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.scaffolds import hired
from indirect_rlvr.scaffolds.askers import lacks_key, require_usable


def recipe(writer: str = "openai-url", **teacher: Any) -> Scaffold:
    return Scaffold(count=40, writer=writer, teacher={"model": "wise", **teacher})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (recipe(model=" "), "`scaffold.teacher.model` is empty"),
        (recipe(url="localhost:8000"), "for example http://localhost:8000/v1"),
        (recipe(url="http://me:hunter2@localhost/v1"), "holds a name or password"),
        (recipe(budget=3.0), "both prices are 0"),
        (recipe("transformers", model="./nowhere"), r"`scaffold.teacher.model` is `./nowhere`, and there is no such"),
    ],
)
def test_a_teacher_that_cannot_be_asked_is_found_before_a_run(settings: Scaffold, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        require_usable(settings)


def test_rules_need_no_teacher_and_a_whole_teacher_passes() -> None:
    require_usable(Scaffold())
    require_usable(recipe(budget=3.0, price_out=1.0))


def test_a_dry_run_and_a_run_refuse_a_teacher_without_a_name_and_write_nothing(tmp_path: Path) -> None:
    run, name = engine.prepare("template", "default", ['scaffold.writer="openai-url"'], tmp_path / "out")
    for doing in (lambda: engine.plan(run, name), lambda: engine.execute(run, name, None, None)):
        with pytest.raises(ConfigError, match="`scaffold.teacher.model` is empty"):
            doing()
    assert not (tmp_path / "out").exists()


def test_traces_that_are_there_need_no_teacher_any_more(tmp_path: Path) -> None:
    run, _ = engine.prepare("template", "default", ['scaffold.writer="openai-url"'], tmp_path)
    (tmp_path / "sft.jsonl").write_text("")
    engine.require_possible(run)


@pytest.mark.parametrize(
    ("url", "noted"),
    [
        ("http://localhost:8000/v1", False),
        ("http://127.0.0.2/v1", False),
        ("http://[::1]:8000/v1", False),
        ("https://teacher.example/v1", True),
        ("http://10.0.0.5:8000/v1", True),
    ],
)
def test_a_server_elsewhere_without_a_key_is_a_note(url: str, noted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert bool(lacks_key(recipe(url=url))) == noted
    assert any(line.startswith("note: $OPENAI_API_KEY is not set") for line in hired.outlook(recipe(url=url))) == noted
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
    assert not lacks_key(recipe(url=url))


def test_a_dry_run_says_who_writes_and_what_that_may_cost(tmp_path: Path) -> None:
    teacher = ["model='wise'", "price_out=10.0", "max_tokens=500", "budget=3.0", "shows_answer=true"]
    sets = ['scaffold.writer="openai-url"', *(f"scaffold.teacher.{each}" for each in teacher)]
    run, name = engine.prepare("template", "default", sets, tmp_path)
    said = engine.plan(run, name)
    assert (
        "scaffolds: 400 by the teacher `wise` (openai-url): at most 200,000 completion tokens (2.00 at most), and as "
        "many again for each attempt after a dropped trace; prompts are counted when the stage starts; the budget is "
        "3; it is told the true answer" in said
    )
    run, name = engine.prepare("template", "default", [], tmp_path)
    assert "scaffolds: 400 by the domain's own rules" in engine.plan(run, name)


@pytest.mark.parametrize("shown", [True, False])
def test_the_report_s_note_says_who_wrote_and_whether_the_answer_was_told(shown: bool) -> None:
    said = hired.credit(recipe(shows_answer=shown))
    assert said.startswith("Written by the teacher wise (openai-url), which was ")
    assert ("so SFT saw it" in said) == shown
    assert hired.credit(Scaffold()) == "Written by the domain's own rules."


def test_a_shortage_of_tasks_is_said(tmp_path: Path, domain: Any) -> None:
    from indirect_rlvr.scaffolds.teacher import Asked
    from indirect_rlvr.scaffolds.written import Rules

    short = hired.bill(Asked(domain, recipe(), {}, tmp_path, tmp_path / "teacher.jsonl", 0), 7, recipe())
    assert short.startswith("7 of 40 wanted, because there are no more training tasks; the teacher took 0 answers")
    assert hired.bill(Rules(domain, 0), 7, Scaffold()) == ""


def test_neither_rules_nor_a_server_need_torch() -> None:
    code = "import sys, indirect_rlvr.scaffolds.hired, indirect_rlvr.scaffolds.traces\n"
    code += "import indirect_rlvr.evaluation.backends.openai_url\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
