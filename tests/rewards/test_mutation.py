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
from indirect_rlvr.testing.battery import check_subject
from indirect_rlvr.testing.composites import (
    assert_adapter_invariants,
    assert_composite_invariants,
    assert_group_invariants,
)
from indirect_rlvr.testing.subject import Subject

SURVIVORS: frozenset[str] = frozenset()
"""Mutants that the battery does not kill; `docs/rewards.md` says why of each."""
TASKS = (TASK, a_task("C", "set-4/q0"), a_task("E", "set-5/q2"))
REWARD = build(Reward(), [])


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


@pytest.mark.parametrize("score", whole_mutants.GROUP_TERMS, ids=lambda score: score.__name__)
def test_a_broken_group_term_is_killed(score: Callable[..., list[object]]) -> None:
    term = replace(groups.relative_length(), score=score)  # type: ignore[arg-type]
    assert is_killed(lambda: assert_group_invariants(term, TASK))


def test_our_sum_our_adapter_and_our_group_terms_live() -> None:
    assert_composite_invariants(REWARD, TASK)
    assert_composite_invariants(build(Reward(accuracy="plus-0.8", gates={"accuracy": "format"}), []), TASK)
    assert_composite_invariants(replace(REWARD, terms=REWARD.terms[::-1], weights=REWARD.weights[::-1]), TASK)
    assert_adapter_invariants(whole_mutants.ours, REWARD, TASKS)
    assert_adapter_invariants(whole_mutants.ours_with_a_budget, REWARD, TASKS)
    for term in (groups.relative_length(), groups.diversity(3)):
        assert_group_invariants(term, TASK)


def test_the_mutation_score_is_at_least_95_of_100_on_40_and_more() -> None:
    whole = len(whole_mutants.TOTALS) + len(whole_mutants.ADAPTERS) + len(whole_mutants.GROUP_TERMS)
    count = len(mutants.MUTANTS) + whole
    assert count >= 80
    assert len(SURVIVORS) <= 0.05 * count
    assert len(mutants.VARIANTS) >= 10


def test_a_composite_that_rewards_format_above_all_is_refused() -> None:
    wrong_way = Composite(REWARD.terms, (-1.0, *REWARD.weights[1:]))
    assert is_killed(lambda: assert_composite_invariants(wrong_way, TASK))
