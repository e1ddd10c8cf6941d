"""grukit predict: a forecast from a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grukit.cli.options import Config, Json, option, read_data
from grukit.cli.output import check_output, say, show, show_json, write_forecast


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model folder.")],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="What is known so far: a CSV or Parquet file with the columns of the training "
            "data, or a name from grukit data list. Without it, the forecast starts where the "
            "training data ended.",
        ),
    ] = None,
    future: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="CSV or Parquet file with the known-future covariates of the steps to come.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the forecast to a .csv, .parquet or .json file instead of stdout.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Draw the forecast into a .png or .svg file, or an interactive .html page.",
        ),
    ] = None,
    paths: Annotated[
        int | None,
        option(
            min=1,
            metavar="COUNT",
            help="Simulate so many possible futures of each series, whose steps belong together, "
            "in the place of quantiles.",
        ),
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Forecast past the end of the data.

    Prints CSV: series, time, the median under the name of the target, and each quantile; of
    simulated paths the number of the path.
    """
    if paths and plot:
        raise typer.BadParameter("--plot draws quantiles, not --paths: give one of them")
    check_output(output, (".csv", ".parquet", ".json"))
    from grukit.plots.style import SUFFIXES

    check_output(plot, SUFFIXES)
    from grukit.tasks.base import load_model

    estimator = load_model(model)
    known = None if data is None else read_data(data)
    if paths:
        forecast = estimator.simulate(known, future, paths=paths)
    else:
        forecast = estimator.predict(known, future)
    if forecast.report:
        say(f"data: {forecast.report}")
    if output:
        write_forecast(forecast, output)
        say(f"wrote {output}")
    if plot:
        estimator.plot(forecast, known).save(plot)
        say(f"wrote {plot}")
    if json:
        show_json(forecast.to_dict())
    elif not output:
        show(forecast.to_frame().to_csv(index=False).rstrip("\n"))
