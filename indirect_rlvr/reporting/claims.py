"""Claims of a trace as the report shows them: marked where they stand, with a sign beside the colour, and summed up.

The verdicts are read from the run folder, where the evaluation left them; no domain is loaded here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.claims import FILE
from indirect_rlvr.reporting.blocks import Column, paragraph, table
from indirect_rlvr.reporting.markup import LIMIT, Html, element, text
from indirect_rlvr.reporting.wording import percent
from indirect_rlvr.rewards.facts import contradictions
from indirect_rlvr.run import read_jsonl
from indirect_rlvr.types import Status, Verdict

SIGNS: dict[Status, str] = {"supported": "✓", "contradicted": "✗", "unverifiable": "?"}
REFUTED = 8
"""How many contradicted claims are listed with their evidence."""

Verdicts = Mapping[str, Sequence[Verdict]]


def read(folder: Path) -> Verdicts:
    """The verdicts of one row's answers by task id; empty where the folder has no such file.

    Raises DataError that names the file where a line is no list of verdicts.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        return {row["id"]: tuple(_verdict(found) for found in row["verdicts"]) for row in read_jsonl(path)}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"`{path}` holds something else than verdicts: {error}; run the stage `evaluate` again"
        ) from error


def _verdict(row: Mapping[str, Any]) -> Verdict:
    span = row.get("span")
    if row["status"] not in SIGNS:
        raise ValueError(f"unknown status {row['status']!r}")
    if span is not None and not (
        isinstance(span, list) and len(span) == 2 and all(isinstance(end, int) for end in span)
    ):
        raise ValueError(f"the span {span!r:.80}, expected two whole numbers")
    place = None if span is None else (span[0], span[1])
    return Verdict(str(row["claim"]), row["status"], str(row["evidence"]), str(row.get("kind", "")), place)


def totals(rows: Sequence[Mapping[str, Any]]) -> list[Html]:
    """How many claims the answers of each row of the results hold, by verdict; nothing where no row holds any.

    Results that were written before claims were counted have none.
    """
    counted = [(row["model"], row["claims"]) for row in rows if "claims" in row]
    if not any(found[status] for _, found in counted for status in SIGNS):
        return []
    heads = (f"{sign} {status}" for status, sign in SIGNS.items())
    columns = [Column("Claims of"), Column("Answers", "num"), *(Column(head, "num") for head in heads)]
    columns.append(Column("Precision", "num"))
    body = [[model, f"{found['answers']:,}", *_verdict_cells(found)] for model, found in counted]
    return [
        table("Claims in the answers to held-out tasks, checked against the metadata", columns, body, "cards"),
        paragraph("Precision: supported among the supported and contradicted.", style="note"),
    ]


def _verdict_cells(found: Mapping[str, int]) -> list[str]:
    decided = found["supported"] + found["contradicted"]
    share = percent(found["supported"] / decided) if decided else "–"
    return [*(f"{found[status]:,}" for status in SIGNS), share]


def marked(trace: str, verdicts: Sequence[Verdict]) -> list[Html]:
    """The trace with each claim that has a place in it marked; of claims that overlap, the first. Cut like any foreign
    text."""
    placed = [(verdict.span, verdict) for verdict in verdicts if verdict.span is not None]
    parts, position = [], 0
    for (start, end), verdict in sorted(placed, key=lambda pair: pair[0]):
        if position <= start < end <= min(len(trace), LIMIT):
            parts += [text(trace[position:start]), _mark(trace[start:end], verdict)]
            position = end
    return [*parts, text(trace[position:], LIMIT - position)]


def _mark(words: str, verdict: Verdict) -> Html:
    said = f"{verdict.status}: {verdict.claim} ({verdict.evidence})"
    sign = element("sup", {"aria-hidden": "true"}, SIGNS[verdict.status])
    return element(
        "mark",
        {"class": f"claim is-{verdict.status}", "title": said, "aria-label": f"{words}, {said}"},
        text(words),
        sign,
    )


def summary(verdicts: Sequence[Verdict]) -> list[Html]:
    """How many claims there are of each status, and the contradicted ones with their evidence; nothing without
    claims."""
    if not verdicts:
        return []
    counts = Counter(verdict.status for verdict in verdicts)
    words = ", ".join(f"{counts[status]} {sign} {status}" for status, sign in SIGNS.items())
    found = contradictions(verdicts)
    listed = [element("li", None, f"✗ {v.claim}: {v.evidence}") for v in found[:REFUTED]]
    more = [element("li", None, f"and {len(found) - REFUTED} more")] if len(found) > REFUTED else []
    claims = "claim" if len(verdicts) == 1 else "claims"
    line = paragraph(f"{len(verdicts)} {claims} checked against the metadata: {words}.", style="note")
    return [line, element("ul", {"class": "note"}, *listed, *more)] if listed else [line]
