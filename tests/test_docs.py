"""The docs agree with the code: references, links, excerpts of the tutorial, the domain in the README."""

import inspect
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from indirect_rlvr import cli, hookspecs
from indirect_rlvr.config import load_recipe
from indirect_rlvr.domain import Domain, load_domain, recipe_path
from indirect_rlvr.pipeline import STAGES
from indirect_rlvr.rewards.composite import build
from indirect_rlvr.training.options import require_usable

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
REPRODUCE = ROOT / "docs/reproduce.md"
TEMPLATE = ROOT / "domains/template/indirect_rlvr_template/hooks.py"
REFERENCE = ("hooks.md", "recipe.md", "commands.md", "types.md")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code of one language."""
    fenced = page.read_text(encoding="utf-8").split("\n```")[1::2]
    return [block.partition("\n")[2] + "\n" for block in fenced if block.partition("\n")[0] == language]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made on code hosts."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_of_the_project(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            name, _, anchor = target.partition("#")
            found = (page.parent / name).resolve() if name else page
            assert found.exists() and found.is_relative_to(ROOT), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(found), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", REFERENCE)
def test_the_references_are_what_the_code_says(name: str) -> None:
    made = runpy.run_path(str(ROOT / "docs/generate.py"))["pages"]()
    assert (ROOT / "docs/reference" / name).read_text(encoding="utf-8") == made[name], "run `make docs`"


def test_the_reference_has_every_hook_with_its_exact_arguments() -> None:
    text = (ROOT / "docs/reference/hooks.md").read_text(encoding="utf-8")
    specified = runpy.run_path(str(ROOT / "docs/generate.py"))["specifications"](hookspecs)
    assert list(specified) == re.findall(r"(?m)^## `(\w+)`", text)
    for name, hook in specified.items():
        (signature,) = re.findall(rf"(?m)^{name}\((.*)\) ->", text)
        assert re.findall(r"(\w+):", signature) == list(inspect.signature(hook).parameters)


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, new = {PAGES[0]}, [PAGES[0]]
    while new:
        page = new.pop()
        for target in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8")):
            linked = (page.parent / target).resolve()
            if linked not in reached:
                reached.add(linked)
                new.append(linked)
    decisions = {page for page in PAGES if page.parent.name == "decisions"}
    assert set(PAGES) - reached - decisions == set()


def test_the_tutorial_s_code_is_the_template_s() -> None:
    code = TEMPLATE.read_text(encoding="utf-8")
    excerpts = blocks(ROOT / "docs/domain.md", "python")
    assert len(excerpts) == code.count("@hookimpl\n") + 1  # each hook, and the settings
    for excerpt in excerpts:
        assert excerpt in code


def test_the_pipeline_page_has_every_stage_in_order_with_its_settings_and_files() -> None:
    sections = re.findall(
        r"(?ms)^## `([\w-]+)`\n(.*?)(?=^## |\Z)", (ROOT / "docs/pipeline.md").read_text(encoding="utf-8")
    )
    assert [name for name, _ in sections] == [stage.name for stage in STAGES]
    for (_, text), stage in zip(sections, STAGES, strict=True):
        assert [name for name in stage.writes if f"`{name}" not in text] == []
        named = {"domain", "seed", "threads", "records"}
        assert [name for name in stage.settings if name not in named and f"`[{name}]`" not in text] == []


def lines_of(page: Path) -> list[list[str]]:
    """The words of every command `rlvr …` in a page's shell blocks."""
    code = "".join(blocks(page, "sh"))
    lines = [line.partition(" > ")[0].rstrip(" &") for line in code.splitlines() if line.startswith("rlvr ")]
    return [shlex.split(line)[1:] for line in lines]


def parsed(words: list[str]) -> dict[str, Any]:
    """The arguments of a command as the command line itself reads them; nothing is run."""
    command: Any = get_command(cli.app)
    while isinstance(command, TyperGroup):
        command = command.commands[words[0]]
        words = words[1:]
    return dict(command.make_context("rlvr", list(words)).params)


@pytest.mark.parametrize("words", lines_of(REPRODUCE), ids=" ".join)
def test_every_command_of_the_reproduction_parses(words: list[str]) -> None:
    assert recipe_path("geo", parsed(words).get("recipe") or "default").is_file()


@pytest.mark.parametrize(
    ("words", "said"), [("run --nonsense", "No such option"), ("data prepare geo", "Missing parameter")]
)
def test_a_command_that_does_not_parse_would_be_seen(words: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        parsed(words.split())


SETTINGS = re.findall(r"`(--set [^`]+=[^`]+)`", REPRODUCE.read_text(encoding="utf-8"))


def test_the_reproduction_names_settings() -> None:
    assert len(SETTINGS) > 15


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_of_the_reproduction_exists(setting: str) -> None:
    recipe = load_recipe(recipe_path("geo", "default"), parsed(["run", *shlex.split(setting)])["overrides"])
    build(recipe.reward, load_domain("geo", recipe.records).rewards())
    require_usable(recipe)


def test_whatever_the_reproduction_changed_has_a_setting_that_restores_it_or_a_reason_why_not() -> None:
    section = REPRODUCE.read_text(encoding="utf-8").partition("\n## 11. ")[2]
    rows = [row.strip("| ").split(" | ") for row in re.findall(r"(?m)^\| .* \|$", section)[2:]]
    assert len(rows) > 15 and {len(row) for row in rows} == {3}
    for published, ours, restores in rows:
        assert "--set" in restores or restores.startswith("None, on purpose: ") or restores == "—", (published, ours)


def test_the_domain_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    (tmp_path / "visits.csv").write_text("id,patient,ward,note,code\n1,p,w,cough,J1\n2,q,w,fever,R5\n")
    monkeypatch.chdir(tmp_path)
    module = ModuleType("readme.hooks")
    exec(compile(code, "README.md", "exec"), vars(module))
    domain = Domain("readme", module, {})
    records = list(domain.load_records(tmp_path, 0))
    question = domain.make_task(records[1], records)
    assert [view.content for view in (*question.query, *question.candidates)] == ["fever", "J1", "R5"]


def test_the_readme_s_tree_names_what_is_there() -> None:
    (tree,) = [block for block in blocks(ROOT / "README.md", "") if "pipeline.py" in block]
    folder, named = ROOT, set()
    for line in tree.splitlines():
        inside = ROOT / "indirect_rlvr" if line.startswith("  ") else folder
        for name in re.split(r", ", line.strip().split("  ")[0]):
            assert (inside / name.split(" ")[0]).exists(), line
            named.add(name.split(" ")[0].rstrip("/"))
    core = {p.name for p in (ROOT / "indirect_rlvr").iterdir() if not p.name.startswith("__") and p.name != "py.typed"}
    assert core - named == set()


def test_make_knows_the_targets_that_the_docs_name() -> None:
    known = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {
        word
        for page in PAGES
        for word in re.findall(r"\bmake (run|test|setup|lint|docs|[a-z]+ *#)", page.read_text(encoding="utf-8"))
    }
    assert {word.rstrip(" #") for word in named} <= known


def test_the_makefile_and_ci_are_plain_shell() -> None:
    subprocess.run(["bash", "-n", str(ROOT / ".ci/run")], check=True)
    subprocess.run(["make", "--dry-run", "--always-make", "test"], cwd=ROOT, check=True, capture_output=True)
