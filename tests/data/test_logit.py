"""The conditional logit finds the weights that made the data, and only ever goes downhill."""

import numpy as np
import pytest
from scipy.optimize import minimize

from indirect_rlvr.data.logit import PRIOR, fit, log_posterior


def world(seed: int, weights: list[float], tasks: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(tasks, 4, len(weights)))
    gumbel = rng.gumbel(size=(tasks, 4))
    return x, (x @ np.array(weights) + gumbel).argmax(axis=1)


def test_the_weights_that_made_the_data_come_back() -> None:
    x, right = world(0, [1.0, -0.5, 0.0])
    assert np.allclose(fit(x, right), [1.0, -0.5, 0.0], atol=0.08)


@pytest.mark.parametrize("weights", [[0.2, 0.1], [30.0, -10.0]])
def test_the_fit_is_the_minimum_that_a_general_optimiser_finds(weights: list[float]) -> None:
    x, right = world(1, weights, tasks=300)

    def loss(w: np.ndarray) -> float:
        return float(-log_posterior(x, w)[np.arange(300), right].mean() + PRIOR / 600 * w @ w)

    found = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-8})
    assert np.allclose(fit(x, right), found.x, atol=1e-4)
    assert np.allclose(fit(x, right, start=np.array([50.0, 50.0])), found.x, atol=1e-4)


def test_posteriors_are_probabilities() -> None:
    x, right = world(2, [3.0])
    assert np.allclose(np.exp(log_posterior(x, fit(x, right))).sum(axis=1), 1)
