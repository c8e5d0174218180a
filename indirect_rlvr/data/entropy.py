"""The entropy gap I(Y; N) = log K - H(Y | N): how many nats of doubt about the answer a probe takes away.

A model's log-loss on the tasks it learnt from is too small and on other tasks too large, by d/2n and d/2n' for d
parameters, n and n' tasks learnt from (Akaike 1974; Stone, JRSS B 39 (1977) 44-47 for cross-validation). The two are
weighted so that both errors cancel. A probe that is not the best possible one leaves more entropy, never less: the gap
is a lower bound on the mutual information, and exact where the probe's model holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indirect_rlvr.data.folds import Answered, Floats, Places
from indirect_rlvr.evaluation.stats import half_width


@dataclass(frozen=True, slots=True)
class Entropy:
    """H(Y | N) in nats with its 95 % interval, and the gap log K - H with the same; `gap` may fall a little below 0."""

    nats: float
    low: float
    high: float
    gap: float
    gap_low: float
    gap_high: float


def conditional(answered: Answered, right: Places, clusters: Sequence[str]) -> Entropy:
    """The entropy of the answer given what a probe saw; the interval is clustered (`stats.half_width`)."""
    weight = answered.share / (1 + answered.share)
    loss = (1 - weight) * _loss(answered.seen, right) + weight * _loss(answered.held_out, right)
    middle, half = float(loss.mean()), half_width(loss, clusters)
    log_k = float(np.log(answered.seen.shape[1]))
    return Entropy(middle, middle - half, middle + half, log_k - middle, log_k - middle - half, log_k - middle + half)


def _loss(log_posterior: Floats, right: Places) -> Floats:
    return np.asarray(-log_posterior[np.arange(len(right)), right])
