"""The conditional logit: which of K candidates is the answer, from features of each; fitted exactly, by Newton steps.

P(candidate j) ∝ exp(w · x_j), McFadden, "Conditional logit analysis of qualitative choice behavior" (1974), §II.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

PRIOR = 4.0
"""Precision of the normal prior on each weight of a standardised feature: weights of about 1/2 and more cost little."""

STEPS = 30
"""Newton steps at most; the loss is strictly convex, and a handful do."""


def fit(x: Floats, answers: Places, start: Floats | None = None) -> Floats:
    """The weights of least penalised mean loss; x of shape (tasks, K, features), standardised; `start` saves steps."""
    weights = np.zeros(x.shape[2]) if start is None else start
    ridge = PRIOR / max(1, len(x))
    loss, gradient, hessian = _derivatives(x, answers, weights, ridge)
    for _ in range(STEPS):
        step = np.linalg.solve(hessian, gradient)
        gain = float(gradient @ step)
        if gain < 1e-10:
            break
        size = 1.0
        while _loss(x, answers, weights - size * step, ridge) > loss - 1e-4 * size * gain and size > 1e-6:
            size /= 2
        weights = weights - size * step
        loss, gradient, hessian = _derivatives(x, answers, weights, ridge)
    return weights


def log_posterior(x: Floats, weights: Floats) -> Floats:
    """Log probability of each candidate, shape (tasks, K)."""
    return np.asarray(log_softmax(x @ weights, axis=1), dtype=np.float64)


def _loss(x: Floats, answers: Places, weights: Floats, ridge: float) -> float:
    chosen = log_posterior(x, weights)[np.arange(len(x)), answers]
    return float(-chosen.mean() + ridge / 2 * weights @ weights)


def _derivatives(x: Floats, answers: Places, weights: Floats, ridge: float) -> tuple[float, Floats, Floats]:
    """Mean penalised loss, its gradient and its Hessian."""
    rows, (n, _, size) = np.arange(len(x)), x.shape
    log_p = log_posterior(x, weights)
    p = np.exp(log_p)
    expected = np.einsum("nk,nkf->nf", p, x)
    gradient = (expected - x[rows, answers]).mean(axis=0) + ridge * weights
    flat = x.reshape(-1, size)
    second = flat.T @ (p.reshape(-1, 1) * flat) - expected.T @ expected
    loss = float(-log_p[rows, answers].mean() + ridge / 2 * weights @ weights)
    return loss, gradient, second / n + ridge * np.eye(size)
