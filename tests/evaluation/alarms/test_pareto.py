"""The Pareto tail: as scipy fits it, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import genpareto

from grukit.evaluation.alarms import pareto
from grukit.evaluation.alarms.pareto import Tail, fit_tail


@pytest.mark.parametrize("shape", [-0.4, -0.1, 0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("count", [100, 1000])
def test_the_likelihood_is_no_less_than_that_of_scipy(shape, count):
    excesses = genpareto.rvs(shape, scale=3.0, size=count, random_state=count)
    own = fit_tail(excesses)
    theirs, _, scale = genpareto.fit(excesses, floc=0)

    def likelihood(tail):
        return genpareto.logpdf(excesses, tail.shape, scale=tail.scale).mean()

    # scipy's simplex stops at 1e-4 of its parameters.
    assert likelihood(own) >= likelihood(Tail(theirs, scale)) - 1e-9
    assert own == pytest.approx((theirs, scale), abs=2e-3, rel=2e-3)


def test_the_test_can_fail(monkeypatch):
    slope = pareto._slope
    monkeypatch.setattr(pareto, "_slope", lambda x, *known: slope(0.5 * x, *known))
    with pytest.raises(AssertionError):
        test_the_likelihood_is_no_less_than_that_of_scipy(0.3, 1000)


@pytest.mark.parametrize("shape", [-0.4, 0.0, 0.3])
def test_what_is_exceeded_is_the_quantile_of_scipy(shape):
    for probability in (0.5, 1e-3, 1e-8):
        expected = genpareto.isf(probability, shape, scale=2.0)
        assert Tail(shape, 2.0).exceeded_with(probability) == pytest.approx(expected)


def test_the_unit_does_not_matter():
    excesses = np.random.default_rng(0).exponential(size=200)
    one, large = fit_tail(excesses), fit_tail(1e12 * excesses)
    assert large.shape == pytest.approx(one.shape, abs=1e-8)
    assert large.scale == pytest.approx(1e12 * one.scale)


@pytest.mark.parametrize(
    "excesses",
    [
        np.ones(5),
        np.ones(50),
        np.full(50, 5e-324),
        np.append(np.full(50, 1e-300), 1.0),
        np.append(np.ones(50), 1e300),
        np.arange(1.0, 30.0),
    ],
)
def test_odd_excesses_have_a_tail(excesses):
    tail = fit_tail(excesses)
    assert np.isfinite(tail.shape)
    assert tail.scale > 0
    assert tail.exceeded_with(1e-4) > 0


def test_few_excesses_are_exponential():
    assert fit_tail(np.array([1.0, 2.0, 6.0])) == (0.0, 3.0)
