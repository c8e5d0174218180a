"""Runs the invariants on terms and tasks: as one call, or case by case for the pytest plugin and the command line."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.testing.composites import assert_composite_invariants, assert_group_invariants
from indirect_rlvr.testing.invariants import OF_ANY_TERM, ON_ANY_COMPLETION, require
from indirect_rlvr.testing.kinds import OF_ROLE, ON_ANY_COMPLETION_OF_ROLE
from indirect_rlvr.testing.strategies import completions
from indirect_rlvr.testing.subject import GROUP_ROLES, ROLES, GroupRole, Role, Subject, choice, moved
from indirect_rlvr.types import Completion, ProxyTask, Term


@dataclass(frozen=True, slots=True)
class Case:
    """One invariant of one term on one task; `run` raises AssertionError where it does not hold.

    `unheld` says why it is not asked at all, where a term is declared to break what it needs; "" where it is.
    """

    name: str
    run: Callable[[], None]
    unheld: str = ""


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
    """One case for each invariant of the subject's role, of its being broken where the term is declared to break it."""
    place = f"{subject.term.name}-{subject.task.id}"
    if subject.term.breaks:
        yield Case(f"{place}-breaks", partial(_known, subject))
    for invariant in OF_ROLE[subject.role] + OF_ANY_TERM:
        if invariant.__name__ in subject.term.breaks:
            yield Case(f"{place}-breaks-{invariant.__name__}", partial(_broken, subject, invariant))
        else:
            yield Case(f"{place}-{invariant.__name__}", partial(invariant, subject))
    yield Case(f"{place}-on_any_completion", lambda: _on_any_completion(subject, examples))


def whole_cases(
    reward: Composite, tasks: Sequence[ProxyTask], group_roles: Mapping[str, GroupRole] = GROUP_ROLES
) -> Iterator[Case]:
    """One case for each group term and task, and one for the composite of each task where it counts accuracy: an unheld
    one where a term is declared to break invariants, since what such a term pays the sum pays."""
    for task in tasks:
        for term in reward.group_terms:
            role = group_roles.get(term.name, "any")
            yield Case(
                f"{term.name}-{task.id}-group",
                lambda term=term, task=task, role=role: assert_group_invariants(term, task, role),  # type: ignore[misc]
            )
        broken = [
            f"`{term.name}` is declared to break {', '.join(term.breaks)}" for term in reward.terms if term.breaks
        ]
        if broken or "accuracy" in {term.name for term in reward.terms}:
            run = partial(assert_composite_invariants, reward, task)
            yield Case(f"composite-{task.id}", run, "; ".join(broken))


def _broken(subject: Subject, invariant: Callable[[Subject], None]) -> None:
    """Raise AssertionError unless the invariant is broken; of a choice, with at least one label as the right one."""
    for one in (moved(subject, label) for label in subject.task.labels) if subject.choice else (subject,):
        try:
            invariant(one)
        except AssertionError:
            return
    require(False, subject, f"is declared to break `{invariant.__name__}` and keeps it; take it out of `breaks`")


def _known(subject: Subject) -> None:
    known = {invariant.__name__ for of_role in (OF_ANY_TERM, *OF_ROLE.values()) for invariant in of_role}
    unknown = sorted(set(subject.term.breaks) - known)
    require(not unknown, subject, f"is declared to break {unknown}; the invariants are: {', '.join(sorted(known))}")


def _on_any_completion(subject: Subject, examples: int) -> None:
    texts = st.one_of(completions(subject.task.labels), completions((subject.right, *subject.worse)))

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(texts)
    def holds(completion: Completion) -> None:
        for invariant in (*ON_ANY_COMPLETION, *ON_ANY_COMPLETION_OF_ROLE.get(subject.role, ())):
            invariant(subject, completion)

    holds()
