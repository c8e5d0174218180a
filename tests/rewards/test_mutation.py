"""The battery finds reward bugs, and lets correct rewards live."""

from collections.abc import Callable
from dataclasses import replace

import mutants
import pytest
import whole_mutants
from subjects import ALL, TASK, a_task

from indirect_rlvr.config import Reward
from indirect_rlvr.rewards import groups
from indirect_rlvr.rewards.composite import Composite, build
from indirect_rlvr.rewards.parsing import parse_answer
from indirect_rlvr.testing.battery import check_subject
from indirect_rlvr.testing.composites import (
    assert_adapter_invariants,
    assert_composite_invariants,
    assert_group_invariants,
)
from indirect_rlvr.testing.kinds import reads_one_answer_of_two
from indirect_rlvr.testing.parsers import assert_parser_invariants
from indirect_rlvr.testing.strategies import answers, completions
from indirect_rlvr.testing.subject import GROUP_ROLES, Subject, written

SURVIVORS: frozenset[str] = frozenset()
"""Mutants that the battery does not kill; `docs/rewards.md` says why of each."""
TASKS = (TASK, a_task("C", "set-4/q0"), a_task("E", "set-5/q2"))
REWARD = build(Reward(), [])
TEXTS = completions(TASK.labels).map(lambda completion: completion.text)
ANSWERS = answers(TASK.labels).map(lambda answer: f"<think>x</think><answer>{answer}</answer>")


def plain(label: str) -> str:
    return written(label).text


def is_killed(check: Callable[[], None]) -> bool:
    try:
        check()
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_a_broken_term_is_killed(name: str) -> None:
    subject = mutants.subject_of(mutants.MUTANTS, name, ALL)
    assert is_killed(lambda: check_subject(subject, examples=10)) == (name not in SURVIVORS)


@pytest.mark.parametrize("name", mutants.VARIANTS)
def test_a_correct_variant_lives(name: str) -> None:
    check_subject(mutants.subject_of(mutants.VARIANTS, name, ALL), examples=10)


@pytest.mark.parametrize("subject", ALL.values(), ids=ALL)
def test_every_built_in_term_keeps_every_invariant(subject: Subject) -> None:
    check_subject(subject, examples=20)


@pytest.mark.parametrize("total", whole_mutants.TOTALS, ids=lambda total: total.__name__)
def test_a_broken_sum_is_killed(total: Callable[..., float]) -> None:
    assert is_killed(lambda: assert_composite_invariants(REWARD, TASK, total))


@pytest.mark.parametrize("adapt", whole_mutants.ADAPTERS, ids=lambda adapt: adapt.__name__)
def test_a_broken_adapter_is_killed(adapt: Callable[..., list[object]]) -> None:
    assert is_killed(lambda: assert_adapter_invariants(adapt, REWARD, TASKS))  # type: ignore[arg-type]


@pytest.mark.parametrize("score", whole_mutants.LENGTH_TERMS, ids=lambda score: score.__name__)
def test_a_broken_relative_length_is_killed(score: Callable[..., list[object]]) -> None:
    term = replace(groups.relative_length(), score=score)  # type: ignore[arg-type]
    assert is_killed(lambda: assert_group_invariants(term, TASK, "length"))


@pytest.mark.parametrize("score", whole_mutants.DIVERSITY_TERMS, ids=lambda score: score.__name__)
def test_a_broken_diversity_is_killed(score: Callable[..., list[object]]) -> None:
    term = replace(groups.diversity(3), score=score)  # type: ignore[arg-type]
    assert is_killed(lambda: assert_group_invariants(term, TASK, "diversity"))


@pytest.mark.parametrize("parse", whole_mutants.PARSERS, ids=lambda parse: parse.__name__)
def test_a_broken_parser_is_killed(parse: Callable[[str], str | None]) -> None:
    assert is_killed(lambda: assert_parser_invariants(parse, plain, ANSWERS, examples=300))


def test_our_sum_our_adapter_and_our_group_terms_live() -> None:
    assert_composite_invariants(REWARD, TASK)
    assert_composite_invariants(build(Reward(accuracy="plus-0.8", gates={"accuracy": "format"}), []), TASK)
    assert_composite_invariants(replace(REWARD, terms=REWARD.terms[::-1], weights=REWARD.weights[::-1]), TASK)
    assert_adapter_invariants(whole_mutants.ours, REWARD, TASKS)
    assert_adapter_invariants(whole_mutants.ours_with_a_budget, REWARD, TASKS)
    for term in (groups.relative_length(), groups.diversity(3)):
        assert_group_invariants(term, TASK, GROUP_ROLES[term.name])
    assert_parser_invariants(lambda text: parse_answer(text, TASK.labels), plain, TEXTS)


def test_the_mutation_score_is_at_least_95_of_100_on_40_and_more() -> None:
    whole = (
        whole_mutants.TOTALS, whole_mutants.ADAPTERS, whole_mutants.LENGTH_TERMS, whole_mutants.DIVERSITY_TERMS,
        whole_mutants.PARSERS,
    )  # fmt: skip
    count = len(mutants.MUTANTS) + sum(map(len, whole))
    assert count >= 80
    assert len(SURVIVORS) <= 0.05 * count
    assert len(mutants.VARIANTS) >= 10


def test_a_composite_that_rewards_format_above_all_is_refused() -> None:
    wrong_way = Composite(REWARD.terms, (-1.0, *REWARD.weights[1:]))
    assert is_killed(lambda: assert_composite_invariants(wrong_way, TASK))


def test_a_term_that_is_right_for_two_labels_at_once_does_not_read_one_answer() -> None:
    subject = mutants.subject_of(mutants.MUTANTS, "the_first_candidate_is_right_with_any_label", ALL)
    assert is_killed(lambda: reads_one_answer_of_two(subject))
    reads_one_answer_of_two(ALL["accuracy 0/1"])
