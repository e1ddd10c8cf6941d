"""Forecasts by each family of distributions: what they learn, and what they may not be given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from grukit import FitConfig, Forecaster
from grukit.core.errors import DataError, ParameterError
from grukit.core.model_folder import read_model_folder, write_model_folder
from grukit.data.windows import Windows, origins
from grukit.results.distributions import Bernoulli, NegativeBinomial
from grukit.tasks.base import load_model
from grukit.tasks.forecast_families import FAMILIES
from grukit.tasks.forecast_settings import window_shape

HOURS = 260
every = pytest.mark.parametrize("distribution", FAMILIES)


def table_of(distribution: str, hours: int = HOURS, seed: int = 0) -> pd.DataFrame:
    """Two series of what the family is for, with a day's cycle and some values missing."""
    random = np.random.default_rng(seed)
    cycle = np.tile(np.sin(2 * np.pi * np.arange(hours) / 24), 2)
    level = np.repeat([1.0, 6.0], hours)
    y = {
        "negative_binomial": random.poisson(level * (1.2 + cycle)).astype(float),
        "bernoulli": (random.random(2 * hours) < 0.5 + 0.4 * cycle).astype(float),
    }.get(distribution, level * (10 + cycle) + random.standard_t(3, 2 * hours))
    y[random.random(2 * hours) < 0.03] = np.nan
    return pd.DataFrame(
        {
            "unique_id": np.repeat(["small", "large"], hours),
            "ds": np.tile(pd.date_range("2024-01-01", periods=hours, freq="h"), 2),
            "y": y,
        }
    )


@pytest.fixture(scope="module")
def fitted(small) -> dict[str, Forecaster]:
    """A forecaster of each family on its table; tests must not change them."""
    return {name: small(distribution=name).fit(table_of(name)) for name in FAMILIES}


@every
def test_a_saved_model_forecasts_alike(fitted, distribution, tmp_path):
    model = fitted[distribution]
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    table = table_of(distribution)
    for data in (None, table):
        one, other = loaded.predict(data), model.predict(data)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.probability(2.0), other.probability(2.0))
    assert loaded.evaluate(table, start="2024-01-10").to_dict() == (
        model.evaluate(table, start="2024-01-10").to_dict()
    )


@every
def test_a_run_goes_on_from_its_checkpoint(distribution, small, tmp_path):
    table = table_of(distribution)
    small(distribution=distribution).fit(table, checkpoint=tmp_path)
    resumed = small(distribution=distribution).fit(table, checkpoint=tmp_path, resume=True)
    straight = small(distribution=distribution).fit(table)
    np.testing.assert_array_equal(resumed.predict().values, straight.predict().values)


@every
@pytest.mark.parametrize("scaling", ["series", "window"])
def test_a_forecast_does_not_see_what_comes_after_it(distribution, scaling, small):
    table = table_of(distribution)
    model = small(distribution=distribution, scaling=scaling).fit(table)
    late = table.ds >= "2024-01-09"
    changed = table.assign(y=table.y.where(~late, 1 - table.y.clip(0, 1)))
    for one, other in zip(
        *(
            model._model.quantiles(encoded, encoded.offsets[:-1] + 8 * 24)
            for encoded in (
                model._model.encoder.encode(model._read(data), seen=np.array([192, 192]))
                for data in (table, changed)
            )
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("distribution", ["student_t", "mixture"])
def test_the_distribution_has_the_quantiles_that_were_forecast(fitted, distribution):
    forecast = fitted[distribution].predict()
    np.testing.assert_allclose(
        forecast.distribution.quantile(forecast.levels), forecast.values, rtol=1e-6
    )
    above = forecast.probability(above=float(forecast.values[0, 0, 4]))[0, 0]
    assert above == pytest.approx(1 - forecast.levels[4], abs=1e-6)


@every
def test_a_forecast_follows_the_unit_of_the_data(distribution, small):
    """A series a thousand times as large has a forecast a thousand times as large."""
    if distribution in ("negative_binomial", "bernoulli"):
        pytest.skip("counts and events have no unit")
    table = table_of(distribution)
    one, other = (
        small(distribution=distribution).fit(table.assign(y=table.y * unit)).predict()
        for unit in (1.0, 1024.0)
    )
    np.testing.assert_allclose(other.values, 1024 * one.values, rtol=1e-3)


def test_counts_are_forecast_as_counts(fitted):
    forecast = fitted["negative_binomial"].predict()
    assert isinstance(forecast.distribution, NegativeBinomial)
    np.testing.assert_array_equal(forecast.values, np.round(forecast.values))
    assert forecast.values.min() >= 0
    small, large = forecast.series.index("small"), forecast.series.index("large")
    ratio = forecast.distribution.mean[large].mean() / forecast.distribution.mean[small].mean()
    assert 2 < ratio < 18  # planted: 6
    assert (fitted["negative_binomial"]._model.stretch == 1).all()


def test_the_likelihood_of_counts_is_that_of_the_whole_numbers(fitted):
    model = fitted["negative_binomial"]
    table = table_of("negative_binomial")
    encoded = model._model.encoder.encode(model._read(table))
    at = origins(encoded, model.lookback_, model.horizon)
    batch = Windows(encoded, at, model._model.shape).batch(torch.arange(len(at)))
    got = model._loss(model.network_, batch)
    known = model._model.distribution(encoded, at)
    truth = encoded.target[at[:, None] + np.arange(model.horizon)][..., None]
    seen = ~np.isnan(truth)
    truth = np.nan_to_num(truth)
    given = (known.cdf(truth) - known.cdf(truth - 1))[seen]
    assert got.total.item() == pytest.approx(-np.log(given).sum(), rel=1e-4)


def test_events_have_a_probability(fitted):
    forecast = fitted["bernoulli"].predict()
    assert isinstance(forecast.distribution, Bernoulli)
    frame = forecast.to_frame()
    assert list(frame) == ["unique_id", "ds", "y", "probability"]
    np.testing.assert_array_equal(frame.y, (frame.probability > 0.5).astype(float))
    np.testing.assert_allclose(frame.probability, forecast.probability(above=0.5).ravel())
    assert forecast.to_dict()["series"][0]["probability"] == frame.probability[:6].tolist()
    assert fitted["bernoulli"].validation_.metrics == ("brier", "log_loss")


@pytest.mark.parametrize(
    ("distribution", "value", "wanted"),
    [
        ("negative_binomial", 1.5, "whole numbers of at least 0"),
        ("negative_binomial", -1.0, "whole numbers of at least 0"),
        ("bernoulli", 2.0, "0 or 1"),
    ],
)
def test_a_target_that_the_family_cannot_have(fitted, small, distribution, value, wanted):
    table = table_of(distribution)
    table.loc[table.index[table.unique_id == "large"][50], "y"] = value
    message = f"the target 'y' of series 'large' must be {wanted} with distribution="
    for use in (
        small(distribution=distribution).fit,
        fitted[distribution].predict,
        fitted[distribution].evaluate,
    ):
        with pytest.raises(DataError, match=message):
            use(table)


@every
def test_the_card_says_what_is_answered(fitted, distribution, tmp_path):
    fitted[distribution].save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    words = {"quantiles": "as quantiles 0.025", "bernoulli": "as the probability of an event"}
    assert words.get(distribution, distribution.split("_")[0]) in card.lower()
    assert ("calibrated on the other half" in card) == FAMILIES[distribution].continuous


@pytest.mark.parametrize("distribution", ["negative_binomial", "bernoulli"])
def test_counts_and_events_are_not_differenced(distribution, small):
    table = table_of(distribution)
    with pytest.raises(ParameterError, match="differencing must be None or 0 with distribution="):
        small(distribution=distribution, differencing=1).fit(table)
    assert window_shape(small(distribution=distribution), 24).differencing == 0
    assert window_shape(small(), 24).differencing == 1


def test_a_distribution_must_be_known(small, frame):
    with pytest.raises(ParameterError, match="distribution must be one of 'quantiles', 'student_t"):
        small(distribution="normal").fit(frame)


@pytest.mark.parametrize("distribution", ["negative_binomial", "bernoulli"])
def test_what_is_not_stretched_does_not_adapt(fitted, distribution):
    table = table_of(distribution)
    with pytest.raises(ParameterError, match="adaptive must be False with distribution="):
        fitted[distribution].evaluate(table, start="2024-01-10", adaptive=True)


def test_a_folder_from_before_distributions_forecasts_alike(fitted, tmp_path):
    model = fitted["quantiles"]
    model.save(tmp_path / "new")
    folder = read_model_folder(tmp_path / "new")
    weights = safetensors.torch.load(folder.weights)
    del folder.config["settings"]["distribution"], folder.config["settings"]["mode"]
    del folder.config["encoder"]["unit"], weights["copula"]
    folder.config["settings"]["differencing"] = 1
    packed = safetensors.torch.save(weights)
    write_model_folder(tmp_path / "old", folder.config, packed, folder.texts)
    old = Forecaster.load(tmp_path / "old")
    np.testing.assert_array_equal(old.predict().values, model.predict().values)
    with pytest.raises(ParameterError, match="simulate needs a model whose validation windows"):
        old.simulate()


# What they learn


def test_a_student_t_covers_heavy_tails():
    random = np.random.default_rng(1)
    y = np.zeros(3000)
    for row, shock in enumerate(random.standard_t(3, len(y) - 1)):
        y[row + 1] = 0.7 * y[row] + shock
    table = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=len(y), freq="h"), "y": y})
    training = FitConfig(epochs=6, learning_rate=5e-3, batch_size=128)
    scores = {}
    for distribution in ("quantiles", "student_t"):
        model = Forecaster(
            6, lookback=16, distribution=distribution, hidden_size=8, training=training
        ).fit(table[:2000], validation=0.25)
        scores[distribution] = model.evaluate(table).scores[0].metrics
    student, quantiles = scores["student_t"], scores["quantiles"]
    assert student["coverage_80"] == pytest.approx(0.8, abs=0.03)
    assert student["coverage_95"] == pytest.approx(0.95, abs=0.03)
    assert student["crps"] < 1.02 * quantiles["crps"]


def test_a_negative_binomial_beats_the_baselines_on_intermittent_counts():
    random = np.random.default_rng(2)
    hours = 1200
    rate = 0.15 + 0.6 * (np.arange(hours) % 24 > 15)
    y = np.concatenate([random.negative_binomial(0.6, 0.6 / (0.6 + rate)) for _ in range(2)])
    assert (y == 0).mean() > 0.7
    ds = np.tile(pd.date_range("2024-01-01", periods=hours, freq="h"), 2)
    table = pd.DataFrame({"unique_id": np.repeat(["a", "b"], hours), "ds": ds, "y": y})
    training = FitConfig(epochs=6, learning_rate=5e-3, batch_size=128)
    model = Forecaster(
        12, lookback=24, distribution="negative_binomial", hidden_size=8, training=training
    ).fit(table[table.ds < "2024-02-10"])
    evaluation = model.evaluate(table)
    assert evaluation.beats("pinball")
    assert evaluation.beats("crps")


def test_events_of_a_known_cycle_beat_climatology():
    table = table_of("bernoulli", hours=900)
    training = FitConfig(epochs=5, learning_rate=1e-2)
    model = Forecaster(
        12, lookback=24, distribution="bernoulli", hidden_size=8, training=training
    ).fit(table[table.ds < "2024-02-01"])
    # Independent given the hour: a share of each jump keeps the hour out of the dependence.
    copula = model._model.copula
    assert np.abs(np.diag(copula, 1)).mean() < 0.1
    evaluation = model.evaluate(table)
    assert evaluation.beats("brier")
    assert evaluation.beats("log_loss")
    model, climatology, _ = evaluation.scores
    assert model.metrics["brier"] < 0.85 * climatology.metrics["brier"]
