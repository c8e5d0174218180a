"""The policy before any training: a given checkpoint by reference, or the domain's primed tiny model."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.config import Recipe
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, DomainError, RunError
from indirect_rlvr.run import digest, fresh_folder, plain, read_json, write_json
from indirect_rlvr.training import loadable
from indirect_rlvr.types import Primer, ProxyTask, View

REFERENCE = "reference.json"
PRIMING = "priming.json"
FIRST_EXAMPLES = 32


def prepare(domain: Domain, recipe: Recipe, out: Path, tasks: Sequence[ProxyTask] = ()) -> tuple[str, dict[str, Any]]:
    """Put the base model into `out`: a reference to `model.path`, or the primed model's own files.

    Returns what the base is in words for the report, and its figures and digest for the manifest. Raises ConfigError
    for a checkpoint that cannot be trained (`loadable`), or that cannot see the images that the first of `tasks` shows.
    """
    if recipe.model.path != "primed":
        _require_fitting(domain, recipe.model.path, tasks)
        with fresh_folder(out) as folder:
            write_json(folder / REFERENCE, {"path": recipe.model.path})
        return f"The checkpoint {recipe.model.path}.", {"path": recipe.model.path}
    source = primed(domain, recipe)
    with fresh_folder(out) as folder:
        for file in source.iterdir():
            shutil.copyfile(file, folder / file.name)
    facts = read_json(source / PRIMING)
    return str(facts["about"]), facts | {"path": "primed"}


def _require_fitting(domain: Domain, place: str, tasks: Sequence[ProxyTask]) -> None:
    config = loadable.config_of(place)
    loadable.require_family(place, config)
    shown = [part for task in tasks[:1] for part in domain.render(task).parts if isinstance(part, View)]
    if not loadable.is_vision(config) and any(view.modality == "image" for view in shown):
        raise ConfigError(
            f"`model.path` is `{place}`, a text-only {config['model_type']}, and the prompts of domain `{domain.name}` "
            "show images; give a model that sees, such as Qwen/Qwen2.5-VL-7B-Instruct"
        )


def require_trainable(path: str) -> None:
    """Raises ConfigError where `model.path` can only be a folder and there is none, or one without a model that can be
    trained (`loadable`): nothing is asked of a hub here."""
    require_there(path)
    if not Path(path).is_dir():
        return
    if (Path(path) / REFERENCE).exists():
        raise ConfigError(
            f"`model.path` is `{path}`, which names `{resolve(Path(path))}` and holds no model: give that"
        )
    loadable.require_folder(Path(path))


def require_there(path: str, key: str = "model.path") -> None:
    """Raises ConfigError where `path`, which stands at `key` of the recipe, can only be a folder and there is none:
    nothing is asked of a hub here."""
    is_id = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path) and not path.startswith(".")
    beside = "/" in path and Path(path).parent.is_dir()
    if not Path(path).is_dir() and (not is_id or beside):
        raise ConfigError(
            f"`{key}` is `{path}`, and there is no such folder; give a folder, a hub id such as "
            "Qwen/Qwen2.5-VL-7B-Instruct" + (', or "primed"' if key == "model.path" else "")
        )


def resolve(folder: Path) -> Path | str:
    """The folder, or the hub id, to load for a model folder of a run."""
    reference = folder / REFERENCE
    if not reference.exists():
        return folder
    named = str(read_json(reference)["path"])
    return Path(named) if Path(named).is_dir() else named


def primed(domain: Domain, recipe: Recipe) -> Path:
    """The folder of the primed model: the pack's shipped one, the cached one, or made now (with a progress bar).

    Raises DomainError where the domain has no primer.
    """
    primer = skills(domain)
    key = priming_key(recipe, primer)
    if primer.shipped is not None and _made_for(primer.shipped, key):
        return primer.shipped
    folder = cache_folder() / "primed" / key[:16]
    if not (folder / PRIMING).exists():
        make(recipe, primer, folder)
    return folder


def skills(domain: Domain) -> Primer:
    """The domain's generic skills; raises DomainError where it has none."""
    primer = domain.primer()
    if primer is None:
        raise DomainError(
            f'domain `{domain.name}` has no `primer` hook, so `model.path = "primed"` cannot be; '
            "set model.path to a folder or a hub id"
        )
    return primer


def make(recipe: Recipe, primer: Primer, folder: Path) -> None:
    """Prime a tiny model from nothing into `folder`.

    Raises RunError, before anything is trained, where that would replace something that is not a primed model.
    """
    from indirect_rlvr.training.prime import prime

    if folder.exists() and not (folder.is_dir() and ((folder / PRIMING).exists() or not any(folder.iterdir()))):
        raise RunError(f"`{folder}` exists and holds no primed model; choose another folder with --out")

    with fresh_folder(folder) as fresh:
        facts = prime(recipe.model.tiny, recipe.model.prime, primer, fresh)
        note = {"key": priming_key(recipe, primer), "settings": recipe.model.prime.model_dump(), **facts}
        write_json(fresh / PRIMING, note | {"about": primer.about})


def priming_key(recipe: Recipe, primer: Primer) -> str:
    """The digest of everything the primed weights depend on: sizes, schedule, words and the skills' first examples."""
    seed = recipe.model.prime.seed
    examples = [primer.example(seed, index) for index in range(FIRST_EXAMPLES)]
    texts = [plain([example.messages, example.completion]) for example in examples]
    return digest([recipe.model.tiny.model_dump(), recipe.model.prime.model_dump(), list(primer.lexicon), texts])


def _made_for(folder: Path, key: str) -> bool:
    return (folder / PRIMING).exists() and read_json(folder / PRIMING)["key"] == key


def cache_folder() -> Path:
    """The user's cache folder (XDG base directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "indirect_rlvr"
