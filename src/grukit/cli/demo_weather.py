"""grukit demo weather: temperature, wind and rain at three airports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grukit.cli.options import download_bar
from grukit.cli.output import say, show, write_answer
from grukit.core.files import write_atomically

if TYPE_CHECKING:
    from grukit.results import Evaluation

_TITLES = {
    "temperature": ("Temperature at New York's airports", "°C"),
    "wind_speed": ("Wind at New York's airports", "m/s"),
    "rain": ("Rain at New York's airports", "1 in hours with rain"),
}


def weather(folder: Path) -> tuple[dict[str, Any], Callable[[], None], str]:
    """Tomorrow's temperature, wind and rain, hour by hour, at New York's three airports."""
    import pandas as pd

    from grukit.data import catalog
    from grukit.tasks.forecasting import Forecaster
    from grukit.training.fit import FitConfig

    with download_bar("nyc_weather") as progress:
        frame: Any = catalog.load("nyc_weather", progress)
    # Missing stays missing: a rain gauge that said nothing has not said that it was dry.
    frame["rain"] = (frame["precipitation"] > 0).where(frame["precipitation"].notna()).astype(float)
    last = frame["ds"].max()
    known, last_day = last - pd.Timedelta(weeks=4), last - pd.Timedelta(days=1)
    air = ("dew_point", "humidity", "pressure")
    forecasters = {
        "temperature": Forecaster(
            horizon=24,
            lookback=72,
            target="temperature",
            past_covariates=(*air, "wind_speed"),
            hidden_size=32,
            dropout=0.2,
            scaling="series",
            training=FitConfig(epochs=6, batch_size=256, learning_rate=3e-3),
        ),
        "wind_speed": Forecaster(
            horizon=24,
            lookback=48,
            target="wind_speed",
            past_covariates=(*air, "temperature"),
            hidden_size=16,
            dropout=0.2,
            scaling="series",
            differencing=0,
            training=FitConfig(epochs=4, batch_size=256, learning_rate=5e-3),
        ),
        "rain": Forecaster(
            horizon=24,
            lookback=24,
            target="rain",
            distribution="bernoulli",
            past_covariates=("humidity", "pressure"),
            hidden_size=16,
            dropout=0.3,
            training=FitConfig(epochs=8, batch_size=256, learning_rate=3e-3, weight_decay=0.1),
        ),
    }
    write_atomically(folder / "weather.csv", frame.to_csv(index=False))
    say("training on hourly weather of 2013 at EWR, JFK and LGA, without the last four weeks ...")
    evaluations: dict[str, Evaluation] = {}
    for name, forecaster in forecasters.items():
        say(f"{name} ...")
        forecaster.fit(frame[frame["ds"] <= known]).save(folder / name)
        evaluations[name] = forecaster.evaluate(frame, stride=6)
        forecast = forecaster.predict(frame[frame["ds"] <= last_day])
        write_answer(forecast, folder / f"{name}.csv")
        title, unit = _TITLES[name]
        forecaster.plot(forecast, frame, unit=unit, title=title).save(folder / f"{name}.png")

    def show_scores() -> None:
        for name, evaluation in evaluations.items():
            show(f"{name}\n{evaluation.table()}\n")

    scores = {name: evaluation.to_dict() for name, evaluation in evaluations.items()}
    return scores, show_scores, _WORDS.format(folder=folder)


_WORDS = """\
GRUs read the last days of weather and forecast the next 24 hours: temperature (°C) and wind (m/s)
with intervals, rain as a probability. The tables score such forecasts over four weeks that they
never saw in training.

  {folder}/temperature.png  the last day: history, median, 80 and 95 % bands, and what happened
  {folder}/temperature.csv  the same as a table
  {folder}/temperature      the model, with a model card in README.md
                            ... and the same of wind_speed and rain
  {folder}/weather.csv      the data

Next, the day after the data end:
  grukit predict {folder}/temperature {folder}/weather.csv --plot next.html"""
