"""grukit demo: a whole job on real data, from the raw file to the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from grukit.cli.demo_stocks import stocks
from grukit.cli.options import Json, download_bar, option
from grukit.cli.output import say, show_evaluation, show_json, write_answer
from grukit.core.files import write_atomically

Shown = tuple[dict[str, Any], Callable[[], None], str]
"""The scores, how to show them, and words about what was written."""


def demo(
    name: Annotated[str, typer.Argument(metavar="NAME", help="weather or stocks.")] = "weather",
    folder: Annotated[
        Path, option("--folder", "-f", metavar="FOLDER", help="Write below this folder.")
    ] = Path("demo"),
    json: Json = False,
) -> None:
    """Train on real data, score beside baselines, draw a forecast. Takes about a minute."""
    if name not in _DEMOS:
        wanted = " or ".join(_DEMOS)
        raise typer.BadParameter(f"must be {wanted}, got {name!r}", param_hint="NAME")
    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    scores, show_scores, words = _DEMOS[name](folder)
    if json:
        show_json({"folder": str(folder), "evaluation": scores})
        return
    show_scores()
    say(words)


def weather(folder: Path) -> Shown:
    """Tomorrow's temperature, hour by hour, at New York's three airports."""
    import pandas as pd

    from grukit.data import catalog
    from grukit.tasks.forecasting import Forecaster
    from grukit.training.fit import FitConfig

    with download_bar("nyc_weather") as progress:
        frame: Any = catalog.load("nyc_weather", progress)
    last = frame["ds"].max()
    known, last_day = last - pd.Timedelta(weeks=4), last - pd.Timedelta(days=1)

    say("training on hourly weather of 2013 at EWR, JFK and LGA, without the last four weeks ...")
    forecaster = Forecaster(
        horizon=24,
        lookback=72,
        target="temperature",
        past_covariates=("dew_point", "humidity", "pressure", "wind_speed"),
        hidden_size=32,
        dropout=0.2,
        scaling="series",
        training=FitConfig(epochs=6, batch_size=256, learning_rate=3e-3),
    ).fit(frame[frame["ds"] <= known])
    forecaster.save(folder / "model")
    evaluation = forecaster.evaluate(frame, stride=6)

    forecast = forecaster.predict(frame[frame["ds"] <= last_day])
    write_answer(forecast, folder / "forecast.csv")
    write_atomically(folder / "weather.csv", frame.to_csv(index=False))
    title = "Temperature at New York's airports"
    forecaster.plot(forecast, frame, unit="°C", title=title).save(folder / "forecast.png")
    words = _WORDS.format(folder=folder)
    return evaluation.to_dict(), lambda: show_evaluation(evaluation), words


_DEMOS = {"weather": weather, "stocks": stocks}


_WORDS = """\

A GRU read the last 72 hours of weather and forecast the temperature (°C) of the next 24 hours,
with intervals. The table scores such forecasts over four weeks that it never saw in training.

  {folder}/forecast.png  the last day: history, median, 80 and 95 % bands, and what happened
  {folder}/forecast.csv  the same as a table
  {folder}/weather.csv   the data
  {folder}/model         the model, with a model card in README.md

Next, the day after the data end:
  grukit predict {folder}/model {folder}/weather.csv --plot next.png"""
