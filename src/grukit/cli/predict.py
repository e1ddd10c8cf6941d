"""grukit predict: what a trained model says of data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grukit.cli.options import Config, Json, option, read_data
from grukit.cli.output import check_output, say, show, show_json, write_answer


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model folder.")],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A CSV or Parquet file with the columns of the training data, or a name from "
            "grukit data list: for a forecast what is known so far, by default the training data; "
            "for a detector of anomalies the rows to judge.",
        ),
    ] = None,
    future: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Of a forecaster: a CSV or Parquet file with the known-future covariates of the "
            "steps to come.",
        ),
    ] = None,
    goes_on: Annotated[
        bool,
        option(
            "--goes-on",
            help="Of a detector: the rows follow those of the training. By default they are a new "
            "stream, whose first rows have nothing to be compared with.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the result to a .csv, .parquet or .json file instead of stdout.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Draw the result into a .png or .svg file, or an interactive .html page.",
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
    """Forecast past the end of the data, or find anomalies in it.

    Prints CSV. Of a forecast: series, time, the median under the name of the target, and each
    quantile; of simulated paths the number of the path. Of anomalies: time, score, threshold,
    alarm, and the share of each channel in the score.
    """
    if paths and plot:
        raise typer.BadParameter("--plot draws quantiles, not --paths: give one of them")
    check_output(output, (".csv", ".parquet", ".json"))
    from grukit.plots.style import SUFFIXES

    check_output(plot, SUFFIXES)
    from grukit.tasks.anomaly import AnomalyDetector
    from grukit.tasks.base import load_model

    estimator = load_model(model)
    known = None if data is None else read_data(data)
    if isinstance(estimator, AnomalyDetector):
        if known is None or future is not None or paths:
            raise typer.BadParameter("a detector of anomalies takes DATA, no --future, no --paths")
        answer = estimator.detect(known, goes_on=goes_on)
    else:
        if goes_on:
            raise typer.BadParameter("--goes-on is for a detector of anomalies")
        if paths:
            answer = estimator.simulate(known, future, paths=paths)
        else:
            answer = estimator.predict(known, future)
        if answer.report:
            say(f"data: {answer.report}")
    if output:
        write_answer(answer, output)
        say(f"wrote {output}")
    if plot:
        estimator.plot(answer, known).save(plot)
        say(f"wrote {plot}")
    if json:
        show_json(answer.to_dict())
    elif not output:
        show(answer.to_frame().to_csv(index=False).rstrip("\n"))
