"""Asks one policy everything of a suite and writes what it said and what that is worth; kill it and continue.

`answers/NAME.jsonl` are raw answers, appended one by one (`NAME.CONTROL.jsonl` those of a control), `items/NAME.jsonl`
the value of each example, and `results.json` comes last.
"""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from indirect_rlvr import processes
from indirect_rlvr.errors import RunError
from indirect_rlvr.evaluation import asking, suite
from indirect_rlvr.evaluation.asking import Policy, Row
from indirect_rlvr.evaluation.backends.answers import Ask, frames_of
from indirect_rlvr.evaluation.grade import grade, items, measured, metrics, with_missing
from indirect_rlvr.evaluation.prompt_controls import control
from indirect_rlvr.evaluation.suite import Place, Ready
from indirect_rlvr.run import plain, read_json, write_json, write_jsonl
from indirect_rlvr.types import Example, Graded, Response

SETUP, RESULTS, ANSWERS, ITEMS = "setup.json", "results.json", "answers", "items"


def measure(
    policy: Policy,
    readies: Sequence[Ready],
    absent: Sequence[Place],
    out: Path,
    about: Mapping[str, Any],
    controls: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Ask what is not answered yet, score it, write `results.json` and return it.

    `about` goes into the results as it is. `absent` and what is at fault stand in `not_asked`. Raises RunError where
    `out` holds the answers of another policy. Several processes share the questions, and all return the results.
    """
    processes.by_first(lambda: _claim(out, policy))
    load = cache(policy.load)
    asked = [each for each in readies if not each.fault and not each.unaskable]
    found = [_benchmark(policy, load, each, out, controls, seed) for each in asked]
    results = {
        "model": policy.model,
        "fingerprint": policy.fingerprint,
        **about,
        "seed": seed,
        "version": importlib.metadata.version("indirect-rlvr"),
        "benchmarks": found,
        "not_asked": [
            *(_not_asked(each, "its files are not here", False) for each in absent),
            *(_not_asked(each.place, each.fault, True) for each in readies if each.fault),
            *(_not_asked(each.place, each.unaskable, False) for each in readies if each.unaskable),
        ],
    }
    processes.by_first(lambda: write_json(out / RESULTS, results))
    return results


def responses(rows: Mapping[str, Row]) -> dict[str, Response]:
    """The responses among rows of answers, by id."""
    return {
        name: Response(row["text"], frames_of(row.get("frames")) or ()) for name, row in rows.items() if "text" in row
    }


def _benchmark(
    policy: Policy, load: Callable[[], Ask], ready: Ready, out: Path, controls: Sequence[str], seed: int
) -> dict[str, Any]:
    benchmark = ready.place.benchmark
    rows, graded = _ask(policy, load, ready.place, ready.examples, out, "")
    processes.by_first(lambda: write_jsonl(out / ITEMS / f"{benchmark.name}.jsonl", items(graded)))
    beside = {}
    for name in controls:
        shown = control(name, ready.examples, seed)
        _, seen = _ask(policy, load, ready.place, shown, out, name)
        beside[name] = {"n_examples": len(shown), "metrics": metrics(benchmark, seen) if shown else []}
    return {
        **measured(benchmark, graded),
        "data_revision": ready.place.data,
        "n_unfinished": sum(not row.get("finished", True) for row in rows.values()),
        "controls": beside,
    }


def _ask(
    policy: Policy, load: Callable[[], Ask], place: Place, examples: Sequence[Example], out: Path, control: str
) -> tuple[dict[str, Row], list[Graded]]:
    name = ".".join(part for part in (place.benchmark.name, control) if part)
    queries = [
        asking.query(policy, e.id, e.prompt, [place.data, asking.image_sizes(e.prompt, place.folder)], e.missing)
        for e in examples
    ]
    rows = asking.ask(load, out / ANSWERS / f"{name}.jsonl", queries, place.folder, name, keep_others=True)
    missing = {name: list(map(str, row["missing"])) for name, row in rows.items() if "missing" in row}
    return rows, grade(place.benchmark, with_missing(examples, missing), responses(rows))


def _claim(out: Path, policy: Policy) -> None:
    """The folder belongs to the first policy that was asked into it, so that no answer is lost to another."""
    path = out / SETUP
    mine = {"model": policy.model, "fingerprint": policy.fingerprint}
    if path.exists() and (held := read_json(path)) != mine:
        raise RunError(
            f"`{out}` holds the answers of {plain(held)}, and this is {mine}: other weights, limits or settings; "
            "choose another folder with --out"
        )
    write_json(path, mine)


def _not_asked(place: Place, why: str, fault: bool) -> dict[str, Any]:
    return {"name": place.benchmark.name, "why": why, "fault": fault, "get": suite.get(place)}
