"""Runs the invariants on terms and tasks: as one call, or case by case for the pytest plugin and the command line."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.testing.composites import assert_composite_invariants, assert_group_invariants
from indirect_rlvr.testing.invariants import OF_ANY_TERM, ON_ANY_COMPLETION
from indirect_rlvr.testing.kinds import OF_ROLE
from indirect_rlvr.testing.strategies import completions
from indirect_rlvr.testing.subject import ROLES, Role, Subject, choice
from indirect_rlvr.types import Completion, ProxyTask, Term


@dataclass(frozen=True, slots=True)
class Case:
    """One invariant of one term on one task; `run` raises AssertionError where it does not hold."""

    name: str
    run: Callable[[], None]


def assert_reward_invariants(
    terms: Iterable[Term], tasks: Sequence[ProxyTask], roles: Mapping[str, Role] = ROLES, examples: int = 100
) -> None:
    """Hold every term to every invariant of its role on every task.

    `roles` maps names of terms to what they pay for, "text" where it does not say. `examples` is the number of random
    completions for each pair, the same ones every time. Raises AssertionError that names term, task and what is wrong.
    """
    for case in cases(terms, tasks, roles, examples):
        case.run()


def check_subject(subject: Subject, examples: int = 100) -> None:
    """`assert_reward_invariants` for a term whose answers are no choice between labels."""
    for case in subject_cases(subject, examples):
        case.run()


def cases(
    terms: Iterable[Term], tasks: Sequence[ProxyTask], roles: Mapping[str, Role] = ROLES, examples: int = 100
) -> Iterator[Case]:
    """The cases of `assert_reward_invariants`."""
    for term in terms:
        for task in tasks:
            yield from subject_cases(choice(term, task, roles.get(term.name, "text")), examples)


def subject_cases(subject: Subject, examples: int = 100) -> Iterator[Case]:
    """One case for each invariant of the subject's role."""
    place = f"{subject.term.name}-{subject.task.id}"
    for invariant in OF_ROLE[subject.role] + OF_ANY_TERM:
        yield Case(f"{place}-{invariant.__name__}", lambda invariant=invariant: invariant(subject))  # type: ignore[misc]
    yield Case(f"{place}-on_any_completion", lambda: _on_any_completion(subject, examples))


def whole_cases(reward: Composite, tasks: Sequence[ProxyTask]) -> Iterator[Case]:
    """One case for each group term and task, and one for the composite of each task where it counts accuracy."""
    for task in tasks:
        for term in reward.group_terms:
            yield Case(f"{term.name}-{task.id}-group", lambda term=term, task=task: assert_group_invariants(term, task))  # type: ignore[misc]
        if "accuracy" in {term.name for term in reward.terms}:
            yield Case(f"composite-{task.id}", lambda task=task: assert_composite_invariants(reward, task))  # type: ignore[misc]


def _on_any_completion(subject: Subject, examples: int) -> None:
    texts = st.one_of(completions(subject.task.labels), completions((subject.right, *subject.worse)))

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(texts)
    def holds(completion: Completion) -> None:
        for invariant in ON_ANY_COMPLETION:
            invariant(subject, completion)

    holds()
