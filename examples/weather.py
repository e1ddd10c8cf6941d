"""Forecast temperature, wind and rain at New York's airports, hour by hour, and check the result.

    python examples/weather.py [FOLDER]

Writes the models and a picture of each forecast into FOLDER, by default weather.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from grukit import FitConfig, Forecaster
from grukit.data import catalog


def main(folder: Path) -> None:
    # The data
    table = catalog.load("nyc_weather")
    measured = table["precipitation"].notna()
    table["rain"] = (table["precipitation"] > 0).where(measured).astype(float)

    known = table["ds"].max() - pd.Timedelta(weeks=4)
    past = table[table["ds"] <= known]

    # The models
    air = ("dew_point", "humidity", "pressure")
    temperature = Forecaster(
        horizon=24,
        lookback=48,
        target="temperature",
        past_covariates=(*air, "wind_speed"),
        scaling="series",
        hidden_size=24,
        dropout=0.2,
        training=FitConfig(epochs=3, batch_size=256, learning_rate=5e-3),
    )
    wind = Forecaster(
        horizon=24,
        lookback=48,
        target="wind_speed",
        past_covariates=(*air, "temperature"),
        scaling="series",
        differencing=0,
        hidden_size=16,
        dropout=0.2,
        training=FitConfig(epochs=3, batch_size=256, learning_rate=5e-3),
    )
    rain = Forecaster(
        horizon=24,
        lookback=24,
        target="rain",
        distribution="bernoulli",
        past_covariates=("humidity", "pressure"),
        hidden_size=16,
        dropout=0.3,
        training=FitConfig(epochs=8, batch_size=256, learning_rate=3e-3, weight_decay=0.1),
    )

    # The scores
    folder.mkdir(exist_ok=True)
    for model, unit in ((temperature, "°C"), (wind, "m/s"), (rain, None)):
        model.fit(past).save(folder / model.target)
        evaluation = model.evaluate(table, stride=6)
        print(model.target, evaluation.table(), sep="\n")
        best = "log_loss" if model is rain else "crps"
        assert evaluation.beats(best), model.target

        # A forecast
        forecast = model.predict(past)
        model.plot(forecast, table, unit=unit).save(folder / f"{model.target}.png")

    # What follows from it
    night = temperature.predict(past)
    print("chance of frost, hour by hour:", (1 - night.probability(above=0)).round(2)[0])
    paths = temperature.simulate(past, paths=500)
    coldest = paths.values.min(axis=-1)
    print("chance of frost at any hour:", (coldest < 0).mean(axis=1))
    assert (coldest < paths.values[..., 0]).any()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("weather"))
