"""The report as Markdown, for terminals, pull requests and logs: the same figures without the pictures."""

from collections.abc import Sequence
from pathlib import Path

from indirect_rlvr.evaluation.transfer import key
from indirect_rlvr.reporting.contents import Contents, read
from indirect_rlvr.reporting.markup import visible
from indirect_rlvr.reporting.provenance import audit_verdict
from indirect_rlvr.reporting.summary import verdict
from indirect_rlvr.reporting.wording import duration, interval, number, p_value, percent, points

SPECIAL = frozenset("\\`*_{}[]<>#|!~&")
CELL = 300
"""Characters of a foreign text in a table."""


def markdown(run: Path) -> str:
    """The summary, the same bytes for the same files. Raises DataError that names a missing or broken file."""
    contents = read(run)
    parts = [
        f"# {_plain(str(contents.manifest.get('domain', 'run')))}: from proxy task to target tasks",
        _plain(verdict(contents.results)),
        _rows(contents),
        _targets(contents),
        "## Audit",
        _plain(audit_verdict(contents.audit)),
        _stages(contents),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rows(contents: Contents) -> str:
    results = contents.results
    heads = ["model", "accuracy", "95 % interval", "format", "tokens", "without query", "other query", "reordered"]
    body = [
        [
            row["model"], percent(row["accuracy"]), interval(row["ci95"]), percent(row["format_rate"]),
            number(round(row["mean_completion_tokens"], 1)), percent(row["controls"]["no_query"]["accuracy"]),
            percent(row["controls"]["other_query"]["accuracy"]), percent(row["controls"]["permuted"]["accuracy"]),
        ]
        for row in results["rows"]
    ]  # fmt: skip
    said = f"{results['rows'][0]['n']:,} held-out proxy tasks; chance is {percent(results['chance'])}."
    return f"## The proxy task\n\n{said}\n\n{_table(heads, body)}"


def _targets(contents: Contents) -> str:
    results, transfer = contents.results, contents.results["transfer"]
    said = f"## The target tasks\n\n{_plain(transfer['statement'])}"
    if not results["targets"]:
        return said
    first, last = transfer["first"], transfer["last"]
    heads = ["target task", "n", "chance", first, last, "change, points", "95 % interval", "p"]
    body = [
        [
            row["name"], f"{row['n']:,}", percent(row["chance"]), percent(row[key(first)]), percent(row[key(last)]),
            points(row["gain"]), " to ".join(map(points, row["gain_ci95"])), p_value(row["p_value"]),
        ]
        for row in results["targets"]
    ]  # fmt: skip
    return f"{said}\n\n{_table(heads, body)}"


def _stages(contents: Contents) -> str:
    stages = contents.manifest["stages"]
    body = [
        [name, duration(s["seconds"]), f"{s['kept']:,} {s['unit']}", f"{sum((s.get('dropped') or {}).values()):,}"]
        for name, s in stages.items()
    ]
    return f"## Stages\n\n{_table(['stage', 'time', 'kept', 'dropped'], body)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell if cell == "---" else _plain(cell) for cell in line) + " |" for line in lines
    )


def _plain(text: str) -> str:
    """A foreign text on one line, with everything that Markdown or HTML would act on escaped."""
    shown = " ".join(visible(text, CELL * 4).split())
    return "".join("\\" + character if character in SPECIAL else character for character in shown)
