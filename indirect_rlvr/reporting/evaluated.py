"""Results of `rlvr eval` and `rlvr score`, and the list of benchmarks, as text for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from indirect_rlvr.evaluation import suite
from indirect_rlvr.evaluation.suite import Place
from indirect_rlvr.reporting.columns import columns, one_line


def results(found: Mapping[str, Any]) -> str:
    """A line for each metric of a whole benchmark, controls beside it, and what was not asked, said in full.

    A benchmark that has none of the whole shows the sub-tasks that models are compared by; all others are in
    results.json alone.
    """
    rows = [row for benchmark in found["benchmarks"] for row in _rows(benchmark, _headline(benchmark))]
    parts = [columns(rows)] if rows else []
    parts += [_missing(each) for each in found["benchmarks"] if each["missing_media"]["n"]]
    parts += [f"not asked: {each['name']}: {each['why']}\n{_indented(each['get'])}" for each in found["not_asked"]]
    return "\n\n".join(parts)


def scored(found: Mapping[str, Any]) -> str:
    """Every metric of one benchmark, and what was wrong with the file of predictions."""
    said = [columns(_rows({**found, "controls": {}}, None))]
    if found["missing_media"]["n"]:
        said.append(_missing(found))
    said += [f"all examples: {flag}" for flag, split in found.get("flags", {}).items() if not split["without"]]
    said += [f"{what}: {_listed(at['n'], at['first'])}" for what, at in found["faults"].items()]
    return "\n".join(said)


def benchmarks(places: Iterable[Place]) -> str:
    """A line for each benchmark within 120 columns: whether it is here, its size and licence, its suites and where it
    comes from, all cut short; `benchmark` has them in full."""
    return columns(
        [
            {
                "name": where.benchmark.name,
                "here": "no" if where.lacking else "yes",
                "size": _short(where.benchmark.source.size if where.benchmark.source else "made from records", 20),
                "licence": _short(where.benchmark.source.licence if where.benchmark.source else "the records'", 14),
                "suites": _short(", ".join(where.benchmark.suites), 16) or None,
                "lacking": _short(", ".join(where.lacking), 14) or None,
                "from": _short(where.benchmark.source.homepage.partition("://")[2], 14)
                if where.benchmark.source
                else None,
            }
            for where in places
        ]
    )


def benchmark(where: Place) -> str:
    """One benchmark in full: what to download from where into which folder, its sub-tasks and its versions."""
    one = where.benchmark
    tasks = f"sub-tasks: {', '.join(one.tasks)}\n" if one.tasks != ("",) else ""
    suites = f"suites: {', '.join(one.suites)}\n" if one.suites else ""
    return f"{one.name}: {one.description}\n{tasks}{suites}compared by: {one.main}\n{suite.get(where)}"


def _headline(benchmark: Mapping[str, Any]) -> Sequence[str]:
    whole = any(not metric["task"] for metric in benchmark["metrics"])
    return [""] if whole else benchmark["tasks"]


def _rows(benchmark: Mapping[str, Any], tasks: Sequence[str] | None) -> list[dict[str, object]]:
    """A row for each metric of these tasks, of all where none are given."""
    measured = {benchmark["name"]: benchmark["metrics"]}
    measured |= {f"{benchmark['name']} ({name})": one["metrics"] for name, one in benchmark["controls"].items()}
    return [
        _row(name, metric)
        for name, metrics in measured.items()
        for metric in metrics
        if tasks is None or metric["task"] in tasks
    ]


def _row(name: str, metric: Mapping[str, Any]) -> dict[str, object]:
    low, high = metric["ci95"] or (None, None)
    beside = ", ".join(f"{key} {value:.4g}" for key, value in metric["baselines"].items())
    return {
        "benchmark": name, "metric": metric["name"], "task": metric["task"] or None, "value": metric["value"],
        "unit": metric["unit"], "low": low, "high": high, "n": metric["n"], "parsed": metric["n_parsed"],
        "missing": metric["n_missing_media"], "convention": metric["convention"], "baselines": beside or None,
    }  # fmt: skip


def _missing(benchmark: Mapping[str, Any]) -> str:
    lost = benchmark["missing_media"]
    return f"{benchmark['name']}: media are missing for {_listed(lost['n'], lost['first'])}"


def _listed(n: int, first: Sequence[str]) -> str:
    more = ", …" if n > len(first) else ""
    return f"{n:,} ({', '.join(map(one_line, first))}{more})"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())
