"""Look at the installed packs, and start a new one as a copy of the template."""

import re
import shutil
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from importlib.resources import files
from pathlib import Path

from indirect_rlvr.config import load_recipe
from indirect_rlvr.domain import installed, load_domain, recipe_path
from indirect_rlvr.errors import ConfigError, DomainError, RlvrError
from indirect_rlvr.run import disk_errors, fresh_folder, write_text

TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Pack:
    """One installed pack; `error` is "" unless the pack cannot be loaded."""

    name: str
    distribution: str
    hooks: tuple[str, ...]
    recipes: tuple[str, ...]
    error: str


def overview() -> list[Pack]:
    """Every installed pack, by name; a broken one has its error in place of its hooks."""
    return [_pack(point) for point in installed().values()]


def table(packs: list[Pack]) -> str:
    """The overview as lines of text."""
    if not packs:
        return "no domain is installed; install one, for example: pip install -e domains/geo"
    width = max(len(pack.name) for pack in packs)
    indent = "\n" + " " * (width + 2)
    return "\n".join(
        f"{pack.name:{width}}  {pack.distribution}"
        + (f"{indent}error: {pack.error}" if pack.error else f"{indent}hooks: {', '.join(pack.hooks)}")
        + f"{indent}recipes: {', '.join(pack.recipes) or 'none'}"
        for pack in packs
    )


def create(name: str, folder: Path) -> Path:
    """Copy the template pack to `folder` with every `template` in names and code replaced by `name`.

    Raises ConfigError for a name that is not a lower-case word, is taken, or a folder that exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
        raise ConfigError(f"`{name}` cannot name a domain; use lower-case letters, digits and _, a letter first")
    if name in installed():
        raise ConfigError(f"a domain `{name}` is installed already; choose another name")
    file = next((place for place in (folder, *folder.parents) if place.is_file()), None)
    if file:
        raise ConfigError(f"`{file}` is a file, not a folder; give another folder: rlvr new {name} FOLDER")
    if folder.exists():
        raise ConfigError(f"`{folder}` exists already; give another folder: rlvr new {name} FOLDER")
    source = _source()
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
    with fresh_folder(folder) as copy, disk_errors(folder):
        shutil.copytree(source, copy, ignore=ignore, dirs_exist_ok=True)
        for path in sorted(copy.rglob("*"), reverse=True):
            if path.is_file():
                write_text(path, _renamed(path.read_text(encoding="utf-8"), name))
            path.rename(path.with_name(path.name.replace(TEMPLATE, name)))
    return folder


def _renamed(text: str, name: str) -> str:
    """A file of the template as a file of the domain `name`, the description of its pyproject.toml included."""
    said = f'description = "The domain {name} of indirect_rlvr."'
    return (
        re.sub(r'^description = ".*"$', said, text, flags=re.MULTILINE)
        .replace(TEMPLATE, name)
        .replace(TEMPLATE.capitalize(), name.capitalize())
    )


def _source() -> Path:
    if TEMPLATE not in installed():
        raise DomainError("the template pack is not installed; install it: pip install -e domains/template")
    folder = _package(installed()[TEMPLATE]).parent
    if not (folder / "pyproject.toml").is_file():
        raise DomainError(
            f"`{folder}` holds the installed template without its pyproject.toml; install it from a clone of the "
            "repository: pip install -e domains/template"
        )
    return folder


def _package(point: EntryPoint) -> Path:
    return Path(str(files(point.module.partition(".")[0])))


def _pack(point: EntryPoint) -> Pack:
    distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown distribution"
    hooks: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    error = ""
    try:
        recipes = tuple(sorted(path.stem for path in (_package(point) / "recipes").glob("*.toml")))
        settings = load_recipe(recipe_path(point.name, "default"), []).records if "default" in recipes else {}
        hooks = load_domain(point.name, settings).hooks
    except RlvrError as problem:
        error = str(problem)
    except Exception as problem:  # a pack's own code may raise anything
        error = f"{type(problem).__name__}: {problem}"
    return Pack(point.name, distribution, hooks, recipes, error)
