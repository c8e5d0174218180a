"""A defect that is kept on purpose is declared, required to be there, and never passes in silence."""

from dataclasses import replace

import pytest
from mutants import geo_r1_as_released
from subjects import ALL, TASK

from indirect_rlvr.rewards import terms
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.testing.battery import assert_reward_invariants, cases, check_subject, whole_cases
from indirect_rlvr.types import Term

BROKEN = (
    "pays_more_for_the_right_answer", "pays_only_a_right_answer", "pays_nothing_for_no_text",
    "pays_no_more_for_running_on",
)  # fmt: skip
PACK = """
from mutants import geo_r1_as_released
from subjects import TASK

from indirect_rlvr.rewards import terms
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.testing.battery import cases, whole_cases
from indirect_rlvr.testing.plugin import Battery
from indirect_rlvr.types import Term


class Declared(Battery):
    def cases(self):
        term = Term("length", 0.5, 1.0, geo_r1_as_released, %r)
        yield from cases([term], [TASK], examples=5)
        yield from whole_cases(Composite((terms.accuracy("zero-one"), term), (1.0, 1.0)), [TASK])


test_declared = Declared("template")
"""

pytest_plugins = ("pytester",)


def length(*broken: str) -> Term:
    return Term("length", 0.5, 1.0, geo_r1_as_released, broken)


def test_a_defect_that_is_not_declared_is_found() -> None:
    with pytest.raises(AssertionError, match="rises with the length"):
        assert_reward_invariants([length(*BROKEN[:3])], [TASK], examples=5)


def test_a_term_may_not_declare_what_it_keeps() -> None:
    with pytest.raises(AssertionError, match="is declared to break `punishes_repetition` and keeps it"):
        whole = Term("repetition", -1.0, 0.0, terms.repetition(6).score, ("punishes_repetition",))
        assert_reward_invariants([whole], [TASK], examples=5)


def test_a_term_may_not_declare_what_is_no_invariant() -> None:
    with pytest.raises(AssertionError, match=r"is declared to break \['pays_well'\]; the invariants are"):
        assert_reward_invariants([length(*BROKEN, "pays_well")], [TASK], examples=5)


def test_what_is_declared_and_broken_is_said_in_the_names_of_the_cases() -> None:
    found = list(cases([length(*BROKEN)], [TASK], examples=5))
    for case in found:
        case.run()
    named = [case.name.partition("-breaks-")[2] for case in found if "-breaks-" in case.name]
    assert sorted(named) == sorted(BROKEN)


def test_a_term_whose_answers_are_no_labels_can_declare_too() -> None:
    number = next(each for each in ALL.values() if each.term.name == "elevation")
    with pytest.raises(AssertionError, match="is declared to break `needs_the_tags` and keeps it"):
        check_subject(replace(number, term=replace(number.term, breaks=("needs_the_tags",))), examples=5)


def test_a_whole_that_counts_a_declared_defect_is_left_out_with_the_reason() -> None:
    sound, broken = terms.accuracy("zero-one"), length(*BROKEN)
    (held,) = whole_cases(Composite((sound,), (1.0,)), [TASK])
    (left,) = whole_cases(Composite((sound, broken), (1.0, 1.0)), [TASK])
    assert (held.unheld, left.unheld) == ("", f"`length` is declared to break {', '.join(BROKEN)}")
    with pytest.raises(AssertionError, match="the composite pays"):
        left.run()


def test_pytest_skips_such_a_whole_and_shows_why(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_pack=PACK % (BROKEN,))
    result = pytester.runpytest_inprocess("-p", "indirect_rlvr.testing.plugin", "-q", "-rs")
    outcomes = result.parseoutcomes()
    assert outcomes["skipped"] == 1 and "failed" not in outcomes and "error" not in outcomes
    result.stdout.fnmatch_lines(["*`length` is declared to break*"])
