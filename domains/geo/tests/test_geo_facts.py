"""Fact checks of the geo pack: true traces pass, false ones are found, hostile text does no harm."""

from random import Random

from indirect_rlvr.types import ProxyTask, Question, View
from indirect_rlvr_geo import facts, tasks

PLACES = [
    {"horizon_N": 20.0, "horizon_E": 0.0, "horizon_S": -6.0, "horizon_W": 7.0}
    | {"mean_slope_deg": 12.0, "elevation_m": e}
    for e in (300.0, 500.0, 700.0, 900.0, 400.0)
]


def make_task() -> ProxyTask:
    views = tuple(View("overhead", "image", f"{letter}.png") for letter in "ABCDE")
    question = Question(
        "Which?", (View("ground", "image", "g.png"),), views, {"query": PLACES[0], "candidates": PLACES}
    )
    return ProxyTask("t", "c", "train", 0, question, tuple("ABCDE"), "A", "q", tuple("abcde"))


def test_a_false_level_is_contradicted_and_a_neighbouring_one_accepted() -> None:
    verdicts = facts.check(make_task(), "<think>\nVisual cues: N1 E3\n</think>")
    assert [v.status for v in verdicts] == ["contradicted", "supported"]


def test_a_level_of_a_view_that_is_not_there_is_unverifiable() -> None:
    task = make_task()
    question = Question("Which?", (), (), {"query": PLACES[0], "candidates": []})
    few = ProxyTask("t", "c", "train", 0, question, (), "A", "q", ())
    assert {v.status for v in facts.check(few, "A N1 best A 1")} == {"unverifiable"}
    assert {v.status for v in facts.check(task, "A N9 best A 1")} == {"supported"}


def test_a_false_extreme_is_contradicted() -> None:
    assert facts.check(make_task(), "Geographic knowledge: high south low north")[0].status == "contradicted"


def test_every_claim_of_a_scaffold_is_supported() -> None:
    task = make_task()
    verdicts = facts.check(task, tasks.scaffold(task, Random(0)))
    assert len(verdicts) >= 4 + 5 * 4
    assert {v.status for v in verdicts} == {"supported"}


def test_the_letter_of_a_scaffold_is_random() -> None:
    task = make_task()
    letters = {tasks.scaffold(task, Random(seed)).rpartition("<answer>")[2][0] for seed in range(60)}
    assert letters == set("ABCDE")


def test_hostile_text_is_read_without_harm() -> None:
    hostile = ("A " * 100_000, "Visual cues: " + "N" * 200_000, "\n" * 100_000, "A best " * 50_000, "\x00\u202e" * 1000)
    for text in hostile:
        assert all(verdict.status in ("supported", "contradicted") for verdict in facts.check(make_task(), text))
