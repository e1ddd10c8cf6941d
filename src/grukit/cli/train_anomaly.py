"""grukit train anomaly: a detector from rows without labels."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import typer

from grukit.cli.options import Config, Json, option, read_data
from grukit.cli.output import say, show, show_json
from grukit.cli.output import table as aligned
from grukit.cli.training import (
    Cell,
    HiddenSize,
    Output,
    Overwrite,
    Resume,
    Seed,
    checkpoint_of,
    save_trained,
)


def anomaly(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A table, CSV or Parquet, of ordinary rows in the order of time: a column for "
            "each channel. A few anomalies among them do no harm.",
        ),
    ],
    output: Output,
    time: Annotated[
        str | None,
        option(
            metavar="COLUMN",
            help="The column of times. By default the rows just follow each other.",
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        option(
            metavar="COLUMN",
            help="A column to look at. Repeatable. By default all that hold numbers, so name them "
            "if there are others, such as labels.",
        ),
    ] = None,
    method: Annotated[
        Literal["forecast", "autoencoder", "both"],
        option(
            metavar="METHOD",
            help="Whose errors are looked at: of forecasts, of a GRU autoencoder, or both.",
        ),
    ] = "both",
    window: Annotated[
        int,
        option(
            min=16,
            metavar="ROWS",
            help="Rows that the network trains on at a time, and that the autoencoder sees.",
        ),
    ] = 32,
    horizon: Annotated[
        list[int] | None,
        option(
            min=1,
            metavar="ROWS",
            help="How many rows ahead forecasts are compared. Repeatable; by default 1 and 8.",
        ),
    ] = None,
    threshold: Annotated[
        Literal["surprise", "quantile", "pot", "spot", "conformal"],
        option(
            metavar="THRESHOLD",
            help="What makes a score an alarm: surprise, quantile, pot, spot or conformal.",
        ),
    ] = "surprise",
    risk: Annotated[
        float, option(metavar="SHARE", help="Share of the ordinary rows that may raise an alarm.")
    ] = 1e-3,
    quiet: Annotated[
        int | None,
        option(
            min=0,
            metavar="ROWS",
            help="Rows after an alarm that raise none. By default a third of the training rows, at "
            "most 250.",
        ),
    ] = None,
    cell: Cell = "gru",
    hidden_size: HiddenSize = 24,
    epochs: Annotated[
        int, option(min=1, metavar="EPOCHS", help="Passes over the training data.")
    ] = 40,
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Train a detector of anomalies on rows without labels.

    While it trains, its state lies in MODEL.training. Ctrl-C keeps it; the same command with
    --resume goes on from there.
    """
    checkpoint = checkpoint_of(output, resume, overwrite)

    from grukit.tasks.anomaly import TRAINING, AnomalyDetector

    detector = AnomalyDetector(
        method,
        time=time,
        channels=tuple(channel) if channel else None,
        window=window,
        horizons=tuple(horizon or (1, 8)),
        threshold=threshold,
        risk=risk,
        quiet=quiet,
        cell=cell,
        hidden_size=hidden_size,
        training=dataclasses.replace(TRAINING, epochs=epochs),
        seed=seed,
    )
    detector.fit(read_data(data), checkpoint=checkpoint, resume=resume)
    save_trained(detector, output, checkpoint)
    rows, alarms = len(detector.labels_), int(detector.labels_.sum())
    if json:
        show_json(
            {
                "model": str(output),
                "channels": list(detector.channels_),
                "rows": rows,
                "alarms": alarms,
                "quiet": detector.quiet_,
            }
        )
        return
    show(
        aligned(
            [
                ("channels", ", ".join(detector.channels_)),
                ("rows", f"{rows:,}"),
                ("alarms in them", f"{alarms:,}"),
                ("quiet after an alarm", f"{detector.quiet_} rows"),
            ]
        )
    )
    say(f"trained for {len(detector.history_)} epochs; wrote {output}")
