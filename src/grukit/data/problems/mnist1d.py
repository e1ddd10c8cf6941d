"""MNIST-1D (Greydanus and Kobak 2020, arXiv:2011.14439): the digits as curves of 40 steps.

The set is procedural: ten curves are padded, moved, scaled, sheared and covered with noise. It is
made here by the recipe of its authors from their seed, number for number, so that nothing needs to
be fetched.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CLASSES = 10
LENGTH = 40
_TRAIN, _TEST = 4000, 1000
# The ten curves, twelve heights each, as the authors drew them.
_TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
_SEED = 42
_PADDING = (36, 60)
_SCALE, _SHEAR = 0.4, 0.75
_MOST_MOVED = 48
_SMOOTH_NOISE, _NOISE = 0.25, 0.02
_SIGMA, _RADIUS = 2.0, 8
# Zeros of a curve must not be taken for those of its padding, which are covered with noise.
_NOT_PADDING = 1e-8


class Curves(NamedTuple):
    """float32 [N, 40], scaled over all curves to mean 0 and variance 1, and their digits [N]."""

    train: np.ndarray
    train_digits: np.ndarray
    test: np.ndarray
    test_digits: np.ndarray


def mnist1d() -> Curves:
    """4,000 curves to learn and 1,000 to test.

    >>> curves = mnist1d()
    >>> curves.train.shape, curves.test.shape
    ((4000, 40), (1000, 40))
    """
    random = np.random.RandomState(_SEED)
    templates = np.array(_TEMPLATES, np.float64)
    templates -= templates.mean(1, keepdims=True)
    templates /= templates.std(1, keepdims=True)
    templates = (templates - templates[:, :1]) / 6
    count = (_TRAIN + _TEST) // CLASSES
    made = np.stack([_curve(own, random) for own in templates for _ in range(count)])
    order = random.permutation(len(made))
    curves, digits = made[order], np.repeat(np.arange(CLASSES), count)[order]
    curves = ((curves - curves.mean()) / curves.std()).astype(np.float32)
    return Curves(curves[:_TRAIN], digits[:_TRAIN], curves[_TRAIN:], digits[_TRAIN:])


def _curve(template: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """One curve; the order of the draws is that of the authors."""
    low, high = _PADDING
    padding = low + int(random.rand() * (high - low + 1))
    curve = np.concatenate([template + _NOT_PADDING, np.zeros(padding)])
    curve = _resampled(curve, len(template) + high)
    curve *= 1 + _SCALE * (random.rand() - 0.5)
    curve = np.roll(curve, random.choice(_MOST_MOVED))
    drawn = curve != 0
    curve = np.where(drawn, curve, _smoothed(_SMOOTH_NOISE * random.randn(len(curve))))
    curve = curve + _NOISE * random.randn(len(curve))
    curve = curve - _SHEAR * (random.rand() - 0.5) * np.linspace(-0.5, 0.5, len(curve))
    return _resampled(curve, LENGTH)


def _resampled(curve: np.ndarray, count: int) -> np.ndarray:
    return np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(curve)), curve)


def _smoothed(noise: np.ndarray) -> np.ndarray:
    """Through a Gaussian window, the ends mirrored."""
    window = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / _SIGMA) ** 2)
    padded = np.pad(noise, _RADIUS, mode="symmetric")
    return np.convolve(padded, window / window.sum(), mode="valid")
