import math
import random
import re
from collections.abc import Callable

import pytest

from indirect_rlvr.rewards.terms import accuracy, format_term, length, repetition
from indirect_rlvr.testing import assert_reward_invariants, check_term, says_the_same_twice
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

Score = Callable[[ProxyTask, Completion], Outcome]


def published_length(task: ProxyTask, completion: Completion) -> Outcome:
    """VLM-R1's cosine reward as released: not clamped, and correctness overwritten by 1."""
    return Outcome(1 - 0.5 * (1 - math.cos(math.pi * len(completion.token_ids) / 1024)) / 2)


def clamped_published_length(task: ProxyTask, completion: Completion) -> Outcome:
    return published_length(task, Completion(completion.text, completion.token_ids[:1024]))


def published_accuracy(task: ProxyTask, completion: Completion) -> Outcome:
    """VLM-R1's `mcq_reward` in short: the first answer, or the whole text without one, and the first lone letter."""
    found = re.search(r"<answer>(.*?)</answer>", completion.text, re.DOTALL)
    text = (found.group(1) if found else completion.text).upper()
    letter = re.search(rf"\b([{''.join(task.labels)}])(?=[.,?!:;]|$)", text)
    return Outcome(float(letter is not None and letter.group(1) == task.answer))


def lenient_accuracy(task: ProxyTask, completion: Completion) -> Outcome:
    answer = completion.text.rpartition("<answer>")[2].partition("</answer>")[0]
    return Outcome(float("<answer>" in completion.text and task.answer in answer))


def nan_on_empty(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(math.nan if not completion.finished else 0.0)


def ratio(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(min(1.0, 1 / completion.text.count("think")))


def noisy(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(random.random())


def inverted(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(1.0 - accuracy("zero-one").score(task, completion).value)


def dislikes_junk(task: ProxyTask, completion: Completion) -> Outcome:
    completion.text.encode()
    return Outcome(0.0)


@pytest.mark.parametrize(
    ("name", "score", "found"),
    [
        ("length", published_length, "rises with the length"),
        ("length", clamped_published_length, "pays 0.99.* for a wrong answer and 0.99.* for the right one"),
        ("accuracy", published_accuracy, "an answer that a later one takes back"),
        ("accuracy", lenient_accuracy, "for the answer `A, B, C, D, E`"),
        ("odd", nan_on_empty, "returned nan; expected a value in its range"),
        ("odd", ratio, "raised ZeroDivisionError"),
        ("odd", inverted, r"pays 1\.0 for a wrong answer and 0\.0 for the right one"),
        ("odd", dislikes_junk, "raised UnicodeEncodeError"),
    ],
)
def test_a_broken_term_is_found(name: str, score: Score, found: str, task: ProxyTask) -> None:
    with pytest.raises(AssertionError, match=found):
        assert_reward_invariants([Term(name, 0.0, 1.0, score)], [task])


def test_a_term_that_needs_no_tags_is_found(task: ProxyTask) -> None:
    def last_or_text(task: ProxyTask, completion: Completion) -> Outcome:
        text = completion.text if "</answer>" in completion.text else f"<answer>{completion.text}</answer>"
        return accuracy("zero-one").score(task, Completion(text))

    with pytest.raises(AssertionError, match="for an answer without tags"):
        check_term(Term("tagless", 0.0, 1.0, last_or_text), task, about_answer=True)


def test_a_term_that_draws_at_random_is_found(task: ProxyTask) -> None:
    with pytest.raises(AssertionError, match="for one completion"):
        says_the_same_twice(Term("odd", 0.0, 1.0, noisy), task, Completion("B"))


def test_the_core_terms_keep_every_invariant(task: ProxyTask) -> None:
    terms = [
        accuracy("zero-one"), accuracy("plus-minus"), accuracy("plus-0.8"), format_term(), length(256), repetition(6),
    ]  # fmt: skip
    assert_reward_invariants(terms, [task], examples=60)
