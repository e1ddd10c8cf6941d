"""Rain in Beijing: its probability in each of the next 24 hours, in a year never seen."""

from __future__ import annotations

from grukit import FitConfig, Forecaster
from grukit.data import catalog


def test_rain_is_forecast_better_than_by_climatology(data_folder):
    table = catalog.load("beijing_pm25")
    table["wet"] = (table["rain"] > 0).astype(float)
    model = Forecaster(
        24,
        lookback=24,
        target="wet",
        past_covariates=("pressure", "dew_point", "temperature", "wind_direction"),
        distribution="bernoulli",
        hidden_size=16,
        dropout=0.1,
        training=FitConfig(epochs=3, batch_size=128, learning_rate=5e-3, items_per_epoch=8000),
    )
    model.fit(table[table.ds < "2014"], validation="2013-10-01")
    evaluation = model.evaluate(table, start="2014-01-01", stride=7)
    model, climatology, _ = (score.metrics for score in evaluation.scores)
    assert model["brier"] < 0.98 * climatology["brier"]
    assert model["log_loss"] < 0.92 * climatology["log_loss"]
