"""Distributions of what is forecast, as arrays: one for each series and step.

Parameters are float64 of one shape [...]; levels and values [k] or [..., k] give answers [..., k].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from grukit.core.extras import require

_BISECTIONS = 60


class Distribution(Protocol):
    """A distribution for each place of [...]."""

    def quantile(self, levels: Any) -> np.ndarray:
        """The smallest values that are not exceeded with these probabilities, within (0, 1)."""
        ...

    def cdf(self, values: Any) -> np.ndarray:
        """The probabilities of not exceeding these values."""
        ...


@dataclass(frozen=True, eq=False)
class QuantileFunction:
    """Quantiles with straight lines between them, and exponential tails beyond.

    The tails continue the outermost lines: an exponential distribution beyond each end, through the
    two outermost quantiles there (as in Park et al. 2022, arXiv:2111.06581).

    >>> steps = QuantileFunction(np.array([0.1, 0.5, 0.9]), np.array([0.0, 10.0, 30.0]))
    >>> steps.quantile([0.3, 0.5, 0.95])
    array([ 5. , 10. , 38.6135])
    >>> steps.cdf([5.0, 10.0])
    array([0.3, 0.5])

    levels: [Q], rising. values: [..., Q], rising.
    """

    levels: np.ndarray
    values: np.ndarray

    def quantile(self, levels: Any) -> np.ndarray:
        levels = _beside(levels, self.values[..., 0])
        known = np.broadcast_to(self.levels, self.values.shape)
        lower, upper = self._tails()
        inner = interpolated(levels, known, self.values)
        low, high = self.levels[0], self.levels[-1]
        with np.errstate(divide="ignore"):
            below = self.values[..., :1] + lower * np.log(np.minimum(levels / low, 1))
            above = self.values[..., -1:] - upper * np.log(np.minimum((1 - levels) / (1 - high), 1))
        return np.where(levels < low, below, np.where(levels > high, above, inner))

    def cdf(self, values: Any) -> np.ndarray:
        values = _beside(values, self.values[..., 0])
        known = np.broadcast_to(self.levels, self.values.shape)
        lower, upper = self._tails()
        inner = interpolated(values, self.values, known)
        below = self.levels[0] * _decay(self.values[..., :1] - values, lower)
        above = 1 - (1 - self.levels[-1]) * _decay(values - self.values[..., -1:], upper)
        inside = values >= self.values[..., :1]
        return np.where(inside, np.where(values < self.values[..., -1:], inner, above), below)

    def _tails(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean excess below and above, [..., 1] each; 0 with a single quantile."""
        if len(self.levels) == 1:
            nothing = np.zeros_like(self.values)
            return nothing, nothing
        first, second = self.levels[:2]
        before, last = self.levels[-2:]
        below = (self.values[..., 1:2] - self.values[..., :1]) / np.log(second / first)
        above = (self.values[..., -1:] - self.values[..., -2:-1]) / np.log(
            (1 - before) / (1 - last)
        )
        return below, above


@dataclass(frozen=True, eq=False)
class StudentT:
    """A Student t of some location, scale and degrees of freedom.

    >>> StudentT(np.array([10.0]), np.array([2.0]), np.array([4.0])).quantile([0.1, 0.5])
    array([[ 6.9336, 10. ]])
    """

    location: np.ndarray
    scale: np.ndarray
    freedom: np.ndarray

    def quantile(self, levels: Any) -> np.ndarray:
        levels = _beside(levels, self.location)
        standard = require("scipy.special").stdtrit(self.freedom[..., None], levels)
        return self.location[..., None] + self.scale[..., None] * standard

    def cdf(self, values: Any) -> np.ndarray:
        standard = (_beside(values, self.location) - self.location[..., None]) / self.scale[
            ..., None
        ]
        return require("scipy.special").stdtr(self.freedom[..., None], standard)


@dataclass(frozen=True, eq=False)
class NegativeBinomial:
    """Counts of mean m and variance m + a m^2, a the dispersion.

    >>> NegativeBinomial(np.array([3.0]), np.array([0.5])).quantile([0.1, 0.5, 0.9])
    array([[0., 2., 6.]])
    """

    mean: np.ndarray
    dispersion: np.ndarray

    def quantile(self, levels: Any) -> np.ndarray:
        return require("scipy.stats").nbinom.ppf(_beside(levels, self.mean), *self._parameters)

    def cdf(self, values: Any) -> np.ndarray:
        return require("scipy.stats").nbinom.cdf(_beside(values, self.mean), *self._parameters)

    @property
    def _parameters(self) -> tuple[np.ndarray, np.ndarray]:
        return 1 / self.dispersion[..., None], 1 / (1 + self.dispersion * self.mean)[..., None]


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """C normals, their weights, locations and scales [..., C].

    Its quantiles have no closed form. They lie between the smallest and the largest of those of
    the normals, and are found there by bisection.

    >>> both = NormalMixture(np.array([0.5, 0.5]), np.array([-10.0, 10.0]), np.ones(2))
    >>> both.quantile([0.25, 0.75])
    array([-10., 10.])
    """

    weights: np.ndarray
    locations: np.ndarray
    scales: np.ndarray

    def quantile(self, levels: Any) -> np.ndarray:
        levels = _beside(levels, self.weights[..., 0])
        standard = require("scipy.special").ndtri(levels)[..., None]
        of_each = self.locations[..., None, :] + self.scales[..., None, :] * standard
        low, high = of_each.min(-1), of_each.max(-1)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            above = self.cdf(middle) >= levels
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return (low + high) / 2

    def cdf(self, values: Any) -> np.ndarray:
        values = _beside(values, self.weights[..., 0])
        distance = values[..., None] - self.locations[..., None, :]
        below = require("scipy.special").ndtr(distance / self.scales[..., None, :])
        return (self.weights[..., None, :] * below).sum(-1)


@dataclass(frozen=True, eq=False)
class Bernoulli:
    """An event, 1 with some probability and else 0.

    >>> rain = Bernoulli(np.array([0.3]))
    >>> rain.quantile([0.5, 0.9]), rain.cdf([0.0])
    (array([[0., 1.]]), array([[0.7]]))
    """

    probability: np.ndarray

    def quantile(self, levels: Any) -> np.ndarray:
        return (_beside(levels, self.probability) > 1 - self.probability[..., None]).astype(float)

    def cdf(self, values: Any) -> np.ndarray:
        values = _beside(values, self.probability)
        return np.where(values < 0, 0.0, np.where(values < 1, 1 - self.probability[..., None], 1.0))


@dataclass(frozen=True, eq=False)
class Counted:
    """What M samples say, each as probable as another, rising along [..., M].

    >>> Counted(np.array([0.0, 0.0, 1.0, 5.0])).quantile([0.5, 0.75, 0.9])
    array([0., 1., 5.])
    """

    samples: np.ndarray

    def quantile(self, levels: Any) -> np.ndarray:
        count = self.samples.shape[-1]
        place = np.ceil(_beside(levels, self.samples[..., 0]) * count - 1e-9).astype(int) - 1
        return np.take_along_axis(self.samples, place.clip(0, count - 1), -1)

    def cdf(self, values: Any) -> np.ndarray:
        values = _beside(values, self.samples[..., 0])
        return (self.samples[..., None, :] <= values[..., None]).mean(-1)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A distribution whose quantiles `before` [..., Q] are moved to `after` [..., Q].

    What lies between two of them moves along a straight line; beyond the outermost ones all is
    stretched as the whole range between them is.
    """

    raw: Distribution
    before: np.ndarray
    after: np.ndarray

    def quantile(self, levels: Any) -> np.ndarray:
        return self.moved(self.raw.quantile(levels))

    def cdf(self, values: Any) -> np.ndarray:
        values = _beside(values, self.after[..., 0])
        return self.raw.cdf(_through(values, self.after, self.before))

    def moved(self, values: np.ndarray) -> np.ndarray:
        """Values [..., k] of the raw distribution as those of this one."""
        return _through(values, self.before, self.after)


def interpolated(at: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """np.interp along the last axis: the line through x, y [..., Q] at [..., k].

    Where x stands still the last y there counts.

    >>> interpolated(np.array([[0.5, 3.0]]), np.array([[0.0, 1.0]]), np.array([[10.0, 20.0]]))
    array([[15., 20.]])
    """
    right = (x[..., None, :] <= at[..., :, None]).sum(-1)
    left, right = (right - 1).clip(min=0), right.clip(max=x.shape[-1] - 1)
    (x0, x1), (y0, y1) = (
        (np.take_along_axis(line, left, -1), np.take_along_axis(line, right, -1)) for line in (x, y)
    )
    share = np.where(x1 > x0, (at - x0) / np.where(x1 > x0, x1 - x0, 1.0), 0.0)
    return y0 + share * (y1 - y0)


def _through(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The rising line through x, y [..., Q] at values [..., k], continued beyond its ends."""
    width = x[..., -1:] - x[..., :1]
    slope = np.where(width > 0, (y[..., -1:] - y[..., :1]) / np.where(width > 0, width, 1.0), 1.0)
    beyond = np.minimum(values - x[..., :1], 0) + np.maximum(values - x[..., -1:], 0)
    return interpolated(values, x, y) + slope * beyond


def _decay(beyond: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """exp(-beyond / mean) where beyond is positive, 0 there if the mean is, else 1."""
    decay = np.exp(-np.maximum(beyond, 0) / np.where(mean > 0, mean, 1.0))
    return np.where((mean > 0) | (beyond <= 0), decay, 0.0)


def _beside(wanted: Any, parameter: np.ndarray) -> np.ndarray:
    """Levels or values as float64 [..., k], for a parameter of shape [...]."""
    wanted = np.asarray(wanted, np.float64)
    return np.broadcast_to(wanted, (*parameter.shape, wanted.shape[-1]))
