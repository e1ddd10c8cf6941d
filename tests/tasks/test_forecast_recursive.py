"""Recursive forecasts: samples fed back step by step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from grukit import FitConfig, Forecaster
from grukit.core.errors import ParameterError
from grukit.data.windows import Windows, origins
from grukit.tasks.forecast_families import FAMILIES
from grukit.tasks.forecast_recursion import recursive_loss, sampled

HOURS = 240


def table_of(distribution: str) -> pd.DataFrame:
    """Two series of a daily cycle, with gaps, and a cause known ahead."""
    random = np.random.default_rng(0)
    hours = np.tile(np.arange(HOURS), 2)
    promo = random.integers(0, 2, 2 * HOURS).astype(float)
    rate = 2 + np.sin(2 * np.pi * hours / 24) + promo
    y = {
        "negative_binomial": random.poisson(rate).astype(float),
        "bernoulli": (random.random(2 * HOURS) < rate / 5).astype(float),
    }.get(distribution, rate + 0.3 * random.standard_normal(2 * HOURS))
    y[random.random(2 * HOURS) < 0.05] = np.nan
    ds = np.tile(pd.date_range("2024-01-01", periods=HOURS, freq="h"), 2)
    names = np.repeat(["a", "b"], HOURS)
    return pd.DataFrame({"unique_id": names, "ds": ds, "y": y, "promo": promo})


def recursive(small, distribution: str = "quantiles", **options) -> Forecaster:
    known = {"future_covariates": ("promo",), "mode": "recursive", "distribution": distribution}
    return small(**{**known, **options})


@pytest.fixture(scope="module")
def fitted(small) -> dict[str, Forecaster]:
    """A recursive forecaster of each family; tests must not change them."""
    tables = {name: table_of(name) for name in FAMILIES}
    return {
        name: recursive(small, name).fit(table[table.ds < "2024-01-10"])
        for name, table in tables.items()
    }


@pytest.mark.parametrize("distribution", FAMILIES)
def test_it_forecasts_evaluates_and_simulates_as_before_saving(fitted, distribution, tmp_path):
    model, table = fitted[distribution], table_of(distribution)
    model.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    for each in (model, loaded):
        assert each.predict(future=table).values.shape == (2, 6, 7)
    one, other = (each.predict(future=table) for each in (model, loaded))
    np.testing.assert_array_equal(one.values, other.values)
    one, other = (each.simulate(future=table, paths=4) for each in (model, loaded))
    np.testing.assert_array_equal(one.values, other.values)
    assert one.values.shape == (2, 4, 6)
    evaluation = loaded.evaluate(table, stride=12)
    assert evaluation.to_dict() == model.evaluate(table, stride=12).to_dict()
    if FAMILIES[distribution].wanted:
        np.testing.assert_array_equal(one.values, np.round(one.values))


@pytest.mark.parametrize("differencing", [0, 1, 24])
@pytest.mark.parametrize("scaling", ["series", "window"])
def test_no_leak(small, scaling, differencing):
    table = table_of("quantiles")
    model = recursive(small, scaling=scaling, differencing=differencing).fit(table)
    changed = table.assign(y=table.y.where(table.ds < "2024-01-09", table.y * 3 + 40))
    at = 8 * 24
    one, other = (
        model._model.quantiles(encoded, encoded.offsets[:-1] + at)
        for encoded in (
            model._model.encoder.encode(model._read(data), seen=np.array([at, at]))
            for data in (table, changed)
        )
    )
    np.testing.assert_array_equal(one, other)


def test_the_true_values_fed_back_give_what_training_saw(fitted):
    """Sampling at the level of the truth walks along it, and has its likelihood at each step."""
    model = fitted["student_t"]
    network, family, levels = model.network_, model._model.family, model.levels
    table = table_of("student_t").fillna({"y": 2.0})
    encoded = model._model.encoder.encode(model._read(table))
    at = origins(encoded, model.lookback_, model.horizon)[:9]
    batch = Windows(encoded, at, model._model.shape).batch(torch.arange(len(at)))
    truth = encoded.target[at[:, None] + np.arange(model.horizon)]

    unit = (batch.spread / batch.width).numpy()
    draws = np.full((len(at), 1, model.horizon), 0.5)
    likelihood = 0.0
    for step in range(model.horizon):
        low, high = np.full(len(at), 1e-9), np.full(len(at), 1 - 1e-9)
        for _ in range(60):
            draws[:, 0, step] = (low + high) / 2
            below = sampled(network, family, batch, levels, draws)[:, step, 0] < truth[:, step]
            low, high = (
                np.where(below, draws[:, 0, step], low),
                np.where(below, high, draws[:, 0, step]),
            )
        width = 1e-4
        around = [
            sampled(network, family, batch, levels, _shifted(draws, step, by))[:, step, 0]
            for by in (-width, width)
        ]
        likelihood -= np.log(2 * width / (around[1] - around[0]) * unit).sum()
    wanted = recursive_loss(network, family, batch, levels)
    assert int(wanted.count) == truth.size
    assert wanted.total.item() == pytest.approx(likelihood, rel=0.01)


def _shifted(draws: np.ndarray, step: int, by: float) -> np.ndarray:
    moved = draws.copy()
    moved[:, :, step] += by
    return moved


def test_validation_counts_the_horizon_alone(fitted):
    model = fitted["quantiles"]
    encoded = model._model.encoder.encode(model._read(table_of("quantiles")))
    at = origins(encoded, model.lookback_, model.horizon)
    batch = Windows(encoded, at, model._model.shape).batch(torch.arange(len(at)))
    judged = recursive_loss(model.network_, model._model.family, batch, model.levels)
    assert int(judged.count) == int(batch.observed.sum()) * len(model.levels)


def test_a_forecast_does_not_depend_on_the_windows_beside_it(fitted):
    model = fitted["quantiles"]._model
    encoded = model.encoder.encode(fitted["quantiles"]._read(table_of("quantiles")))
    at = origins(encoded, model.shape.lookback, model.shape.horizon)[:20]
    together = model.quantiles(encoded, at)
    alone = np.concatenate([model.quantiles(encoded, each[None]) for each in at])
    np.testing.assert_allclose(alone, together, rtol=1e-5)


def test_series_are_simulated_independently(fitted):
    paths = fitted["student_t"].simulate(future=table_of("student_t"), paths=500).values
    between = np.corrcoef(paths[0, :, 0], paths[1, :, 0])[0, 1]
    assert abs(between) < 0.15


def test_it_learns_and_beats_the_baselines():
    random = np.random.default_rng(1)
    y = 5 * np.sin(2 * np.pi * np.arange(900) / 24) + random.standard_normal(900)
    table = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=900, freq="h"), "y": y})
    training = FitConfig(epochs=5, learning_rate=1e-2)
    model = Forecaster(12, lookback=24, mode="recursive", hidden_size=8, training=training)
    model.fit(table[:700])
    evaluation = model.evaluate(table, stride=3)
    assert evaluation.beats("mae")
    assert evaluation.beats("crps")
    assert 0.65 < evaluation.scores[0].metrics["coverage_80"] < 0.92


def test_the_sum_of_a_random_walk_varies_as_it_does():
    steps = 12
    y = np.random.default_rng(0).standard_normal(1500).cumsum()
    table = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=len(y), freq="h"), "y": y})
    training = FitConfig(epochs=4, learning_rate=5e-3, batch_size=128)
    model = Forecaster(
        steps,
        lookback=16,
        distribution="student_t",
        mode="recursive",
        scaling="series",
        hidden_size=8,
        training=training,
    ).fit(table, validation=0.3)
    paths = model.simulate(paths=2000).values[0]
    assert paths.var(axis=0).sum() == pytest.approx(steps * (steps + 1) / 2, rel=0.3)
    wanted = steps * (steps + 1) * (2 * steps + 1) / 6
    assert paths.sum(axis=1).var() == pytest.approx(wanted, rel=0.3)


def test_its_samples_have_no_gradient_to_explain(fitted):
    with pytest.raises(ParameterError, match="mode must be 'direct', to explain a quantile"):
        fitted["quantiles"].explain(future=table_of("quantiles"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "both"}, "mode must be one of 'direct', 'recursive', got 'both'"),
        ({"issued_at": "issued"}, "issued_at must be None with mode='recursive', got 'issued'"),
        ({"past_covariates": ("wind",)}, "past_covariates must be empty with mode='recursive'"),
        ({"network": "segments"}, "network must be one of 'auto', 'steps' with mode='rec"),
        (
            {"cell": "gru_d"},
            "cell must be one of .*'mingru' with mode='recursive'",
        ),
        ({"ensemble": 2}, "ensemble must be 1 with mode='recursive'"),
    ],
)
def test_what_does_not_go_with_it(small, options, message):
    table = table_of("quantiles").assign(wind=1.0)
    with pytest.raises(ParameterError, match=message):
        recursive(small, **options).fit(table)
