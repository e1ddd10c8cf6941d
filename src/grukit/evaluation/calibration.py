"""Intervals that cover as often as they say: conformal calibration on held-out windows.

Each quantile's distance from the median is stretched by one factor per level, chosen so that on
the held-out windows the truth lies below it as often as the level says. This is conformalized
quantile regression (Romano et al. 2019, arXiv:1905.03222) with multiplicative scores (Kivaranovic
et al. 2020, arXiv:1905.10634), so wide intervals are stretched more than narrow ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grukit.results import level_index

SMALLEST, LARGEST = 0.1, 10.0


def fit_stretch(truth: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """The factor of each level, float64 [Q], from truth [N, H] and quantiles [N, H, Q].

    The median keeps its place, so the point forecast is not changed.

    >>> levels, truth = (0.25, 0.5, 0.75), np.arange(-50.0, 51.0)[:, None]
    >>> quantiles = np.tile([-5.0, 0.0, 5.0], (101, 1, 1))
    >>> fit_stretch(truth, quantiles, levels)
    array([5., 1., 5.])
    """
    middle = level_index(levels, 0.5)
    median = quantiles[..., middle]
    factors = np.ones(len(levels))
    for index, level in enumerate(levels):
        if index == middle:
            continue
        distance = quantiles[..., index] - median
        usable = np.isfinite(truth) & (distance != 0)
        if usable.any():
            ratio = (truth[usable] - median[usable]) / distance[usable]
            factors[index] = np.quantile(ratio, max(level, 1 - level))
    return factors.clip(SMALLEST, LARGEST)


def stretched(quantiles: np.ndarray, factors: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles [..., Q] with their distances from the median stretched, still in order."""
    median = quantiles[..., [level_index(levels, 0.5)]]
    return np.sort(median + (quantiles - median) * factors, axis=-1)
