"""The fact checks of the world: hand-labelled claims, views that a sentence speaks of, hostile text."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr.types import ProxyTask, Question, Verdict, View
from indirect_rlvr_geo import claims, facts

BENCHMARK = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks/fact_checks.py"))
KINDS = {
    "coordinates", "country", "city", "continent", "hemisphere", "climate", "language", "driving side", "elevation",
    "direction", "sun azimuth", "shadow direction",
}  # fmt: skip
PARIS = {"latitude": 48.8584, "longitude": 2.2945, "heading_deg": 90.0}
MADRID = {"latitude": 40.4168, "longitude": -3.7038}


@pytest.fixture(scope="module")
def rows() -> list[Any]:
    return [*BENCHMARK["judged"]("claims.tsv"), *BENCHMARK["judged"]("fresh.tsv")]


def test_there_are_enough_labelled_claims_of_every_type_and_label(rows: list[Any]) -> None:
    assert len(rows) >= 300
    assert {row.kind for row in rows} == KINDS
    for kind in KINDS:
        assert {row.label for row in rows if row.kind == kind} == {"true", "false", "open"}
    assert len({(row.place, row.kind, row.text) for row in rows}) == len(rows)


def test_what_is_contradicted_is_false(rows: list[Any]) -> None:
    wrong = [row for row in rows if row.found == "contradicted" and row.label != "false"]
    found = sum(row.found == "contradicted" for row in rows)
    assert found >= 150
    assert 1 - len(wrong) / found >= 0.98, wrong


def test_what_is_supported_is_true(rows: list[Any]) -> None:
    wrong = [row for row in rows if row.found == "supported" and row.label != "true"]
    assert 1 - len(wrong) / sum(row.found == "supported" for row in rows) >= 0.98, wrong


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_most_claims_of_a_type_get_a_verdict(rows: list[Any], kind: str) -> None:
    found = BENCHMARK["figures"]([row for row in rows if row.kind == kind])
    assert found["coverage"] >= 0.85, found


def test_the_figures_see_a_wrong_verdict(rows: list[Any]) -> None:
    row = next(row for row in rows if row.found == "contradicted")
    turned = type(row)(row.place, row.kind, "true", row.text, row.found)
    assert BENCHMARK["figures"]([row, turned])["precision_contradicted"] == 0.5


def _task() -> ProxyTask:
    views = tuple(View("overhead", "image", f"{letter}.png") for letter in "AB")
    question = Question(
        "Which?", (View("ground", "image", "g.png"),), views, {"query": PARIS, "candidates": [PARIS, MADRID]}
    )
    return ProxyTask("t", "c", "train", 0, question, tuple("AB"), "A", "q", tuple("ab"))


def _check(text: str, kind: str = "country") -> list[Verdict]:
    return [verdict for verdict in facts.check(_task(), text) if verdict.kind == kind]


@pytest.mark.parametrize(("text", "statuses"), [
    ("Candidate B is in Spain.", ["supported"]),
    ("Candidate B is in France.", ["contradicted"]),
    ("(B) It is in Spain.", ["supported"]),
    ("Image A is in Spain.", ["contradicted"]),
    ("Candidate B shows an airport. It is in Spain.", ["unverifiable"]),
    ("Candidate B shows an airport. It is in Norway.", ["contradicted"]),
    ("Candidate B shows an airport.\nThe query is in France.", ["supported"]),
    ("All the candidates are alike, and this is in France.", ["unverifiable"]),
    ("The query is in France. Candidate B is in Spain. Candidate A is in France.", ["supported"] * 3),
])  # fmt: skip
def test_a_claim_is_judged_by_the_view_it_speaks_of(text: str, statuses: list[str]) -> None:
    assert [verdict.status for verdict in _check(text)] == statuses


@pytest.mark.parametrize(("text", "evidence"), [
    ("The location is Norway, if the plates are any guide.", "hedged: if"),
    ("Were there snow, the climate is polar: the location is Norway.", "hedged: were"),
    ("The location is possibly Norway.", "hedged: possibly"),
    ("The location is Norway or Sweden.", "hedged: or"),
    ("The location is Norway?", "it is a question"),
    ("The location is Norway, right?", "it is a question"),
    ("Country: Norway is ruled out.", "negated: ruled"),
    ("Country: not Norway", None),
    ("Country: Norway doesn’t fit.", "negated: doesn't"),
    ("The tiles were made in Norway.", None),
    ("This isn't Norway.", None),
    ("The location is Norway, not Sweden.", "it lies in France"),
    ("The location is likely Norway, and the sky is not clear.", "it lies in France"),
])  # fmt: skip
def test_only_what_a_sentence_asserts_is_judged(text: str, evidence: str | None) -> None:
    found = [verdict for verdict in _check(text) if "Norway" in verdict.claim]
    assert [verdict.evidence for verdict in found] == ([] if evidence is None else [evidence])
    decided = [verdict for verdict in _check(text) if verdict.status != "unverifiable"]
    assert len(decided) == (evidence == "it lies in France")


def test_a_verdict_says_where_the_claim_stands_and_what_it_rests_on() -> None:
    text = "<think>Palms. This is in\nSpain? No: we are in Spain.</think>"
    (verdict,) = _check(text)
    assert verdict.span is not None and text[slice(*verdict.span)] == "Spain"
    assert (verdict.claim, verdict.status, verdict.evidence) == ("country: Spain", "contradicted", "it lies in France")


def test_terrain_and_world_are_checked_by_one_function() -> None:
    sectors = {f"horizon_{d}": 0.0 for d in "NESW"}
    place = PARIS | sectors | {"mean_slope_deg": 12.0, "elevation_m": 500.0}
    question = Question("Which?", (), (), {"query": place, "candidates": []})
    text = "<think>\nVisual cues: N3 E9\nWe are in France.\n</think>"
    found = facts.check(ProxyTask("t", "c", "train", 0, question, (), "A", "q", ()), text)
    assert [(v.kind, v.status, v.span and text[slice(*v.span)]) for v in found] == [
        ("terrain", "supported", "N3"), ("terrain", "contradicted", "E9"), ("country", "supported", "France"),
    ]  # fmt: skip


def test_a_record_without_a_position_is_never_judged() -> None:
    question = Question("Which?", (), (), {"query": {}, "candidates": []})
    text = "We are in France. Traffic drives on the left. Elevation: 5 m. The sun is in the north."
    found = facts.check(ProxyTask("t", "c", "train", 0, question, (), "A", "q", ()), text)
    assert len(found) == 4
    assert {verdict.status for verdict in found} == {"unverifiable"}


@pytest.mark.parametrize("piece", [
    "This is in Paris, ", "in ", "the northern ", "A ", "A. ", "48.85, ", "48° 51' ", "Lyon ", "is in the ",
    "climate is a ",
    "(", "é\u0301", "shadows ", "\x00\u202e", "1", "elevation 1,", "in the language of ", "candidate B ", "\n",
    "not ", "İstanbul ",
])  # fmt: skip
def test_hostile_text_is_read_without_harm(piece: str) -> None:
    text = piece * (60_000 // len(piece))
    for found in claims.find(text, ("A", "B")):
        start, end = found.span
        assert 0 <= start < end <= len(text)
