import numpy as np
import pytest
from scipy.stats import binomtest

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.stats import accuracy_interval, mcnemar, paired, wilson


def coverage(interval, clusters=40, size=10, trials=200):
    """How often a 95 % interval holds the true accuracy where each cluster has a difficulty of its own."""
    rng = np.random.default_rng(0)
    names = np.repeat(np.arange(clusters), size).tolist()
    hit = 0
    for _ in range(trials):
        difficulty = np.repeat(rng.beta(1.0, 1.0, clusters), size)
        low, high = interval((rng.random(clusters * size) < difficulty).tolist(), names)
        hit += low <= 0.5 <= high
    return hit / trials


@pytest.mark.parametrize(("correct", "n"), [(1, 0), (3, 2), (-1, 5), (0, 0)])
def test_an_interval_of_impossible_counts_is_refused(correct, n):
    with pytest.raises(DataError, match="an interval needs 0 <= correct <= n and n > 0"):
        wilson(correct, n)


def test_an_accuracy_of_no_items_is_refused():
    with pytest.raises(DataError, match="n=0"):
        accuracy_interval([], [])


def test_a_paired_test_of_unequal_sides_is_refused():
    with pytest.raises(DataError, match="got 1 and 2"):
        paired([True], [True, False], ["a", "b"])


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (8, 10), (263, 300), (300, 300)])
def test_wilson_equals_scipy(correct, n):
    expected = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    assert wilson(correct, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_equals_the_published_value():
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-7)


@pytest.mark.parametrize("correct", [[True] * 30, [False] * 30])
def test_clusters_say_nothing_where_all_or_none_is_right(correct):
    assert accuracy_interval(correct, [i // 3 for i in range(30)]) == wilson(sum(correct), 30)


def test_one_cluster_gives_the_plain_interval():
    assert accuracy_interval([True, False, True], ["a"] * 3) == wilson(2, 3)


def test_clusters_that_agree_within_widen_the_interval_as_the_formula_says():
    correct = [i < 50 for i in range(100)]
    clusters = [i // 5 for i in range(100)]
    variance = 20 / 19 * sum((5 * 0.5) ** 2 for _ in range(20)) / 100**2
    effective = 100 / (variance / (0.25 / 100))
    assert accuracy_interval(correct, clusters) == pytest.approx(
        wilson(effective / 2, effective, 2.0930240544), abs=1e-9
    )


def test_clusters_that_disagree_within_never_narrow_the_interval():
    correct = [i % 2 == 0 for i in range(100)]
    low, high = accuracy_interval(correct, [i // 2 for i in range(100)])
    plain_low, plain_high = wilson(50, 100)
    assert low <= plain_low and high >= plain_high


def test_clustered_intervals_cover_and_plain_ones_do_not():
    assert coverage(accuracy_interval) >= 0.93
    assert coverage(lambda x, _: wilson(sum(x), len(x))) < 0.80


def test_mcnemar_of_equal_answers_is_one():
    assert mcnemar([True, False], [True, False]) == 1.0


def test_mcnemar_equals_the_binomial_sum():
    first, second = [True] * 2 + [False] * 8 + [True] * 5, [False] * 2 + [True] * 8 + [True] * 5
    assert mcnemar(first, second) == pytest.approx(2 * (1 + 10 + 45) / 1024)


def test_a_gain_has_sign_size_and_clustered_interval():
    first, second = [False] * 20, [i < 10 for i in range(20)]
    independent = paired(first, second, list(range(20)))
    clustered = paired(first, second, [i // 5 for i in range(20)])
    assert independent.gain == clustered.gain == 0.5
    assert independent.ci95[0] == pytest.approx(0.5 - 2.0930240544 * (20 / 19 * 20 * 0.25 / 400) ** 0.5)
    assert clustered.ci95[0] < 0 < independent.ci95[0]
    assert paired(second, first, list(range(20))).gain == -0.5


def test_one_item_proves_nothing():
    assert paired([False], [True], ["a"]).ci95 == (-1.0, 1.0)
