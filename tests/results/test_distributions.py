"""Distributions: quantiles and probabilities undo each other, and agree with scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from grukit.results.distributions import (
    Bernoulli,
    Calibrated,
    NegativeBinomial,
    NormalMixture,
    QuantileFunction,
    StudentT,
    interpolated,
)

RANDOM = np.random.default_rng(0)
LEVELS = np.array([0.05, 0.25, 0.5, 0.9])
FINE = np.linspace(0.001, 0.999, 97)
MANY = (2, 3)

STUDENT = StudentT(
    RANDOM.normal(size=MANY), RANDOM.uniform(0.1, 9, MANY), RANDOM.uniform(2, 9, MANY)
)
MIXTURE = NormalMixture(
    RANDOM.dirichlet(np.ones(3), MANY),
    9 * RANDOM.normal(size=(*MANY, 3)),
    RANDOM.uniform(0.05, 3, (*MANY, 3)),
)
QUANTILES = QuantileFunction(LEVELS, RANDOM.normal(size=(*MANY, 4)).cumsum(-1) ** 3)
QUANTILES = QuantileFunction(LEVELS, np.sort(QUANTILES.values, axis=-1))
COUNTS = NegativeBinomial(RANDOM.uniform(0.01, 30, MANY), RANDOM.uniform(0.01, 2, MANY))
EVENTS = Bernoulli(RANDOM.uniform(size=MANY))


def calibrated(raw, factor=2.0):
    before = raw.quantile(LEVELS)
    return Calibrated(raw, before, 1 + factor * before)


CONTINUOUS = {
    "student t": STUDENT,
    "mixture": MIXTURE,
    "quantiles": QUANTILES,
    "calibrated": calibrated(STUDENT),
    "calibrated quantiles": calibrated(QUANTILES),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_quantile_and_cdf_undo_each_other(name):
    known = CONTINUOUS[name]
    values = known.quantile(FINE)
    assert values.shape == (*MANY, len(FINE))
    assert (np.diff(values, axis=-1) > 0).all()
    np.testing.assert_allclose(known.cdf(values), np.broadcast_to(FINE, values.shape), atol=1e-9)


@pytest.mark.parametrize("known", [COUNTS, EVENTS], ids=["counts", "events"])
def test_a_quantile_is_the_smallest_value_of_its_probability(known):
    values = known.quantile(FINE)
    np.testing.assert_array_equal(values, np.round(values))
    assert (known.cdf(values) >= FINE).all()
    assert (known.cdf(values - 1) < FINE).all()


def test_parametric_ones_are_scipys():
    at = np.array([-1.0, 0.5, 3.0])
    student = stats.t(
        STUDENT.freedom[..., None], STUDENT.location[..., None], STUDENT.scale[..., None]
    )
    np.testing.assert_allclose(STUDENT.quantile(LEVELS), student.ppf(LEVELS), rtol=1e-9)
    np.testing.assert_allclose(STUDENT.cdf(at), student.cdf(at), rtol=1e-9)
    mean, dispersion = COUNTS.mean, COUNTS.dispersion
    counts = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))
    np.testing.assert_allclose(counts.mean(), mean)
    np.testing.assert_allclose(counts.var(), mean + dispersion * mean**2)
    np.testing.assert_allclose(COUNTS.cdf([2.0])[..., 0], counts.cdf(2))


def test_a_mixture_is_what_its_samples_say():
    weights, locations, scales = (
        part[0, 0] for part in (MIXTURE.weights, MIXTURE.locations, MIXTURE.scales)
    )
    which = RANDOM.choice(3, size=200_000, p=weights)
    samples = RANDOM.normal(locations[which], scales[which])
    share = (samples[:, None] <= MIXTURE.quantile(LEVELS)[0, 0]).mean(0)
    np.testing.assert_allclose(share, LEVELS, atol=0.004)


def test_levels_may_differ_from_place_to_place():
    levels = RANDOM.uniform(0.01, 0.99, (*MANY, 5))
    for known in (*CONTINUOUS.values(), COUNTS, EVENTS):
        got = known.quantile(levels)
        for place in np.ndindex(MANY):
            np.testing.assert_allclose(got[place], known.quantile(levels[place])[place])


def test_known_quantiles_are_kept_and_calibrated_ones_are_where_they_were_moved():
    np.testing.assert_array_equal(QUANTILES.quantile(LEVELS), QUANTILES.values)
    for raw in (STUDENT, MIXTURE, QUANTILES):
        moved = calibrated(raw)
        np.testing.assert_allclose(moved.quantile(LEVELS), moved.after, rtol=1e-9)
        everywhere = moved.quantile(FINE)
        np.testing.assert_allclose(everywhere, 1 + 2 * raw.quantile(FINE), rtol=1e-9, atol=1e-9)


def test_nothing_moved_is_nothing_changed():
    before = STUDENT.quantile(LEVELS)
    same = Calibrated(STUDENT, before, before)
    np.testing.assert_allclose(same.quantile(FINE), STUDENT.quantile(FINE), rtol=1e-9)


@pytest.mark.parametrize("levels", [(0.5,), (0.1, 0.5, 0.9)])
def test_a_point_has_all_its_probability_there(levels):
    point = QuantileFunction(np.array(levels), np.full((1, len(levels)), 7.0))
    np.testing.assert_array_equal(point.cdf([6.9, 7.0, 7.1])[0, [0, 2]], [0, 1])
    np.testing.assert_array_equal(point.quantile([0.001, 0.5, 0.999]), [[7, 7, 7]])
    moved = Calibrated(point, point.values, point.values + 1)
    np.testing.assert_array_equal(moved.quantile([0.001, 0.5, 0.999]), [[8, 8, 8]])


def test_interpolation_is_numpys():
    x = np.sort(RANDOM.normal(size=(4, 6)), axis=-1)
    y, at = RANDOM.normal(size=(4, 6)), RANDOM.normal(size=(4, 9)) * 2
    wanted = [np.interp(*row) for row in zip(at, x, y, strict=True)]
    np.testing.assert_allclose(interpolated(at, x, y), wanted)
