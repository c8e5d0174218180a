"""Traces and briefs of photos: true sentences in one template, a letter drawn at random, and nothing that tells it."""

import re
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.scaffolds.asking import told
from indirect_rlvr.types import ProxyTask, Question, Record, Scalar, View
from indirect_rlvr_geo import facts, knowledge, photo_traces

CITIES = {
    "barcelona": (41.39, 2.17), "captown": (-33.93, 18.42), "taipei": (25.03, 121.56), "london": (51.5, -0.12),
    "tokyo": (35.68, 139.7), "geneva": (46.2, 6.15), "quito": (-0.05, -78.5), "reykjavik": (64.14, -21.9),
    "sea": (0.5, -30.0), "amsterdam": (52.37, 4.9),
}  # fmt: skip
UTC = "2019-05-03T10:20:00+02:00"


def task(**query: Scalar) -> ProxyTask:
    views = tuple(View("overhead", "image", f"{letter}.jpg") for letter in "ABCDE")
    question = Question(
        "Which?", (View("ground", "image", "g.jpg"),), views, {"query": query, "candidates": [query] * 5}
    )
    return ProxyTask("t", "c", "train", 0, question, tuple("ABCDE"), "B", "q", tuple("abcde"))


def at(city: str, **more: Scalar) -> dict[str, Scalar]:
    return {"city": city, "latitude": CITIES[city][0], "longitude": CITIES[city][1], **more}


@pytest.mark.parametrize("known", [{}, {"city": "barcelona", "heading_deg": 10.0}])
def test_without_a_position_nothing_is_known_and_nothing_written(known: dict[str, Scalar]) -> None:
    assert photo_traces.scaffold(task(**known), Random(0)) is None
    assert photo_traces.brief(Record("r", "c", {}, known)) == photo_traces.STEPS


@pytest.mark.parametrize("city", CITIES)
def test_every_claim_of_a_trace_is_found_and_supported(city: str) -> None:
    asked = task(**at(city, heading_deg=133.0, captured_utc=UTC))
    text = photo_traces.scaffold(asked, Random(1))
    assert text is not None
    verdicts = facts.check(asked, text)
    assert {verdict.status for verdict in verdicts} == {"supported"}
    assert len(verdicts) >= 2
    assert has_format(text)
    assert parse_answer(text, asked.labels) == text.rpartition("<answer>")[2][0]


def test_the_template_s_steps_stand_in_order() -> None:
    text = photo_traces.scaffold(task(**at("london", heading_deg=10.0, captured_utc=UTC)), Random(0)) or ""
    steps = re.findall(r"(?m)^(Visual cues|Cross-view evidence|Geographic knowledge|Conclusion): ", text)
    assert steps == ["Visual cues", "Cross-view evidence", "Geographic knowledge", "Conclusion"]
    assert "The camera looks north. The sun stands in the east. Shadows point to the west." in text
    assert "The country is the United Kingdom." in text
    assert "The city is London." in text
    assert "Traffic keeps to the left." in text


def test_what_is_doubtful_is_left_out() -> None:
    said = " ".join(knowledge.place(at("geneva")))
    assert "country" not in said  # the border is near
    assert "hemisphere" not in " ".join(knowledge.place(at("quito")))  # so is the equator
    assert "Captown" not in " ".join(knowledge.place(at("captown")))  # an id, and no name
    assert "sun" not in " ".join(knowledge.picture(at("london", captured_utc="2019-05-03T23:00:00+00:00")))
    assert "sun" not in " ".join(knowledge.picture(at("london", captured_utc="2019-05-03")))
    assert knowledge.picture(at("london", captured_utc="nonsense")) == []


def test_the_letter_is_drawn_whatever_the_answer_and_each_comes_as_often() -> None:
    asked = task(**at("london"))
    drawn = [(photo_traces.scaffold(asked, Random(seed)) or "").rpartition("<answer>")[2][0] for seed in range(500)]
    assert set(drawn) == set("ABCDE")
    assert all(70 < drawn.count(letter) < 130 for letter in "ABCDE")
    for answer in "ABCDE":
        assert photo_traces.scaffold(replace(asked, answer=answer), Random(3)) == photo_traces.scaffold(
            asked, Random(3)
        )


def test_a_trace_knows_no_candidate() -> None:
    asked = task(**at("london", captured_utc=UTC))
    others = [at("tokyo", place=f"p{n}", overhead=f"{n}.jpg", covers="x") for n in range(5)]
    elsewhere = replace(
        asked, question=replace(asked.question, facts={"query": at("london", captured_utc=UTC), "candidates": others})
    )
    assert photo_traces.scaffold(elsewhere, Random(3)) == photo_traces.scaffold(asked, Random(3))


RECORD = st.fixed_dictionaries(
    {
        "latitude": st.floats(51.49, 51.52),
        "longitude": st.floats(-0.14, -0.10),
        "city": st.just("london"),
        "place": st.integers(10**6, 10**7).map(lambda n: f"place-{n}"),
        "overhead": st.integers(10**6, 10**7).map(lambda n: f"sat/{n}.jpg"),
        "covers": st.integers(10**6, 10**7).map(lambda n: f"sat/{n}.jpg|sat/{n + 1}.jpg"),
        "heading_deg": st.floats(0, 359),
        "elevation_m": st.floats(0, 900),
        "captured_utc": st.just(UTC) | st.just("2020-12-03T14:20:00+00:00"),
    }
)


@settings(max_examples=25, deadline=None)
@given(st.lists(RECORD, min_size=2, max_size=5), st.randoms())
def test_what_a_teacher_is_told_holds_nothing_of_a_single_candidate(found: list[dict[str, Any]], rng: Any) -> None:
    records = [Record(f"r{number}", "c", {}, known) for number, known in enumerate(found)]
    said = {record.id: photo_traces.brief(record) for record in records}
    shared = told(said)
    assert told(dict(sorted(said.items(), key=lambda _: rng.random()))) == shared
    assert all(shared == told({**said, record.id: said[record.id]}) for record in records)
    assert not re.search(r"\d", " ".join(shared))
    assert not [words for words in ("camera looks", "sun stands", "place-", ".jpg") if words in " ".join(shared)]
    for record in records:
        kept = {name: record.facts[name] for name in ("latitude", "longitude", "city")}
        assert photo_traces.brief(replace(record, facts=kept)) == said[record.id]
    assert "The country is the United Kingdom." in shared


def test_candidates_on_both_sides_of_a_border_are_not_told_a_country() -> None:
    spain, france = (Record(n, "c", {}, {"latitude": la, "longitude": 2.0}) for n, la in (("a", 41.5), ("b", 44.0)))
    shared = told({record.id: photo_traces.brief(record) for record in (spain, france)})
    assert "The place lies in the northern hemisphere." in shared
    assert "The place lies in Europe." in shared
    assert "country" not in " ".join(shared[len(photo_traces.STEPS) :])
