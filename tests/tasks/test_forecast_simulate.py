"""Sample paths: at each step what was forecast, and over the horizon what happens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from grukit import FitConfig, Forecaster
from grukit.core.errors import ModelFolderError, NotFittedError, ParameterError
from grukit.core.model_folder import read_model_folder, write_model_folder
from grukit.tasks.forecast_families import FAMILIES

HORIZON = 12


@pytest.fixture(scope="module")
def walk() -> Forecaster:
    """Trained on a random walk of steps of size 1."""
    y = np.random.default_rng(0).standard_normal(3000).cumsum()
    table = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=len(y), freq="h"), "y": y})
    training = FitConfig(epochs=4, learning_rate=5e-3, batch_size=128)
    return Forecaster(HORIZON, lookback=16, hidden_size=8, scaling="series", training=training).fit(
        table, validation=0.3
    )


def test_the_sum_of_a_random_walk_varies_as_it_does(walk):
    paths = walk.simulate(paths=4000).values
    truth = HORIZON * (HORIZON + 1) * (2 * HORIZON + 1) / 6
    independent = HORIZON * (HORIZON + 1) / 2
    assert paths.var(axis=1).sum(axis=-1).mean() == pytest.approx(independent, rel=0.25)
    assert paths.sum(axis=2).var(axis=1).mean() == pytest.approx(truth, rel=0.25)


@pytest.mark.parametrize("distribution", FAMILIES)
def test_each_step_has_the_distribution_that_was_forecast(distribution, small):
    random = np.random.default_rng(0)
    y = random.poisson(3, 300) if distribution == "negative_binomial" else random.normal(size=300)
    if distribution == "bernoulli":
        y = (y > 0.5).astype(float)
    table = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=len(y), freq="h"), "y": y})
    model = small(distribution=distribution).fit(table)
    count = 400
    paths = model.simulate(paths=count).values
    forecast = model.predict()
    assert paths.shape == (1, count, model.horizon)
    for at, level in enumerate(forecast.levels):
        quantile = forecast.values[:, None, :, at]
        below, upto = (paths < quantile).sum(axis=1), (paths <= quantile).sum(axis=1)
        if FAMILIES[distribution].continuous:
            assert np.abs(upto - level * count).max() <= 1
        else:
            np.testing.assert_array_equal(paths, np.round(paths))
            assert (below <= level * count + 1).all()
            assert (upto >= level * count - 1).all()


def test_the_seed_decides_the_paths(walk):
    one, other = walk.simulate(paths=5), walk.simulate(paths=5)
    np.testing.assert_array_equal(one.values, other.values)
    assert not np.array_equal(one.values, walk.simulate(paths=5, seed=1).values)
    assert walk.simulate(paths=1).values.shape == (1, 1, HORIZON)


def test_a_saved_model_simulates_alike(walk, tmp_path):
    walk.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.simulate(paths=5).values, walk.simulate(paths=5).values)


def test_paths_follow_the_data_given(fitted, frame):
    paths = fitted.simulate(frame, paths=7)
    forecast = fitted.predict(frame)
    assert paths.series == forecast.series
    np.testing.assert_array_equal(paths.times, forecast.times)
    assert paths.values.shape == (2, 7, 6)
    assert paths.report == forecast.report


def test_without_validation_nothing_tells_how_steps_hang_together(small, frame, tmp_path):
    model = small().fit(frame, validation=None)
    model.save(tmp_path / "model")
    for each in (model, Forecaster.load(tmp_path / "model")):
        with pytest.raises(ParameterError, match="simulate needs a model whose validation"):
            each.simulate()


def test_what_cannot_be_simulated(walk):
    with pytest.raises(NotFittedError, match="must be fitted first"):
        Forecaster().simulate()
    with pytest.raises(ParameterError, match="paths must be an integer of at least 1, got 0"):
        walk.simulate(paths=0)
    with pytest.raises(ParameterError, match="seed must be None or an integer"):
        walk.simulate(seed=-1)


def test_a_copula_that_is_none_is_a_damaged_folder(walk, tmp_path):
    from safetensors.torch import load, save

    walk.save(tmp_path / "model")
    folder = read_model_folder(tmp_path / "model")
    weights = load(folder.weights)
    for wrong in (-torch.eye(HORIZON).double(), torch.eye(HORIZON - 1).double()):
        write_model_folder(
            tmp_path / "wrong", folder.config, save({**weights, "copula": wrong}), folder.texts
        )
        with pytest.raises(ModelFolderError, match="is damaged"):
            Forecaster.load(tmp_path / "wrong")
