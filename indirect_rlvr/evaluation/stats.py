"""Intervals and paired tests for accuracies whose errors come in clusters; numbers only, no files and no models."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, t, wilcoxon

from indirect_rlvr.errors import DataError

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Paired:
    """Two policies on the same items: how much the second gains over the first, in [-1, 1], and how sure that is.

    `ci95` is clustered; `p_value` (the exact McNemar test, or `signed_rank`) takes items as independent.
    """

    gain: float
    ci95: tuple[float, float]
    p_value: float


def wilson(correct: float, n: float, quantile: float | None = None) -> tuple[float, float]:
    """The Wilson score interval of `correct` out of `n`, both ends in [0, 1]; 95 % unless `quantile` says otherwise.

    `n` may be fractional (an effective number of items). Wilson, JASA 22 (1927), 209-212.
    Raises DataError where there is nothing to count.
    """
    if n <= 0 or not 0 <= correct <= n:
        raise DataError(f"an interval needs 0 <= correct <= n and n > 0, got correct={correct}, n={n}")
    z = quantile or float(norm.ppf((1 + CONFIDENCE) / 2))
    p, shrink = correct / n, 1 + z * z / n
    middle = (p + z * z / (2 * n)) / shrink
    half = z / shrink * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    low = 0.0 if correct == 0 else max(0.0, middle - half)
    high = 1.0 if correct == n else min(1.0, middle + half)
    return low, high


def accuracy_interval(correct: Sequence[bool], clusters: Sequence[Hashable]) -> tuple[float, float]:
    """The 95 % interval of an accuracy whose items fall into `clusters`, both ends in [0, 1].

    A Wilson interval on the effective number of items n / d. The design effect d = max(1, V / (p(1-p)/n)) compares the
    cluster-robust variance V = G/(G-1) · Σ_g (Σ_{i in g} (x_i - p))² / n² with that of independent items, and the
    quantile is Student's with G - 1 degrees of freedom. It is therefore never narrower than the plain Wilson interval,
    stays within [0, 1], and widens by itself where clusters are few. Where the clusters can tell nothing (all right,
    all wrong, or one cluster) it is the plain Wilson interval.
    """
    x = np.asarray(correct, dtype=np.float64)
    n, p = len(x), float(x.mean()) if len(x) else 0.0
    if len(set(clusters)) < 2 or p in (0.0, 1.0):
        return wilson(float(x.sum()), n)
    variance, quantile = _clustered(x, clusters)
    effective = n / max(1.0, variance / (p * (1 - p) / n))
    return wilson(p * effective, effective, quantile)


def paired(first: Sequence[bool], second: Sequence[bool], clusters: Sequence[Hashable]) -> Paired:
    """Compare two policies on the same items, in the same order.

    The interval of the gain is mean difference ± `half_width`, cut to [-1, 1].
    """
    _same_length(first, second, clusters)
    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    return Paired(*_gain(difference, clusters), mcnemar(first, second))


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """The two-sided exact McNemar p-value, in (0, 1]: of the items on which the two differ, is it a fair coin who is
    right? 1.0 where they never differ. McNemar, Psychometrika 12 (1947), 153-157, in its exact binomial form."""
    gained = sum(bool(b) and not a for a, b in zip(first, second, strict=True))
    lost = sum(bool(a) and not b for a, b in zip(first, second, strict=True))
    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0


def paired_values(first: Sequence[float], second: Sequence[float], clusters: Sequence[Hashable]) -> Paired:
    """Compare two policies by per-item values of which more is better, in the same order; not by zeros and ones alone.

    The gain is the share of items that got better minus the share that got worse, in [-1, 1], which for zeros and ones
    is the gain in accuracy; its interval is that of `paired`. The p-value is that of `signed_rank`.
    """
    _same_length(first, second, clusters)
    sign = np.sign(np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64))
    return Paired(*_gain(sign, clusters), signed_rank(first, second))


def signed_rank(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p-value, in (0, 1], of Wilcoxon's signed-rank test: are the differences symmetric about zero?

    Differences of zero are left out; 1.0 where nothing is left. Exact up to 50 differences without ties and up to 13
    with them, else normal with the correction for ties (scipy). Wilcoxon, Biometrics Bulletin 1 (1945), 80-83.
    """
    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    difference = difference[difference != 0]
    return float(wilcoxon(difference, zero_method="wilcox").pvalue) if len(difference) else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, in order, each in [0, 1] and never below what was given.

    Calling those below α significant makes a single false one with probability at most α, whatever the tests share.
    Holm, Scandinavian Journal of Statistics 6 (1979), 65-70.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected


def half_width(x: NDArray[np.float64], clusters: Sequence[Hashable]) -> float:
    """Half the 95 % interval of the mean of `x`, t_{G-1} · √V with the cluster-robust V of `accuracy_interval`.

    With fewer than two clusters every item counts as a cluster of its own; infinite for a single item.
    """
    if len(set(clusters)) < 2:
        clusters = range(len(x))
    if len(x) < 2:
        return float("inf")
    variance, quantile = _clustered(x, clusters)
    return float(quantile * variance**0.5)


def _same_length(first: Sequence[object], second: Sequence[object], clusters: Sequence[Hashable]) -> None:
    if not len(first) == len(second) == len(clusters) or not len(first):
        raise DataError(f"a paired test needs as many items on both sides, got {len(first)} and {len(second)}")


def _gain(difference: NDArray[np.float64], clusters: Sequence[Hashable]) -> tuple[float, tuple[float, float]]:
    """The mean difference in [-1, 1] and its clustered interval, cut to [-1, 1]."""
    gain, half = float(difference.mean()), half_width(difference, clusters)
    return gain, (max(-1.0, gain - half), min(1.0, gain + half))


def _clustered(x: NDArray[np.float64], clusters: Sequence[Hashable]) -> tuple[float, float]:
    """The cluster-robust variance of the mean of `x`, and the quantile that goes with it; needs two clusters."""
    number = {cluster: index for index, cluster in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros(len(number))
    np.add.at(sums, [number[cluster] for cluster in clusters], x - x.mean())
    variance = len(sums) / (len(sums) - 1) * float((sums**2).sum()) / len(x) ** 2
    return variance, float(t.ppf((1 + CONFIDENCE) / 2, len(sums) - 1))
