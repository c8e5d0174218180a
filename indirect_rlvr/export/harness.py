"""Writes what an export for an evaluation harness holds: recipe, examples with their images, and the metrics' names.

The harness asks its model; parsing, judging and metrics are called back (`callbacks.py`), so that its numbers are those
of `rlvr score`.
"""

from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from indirect_rlvr.domain import load_domain, recipe_path
from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation import held_out, session, suite
from indirect_rlvr.evaluation.grade import grade, prompt_hash
from indirect_rlvr.evaluation.suite import Ready
from indirect_rlvr.export import bundle
from indirect_rlvr.export.callbacks import EXAMPLES, IMAGES, Key, image_views
from indirect_rlvr.pipeline import Run
from indirect_rlvr.redaction import redacted
from indirect_rlvr.run import disk_errors, plain, write_json, write_jsonl, write_text
from indirect_rlvr.types import Example, Metric

INSIDE = "bundle"


def fill(
    ecosystem: str,
    domain_name: str,
    wanted: str,
    out: Path,
    *,
    recipe_name: str = "default",
    data_root: Path | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Write recipe, examples and images of the benchmarks `wanted` into `out`/bundle; returns its export.json.

    What a suite brings along and cannot be asked is listed there under `not_exported` with the reason: files that are
    absent, with what to get, or broken. Raises ConfigError for unknown names, DataError where a benchmark that is named
    itself cannot be asked, an image has gone, or nothing is left.
    """
    recipe = held_out.read_recipe(recipe_path(domain_name, recipe_name), domain_name)
    domain = load_domain(domain_name, recipe.records)
    chosen, named = suite.choose(session.known_benchmarks(domain, recipe), wanted)
    places = [suite.place(each, data_root) for each in chosen if each.source is not None]
    suite.refuse_absent([where for where in places if where.benchmark.name in named])
    made_here = {each.name for each in chosen if each.source is None}
    with TemporaryDirectory() as temporary:
        if made_here:
            views = held_out.make(domain, recipe, Path(temporary))
            places = [one for one in held_out.places(domain, recipe, views) if one.benchmark.name in made_here] + places
        readies = [suite.ready(where, limit, recipe.seed) for where in places if not where.lacking]
        there, faults = _sorted_out(readies, named)
        _check_names(domain_name, [ready.place.benchmark.name for ready in there])
        rows = [_write(ready, out / INSIDE) for ready in there]
    left_out = {where.benchmark.name: suite.get(where) for where in places if where.lacking} | faults
    write_text(out / INSIDE / bundle.RECIPE, tomli_w.dumps(redacted(recipe.model_dump(exclude_none=True))))
    about = {
        "ecosystem": ecosystem,
        "domain": domain_name,
        "packages": bundle.packages(Run(out, recipe, domain)),
        "benchmarks": rows,
        "not_exported": [{"name": name, "why": why} for name, why in left_out.items()],
    }
    write_json(out / INSIDE / bundle.ABOUT, about)
    return about


def task_name(domain: str, benchmark: str) -> str:
    """What a benchmark is called in a harness, for example rlvr_geo_slope_class."""
    return f"rlvr_{bundle.identifier(domain)}_{bundle.identifier(benchmark)}"


def _check_names(domain: str, names: Sequence[str]) -> None:
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(task_name(domain, name), name)
        if other != name:
            raise DataError(f"benchmarks `{other}` and `{name}` have one name as a task; export them into two folders")


def _sorted_out(readies: Sequence[Ready], named: set[str]) -> tuple[list[Ready], dict[str, str]]:
    """What a harness can ask, and why not the rest."""
    faults = {ready.place.benchmark.name: why for ready in readies if (why := ready.fault or ready.unaskable)}
    refused = [name for name in faults if name in named]
    if refused:
        raise DataError(f"cannot export `{refused[0]}`: {faults[refused[0]]}")
    there = [ready for ready in readies if ready.place.benchmark.name not in faults]
    if not there:
        raise DataError("nothing to export: none of the benchmarks has its files here; `rlvr benchmarks` lists them")
    return there, faults


def _write(ready: Ready, inside: Path) -> dict[str, Any]:
    benchmark, where = ready.place.benchmark, ready.place
    folder = inside / benchmark.name
    write_jsonl(folder / EXAMPLES, ready.examples)
    _copy_images(ready.examples, where.folder, folder / IMAGES)
    silent = benchmark.metrics(grade(benchmark, ready.examples, {}))
    return {
        "name": benchmark.name,
        "description": benchmark.description,
        "n_examples": len(ready.examples),
        "n_missing_media": sum(bool(example.missing) for example in ready.examples),
        "prompt_hash": prompt_hash(ready.examples),
        "parser_version": benchmark.parser_version,
        "keys": plain(_keys(silent)),
    }


def _copy_images(examples: Sequence[Example], source: Path, folder: Path) -> None:
    shown = {view.content for example in examples if not example.missing for view in image_views(example)}
    root = source.resolve()
    with disk_errors(folder):
        for name in sorted(shown):
            original = (root / name).resolve()
            if not original.is_relative_to(root) or not original.is_file():
                raise DataError(f"image `{name}` is not in `{source}`; mend the benchmark's files")
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copyfile(original, copy)


def _keys(metrics: Sequence[Metric]) -> list[Key]:
    """One key for each metric; letters that a harness would take for its own become "-"."""
    found: dict[str, Key] = {}
    for metric in metrics:
        words = " ".join(word for word in (metric.task, metric.name, f"({metric.convention})") if word)
        key = plainly = "".join(letter if letter.isalnum() or letter in " ()@%.=_-" else "-" for letter in words)
        number = 1
        while key in found:
            number += 1
            key = f"{plainly} {number}"
        found[key] = Key(key, metric.name, metric.convention, metric.task, metric.higher_is_better)
    return list(found.values())
