"""Writes docs/reference/ from the code: hook docstrings, the recipe's fields, the commands' help, the public types.

Run by `make docs`. `tests/test_docs.py` compares the pages with what this file makes, so they cannot go stale.
"""

import dataclasses
import inspect
import re
from pathlib import Path
from types import FunctionType, ModuleType
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from indirect_rlvr import cli, hookspecs, types
from indirect_rlvr.config import Recipe
from indirect_rlvr.domain import load_domain

FOLDER = Path(__file__).parent / "reference"
REQUIRED = ("load_records", "make_task")
PACKS = ("geo", "template")
MADE = "<!-- made by docs/generate.py; change the code, then `make docs` -->"


def pages() -> dict[str, str]:
    """Each page of the reference by file name."""
    return {"hooks.md": hooks(), "recipe.md": recipe(), "commands.md": commands(), "types.md": nouns()}


def hooks() -> str:
    """Every hook in pipeline order: signature, when, what to return, the smallest implementation."""
    parts = ["# Hooks", MADE, inspect.getdoc(hookspecs) or ""]
    for name, hook in specifications(hookspecs).items():
        needed = "required" if name in REQUIRED else "optional"
        signature = _without_modules(str(inspect.signature(hook)))
        parts += [
            f"## `{name}` ({needed})",
            f"```python\n{name}{signature}\n```",
            _markdown(hook.__doc__ or ""),
        ]
    return "\n\n".join(parts) + "\n"


def specifications(module: ModuleType) -> dict[str, FunctionType]:
    """The hook specifications of a module, in the order of the file."""
    marker = f"{hookspecs.GROUP}_spec"
    return {name: f for name, f in vars(module).items() if isinstance(f, FunctionType) and marker in vars(f)}


def recipe() -> str:
    """Every key of a recipe with type, default and sentence."""
    parts = [
        "# Recipe",
        MADE,
        "One TOML file. Sections stand in pipeline order; unknown keys are errors. On the command line "
        "`--set section.key=value` overrides a key. `[sft.trl]` and `[grpo.trl]` go to TRL untouched; keys that a "
        "setting here already decides are refused there.",
        "## Top level",
        _table(Recipe),
    ]
    for section, model in _sections(Recipe, ""):
        parts += [f"## `[{section}]`", _sentence(model), _table(model)]
    for pack in PACKS:
        settings = type(load_domain(pack, {}).settings)
        parts += [f"## `[records]` of domain `{pack}`", _sentence(settings), _table(settings)]
        for section, model in _sections(settings, "records."):
            parts += [f"## `[{section}]` of domain `{pack}`", _sentence(model), _table(model)]
    return "\n\n".join(parts) + "\n"


def commands() -> str:
    """The help of every command, as the terminal shows it."""
    names = [c.name or c.callback.__name__ for c in cli.app.registered_commands if c.callback]
    groups = [(str(group.name), group.typer_instance) for group in cli.app.registered_groups]
    inner = [(name, str(command.name)) for name, group in groups if group for command in group.registered_commands]
    codes = "Exit codes: 0 done, 1 unusable data or a failed run, 2 a wrong recipe, argument or pack, 130 interrupted."
    parts = ["# Commands", MADE, codes, _help()]
    for path in [*((name,) for name in names), *inner]:
        parts += [f"## `rlvr {' '.join(path)}`", _help(*path)]
    return "\n\n".join(parts) + "\n"


def nouns() -> str:
    """Every public type, in the order of the file: what it is, and its fields with type and default."""
    found = [kind for kind in vars(types).values() if dataclasses.is_dataclass(kind) and isinstance(kind, type)]
    parts = ["# Types", MADE, inspect.getdoc(types) or "", "All are dataclasses of `indirect_rlvr.types`."]
    for kind in found:
        parts += [f"## `{kind.__name__}`", inspect.getdoc(kind) or "", _fields(kind)]
    return "\n\n".join(parts) + "\n"


def _fields(kind: type) -> str:
    rows = ["| field | type | default |", "| --- | --- | --- |"]
    for field in dataclasses.fields(kind):
        made = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        default = "required" if made is dataclasses.MISSING else f"`{made!r}`"
        shown = _without_modules(inspect.formatannotation(field.type))
        rows.append(f"| `{field.name}` | `{_cell(shown)}` | {default} |")
    return "\n".join(rows)


def _help(*arguments: str) -> str:
    result = CliRunner().invoke(
        cli.app, [*arguments, "--help"], prog_name="rlvr", terminal_width=100, max_content_width=100
    )
    return "```text\n" + "\n".join(line.rstrip() for line in result.stdout.strip().splitlines()) + "\n```"


def _sections(model: type[BaseModel], prefix: str) -> list[tuple[str, type[BaseModel]]]:
    found = []
    for name, field in model.model_fields.items():
        if _is_section(field):
            assert isinstance(field.annotation, type)
            found += [(prefix + name, field.annotation), *_sections(field.annotation, f"{prefix}{name}.")]
    return found


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | type | default | |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        if not _is_section(field):
            default = "required" if field.is_required() else f"`{field.default!r}`"
            rows.append(f"| `{name}` | {_type(field)} | {default} | {_cell(field.description or '')} |")
    return "\n".join(rows)


def _type(field: FieldInfo) -> str:
    kind = field.annotation
    choices = get_args(kind) if "Literal" in str(kind) else ()
    words = " or ".join(f"`{choice}`" for choice in choices) or _cell(
        kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")
    )
    bounds = [f"{sign} {limit:g}" for rule in field.metadata for sign, limit in _bounds(rule)]
    return " ".join([words, ", ".join(bounds)]).strip()


def _bounds(rule: object) -> list[tuple[str, float]]:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return [(signs[name], value) for name, value in inspect.getmembers(rule) if name in signs]


def _sentence(model: type[BaseModel]) -> str:
    return inspect.getdoc(model) or ""


def _without_modules(annotation: str) -> str:
    return re.sub(r"[a-z_.]+\.(?=[A-Z])", "", annotation)


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _markdown(docstring: str) -> str:
    """A hook's docstring: one paragraph, and after the first blank line the example, as fenced code."""
    prose, _, example = docstring.partition("\n\n")
    code = inspect.cleandoc("\n" + example)
    return inspect.cleandoc(prose) + (f"\n\n```python\n{code}\n```" if code else "")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
