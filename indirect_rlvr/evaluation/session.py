"""One `rlvr eval`: a model, a suite and a backend into a folder of answers and one results file."""

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from indirect_rlvr import lock, processes
from indirect_rlvr.config import Recipe
from indirect_rlvr.domain import Domain, installed, load_domain, recipe_path
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.evaluation import held_out, predictions, suite
from indirect_rlvr.evaluation.asking import Policy
from indirect_rlvr.evaluation.backends.answers import Ask, Limits
from indirect_rlvr.evaluation.measure import measure
from indirect_rlvr.evaluation.prompt_controls import CONTROLS
from indirect_rlvr.evaluation.suite import Place, Ready
from indirect_rlvr.run import digest, file_digest
from indirect_rlvr.training.base import REFERENCE
from indirect_rlvr.types import Benchmark

Backend = Literal["transformers", "vllm", "openai-url"]
MAX_TOKENS = 2048
"""What a model that no run of this domain made may write; one of a run may write what it was trained with."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How a model is asked; None leaves it to the model's run, or to the backend."""

    backend: Backend = "transformers"
    url: str | None = None
    max_tokens: int | None = None
    max_pixels: int | None = None
    batch: int | None = None
    dtype: Literal["float32", "bfloat16"] | None = None


def known_benchmarks(domain: Domain, recipe: Recipe) -> list[Benchmark]:
    """Every benchmark of a domain: those made from held-out records, without examples here, and the published ones."""
    known = [*domain.benchmarks([], recipe.evaluation.targets, recipe.seed), *domain.suite()]
    suite.check_names("benchmark", [each.name for each in known])
    return known


def evaluate(
    domain_name: str,
    model: str,
    wanted: str,
    out: Path,
    *,
    recipe_name: str = "default",
    data_root: Path | None = None,
    asking: Asking = Asking(),
    limit: int | None = None,
    controls: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Ask `model` the benchmarks `wanted` and score them; returns what `out/results.json` holds.

    A model folder of a run is asked targets from that run's held-out records; any other model's are made in
    `out/records`. Raises ConfigError for unknown names and a path without a model, DataError where the files of a
    benchmark named itself are lacking, RunError where `out` holds another model's answers or is in use.
    """
    unknown = [name for name in controls if name not in CONTROLS]
    if unknown:
        raise ConfigError(f"unknown control `{unknown[0]}`; there are: {', '.join(CONTROLS)}")
    own = held_out.recipe_of(model, domain_name)
    recipe = own or _recipe(domain_name, recipe_name)
    domain = load_domain(domain_name, recipe.records)
    chosen, named = suite.choose(known_benchmarks(domain, recipe), wanted)
    check_model(model, asking)
    if processes.count() > 1 and asking.backend != "transformers":
        raise ConfigError(
            f"--backend {asking.backend} is asked by one process, which hands over many prompts at a time: leave "
            "--nproc out, and set --batch"
        )
    if lost := suite.check_root(data_root):
        say(lost)
    places = [suite.place(each, data_root) for each in chosen if each.source is not None]
    suite.refuse_absent([where for where in places if where.benchmark.name in named])
    with lock.held(out) if processes.is_first() else nullcontext():
        if made_here := {each.name for each in chosen if each.source is None}:
            views = Path(model).resolve().parent / "records" if own else _held_out(domain, recipe, out)
            made = held_out.places(domain, recipe, views)
            places = [each for each in made if each.benchmark.name in made_here] + places
        absent = [where for where in places if where.lacking]
        readies = _readies([where for where in places if not where.lacking], named, limit, recipe.seed, say)
        about = {"domain": domain_name, "suite": wanted, "limit": limit, "settings": settings(asking, own)}
        return measure(policy(model, asking, own), readies, absent, out, about, controls, recipe.seed)


def _readies(
    places: Sequence[Place], named: Collection[str], limit: int | None, seed: int, say: Callable[[str], None]
) -> list[Ready]:
    """The benchmarks with their examples, a line said of each; of those that were `named` the examples are required."""
    found = [suite.ready(where, limit, seed) for where in places]
    readies = [suite.required(each) if each.place.benchmark.name in named else each for each in found]
    for ready in readies:
        say(f"{ready.place.benchmark.name}: {ready.fault or f'{len(ready.examples):,} examples'}")
    return readies


def _held_out(domain: Domain, recipe: Recipe, out: Path) -> Path:
    return processes.by_first(lambda: held_out.make(domain, recipe, out))


def score(
    domain_name: str,
    benchmark: str,
    file: Path,
    truth: Path | None = None,
    data_root: Path | None = None,
    convention: str | None = None,
    recipe_name: str = "default",
) -> dict[str, Any]:
    """Score the predictions in `file`; see `predictions.score`.

    `truth` is the benchmark's folder, or a run folder for a target made from its held-out records; else
    `data_root/NAME`. Raises ConfigError for an unknown benchmark, a target that the run's records do not make, or where
    neither is given.
    """
    recipe = _recipe(domain_name, recipe_name)
    domain = load_domain(domain_name, recipe.records)
    one = suite.named(known_benchmarks(domain, recipe), benchmark)
    if one.source is not None:
        where = suite.place(one, data_root) if truth is None else suite.at(one, truth)
        return predictions.score(where, file, convention)
    if truth is None or (own := held_out.recipe_of_run(truth, domain_name)) is None:
        raise ConfigError(
            f"`{benchmark}` is made from held-out records: give --truth RUN, the run folder (domain `{domain_name}`) "
            f"whose records were asked about; got {truth}"
        )
    made = held_out.places(load_domain(domain_name, own.records), own, truth / "records")
    place = next((each for each in made if each.benchmark.name == benchmark), None)
    if place is None:
        raise ConfigError(
            f"the held-out records of `{truth}` make no `{benchmark}`; they make: "
            f"{', '.join(each.benchmark.name for each in made) or 'none'}"
        )
    return predictions.score(place, file, convention)


def places(
    domain_name: str, data_root: Path | None, recipe_name: str = "default", name: str | None = None
) -> list[Place]:
    """Every benchmark of a domain, or the one named, with what is lacking of its files."""
    recipe = _recipe(domain_name, recipe_name)
    known = known_benchmarks(load_domain(domain_name, recipe.records), recipe)
    wanted = known if name is None else [suite.named(known, name)]
    return [suite.place(each, data_root) if each.source else Place(each, Path(), "") for each in wanted]


def domain_of(benchmark: str, recipe_name: str = "default") -> str:
    """The one installed domain that has a benchmark of this name; raises ConfigError where none or several have."""
    having = []
    for name in installed():
        recipe = _recipe(name, recipe_name)
        if benchmark in {each.name for each in known_benchmarks(load_domain(name, recipe.records), recipe)}:
            having.append(name)
    if len(having) != 1:
        raise ConfigError(
            f"benchmark `{benchmark}` is one of {', '.join(having) or 'no installed domain'}; `rlvr benchmarks` lists "
            f"what there is, and --domain NAME says which; installed domains: {', '.join(installed()) or 'none'}"
        )
    return having[0]


def folder_name(model: str) -> str:
    """A folder name for a model: "runs/geo/grpo" becomes "geo-grpo", "Qwen/Qwen2.5-VL-7B" "Qwen-Qwen2.5-VL-7B"."""
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-.") for part in Path(model).parts[-2:]]
    return "-".join(part for part in parts if part) or "model"


def settings(asking: Asking, recipe: Recipe | None) -> dict[str, Any]:
    """How the model is asked, every choice made; `recipe` is that of the model's run."""
    found = {name: value for name, value in asdict(asking).items() if value is not None}
    found.setdefault("max_tokens", recipe.grpo.max_completion_tokens if recipe else MAX_TOKENS)
    if recipe and asking.backend == "transformers":
        found = {"dtype": recipe.model.arithmetic, "batch": recipe.evaluation.batch} | found
    return found


def check_model(model: str, asking: Asking) -> None:
    """Raise ConfigError for what cannot be a model, before anything is made for it: a folder without one, a path that
    does not exist, a hub id whose config.json is neither here nor to be had."""
    place = Path(model)
    if asking.backend == "openai-url":
        return
    if place.is_dir():
        if not any((place / name).is_file() for name in ("config.json", REFERENCE)):
            raise ConfigError(f"`{model}` holds no model: there is no config.json; mend --model")
        return
    if place.exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ConfigError(f"`{model}` is no model folder; mend --model: a folder, or a hub id such as OWNER/NAME")
    from transformers.utils import cached_file

    try:
        cached_file(model, "config.json")
    except OSError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"`{model}` is no folder here, and no hub id to be had: {reason:.300}; mend --model"
        ) from error


def policy(model: str, asking: Asking, recipe: Recipe | None = None) -> Policy:
    """The model as a policy, nothing loaded yet.

    Its fingerprint covers the weights of a folder; of a hub id and of a server's model, only the name.
    """
    chosen = settings(asking, recipe)
    if asking.backend == "openai-url" and not asking.url:
        raise ConfigError("--backend openai-url needs --url, for example --url http://localhost:8000/v1")
    weights = file_digest(Path(model)) if asking.backend != "openai-url" and Path(model).is_dir() else model
    return Policy(model, digest([weights, chosen])[:16], lambda: _load(model, asking, chosen))


def _load(model: str, asking: Asking, chosen: dict[str, Any]) -> Ask:
    limits = Limits(chosen["max_tokens"], asking.max_pixels)
    options = {name: chosen[name] for name in ("batch", "dtype") if name in chosen}
    if asking.backend == "openai-url":
        from indirect_rlvr.evaluation.backends import openai_url

        concurrency = {"concurrency": chosen["batch"]} if "batch" in chosen else {}
        return openai_url.asker(openai_url.Server(str(asking.url), model, **concurrency), limits)
    if asking.backend == "vllm":
        from indirect_rlvr.evaluation.backends import vllm

        return vllm.asker(model, limits, **options)
    from indirect_rlvr.evaluation.backends import local

    return local.asker(model, limits, **options)


def _recipe(domain: str, name: str) -> Recipe:
    return held_out.read_recipe(recipe_path(domain, name), domain)
