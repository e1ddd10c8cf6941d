"""grukit evaluate: a rolling-origin backtest beside the baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grukit.cli.options import Config, Json, option, read_data
from grukit.cli.output import say, show_evaluation, show_json


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model folder.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A CSV or Parquet file with the columns of the training data, or a name from "
            "grukit data list.",
        ),
    ],
    start: Annotated[
        str | None,
        option(
            metavar="TIME",
            help="Score forecasts of this time and later, as in 2013-12-01. By default after "
            "the end of the training data.",
        ),
    ] = None,
    stride: Annotated[
        int, option(min=1, metavar="STEPS", help="Steps from one forecast to the next.")
    ] = 1,
    json: Json = False,
    config: Config = None,
) -> None:
    """Score a model on data with known truth, beside simple baselines.

    Forecasts are made from one origin after the other, each from what was known then.
    """
    from grukit.tasks.base import load_model

    evaluation = load_model(model).evaluate(read_data(data), start=start, stride=stride)
    say(f"data: {evaluation.report}")
    if json:
        show_json(evaluation.to_dict())
    else:
        show_evaluation(evaluation)
