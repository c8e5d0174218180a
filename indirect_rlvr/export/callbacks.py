"""What an exported benchmark calls back: its examples as they were exported, and its own parser, judge and metrics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from indirect_rlvr.config import load_recipe
from indirect_rlvr.domain import load_domain
from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.evaluation import session, suite
from indirect_rlvr.evaluation.grade import grade
from indirect_rlvr.export import bundle
from indirect_rlvr.run import read_json, read_jsonl
from indirect_rlvr.types import Benchmark, Example, Graded, Prompt, Response, View

EXAMPLES = "examples.jsonl"
IMAGES = "images"


@dataclass(frozen=True, slots=True)
class Key:
    """One metric of a benchmark under a name that every harness can write."""

    key: str
    name: str
    convention: str
    task: str
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Task:
    """One exported benchmark; its images lie in `folder`."""

    benchmark: Benchmark
    examples: Mapping[str, Example]
    keys: Sequence[Key]
    folder: Path


@cache
def tasks(folder: Path) -> dict[str, Task]:
    """The benchmarks of an export by name, read once in each process. `folder` is that of export.json.

    Raises RunError where the packages installed here parse or ask otherwise than those of the export.
    """
    about = read_json(folder / bundle.ABOUT)
    recipe = load_recipe(folder / bundle.RECIPE, [])
    known = session.known_benchmarks(load_domain(recipe.domain, recipe.records), recipe)
    found = {}
    for row in about["benchmarks"]:
        benchmark = suite.named(known, row["name"])
        if benchmark.parser_version != row["parser_version"]:
            raise RunError(
                f"the export `{folder}` was made with parser version {row['parser_version']} of `{benchmark.name}`, "
                f"and {benchmark.parser_version} is installed; export it again"
            )
        keys = [Key(**key) for key in row["keys"]]
        by_id = {example.id: example for example in read_examples(folder / benchmark.name)}
        found[benchmark.name] = Task(benchmark, by_id, keys, folder / benchmark.name / IMAGES)
    return found


def read_examples(folder: Path) -> list[Example]:
    """The examples of one exported benchmark, in order; `folder` is its own."""
    return [_example(line) for line in read_jsonl(folder / EXAMPLES)]


def image_views(example: Example) -> list[View]:
    """The images of an example's prompt, in reading order."""
    return [part for part in example.prompt.parts if isinstance(part, View) and part.modality == "image"]


def asked(task: Task) -> list[Example]:
    """The examples whose media are all there, in order."""
    return [example for example in task.examples.values() if not example.missing]


def judged(folder: Path, name: str, item: str, text: str) -> Graded:
    """One response to one example, parsed and judged."""
    task = tasks(folder)[name]
    (found,) = grade(task.benchmark, [task.examples[item]], {item: Response(text)})
    return found


def measured(folder: Path, name: str, texts: Mapping[str, str]) -> dict[str, float]:
    """Every metric of a benchmark by key, over the responses given by id; NaN where a metric is of nothing."""
    return dict(_measured(folder, name, tuple(sorted(texts.items()))))


@lru_cache(maxsize=4)
def _measured(folder: Path, name: str, texts: tuple[tuple[str, str], ...]) -> dict[str, float]:
    task = tasks(folder)[name]
    given = {item: Response(text) for item, text in texts}
    unknown = [item for item in given if item not in task.examples]
    if unknown:
        raise DataError(f"`{unknown[0]}` is no example of `{name}`; use the data that was exported with the scorer")
    examples = [example for example in task.examples.values() if example.id in given]
    metrics = task.benchmark.metrics(grade(task.benchmark, examples, given))
    values = {(metric.name, metric.convention, metric.task): metric.value for metric in metrics}
    return {key.key: float(values.get((key.name, key.convention, key.task), math.nan)) for key in task.keys}


def _example(line: Mapping[str, Any]) -> Example:
    parts = [part if isinstance(part, str) else View(**part) for part in line["prompt"]["parts"]]
    whole = {**line, "prompt": Prompt(tuple(parts)), "missing": tuple(line["missing"]), "flags": tuple(line["flags"])}
    return Example(**whole)
