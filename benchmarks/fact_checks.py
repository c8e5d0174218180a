"""How far the geo pack's fact checks can be trusted: hand-labelled claims, judged by the pack's own `check`.

    python benchmarks/fact_checks.py benchmarks/results/fact_checks.json

The claims lie in `domains/geo/tests/labelled`: a sentence, the metadata of the place it speaks of, a type, and whether
a person calls what it says of that type true, false or open (not asserted, disputed, or not to be known from the
metadata).
"""

import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from indirect_rlvr.run import write_json
from indirect_rlvr.types import ProxyTask, Question, View
from indirect_rlvr_geo import facts

LABELLED = Path(__file__).parents[1] / "domains/geo/tests/labelled"
EXPECTED = {"true": "supported", "false": "contradicted"}


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled claim and what the check makes of it: "supported", "contradicted", "unverifiable" or "not found"."""

    place: str
    kind: str
    label: str
    text: str
    found: str


def judged(name: str) -> list[Row]:
    """Every claim of one of the files `claims.tsv` and `fresh.tsv`."""
    places = json.loads((LABELLED / "places.json").read_text(encoding="utf-8"))
    with (LABELLED / name).open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.reader(table, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
    return [Row(place, kind, label, text, _found(places[place], kind, text)) for place, kind, label, text in rows]


def task_at(place: dict[str, float | str]) -> ProxyTask:
    """A task of one query without candidates, with this metadata."""
    question = Question("Where?", (View("ground", "image", "g.png"),), (), {"query": place, "candidates": []})
    return ProxyTask("t", "c", "test", 0, question, (), "A", "q", ())


def _found(place: dict[str, float | str], kind: str, text: str) -> str:
    statuses = {v.status for v in facts.check(task_at(place), text) if v.kind == kind}
    return next((s for s in ("contradicted", "supported", "unverifiable") if s in statuses), "not found")


def figures(rows: Iterable[Row]) -> dict[str, float | int | None]:
    """Counts, precision of each verdict, and coverage: the share of true and false claims that got a verdict."""
    counts = Counter((row.label, row.found) for row in rows)
    decided = {status: sum(n for (_, found), n in counts.items() if found == status) for status in EXPECTED.values()}
    hits = {status: counts[label, status] for label, status in EXPECTED.items()}
    checkable = sum(n for (label, _), n in counts.items() if label in EXPECTED)
    judged_ = sum(n for (label, found), n in counts.items() if label in EXPECTED and found in EXPECTED.values())
    return {
        **{label: sum(n for (given, _), n in counts.items() if given == label) for label in ("true", "false", "open")},
        **{status: decided[status] for status in decided},
        **{f"precision_{status}": hits[status] / n if (n := decided[status]) else None for status in decided},
        "coverage": judged_ / checkable if checkable else None,
    }


HOSTILE = (
    "This is ", "in the northern ", "Paris, ", "1.1, ", "48.8° N ", "located in ", "A. ", "shadows point ",
    "climate ", "no ",
    "é\u0301", "N1 ", "elevation 1,", "(", "candidate B ",
)  # fmt: skip


def growth() -> dict[str, float]:
    """How many times longer 100 times as much hostile text takes to check, for each piece that is repeated: 100 is
    linear."""
    task = task_at({"latitude": 48.86, "longitude": 2.29})
    return {piece: _seconds(task, piece, 200_000) / max(_seconds(task, piece, 2_000), 1e-9) for piece in HOSTILE}


def _seconds(task: ProxyTask, piece: str, length: int) -> float:
    text, repeats = piece * (length // len(piece)), max(1, 20_000 // length)
    facts.check(task, text)
    began = time.process_time()
    for _ in range(repeats):
        facts.check(task, text)
    return (time.process_time() - began) / repeats


def report(rows: Sequence[Row]) -> dict[str, object]:
    """The figures of all claims and of each type, and every claim that was judged wrongly or left unjudged."""
    kinds = sorted({row.kind for row in rows})
    verdicts = EXPECTED.values()
    wrong = [row for row in rows if row.found in verdicts and row.found != EXPECTED.get(row.label)]
    unjudged = [row for row in rows if row.label in EXPECTED and row.found not in verdicts]
    return {
        "all": figures(rows),
        "kinds": {kind: figures([row for row in rows if row.kind == kind]) for kind in kinds},
        "wrong": [[row.place, row.kind, row.label, row.found, row.text] for row in wrong],
        "unjudged": [[row.place, row.kind, row.label, row.found, row.text] for row in unjudged],
    }


if __name__ == "__main__":
    made = {path.stem: report(judged(path.name)) for path in sorted(LABELLED.glob("*.tsv"))}
    for stem, found in made.items():
        print(stem, json.dumps(found["all"]))
    ratios = growth()
    print("times as long for 100 times the text:", ratios)
    command = "python benchmarks/fact_checks.py benchmarks/results/fact_checks.json"
    write_json(Path(sys.argv[1]), {"command": command, **made, "time_for_100_times_the_text": ratios})
