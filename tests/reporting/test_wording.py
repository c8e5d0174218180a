import pytest

from indirect_rlvr.reporting import wording


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (wording.percent(0.7449), "74.5 %"),
        (wording.interval((0.708, 0.778)), "70.8 to 77.8"),
        (wording.points(-0.1234), "−12.3"),
        (wording.points(0.542), "+54.2"),
        (wording.p_value(0.0009), "< 0.001"),
        (wording.p_value(0.0121), "0.012"),
        (wording.duration(4.25), "4.2 s"),
        (wording.duration(59.7), "1 min 0 s"),
        (wording.duration(192), "3 min 12 s"),
        (wording.duration(3725), "1 h 2 min"),
        (wording.number(1234), "1,234"),
        (wording.number(0.012345), "0.01235"),
        (wording.number(12345.6), "12,346"),
        (wording.number(10**400), "more than 1e+300"),
        (wording.number(-(10**400)), "less than -1e+300"),
    ],
)
def test_figures_as_words(made, expected):
    assert made.replace("\u00a0", " ") == expected
