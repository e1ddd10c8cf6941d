"""Intervals that cover as often as they say: conformal calibration on held-out windows.

Each quantile's distance from the median is stretched by one factor per step and level, chosen so
that on the held-out windows the truth lies below it as often as the level says. This is
conformalized quantile regression (Romano et al. 2019, arXiv:1905.03222) with multiplicative scores
(Kivaranovic et al. 2020, arXiv:1905.10634), so wide intervals are stretched more than narrow ones.
Few windows settle little: the factors of a step are drawn towards those of all steps together, and
these towards 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grukit.results import level_index

SMALLEST, LARGEST = 0.1, 10.0
# The factors of this many windows count as much as what they are drawn towards.
PRIOR_WINDOWS = 100


def fit_stretch(truth: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """The factors, float64 [H, Q], from truth [N, H] and quantiles [N, H, Q].

    The median keeps its place, so the point forecast is not changed.

    >>> levels, truth = (0.25, 0.5, 0.75), np.linspace(-50.0, 50.0, 10_001)[:, None]
    >>> quantiles = np.tile([-5.0, 0.0, 5.0], (10_001, 1, 1))
    >>> fit_stretch(truth, quantiles, levels).round(1)
    array([[5., 1., 5.]])
    """
    middle = level_index(levels, 0.5)
    distance = quantiles - quantiles[..., [middle]]
    error = (truth - quantiles[..., middle])[..., None]
    usable = np.isfinite(error) & (distance != 0)
    ratio = np.where(usable, error, np.nan) / np.where(usable, distance, 1.0)
    windows = np.isfinite(truth).any(axis=1).sum()
    together = _drawn(_factors(ratio.reshape(-1, len(levels)), levels), windows, 1.0)
    return np.stack(
        [
            _drawn(_factors(ratio[:, step], levels), np.isfinite(truth[:, step]).sum(), together)
            for step in range(truth.shape[1])
        ]
    )


def _factors(ratio: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """float64 [Q] from ratios [n, Q], NaN where there is none; 1 for the median."""
    factors = np.ones(len(levels))
    for index, level in enumerate(levels):
        known = ratio[np.isfinite(ratio[:, index]), index]
        if known.size:
            factors[index] = np.quantile(known, max(level, 1 - level))
    return factors.clip(SMALLEST, LARGEST)


def _drawn(factors: np.ndarray, windows: int, towards: np.ndarray | float) -> np.ndarray:
    return (windows * factors + PRIOR_WINDOWS * towards) / (windows + PRIOR_WINDOWS)


def stretched(quantiles: np.ndarray, factors: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles [..., H, Q] with their distances from the median stretched, still in order."""
    median = quantiles[..., [level_index(levels, 0.5)]]
    return np.sort(median + (quantiles - median) * factors, axis=-1)
