"""grukit train generate: a writer from a text."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import typer

from grukit.cli.options import Config, Json, option
from grukit.cli.training import (
    Average,
    Cell,
    HiddenSize,
    LearningRate,
    Output,
    Overwrite,
    Precision,
    Resume,
    Seed,
    checkpoint_of,
    save_trained,
    show_trained,
)


def generate(
    texts: Annotated[
        list[Path],
        typer.Argument(
            metavar="TEXT...",
            help="Files of UTF-8, plain or .gz, .xz, .bz2; each is a text of its own. With --text "
            "tables: .csv, .tsv, .jsonl or .parquet.",
        ),
    ],
    output: Output,
    text: Annotated[
        str | None,
        option(metavar="COLUMN", help="The column of tables that holds the texts, one in a row."),
    ] = None,
    tokenizer: Annotated[
        Literal["char", "byte", "bpe"],
        option(metavar="TOKENIZER", help="What a token is: char, byte, or bpe."),
    ] = "char",
    vocabulary: Annotated[
        int, option(min=258, metavar="TOKENS", help="How many tokens a bpe has, at most.")
    ] = 8000,
    cell: Cell = "gru",
    softmax: Annotated[
        Literal["full", "adaptive"],
        option(
            metavar="SOFTMAX", help="full, or adaptive: quicker for tens of thousands of tokens."
        ),
    ] = "full",
    hidden_size: HiddenSize = 512,
    num_layers: Annotated[
        int, option(min=1, metavar="LAYERS", help="Recurrent layers on top of each other.")
    ] = 1,
    dropout: Annotated[
        float, option(min=0.0, metavar="SHARE", help="Dropout before and after each layer.")
    ] = 0.2,
    length: Annotated[
        int, option(min=1, metavar="STEPS", help="Steps that a gradient goes back.")
    ] = 128,
    validation: Annotated[
        float,
        option(
            metavar="SHARE",
            help="The share at the end of the text that training stops by and never learns.",
        ),
    ] = 0.1,
    epochs: Annotated[
        int, option(min=1, metavar="EPOCHS", help="Passes over the text, at most.")
    ] = 20,
    chunks_per_epoch: Annotated[
        int | None,
        option(
            min=1,
            metavar="CHUNKS",
            help="End an epoch, and validate, after so many updates; the next goes on from there. "
            "For very long texts.",
        ),
    ] = None,
    batch_size: Annotated[
        int, option(min=1, metavar="PLACES", help="Places of the text read side by side.")
    ] = 64,
    learning_rate: LearningRate = 2e-3,
    average: Average = 0.0,
    precision: Precision = "float32",
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Train a writer of text and score it beside n-grams.

    While it trains, its state lies in MODEL.training. Ctrl-C keeps it; the same command with
    --resume goes on from there.
    """
    checkpoint = checkpoint_of(output, resume, overwrite)

    from grukit.tasks.generation import TRAINING, TextGenerator

    writer = TextGenerator(
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        cell=cell,
        softmax=softmax,
        hidden_size=hidden_size,
        num_layers=num_layers,
        dropout=dropout,
        length=length,
        text=text,
        training=dataclasses.replace(
            TRAINING,
            epochs=epochs,
            items_per_epoch=chunks_per_epoch,
            batch_size=batch_size,
            learning_rate=learning_rate,
            average=average,
            precision=precision,
        ),
        seed=seed,
    )
    writer.fit(texts, validation, checkpoint=checkpoint, resume=resume)
    save_trained(writer, output, checkpoint)
    show_trained(writer, output, json)
