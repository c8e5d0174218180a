import pytest

from indirect_rlvr.evaluation.score import Score, summarise
from indirect_rlvr.evaluation.stats import Paired
from indirect_rlvr.evaluation.transfer import compare, direction, key, statement
from indirect_rlvr.types import ProxyTask, Question


@pytest.mark.parametrize(
    ("gain", "ci95", "p", "expected"),
    [
        (0.2, (0.1, 0.3), 0.2, "no measurable change"),
        (0.2, (-0.1, 0.5), 0.001, "no measurable change"),
        (0.2, (0.0, 0.4), 0.001, "no measurable change"),
        (0.2, (0.1, 0.3), 0.001, "rose"),
        (-0.2, (-0.3, -0.1), 0.001, "fell"),
    ],
)
def test_a_change_needs_both_a_small_p_and_an_interval_without_zero(gain, ci95, p, expected):
    assert direction(Paired(gain, ci95, p)) == expected


def test_keys_have_no_hyphen():
    assert key("geo-r1-zero") == "geo_r1_zero"


def summary_of(right, n=40):
    question = Question("?", (), (), {})
    items = [ProxyTask(f"{i}", f"c{i}", "test", 0, question, ("A", "B"), "A", "", ("a", "b")) for i in range(n)]
    scores = [Score(f"{i}", f"c{i}", i < right, "A" if i < right else "B", True, 5, True) for i in range(n)]
    return summarise(items, scores), scores


def test_the_statement_says_what_the_figures_say():
    (before, first), (after, last) = summary_of(8), summary_of(36)
    ways = ["rose", "rose", "fell", "no measurable change"]
    said = statement(before, after, compare(first, last), [{"direction": way} for way in ways])
    assert said.startswith("Accuracy on held-out proxy tasks rose: 20.0 % before, 90.0 % after (+70.0 points, 95 % ")
    assert "Of 4 target tasks that SFT and GRPO never asked, 2 rose, 1 fell and 1 did not change measurably" in said


def test_the_statement_does_not_call_nothing_a_gain():
    before, first = summary_of(8)
    said = statement(before, before, compare(first, first), [])
    assert "did not change measurably: 20.0 % before, 20.0 % after" in said
    assert said.endswith("No target task was asked.")
