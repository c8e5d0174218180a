"""The held-out records that a domain's own target tasks are made of: those of the model's run, or made anew."""

from pathlib import Path

from indirect_rlvr import pipeline
from indirect_rlvr.config import Recipe, load_recipe
from indirect_rlvr.data import records as store
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.evaluation.suite import Place
from indirect_rlvr.run import digest, file_digest

RECORDS = "records.jsonl"


def read_recipe(path: Path, domain: str) -> Recipe:
    """A recipe of this domain; raises ConfigError where it is another's."""
    found = load_recipe(path, [])
    if found.domain != domain:
        raise ConfigError(f"recipe `{path}` is for domain `{found.domain}`, not `{domain}`")
    return found


def recipe_of_run(run: Path, domain: str) -> Recipe | None:
    """The recipe of a run folder that has records of this domain, None where it is no such folder."""
    if not ((run / "recipe.toml").is_file() and (run / "records" / RECORDS).is_file()):
        return None
    found = load_recipe(run / "recipe.toml", [])
    return found if found.domain == domain else None


def recipe_of(model: str, domain: str) -> Recipe | None:
    """The recipe of the run whose model folder `model` is, None where it is none of this domain."""
    return recipe_of_run(Path(model).resolve().parent, domain) if Path(model).is_dir() else None


def make(domain: Domain, recipe: Recipe, out: Path) -> Path:
    """The folder of the recipe's records below `out`, made where it is not there yet."""
    folder = out / f"world-{digest([recipe.records, recipe.seed])[:8]}"
    run = pipeline.Run(folder, recipe, domain)
    if not (run.views / RECORDS).is_file():
        pipeline.records(run)
    return run.views


def places(domain: Domain, recipe: Recipe, views: Path) -> list[Place]:
    """The target tasks on the test split of the records in `views`, with their images' folder."""
    found = [record for record in store.read(views / RECORDS) if record.split == "test"]
    made = domain.benchmarks(found, recipe.evaluation.targets, recipe.seed) if recipe.evaluation.targets else []
    data = file_digest(views / RECORDS)
    return [Place(benchmark, views, data) for benchmark in made]
