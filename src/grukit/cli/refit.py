"""grukit refit: a model that goes on learning from new rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from grukit.cli.options import Config, Json, option, read_data
from grukit.cli.output import check_model_output, say, show_evaluation, show_json
from grukit.cli.training import Overwrite, Validation, forecaster_of, number_or_text


def refit(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a forecaster.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A table with the columns of the training data: the new rows, and the lookback "
            "before them.",
        ),
    ],
    output: Annotated[
        Path,
        option(
            "--output", "-o", metavar="MODEL", help="The model folder to write, a new one or MODEL."
        ),
    ],
    validation: Validation = "0.15",
    epochs: Annotated[
        int | None,
        option(
            min=1,
            metavar="EPOCHS",
            help="Passes over the rows. By default a fifth of those of the first training.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Go on training a forecaster on new rows, from the weights it has.

    If no epoch does better on the end of the rows than the weights before, these stay.
    """
    check_model_output(output, overwrite)
    forecaster = forecaster_of(model)
    training = None
    if epochs is not None:
        from grukit.training.fit import FitConfig

        training = dataclasses.replace(forecaster.training or FitConfig(), epochs=epochs)
    forecaster.refit(read_data(data), number_or_text(validation), training=training)
    forecaster.save(output)
    losses, scores = forecaster.refit_, forecaster.validation_
    assert losses is not None
    assert scores is not None
    if json:
        losses = {**dataclasses.asdict(losses), "improved": losses.improved}
        show_json({"model": str(output), "refit": losses, "evaluation": scores.to_dict()})
        return
    show_evaluation(scores)
    say(f"{losses}; wrote {output}")
