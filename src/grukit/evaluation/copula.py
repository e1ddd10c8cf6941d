"""How the steps of a horizon hang together: a Gaussian copula.

A direct forecast has a distribution for each step and says nothing of how they move together,
which the sum over a horizon depends on. How they did on held-out windows is learned as the
correlation of normal scores, and sample paths are put in order by it, so that each step keeps
exactly its own distribution (Schefzik et al. 2013, "Uncertainty quantification in complex
simulation models using ensemble copula coupling"; Clark et al. 2004 for the Schaake shuffle).

Sizes: N windows, H steps, M paths, S series.
"""

from __future__ import annotations

import numpy as np

from grukit.core.extras import require
from grukit.evaluation.calibration import PRIOR_WINDOWS

_SMALLEST_EIGENVALUE = 1e-6


def fit_copula(probability: np.ndarray) -> np.ndarray:
    """The correlation of the steps, float64 [H, H], from what the forecasts gave to what happened.

    Correlations are those of the normal scores of ranks at each step, over the windows that have
    both steps. Few windows settle little: they are drawn towards a correlation that falls off as
    that of neighbouring steps does, rho^|i - j|.

    probability: [N, H], P(Y <= y) of each true value y, anywhere within its jump for whole numbers;
        NaN where missing.

    >>> walk = np.random.default_rng(0).normal(size=(5000, 3)).cumsum(axis=1)
    >>> probability = walk / 20 + 0.5  # ranks alone count
    >>> fit_copula(probability).round(1)  # of a random walk: sqrt(i / j)
    array([[1. , 0.7, 0.6],
           [0.7, 1. , 0.8],
           [0.6, 0.8, 1. ]])
    """
    windows, horizon = probability.shape
    if horizon == 1:
        return np.ones((1, 1))
    known = np.isfinite(probability)
    ranks = require("scipy.stats").rankdata(probability, axis=0, nan_policy="omit")
    scores = require("scipy.special").ndtri(ranks / (known.sum(axis=0) + 1))
    scores = np.where(known, scores, 0.0)
    power = scores.T**2 @ known
    power = power * power.T
    found = scores.T @ scores / np.sqrt(np.where(power > 0, power, 1.0))

    steps = np.arange(horizon)
    neighbours = float(np.clip(np.diag(found, 1).mean(), -0.99, 0.99))
    smooth = neighbours ** np.abs(steps[:, None] - steps)
    prior = max(PRIOR_WINDOWS, horizon)
    return _positive((windows * found + prior * smooth) / (windows + prior))


def draw_levels(
    correlation: np.ndarray, series: int, paths: int, random: np.random.Generator
) -> np.ndarray:
    """Levels between 0 and 1, float64 [S, M, H], dependent along H as the correlation says.

    At each step the M levels of a series lie in M equal parts of (0, 1), one in each, so that
    paths have the distribution of the step as exactly as so many can (Stein 1987).
    """
    root = np.linalg.cholesky(correlation)
    scores = random.standard_normal((series, paths, len(correlation))) @ root.T
    ranks = scores.argsort(axis=1).argsort(axis=1)
    tiny = np.finfo(float).eps
    return ((ranks + random.random(ranks.shape)) / paths).clip(tiny, 1 - tiny)


def _positive(matrix: np.ndarray) -> np.ndarray:
    """The nearest positive definite matrix, or almost, with ones on its diagonal."""
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * values.clip(min=_SMALLEST_EIGENVALUE)) @ vectors.T
    size = np.sqrt(np.diag(matrix))
    return matrix / size[:, None] / size
