from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.stats import (
    accuracy_interval,
    holm,
    mcnemar,
    paired,
    paired_values,
    signed_rank,
    wilson,
)


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


def test_a_paired_test_of_no_values_is_refused():
    with pytest.raises(DataError, match="got 0 and 0"):
        paired_values([], [], [])


def test_values_that_never_differ_say_nothing():
    assert signed_rank([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert paired_values([1.0, 2.0], [1.0, 2.0], ["a", "b"]).gain == 0.0


def test_the_signed_rank_test_equals_a_textbook():
    """Hollander and Wolfe's depression scores, without ties: V = 40 of 45, exact p = 0.0390625."""
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    assert signed_rank(before, after) == pytest.approx(0.0390625, abs=1e-9)


def test_the_signed_rank_test_leaves_ties_with_zero_out():
    before, after = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 4.0, 6.0, 8.0, 10.0, 6.0]
    assert signed_rank(before, after) == pytest.approx(signed_rank(before[:5], after[:5]))
    assert signed_rank(before[:5], after[:5]) == pytest.approx(2 * 0.5**5)


def test_the_signed_rank_test_of_few_differences_is_exact_with_ties_too():
    difference = [1.0, 1.0, 2.0, 2.0, 2.0, -1.0, 3.0, 3.0]
    ranks = [2.0, 2.0, 5.0, 5.0, 5.0, 2.0, 7.5, 7.5]
    sums = [sum(rank for rank, is_up in zip(ranks, up, strict=True) if is_up) for up in product((0, 1), repeat=8)]
    seen = sum(rank for rank, found in zip(ranks, difference, strict=True) if found > 0)
    assert signed_rank([0.0] * 8, difference) == pytest.approx(2 * sum(each >= seen for each in sums) / 2**8)


def test_a_gain_in_values_is_who_got_better_minus_who_got_worse():
    found = paired_values([0.0] * 10, [1.0] * 6 + [-50.0] + [0.0] * 3, list(range(10)))
    assert found.gain == pytest.approx(0.5)
    assert found.ci95[0] < 0.5 < found.ci95[1] <= 1.0


def test_for_zeros_and_ones_both_comparisons_have_one_gain_and_one_interval():
    rng = np.random.default_rng(0)
    first, second = rng.random(60) < 0.4, rng.random(60) < 0.6
    clusters = [i // 3 for i in range(60)]
    binary, general = paired(list(first), list(second), clusters), paired_values(list(first), list(second), clusters)
    assert (binary.gain, binary.ci95) == (general.gain, general.ci95)


def test_holm_equals_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_holm_keeps_false_discoveries_of_a_family_rare_and_uncorrected_tests_do_not():
    rng = np.random.default_rng(0)
    families = rng.random((400, 20))
    assert np.mean([min(holm(list(family))) < 0.05 for family in families]) < 0.08
    assert np.mean(families.min(axis=1) < 0.05) > 0.5
