import pytest

from indirect_rlvr.rewards.facts import contradictions, precision
from indirect_rlvr.types import Verdict

YES = Verdict("the peak is north", "supported", "bearing 2")
NO = Verdict("the lake is east", "contradicted", "bearing 270")
OPEN = Verdict("it is old", "unverifiable", "")


@pytest.mark.parametrize(
    ("verdicts", "value"),
    [([], None), ([OPEN], None), ([NO], 0.0), ([YES, OPEN], 1.0), ([YES, YES, NO, OPEN, OPEN], 2 / 3)],
)
def test_precision_counts_only_what_could_be_verified(verdicts: list[Verdict], value: float | None) -> None:
    assert precision(verdicts) == value


def test_contradictions_keep_their_order() -> None:
    other = Verdict("the ridge is low", "contradicted", "900 m")
    assert contradictions(iter([YES, NO, OPEN, other])) == (NO, other)
    assert contradictions([YES, OPEN]) == ()
