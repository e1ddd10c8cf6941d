"""Which network a forecaster takes, and what each keeps of a forecaster's manners."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from grukit import FitConfig, Forecaster
from grukit.core.errors import ParameterError
from grukit.nn.by_name import LAYER_OF
from grukit.nn.encoder_decoder import DirectForecaster
from grukit.nn.segments import SegmentForecaster
from grukit.tasks import forecast_network


@pytest.mark.parametrize(
    ("horizon", "network", "kind"),
    [
        (95, "auto", DirectForecaster),
        (96, "auto", SegmentForecaster),
        (96, "steps", DirectForecaster),
        (6, "segments", SegmentForecaster),
    ],
)
def test_auto_goes_by_the_horizon(horizon, network, kind, planted, small):
    model = small(horizon=horizon, network=network, training=FitConfig(epochs=1))
    model.fit(planted(length=500))
    assert type(model.network_) is kind
    assert model.predict().values.shape == (2, horizon, 7)


@pytest.mark.parametrize(
    ("options", "steps"),
    [({"lookback": 48, "horizon": 30}, 24), ({}, 6), ({"segment": 5}, 5), ({"segment": 9}, 6)],
)
def test_a_segment_is_a_season_within_lookback_and_horizon(options, steps, planted, small):
    model = small(network="segments", **options).fit(planted(length=300))
    assert model.network_.segment == steps


@pytest.mark.parametrize("cell", LAYER_OF)
def test_segments_with_everything_saved_and_loaded(
    cell, small, rich_past, rich_future, rich_table, tmp_path
):
    roles = {
        "past_covariates": ("wind",),
        "future_covariates": ("promo",),
        "static_covariates": ("kind",),
    }
    model = small(
        network="segments", segment=4, cell=cell, series_embedding=3, dropout=0.1, **roles
    )
    model.fit(rich_past)
    assert np.isfinite(model.validation_.scores[0].metrics["pinball"])
    model.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.get_params() == model.get_params()
    for data in (None, rich_past):
        one, other = (each.predict(data, rich_future).values for each in (model, loaded))
        np.testing.assert_array_equal(one, other)
    assert loaded.evaluate(rich_table).to_dict() == model.evaluate(rich_table).to_dict()


def test_segments_learn_a_planted_season(planted, small):
    table = planted(length=400)
    model = small(network="segments", hidden_size=32, training=FitConfig(epochs=10)).fit(table)
    ours, *others = (score.metrics["mae"] for score in model.validation_.scores)
    assert ours < 0.8 * min(others)


def test_a_model_of_before_there_were_networks_goes_by_steps(fitted, tmp_path, monkeypatch):
    fitted.save(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    config = json.loads(file.read_text())
    for name in ("network", "segment", "series_embedding"):
        del config["settings"][name]
    file.write_text(json.dumps(config))
    monkeypatch.setattr(forecast_network, "LONG_HORIZON", 1)
    loaded = Forecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict().values, fitted.predict().values)


def opposite_series(names: str = "ab", length: int = 300) -> pd.DataFrame:
    """Noise that one series repeats two steps later and the other one turns over."""
    noise = np.random.default_rng(0).normal(size=length)
    echo = np.concatenate([[0, 0], noise[:-2]])
    parts = []
    for sign, name in zip((1, -1), names, strict=True):
        times = pd.date_range("2024-01-01", periods=length, freq="h")
        rows = pd.DataFrame({"unique_id": name, "ds": times, "x": noise, "y": sign * echo})
        parts.append(rows)
    return pd.concat(parts)


def test_an_embedding_tells_series_apart_that_look_the_same(small):
    table = opposite_series()
    train = {"training": FitConfig(epochs=20, batch_size=16, learning_rate=1e-2), "horizon": 2}
    options = {"past_covariates": ("x",), "hidden_size": 16, "scaling": "series", "differencing": 0}
    errors = {
        size: small(**options, **train, lookback=4, series_embedding=size)
        .fit(table)
        .validation_.scores[0]
        .metrics["mae"]
        for size in (0, 2)
    }
    assert errors[2] < 0.5 * errors[0]


def test_a_series_that_training_never_saw_gets_the_mean_of_the_vectors(small, planted):
    table = planted(count=2)
    model = small(series_embedding=2).fit(table)
    new = table.assign(unique_id="new " + table.unique_id)
    before = [model.predict(data).values for data in (table, new)]
    weight = model.network_.of_series.weight
    weight.data[:] = weight.data.mean(dim=0)
    after = [model.predict(data).values for data in (table, new)]
    assert not np.allclose(after[0], before[0], rtol=1e-5)
    np.testing.assert_allclose(after[1], before[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("network", "rows", "network must be one of 'auto', 'steps', 'segments', got 'rows'"),
        ("segment", 0, "segment must be None or an integer of at least 1, got 0"),
        ("series_embedding", -1, "series_embedding must be an integer of at least 0, got -1"),
    ],
)
def test_bad_settings_are_refused(name, value, message, frame, small):
    with pytest.raises(ParameterError, match=message):
        small(**{name: value}).fit(frame)
