"""evaluate(adaptive=True): intervals that follow a change of the noise."""

from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError


@pytest.fixture(scope="module")
def wilder(planted):
    """`planted` with noise of a much larger spread after the training data."""
    table = planted(length=800)
    later = table.ds >= "2024-01-07"
    table.loc[later, "y"] += 2 * np.random.default_rng(0).normal(size=later.sum())
    return table


@pytest.fixture(scope="module")
def model(small, wilder):
    return small(scaling="series", differencing=0).fit(wilder[wilder.ds < "2024-01-07"])


def test_adaptive_intervals_cover_where_fixed_ones_do_not(model, wilder):
    fixed, adaptive = (model.evaluate(wilder, adaptive=how).scores[0] for how in (False, True))
    assert fixed.metrics["coverage_80"] < 0.6
    assert adaptive.metrics["coverage_80"] == pytest.approx(0.8, abs=0.1)
    assert adaptive.metrics["coverage_95"] == pytest.approx(0.95, abs=0.05)
    assert adaptive.metrics["pinball"] < fixed.metrics["pinball"]
    assert adaptive.metrics["mae"] == fixed.metrics["mae"]


def test_the_baselines_and_the_model_stay_as_they_are(model, wilder):
    before = model.evaluate(wilder)
    adaptive = model.evaluate(wilder, adaptive=True)
    assert adaptive.scores[1:] == before.scores[1:]
    assert model.evaluate(wilder).scores == before.scores


def test_adaptive_must_be_true_or_false(model, wilder):
    with pytest.raises(ParameterError, match=r"adaptive must be True or False, got 0.05"):
        model.evaluate(wilder, adaptive=0.05)
