"""The entropy gap of channels whose mutual information is known in closed form, in nats."""

from collections.abc import Callable
from math import log

import numpy as np
import pytest

from indirect_rlvr.data.entropy import Entropy, conditional
from indirect_rlvr.data.folds import Floats, Places, cross_validate
from indirect_rlvr.data.probes import by_features, by_rank, ranks, relative

K, TASKS, CLUSTERS = 5, 1000, 50
Channel = Callable[[np.random.Generator, Places], Floats]


def symmetric(error: float) -> tuple[Channel, float]:
    """One candidate is marked: the answer, or with this probability another one."""

    def marks(rng: np.random.Generator, right: Places) -> Floats:
        moved = np.where(rng.random(TASKS) < error, rng.integers(1, K, TASKS), 0)
        return np.eye(K)[(right + moved) % K]

    doubt = -error * log(error) - (1 - error) * log(1 - error) + error * log(K - 1)
    return marks, log(K) - doubt


def erasure(lost: float) -> tuple[Channel, float]:
    """The answer is marked, or with this probability nothing is."""

    def marks(rng: np.random.Generator, right: Places) -> Floats:
        return np.eye(K)[right] * (rng.random(TASKS) >= lost)[:, None]

    return marks, (1 - lost) * log(K)


def independent() -> tuple[Channel, float]:
    """Numbers that know nothing."""
    return lambda rng, right: rng.normal(size=(TASKS, K)), 0.0


def folds() -> list[tuple[Places, Places]]:
    fold = np.arange(TASKS) % CLUSTERS % 8
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(8)]


def measured(channel: Channel, seed: int) -> Entropy:
    rng = np.random.default_rng(seed)
    right = rng.integers(K, size=TASKS)
    features = relative(channel(rng, right)[:, :, None])
    clusters = [str(number % CLUSTERS) for number in range(TASKS)]
    return conditional(cross_validate(by_features(features, right), folds()), right, clusters)


@pytest.mark.parametrize(
    ("channel", "information"),
    [independent(), symmetric(0.8), symmetric(0.75), symmetric(0.5), symmetric(0.1), erasure(0.9), erasure(0.5)],
    ids=["independent", "symmetric at chance", "five points", "half", "nine of ten", "one of ten", "every other"],
)
def test_the_gap_is_the_mutual_information_of_a_known_channel(channel: Channel, information: float) -> None:
    found = [measured(channel, seed) for seed in range(40)]
    gaps = np.array([one.gap for one in found])
    assert abs(gaps.mean() - information) < 3 * gaps.std() / 40**0.5 + 0.01 * information + 0.0003
    assert sum(one.gap_low <= information <= one.gap_high for one in found) >= 34
    assert all(one.nats == pytest.approx(log(K) - one.gap) for one in found)


def test_neither_half_of_the_estimate_alone_is_unbiased() -> None:
    """Tasks learnt from show too much information and others too little; together they show what is there."""
    seen, held_out, both = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        right = rng.integers(K, size=TASKS)
        answered = cross_validate(by_features(relative(rng.normal(size=(TASKS, K, 20))), right), folds())
        rows = np.arange(TASKS)
        seen.append(log(K) + answered.seen[rows, right].mean())
        held_out.append(log(K) + answered.held_out[rows, right].mean())
        both.append(conditional(answered, right, [str(row % CLUSTERS) for row in range(TASKS)]).gap)
    assert np.mean(seen) > 0.01
    assert np.mean(held_out) < -0.01
    assert abs(np.mean(both)) < 0.002


def test_a_rank_that_says_it_all_leaves_no_doubt() -> None:
    rng = np.random.default_rng(0)
    right = rng.integers(K, size=TASKS)
    ranked = ranks(-np.eye(K)[right], rng.random((TASKS, K)))
    found = conditional(cross_validate(by_rank(ranked, right), folds()), right, [str(row) for row in range(TASKS)])
    assert found.nats < 0.01


def test_tasks_of_one_cluster_count_as_clusters_of_their_own() -> None:
    rng = np.random.default_rng(0)
    right = rng.integers(K, size=TASKS)
    answered = cross_validate(by_features(relative(rng.normal(size=(TASKS, K, 1))), right), folds())
    apart = conditional(answered, right, [str(number) for number in range(TASKS)])
    assert conditional(answered, right, ["c"] * TASKS) == apart
