import csv
from dataclasses import replace
from pathlib import Path

import pytest

from indirect_rlvr.errors import ConfigError, DomainError
from indirect_rlvr.rewards import groups, places, regions, terms, traces, values
from indirect_rlvr.rewards.geodesy import geoscore, great_circle_km
from indirect_rlvr.rewards.quantities import METRES, _stripped, normal_text, parse_coordinates, parse_number
from indirect_rlvr.types import Completion, ProxyTask

OSV = Path(__file__).parents[3] / "shared/data/osv5m_game/select.csv"
LENGTHS = {"": 1.0, **METRES}


def with_facts(task: ProxyTask, **facts: object) -> ProxyTask:
    return replace(task, question=replace(task.question, facts=facts))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "12 or 13",
        "12-15 m",
        "1,5",
        "1,23,4",
        "12 parsecs",
        "NaN",
        "inf",
        "1e999",
        "0x10",
        "12 m 5",
        "9" * 2000,
        "not 12",
        "12 km/h",
        "--5",
        "١٢",
    ],
)
def test_what_is_not_one_number_is_none(text: str) -> None:
    assert parse_number(text, LENGTHS) is None


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("12", 12),
        ("12 m.", 12),
        ("about 1,234.5 m", 1234.5),
        ("-3 km", -3000),
        ("−3 km", -3000),
        ("3.2e3", 3200),
        ("3.2 × 10^3 m", 3200),
        ("**10 ft**", 3.048),
        ("The answer is 5 miles", 8046.72),
        ("１２ m", 12),
        ("≈ 7cm", 0.07),
    ],
)
def test_a_number_is_read_with_its_unit(text: str, metres: float) -> None:
    assert parse_number(text, LENGTHS) == pytest.approx(metres)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "48.85",
        "91, 0",
        "0, 181",
        "-48 S, 2 E",
        "48.85, 2.29, 3",
        "48.85, 2.29 or 1, 2",
        "48°61'N 2°E",
        "[1, 2, 3]",
        '{"lat": 1}',
        '{"lat": 1, "lon": "2"}',
        '{"lat": 1, "latitude": 1, "lon": 2}',
        '{"lat": ' + "9" * 400 + ', "lon": 2}',
        "{" * 900,
        "2.29 E, 48.85 N",
    ],
)
def test_what_is_not_one_place_is_none(text: str) -> None:
    assert parse_coordinates(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "48.5, -2.25",
        "48.5 -2.25",
        "(48.5, -2.25)",
        "48.5° N, 2.25° W",
        "48.5N 2.25W",
        "lat: 48.5, lon: -2.25",
        "Latitude 48.5, longitude -2.25",
        "48°30'N, 2°15'W",
        "48°30'00\"N 2°15'00\"W",
        "48° 30′ N 2° 15′ W",
        '{"latitude": 48.5, "longitude": -2.25}',
        "48.5; -2.25.",
    ],
)
def test_a_place_is_read_in_every_form(text: str) -> None:
    assert parse_coordinates(text) == pytest.approx((48.5, -2.25))


@pytest.mark.parametrize("gap", [" ", "\n", "\u2003"])
def test_a_run_of_white_space_is_one_space_before_a_pattern_is_tried_on_it(gap: str) -> None:
    assert _stripped(f"1{gap * 990}x") == "1 x"
    assert parse_coordinates(f"48.5,{gap * 900}-2.25") == pytest.approx((48.5, -2.25))


def test_distances_cross_the_antimeridian_and_the_poles() -> None:
    assert great_circle_km(0, 179.5, 0, -179.5) == pytest.approx(great_circle_km(0, 0, 0, 1))
    assert great_circle_km(90, 0, 90, 137) == pytest.approx(0, abs=1e-9)
    assert great_circle_km(90, 0, -90, 50) == pytest.approx(20015.0868, abs=1e-3)
    assert great_circle_km(52.5, 13.4, 52.5, 13.4) == 0.0


@pytest.mark.skipif(not OSV.exists(), reason="shared/data/osv5m_game is not there")
def test_the_geoscore_is_that_of_osv5m() -> None:
    rows = list(csv.DictReader(OSV.read_text(encoding="utf-8").splitlines()))
    pairs = [(float(r["distance"]), float(r["score"])) for r in rows if r.get("distance") and r.get("score")]
    assert len(pairs) >= 40
    for distance_km, score in pairs:
        assert geoscore(distance_km) == pytest.approx(score, abs=1)


def test_a_missing_fact_is_the_domain_s_mistake(task: ProxyTask) -> None:
    answered = Completion("<answer>3</answer>")
    with pytest.raises(DomainError, match="has no fact `query.height`: `query` is not among no facts"):
        values.number("n", "query.height", LENGTHS, 0, 1).score(task, answered)
    with pytest.raises(
        DomainError, match="`height` is 'tall'; expected a finite number".replace("`height`", "the fact `height`")
    ):
        values.number("n", "height", LENGTHS, 0, 1).score(with_facts(task, height="tall"), answered)
    with pytest.raises(DomainError, match="use `box_set` for several"):
        regions.box("b", "box", "iou").score(with_facts(task, box=[[0, 0, 1, 1]] * 2), answered)
    with pytest.raises(DomainError, match="the fact `known` lacks river of `seen`"):
        traces.entities("e", "seen", "known").score(with_facts(task, seen=["river"], known=["lake"]), answered)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected 0 <= tolerance <= zero_at"):
        values.number("n", "x", LENGTHS, 2, 1)
    with pytest.raises(ConfigError, match="expected 0 < buffer <= limit"):
        terms.overlong(10, 11)
    with pytest.raises(ConfigError, match="expected them to rise to 1"):
        places.place("p", (("country", "c", 0.5),))


def test_overlong_falls_between_the_buffer_and_the_limit(task: ProxyTask) -> None:
    found = [terms.overlong(100, 40).score(task, Completion("x", (1,) * n)).value for n in (60, 61, 80, 100, 101)]
    assert found == [0.0, -1 / 40, -0.5, -1.0, -1.0]


def test_a_closed_gate_is_worth_the_low_and_keeps_the_status(task: ProxyTask) -> None:
    gated = terms.gated(terms.accuracy("plus-minus"), terms.format_term())
    bare, whole = (Completion(text) for text in ("<answer>B</answer>", "<think>x</think><answer>B</answer>"))
    assert gated.score(task, bare).value == -1.0
    assert gated.score(task, whole).value == 1.0
    assert gated.score(task, Completion("")).status == "unparsable"
    assert terms.gated(terms.repetition(2), terms.format_term()).score(task, Completion("x")).status == "not_applicable"


def test_group_terms_have_their_known_values(task: ProxyTask) -> None:
    right, wrong = "<answer>B</answer>", "<answer>C</answer>"
    group = [
        Completion(right, (1, 2)),
        Completion(wrong, (1, 2)),
        Completion(wrong, tuple(range(6))),
        Completion(right, (1,) * 4),
    ]
    assert [one.value for one in groups.relative_length().score(task, group)] == [0.5, 0.0, -0.5, 0.0]
    assert [one.value for one in groups.diversity(1).score(task, group)] == [0.5, 0.0, 0.0, 0.5]
    assert groups.diversity(1).score(task, group[:2])[0].status == "not_applicable"


def test_names_are_compared_without_case_accents_and_punctuation() -> None:
    assert normal_text("**Zürich.**") == normal_text("ZURICH") == "zurich"
    assert normal_text("Chūō-ku") == "chuo-ku"
    assert normal_text(" . ") is None
    assert normal_text("x" * 1001) is None


def test_the_word_for_a_level_may_be_spelt_as_the_answer_spells_it(task: ProxyTask) -> None:
    term = places.place("p", (("Country", "country", 1.0),))
    answer = Completion("<answer>Country: France</answer>")
    assert term.score(with_facts(task, country="France"), answer).value == 1.0


def test_aliases_name_the_same_place(task: ProxyTask) -> None:
    term = places.place("p", (("country", "country", 1.0),), {"USA": "United States"})
    facts = with_facts(task, country="United States")
    assert term.score(facts, Completion("<answer>Country: usa</answer>")).value == 1.0
    assert term.score(facts, Completion("<answer>Country: United</answer>")).value == 0.0
