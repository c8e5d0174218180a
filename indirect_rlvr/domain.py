"""Load exactly one named domain and ask its hooks; the only file that sees pluggy.

An error inside a hook keeps its type and gets a note that names the hook, the domain and the item.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pluggy
from pydantic import BaseModel

from indirect_rlvr import defaults, hookspecs
from indirect_rlvr.data.probe import Probe
from indirect_rlvr.errors import DomainError
from indirect_rlvr.types import (
    Benchmark,
    GroupTerm,
    Neighbourhood,
    Primer,
    Prompt,
    ProxyTask,
    Question,
    Record,
    Term,
    Verdict,
)
from indirect_rlvr.validation import validate


def installed() -> dict[str, EntryPoint]:
    """Every installed domain pack by name; nothing is imported."""
    return {point.name: point for point in sorted(entry_points(group=hookspecs.GROUP), key=lambda point: point.name)}


def recipe_path(name: str, recipe: str) -> Path:
    """A recipe file given by path, or by name from the pack's `recipes` folder.

    Raises DomainError that lists the pack's recipes.
    """
    if recipe.endswith(".toml"):
        return Path(recipe)
    folder = Path(str(files(_find(name).module.partition(".")[0]))) / "recipes"
    path = folder / f"{recipe}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml"))) or "none"
        raise DomainError(
            f"domain `{name}` has no recipe `{recipe}`; it has: {known}; or give the path of a .toml file"
        )
    return path


def load_domain(name: str, settings: dict[str, Any]) -> "Domain":
    """The domain pack `name` with its own settings validated.

    Raises DomainError for an unknown or broken pack, ConfigError for settings the pack does not know.
    """
    point = _find(name)
    try:
        module = point.load()
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise DomainError(f"domain `{name}` ({point.value}) cannot be imported: {cause}") from error
    return Domain(name, module, settings)


def _find(name: str) -> EntryPoint:
    known = installed()
    if name not in known:
        names = ", ".join(known) or "none; install one, for example: pip install -e domains/geo"
        raise DomainError(f"unknown domain `{name}`; installed domains: {names}")
    return known[name]


class Domain:
    """One domain pack behind typed methods, one for each hook, in pipeline order."""

    def __init__(self, name: str, plugin: ModuleType | type, settings: dict[str, Any]) -> None:
        self.name = name
        self.module = plugin.__name__
        manager = pluggy.PluginManager(hookspecs.GROUP)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(defaults, "defaults")
            manager.register(plugin, name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            hooks = {hook: caller for hook, caller in vars(manager.hook).items() if not hook.startswith("_")}
            known = ", ".join(sorted(hook for hook, caller in hooks.items() if caller.has_spec()))
            raise DomainError(f"domain `{name}` breaks the contract: {error}; the hooks are: {known}") from error
        self._hook = manager.hook
        implemented = {caller.name for caller in manager.get_hookcallers(plugin) or []}
        self.hooks = tuple(sorted(implemented))
        for required in ("load_records", "make_task"):
            if required not in implemented:
                raise DomainError(f"domain `{name}` does not implement the required hook `{required}`")
        with self._blame("domain_settings"):
            model = self._hook.domain_settings()
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise DomainError(f"`domain_settings` of domain `{name}` gave {model!r:.200}; expected a pydantic model")
        self.settings: BaseModel = validate(model, settings, f"[records] of domain `{name}`")

    @contextmanager
    def _blame(self, hook: str, item: str = "") -> Iterator[None]:
        try:
            yield
        except Exception as error:
            error.add_note(f"in hook `{hook}` of domain `{self.name}`" + (f", at `{item}`" if item else ""))
            raise

    def prepare(
        self,
        source: str,
        root: Path,
        out: Path,
        limit: int,
        options: Mapping[str, str],
        say: Callable[[str], None],
    ) -> str:
        """Records made of a data set; raises DomainError where the domain prepares none."""
        with self._blame("prepare"):
            said = self._hook.prepare(source=source, root=root, out=out, limit=limit, options=options, say=say)
        if said is None:
            raise DomainError(
                f"domain `{self.name}` does not implement the hook `prepare`, so it prepares no data sets"
            )
        return str(said)

    def load_records(self, folder: Path, seed: int) -> Iterator[Record]:
        """Every record of the world; image views are written into `folder`."""
        with self._blame("load_records"):
            yield from self._hook.load_records(settings=self.settings, folder=folder, seed=seed)

    def neighbourhood(self) -> Neighbourhood:
        """What "same neighbourhood" means here."""
        with self._blame("neighbourhood"):
            return self._hook.neighbourhood(settings=self.settings)  # type: ignore[no-any-return]

    def make_task(self, query: Record, candidates: Sequence[Record]) -> Question:
        """The question of one candidate set with `query` as the record asked for."""
        with self._blame("make_task", query.id):
            return self._hook.make_task(  # type: ignore[no-any-return]
                settings=self.settings, query=query, candidates=candidates
            )

    def probes(self) -> list[Probe]:
        """The domain's own shortcut probes, and its oracle if it has one."""
        with self._blame("probes"):
            return _collected("probe", self.name, self._hook.probes(settings=self.settings))

    def render(self, task: ProxyTask) -> Prompt:
        """The user turn of a task."""
        with self._blame("render", task.id):
            return self._hook.render(settings=self.settings, task=task)  # type: ignore[no-any-return]

    def scaffold(self, task: ProxyTask, rng: Random) -> str | None:
        """One reasoning trace, or None where the domain has no scaffold."""
        with self._blame("scaffold", task.id):
            return self._hook.scaffold(settings=self.settings, task=task, rng=rng)  # type: ignore[no-any-return]

    def brief(self, record: Record) -> tuple[str, ...]:
        """The sentences on one record, of which a teacher is told those that all candidates share.

        Raises DomainError where the hook gives anything but texts.
        """
        with self._blame("brief", record.id):
            found = self._hook.brief(settings=self.settings, record=record)
            if isinstance(found, str) or not all(isinstance(sentence, str) for sentence in found):
                raise DomainError(f"`brief` gave {found!r:.200}; expected a list of sentences")
        return tuple(found)

    def check_facts(self, task: ProxyTask, text: str) -> Sequence[Verdict]:
        """The claims found in `text`, with their verdicts."""
        with self._blame("check_facts", task.id):
            return self._hook.check_facts(settings=self.settings, task=task, text=text)  # type: ignore[no-any-return]

    def rewards(self) -> list[Term | GroupTerm]:
        """The domain's own reward terms."""
        with self._blame("rewards"):
            return _collected("reward term", self.name, self._hook.rewards(settings=self.settings))

    def benchmarks(self, records: Sequence[Record], count: int, seed: int) -> list[Benchmark]:
        """The target tasks, from held-out records only."""
        with self._blame("benchmarks"):
            found = self._hook.benchmarks(settings=self.settings, records=records, count=count, seed=seed)
            return _collected("benchmark", self.name, found)

    def suite(self) -> list[Benchmark]:
        """The published benchmarks of the domain, nothing read yet."""
        with self._blame("suite"):
            return _collected("benchmark", self.name, self._hook.suite(settings=self.settings))

    def primer(self) -> Primer | None:
        """The generic skills of a tiny model, or None where the domain has none."""
        with self._blame("primer"):
            return self._hook.primer(settings=self.settings)  # type: ignore[no-any-return]


def _collected(what: str, domain: str, lists: list[list[Any]]) -> list[Any]:
    items = [item for items in lists for item in items]
    names = [item.name for item in items]
    for name in names:
        if names.count(name) > 1:
            raise DomainError(f"domain `{domain}` has two {what}s named `{name}`; give each a name of its own")
    return items
