"""The report as Markdown, for terminals, pull requests and logs: the same figures without the pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.evaluation.controls import CONTROLS
from indirect_rlvr.evaluation.transfer import key
from indirect_rlvr.reporting.contents import Contents, read
from indirect_rlvr.reporting.markup import visible
from indirect_rlvr.reporting.provenance import audit_verdict
from indirect_rlvr.reporting.summary import verdict
from indirect_rlvr.reporting.wording import duration, interval, number, p_value, percent, points

SPECIAL = frozenset("\\`*_{}[]<>#|!~&")
LIMIT = 1200
"""Characters of a foreign text that are shown."""
HEADS = {
    "no_query": "without query", "no_images": "without images", "other_query": "other query", "permuted": "reordered",
}  # fmt: skip
"""The controls, as columns."""


def markdown(run: Path) -> str:
    """The summary, the same bytes for the same files. Raises DataError that names a missing or broken file."""
    contents = read(run)
    parts = [
        f"# {plain(str(contents.manifest.get('domain', 'run')))}: from proxy task to target tasks",
        plain(verdict(contents.results)),
        rows(contents.results),
        targets(contents.results),
        "## Audit",
        plain(audit_verdict(contents.audit)),
        _stages(contents),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def rows(results: Mapping[str, Any]) -> str:
    """The rows on held-out proxy tasks and in their controls, each with its interval."""
    asked = [name for name in CONTROLS if name in results["rows"][0]["controls"]]
    heads = ["model", "accuracy", "format", "tokens", *(HEADS[name] for name in asked)]
    body = [
        [
            row["model"], _measured(row), percent(row["format_rate"]),
            number(round(row["mean_completion_tokens"], 1)), *(_measured(row["controls"][name]) for name in asked),
        ]
        for row in results["rows"]
    ]  # fmt: skip
    said = (
        f"{results['rows'][0]['n']:,} held-out proxy tasks; chance is {percent(results['chance'])}; 95 % intervals, "
        "clustered."
    )
    return f"## The proxy task\n\n{said}\n\n{table(heads, body)}"


def targets(results: Mapping[str, Any]) -> str:
    """The target tasks, first row against last, with the interval of the change."""
    transfer = results["transfer"]
    said = f"## The target tasks\n\n{plain(transfer['statement'])}"
    if not results["targets"]:
        return said
    first, last = transfer["first"], transfer["last"]
    heads = ["target task", "n", "chance", first, last, "change, points", "95 % interval", "p"]
    body = [
        [
            row["name"], f"{row['n']:,}", percent(row["chance"]),
            *(f"{percent(row[key(model)])} ({interval(row['ci95'][key(model)])})" for model in (first, last)),
            points(row["gain"]), " to ".join(map(points, row["gain_ci95"])), p_value(row["p_value"]),
        ]
        for row in results["targets"]
    ]  # fmt: skip
    return f"{said}\n\n{table(heads, body)}"


def _measured(found: Mapping[str, Any]) -> str:
    return f"{percent(found['accuracy'])} ({interval(found['ci95'])})"


def _stages(contents: Contents) -> str:
    stages = contents.manifest["stages"]
    body = [
        [name, duration(s["seconds"]), f"{s['kept']:,} {s['unit']}", f"{sum((s.get('dropped') or {}).values()):,}"]
        for name, s in stages.items()
    ]
    return f"## Stages\n\n{table(['stage', 'time', 'kept', 'dropped'], body)}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are foreign texts."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell if cell == "---" else plain(cell) for cell in line) + " |" for line in lines
    )


def plain(text: str, limit: int = LIMIT) -> str:
    """A foreign text on one line, with everything that Markdown or HTML would act on escaped."""
    shown = " ".join(visible(text, limit).split())
    return "".join("\\" + character if character in SPECIAL else character for character in shown)
