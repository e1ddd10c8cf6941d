"""grukit train: one command per task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from grukit.cli.options import Config, Json, option, read_data
from grukit.cli.output import say, show_evaluation, show_json
from grukit.cli.train_anomaly import anomaly
from grukit.cli.train_generate import generate
from grukit.cli.train_sentiment import sentiment
from grukit.cli.train_speech import transcribe, words
from grukit.cli.train_translate import translate
from grukit.cli.training import (
    HiddenSize,
    LearningRate,
    Output,
    Overwrite,
    Precision,
    Resume,
    Seed,
    Validation,
    checkpoint_of,
    number_or_text,
    save_trained,
)

if TYPE_CHECKING:
    from grukit.tasks.forecasting import Forecaster

app = typer.Typer(no_args_is_help=True, help="Train a model for a task and write its folder.")


@app.command()
def forecast(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A long table, CSV or Parquet: one row for each series and time. Or a name from "
            "grukit data list.",
        ),
    ],
    output: Output,
    horizon: Annotated[
        int, option(min=1, metavar="STEPS", help="How many steps ahead to forecast.")
    ] = 24,
    lookback: Annotated[
        int | None,
        option(
            min=1,
            metavar="STEPS",
            help="How many past steps the network reads. By default three seasons, such as three "
            "days of hours, within bounds.",
        ),
    ] = None,
    time: Annotated[str, option(metavar="COLUMN", help="The column of times.")] = "ds",
    target: Annotated[str, option(metavar="COLUMN", help="The column to forecast.")] = "y",
    series: Annotated[
        str,
        option(
            metavar="COLUMN",
            help="The column that tells the series apart. A table without the default column is "
            "one series.",
        ),
    ] = "unique_id",
    freq: Annotated[
        str | None,
        option(
            metavar="STEP",
            help="The step between rows, as in h, 15min, D, B (business days), MS. By default "
            "inferred.",
        ),
    ] = None,
    past_covariate: Annotated[
        list[str] | None,
        option(
            metavar="COLUMN",
            help="A column known only up to the present, such as a measured pressure. Repeatable.",
        ),
    ] = None,
    future_covariate: Annotated[
        list[str] | None,
        option(
            metavar="COLUMN",
            help="A column known ahead of time, such as a holiday or a price. Repeatable.",
        ),
    ] = None,
    issued_at: Annotated[
        str | None,
        option(
            metavar="COLUMN",
            help="The time from which the future covariates of a row were known, where they are "
            "forecasts; missing in the rows of the target.",
        ),
    ] = None,
    static_covariate: Annotated[
        list[str] | None,
        option(
            metavar="COLUMN",
            help="A property of a series that never changes. Repeatable.",
        ),
    ] = None,
    level: Annotated[
        list[float] | None,
        option(
            metavar="LEVEL",
            help="A quantile to forecast, between 0 and 1. Repeatable; 0.5 must be among them. By "
            "default 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975.",
        ),
    ] = None,
    distribution: Annotated[
        Literal["quantiles", "student_t", "negative_binomial", "mixture", "bernoulli"],
        option(
            metavar="DISTRIBUTION",
            help="What is learned at each step: quantiles of any shape, or the parameters of a "
            "student_t (heavy tails), a mixture of normals (several peaks), a negative_binomial "
            "(counts), or bernoulli (the probability of a 1 among 0 and 1).",
        ),
    ] = "quantiles",
    mode: Annotated[
        Literal["direct", "recursive"],
        option(
            metavar="MODE",
            help="Forecast all steps at once, or the next one and go on from samples of it: direct "
            "or recursive.",
        ),
    ] = "direct",
    network: Annotated[
        Literal["auto", "steps", "segments"],
        option(
            metavar="NETWORK",
            help="Read the past in steps, or a whole segment at a time: steps, segments, or auto, "
            "which takes segments from a horizon of 96 steps on.",
        ),
    ] = "auto",
    segment: Annotated[
        int | None,
        option(min=1, metavar="STEPS", help="How long a segment is. By default one season."),
    ] = None,
    cell: Annotated[
        Literal["gru", "gru_before", "lstm", "rnn", "mingru", "gru_d"],
        option(
            metavar="CELL",
            help="What the network is made of: gru, gru_before (its reset gate acts before "
            "the product), lstm, rnn, mingru, or gru_d where much is missing.",
        ),
    ] = "gru",
    hidden_size: HiddenSize = 64,
    num_layers: Annotated[
        int, option(min=1, metavar="LAYERS", help="Recurrent layers on top of each other.")
    ] = 1,
    dropout: Annotated[
        float, option(min=0.0, metavar="SHARE", help="Dropout after each layer.")
    ] = 0.0,
    series_embedding: Annotated[
        int,
        option(
            min=0,
            metavar="SIZE",
            help="The size of a vector learned for each series, for what it has alone; 0 for none.",
        ),
    ] = 0,
    ensemble: Annotated[
        int,
        option(
            min=1,
            metavar="MEMBERS",
            help="Train so many networks at once and average their quantiles.",
        ),
    ] = 1,
    scaling: Annotated[
        Literal["series", "window", "last"],
        option(
            metavar="SCALING",
            help="Scale by the mean and spread of each window, for levels that wander or grow, "
            "of the whole series, where the level itself says something, or take the last value "
            "away, for long horizons: window, series or last.",
        ),
    ] = "window",
    calendar: Annotated[
        bool,
        option(
            "--calendar/--no-calendar",
            help="Whether the network reads the hour of the day, the day of the week and the like.",
        ),
    ] = True,
    differencing: Annotated[
        int | None,
        option(
            min=0,
            metavar="STEPS",
            help="Forecast the change since so many steps before: 1 for the last value, 24 for the "
            "same hour of the day before. 0 forecasts the value itself. By default 1, and 0 for "
            "counts and events.",
        ),
    ] = None,
    validation: Validation = "0.15",
    epochs: Annotated[
        int, option(min=1, metavar="EPOCHS", help="Passes over the training data, at most.")
    ] = 50,
    windows_per_epoch: Annotated[
        int | None,
        option(
            min=1,
            metavar="WINDOWS",
            help="Windows drawn for each epoch, those first that were not drawn before. By default "
            "all, up to a million.",
        ),
    ] = None,
    batch_size: Annotated[
        int, option(min=1, metavar="WINDOWS", help="Windows in one update.")
    ] = 64,
    learning_rate: LearningRate = 1e-3,
    patience: Annotated[
        int,
        option(
            min=1,
            metavar="EPOCHS",
            help="Stop after this many epochs without a better validation loss.",
        ),
    ] = 10,
    precision: Precision = "float32",
    device: Annotated[
        str,
        option(metavar="DEVICE", help="cpu, cuda, cuda:1, or auto: CUDA if there is one."),
    ] = "auto",
    tensorboard: Annotated[
        Path | None, option(metavar="FOLDER", help="Write a TensorBoard log here.")
    ] = None,
    tune: Annotated[
        int | None,
        option(
            min=1,
            metavar="TRIALS",
            help="Search among settings: so many trials, of which the best by the validation is "
            "kept. They are in MODEL.trials.db, and the same command goes on from there.",
        ),
    ] = None,
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Train a forecaster and score it beside baselines.

    While it trains, its state lies in MODEL.training. Ctrl-C keeps it; the same command with
    --resume goes on from there.
    """
    checkpoint = checkpoint_of(output, resume, overwrite)

    from grukit.tasks.forecasting import Forecaster
    from grukit.training.fit import FitConfig

    forecaster = Forecaster(
        horizon=horizon,
        lookback=lookback,
        time=time,
        target=target,
        series=series,
        freq=freq,
        past_covariates=tuple(past_covariate or ()),
        future_covariates=tuple(future_covariate or ()),
        static_covariates=tuple(static_covariate or ()),
        issued_at=issued_at,
        **({"levels": tuple(level)} if level else {}),
        distribution=distribution,
        mode=mode,
        network=network,
        segment=segment,
        cell=cell,
        hidden_size=hidden_size,
        num_layers=num_layers,
        dropout=dropout,
        series_embedding=series_embedding,
        ensemble=ensemble,
        scaling=scaling,
        calendar=calendar,
        differencing=differencing,
        training=FitConfig(
            epochs=epochs,
            items_per_epoch=windows_per_epoch,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            precision=precision,
            device=device,
            tensorboard=tensorboard,
        ),
        seed=seed,
    )
    table, held_out = read_data(data), number_or_text(validation)
    if tune is not None:
        if resume:
            raise typer.BadParameter("--resume is not for --tune: the same command goes on anyhow")
        trials = output.with_name(f"{output.name}.trials.db")
        found = forecaster.tune(table, trials=tune, validation=held_out, storage=trials)
        say(found.to_frame().to_string(index=False))
        forecaster = found.best
    else:
        forecaster.fit(table, held_out, checkpoint=checkpoint, resume=resume)
    save_trained(forecaster, output, checkpoint)
    _show(forecaster, output, json)


app.command()(anomaly)
app.command()(generate)
app.command()(sentiment)
app.command()(translate)
app.command()(transcribe)
app.command()(words)


def _show(forecaster: Forecaster, output: Path, json: bool) -> None:
    history, scores = forecaster.history_, forecaster.validation_
    assert scores is not None
    if json:
        losses = [record.validation_loss for record in history]
        show_json(
            {
                "model": str(output),
                "data": str(forecaster.report_),
                "validation_losses": losses,
                "evaluation": scores.to_dict(),
            }
        )
        return
    say(f"data: {forecaster.report_}")
    show_evaluation(scores)
    say(f"trained for {len(history)} epochs; wrote {output}")
