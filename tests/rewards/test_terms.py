import math
import pickle
import random
from collections.abc import Callable

import pytest

from indirect_rlvr.rewards.terms import accuracy, distinct_ngrams, format_term, length, overlong, repetition
from indirect_rlvr.types import Completion, Outcome, ProxyTask

Write = Callable[..., Completion]


# The defects of the released reward code of Geo-R1, which ours must not have.


def test_a_wrong_answer_earns_no_length_bonus(task: ProxyTask, written: Write) -> None:
    assert length(1024).score(task, written("C", tokens=5)) == Outcome(0.0)
    assert length(1024).score(task, written("A or B", tokens=5)) == Outcome(0.0)
    assert length(1024).score(task, Completion("no answer", (1, 2))) == Outcome(0.0)


def test_length_never_rises_again_behind_its_limit(task: ProxyTask, written: Write) -> None:
    term = length(1024)
    values = [term.score(task, written("B", tokens=count)).value for count in (1, 379, 587, 1024, 1128, 1536, 2048)]
    assert values == sorted(values, reverse=True)
    assert values[3:] == [0.0] * 4


@pytest.mark.parametrize(
    "answer", ["(B)", "B)", "**B**", "<B>", "Candidate 2", "Image B is the match", "The correct answer is B because"]
)
def test_forms_the_published_parser_missed_are_right(answer: str, task: ProxyTask, written: Write) -> None:
    assert accuracy("zero-one").score(task, written(answer)) == Outcome(1.0)


@pytest.mark.parametrize("answer", ["C is right, not B.", "The answer is C, not B.", "A or B", "", "ANSWER"])
def test_forms_the_published_parser_took_for_a_label_are_not_right(
    answer: str, task: ProxyTask, written: Write
) -> None:
    assert accuracy("zero-one").score(task, written(answer)) == Outcome(0.0, "unparsable")


def test_the_last_answer_counts_not_the_first(task: ProxyTask) -> None:
    term = accuracy("zero-one")
    assert term.score(task, Completion("<answer>B</answer><answer>A</answer>")).value == 0.0
    assert term.score(task, Completion("<answer>A</answer><answer>B</answer>")).value == 1.0


def test_accuracy_needs_the_answer_tags(task: ProxyTask) -> None:
    assert accuracy("zero-one").score(task, Completion("The answer is B")) == Outcome(0.0, "unparsable")
    assert accuracy("zero-one").score(task, Completion("<answer>B")) == Outcome(0.0, "unparsable")


def test_format_forgives_outer_whitespace_and_nothing_else(task: ProxyTask) -> None:
    def value(text: str) -> float:
        return format_term().score(task, Completion(text)).value

    assert value(" <think>x</think> <answer>B</answer>\n") == 1.0
    assert value("<think>x</think><answer>A</answer><answer>B</answer>") == 0.0
    assert value("<think>x</think><think>x</think><answer>B</answer>") == 0.0
    assert value("<think></think><answer></answer>") == 0.0


@pytest.mark.parametrize(("scale", "wrong"), [("zero-one", 0.0), ("plus-minus", -1.0), ("plus-0.8", -0.8)])
def test_the_three_published_scales_are_all_there(scale: str, wrong: float, task: ProxyTask, written: Write) -> None:
    term = accuracy(scale)  # type: ignore[arg-type]
    assert (term.low, term.high) == (wrong, 1.0)
    assert term.score(task, written("B")) == Outcome(1.0)
    assert term.score(task, written("C")) == Outcome(wrong)
    assert term.score(task, written("?")) == Outcome(wrong, "unparsable")


# And what they must do besides.


def test_a_cut_completion_earns_no_length_bonus(task: ProxyTask, written: Write) -> None:
    assert length(1024).score(task, written("B", finished=False)) == Outcome(0.0)


def test_length_counts_tokens_and_not_characters(task: ProxyTask) -> None:
    text = f"<think>{'x' * 5000}</think><answer>B</answer>"
    assert length(100).score(task, Completion(text, (1,) * 50)).value == pytest.approx(0.5)


def test_length_is_a_cosine_from_one_to_zero(task: ProxyTask, written: Write) -> None:
    value = length(100).score(task, written("B", tokens=25)).value
    assert value == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


def test_terms_over_tokens_do_not_apply_to_a_text_without_token_ids(task: ProxyTask, written: Write) -> None:
    assert length(100).score(task, written("B", tokens=0)).status == "not_applicable"
    assert repetition(2).score(task, written("B", tokens=0)).status == "not_applicable"


@pytest.mark.parametrize(
    ("ids", "n", "value"),
    [
        ((), 2, 0.0),
        ((1,), 2, 0.0),
        ((1, 2), 2, 0.0),
        ((1, 2, 3, 4), 2, 0.0),
        ((1, 1, 1, 1, 1), 2, -0.75),
        ((1, 2, 1, 2, 1), 2, -0.5),
        ((1, 1, 2), 1, -1 / 3),
        ((7,) * 10_001, 6, 1 / 9996 - 1),
    ],
)
def test_repetition_is_the_share_of_n_grams_seen_before(
    ids: tuple[int, ...], n: int, value: float, task: ProxyTask
) -> None:
    assert repetition(n).score(task, Completion("x" if ids else "", ids)).value == pytest.approx(value)


def tuples(ids: list[int], n: int) -> int:
    return len({tuple(ids[at : at + n]) for at in range(len(ids) - n + 1)})


@pytest.mark.parametrize("n", range(1, 41))
def test_distinct_n_grams_are_those_of_the_set_of_tuples(n: int) -> None:
    rng = random.Random(n)
    for vocabulary in ([7], [0, 1], [0, 2**32 - 1], [2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], range(2**32)):
        for count in (n, n + 1, 2 * n + 3, 300):
            ids = rng.choices(vocabulary, k=count)
            assert distinct_ngrams(ids, n) == tuples(ids, n)
            again = [*ids, *ids[: len(ids) // 2], *ids]
            assert distinct_ngrams(again, n) == tuples(again, n)


def test_two_n_grams_that_share_a_hash_are_two() -> None:
    """The hash multiplies by an odd number modulo 2⁶⁴, so that its inverse says which pair of ids follows (0, 0)."""
    for step in (1, 2, 3):
        high, low = divmod(step * pow(0x9E3779B97F4A7C15, -1, 2**64) % 2**64, 2**32)
        ids = [0, 0, high, low, 0, 0]
        assert distinct_ngrams(ids, 2) == tuples(ids, 2) == 4


def test_core_terms_can_be_pickled(task: ProxyTask, written: Write) -> None:
    for term in (accuracy("plus-0.8"), format_term(), length(64), repetition(3), overlong(20, 10)):
        again = pickle.loads(pickle.dumps(term))
        assert again.score(task, written("B")) == term.score(task, written("B"))
