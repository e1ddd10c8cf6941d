"""grukit train translate: a translator from texts and their translations."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import typer

from grukit.cli.options import Config, Json, option
from grukit.cli.training import (
    Average,
    Cell,
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


def translate(
    sources: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCES",
            help="A file with a text in each line, plain or .gz, .xz, .bz2; or, without "
            "TRANSLATIONS, a .csv, .tsv, .jsonl or .parquet file with a column of each.",
        ),
    ],
    translations: Annotated[
        Path | None,
        typer.Argument(
            metavar="[TRANSLATIONS]", help="A file with the translation of each line of SOURCES."
        ),
    ] = None,
    *,
    output: Output,
    source: Annotated[
        str, option(metavar="COLUMN", help="Of a table: the column of texts.")
    ] = "source",
    target: Annotated[
        str, option(metavar="COLUMN", help="Of a table: the column of translations.")
    ] = "target",
    tokenizer: Annotated[
        Literal["bpe", "char", "byte", "word"],
        option(metavar="TOKENIZER", help="What a token is: bpe, char, byte or word."),
    ] = "bpe",
    vocabulary: Annotated[
        int,
        option(min=258, metavar="TOKENS", help="How many tokens bpe and word have, at most."),
    ] = 8000,
    cell: Cell = "gru",
    hidden_size: Annotated[
        int, option(min=2, metavar="UNITS", help="Units of each layer of the decoder.")
    ] = 512,
    dropout: Annotated[
        float, option(min=0.0, metavar="SHARE", help="Dropout before and after each layer.")
    ] = 0.3,
    attention: Annotated[
        Literal["additive", "multiplicative"],
        option(
            metavar="KIND",
            help="How fit is measured: additive, or multiplicative, which trains quicker.",
        ),
    ] = "additive",
    ensemble: Annotated[
        int, option(min=1, metavar="NETWORKS", help="So many networks translate together.")
    ] = 1,
    validation: Annotated[
        float, option(metavar="SHARE", help="The share of the pairs that training stops by.")
    ] = 0.1,
    epochs: Annotated[
        int, option(min=1, metavar="EPOCHS", help="Passes over the pairs, at most.")
    ] = 20,
    batch_size: Annotated[int, option(min=1, metavar="PAIRS", help="Pairs of one update.")] = 64,
    learning_rate: LearningRate = 2e-3,
    average: Average = 0.998,
    precision: Precision = "float32",
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Train a translator and score it, by BLEU and chrF, beside a copy of the source.

    While it trains, its state lies in MODEL.training. Ctrl-C keeps it; the same command with
    --resume goes on from there.
    """
    checkpoint = checkpoint_of(output, resume, overwrite)

    from grukit.tasks.translation import TRAINING, Translator

    translator = Translator(
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        cell=cell,
        hidden_size=hidden_size,
        dropout=dropout,
        attention=attention,
        ensemble=ensemble,
        source=source,
        target=target,
        training=dataclasses.replace(
            TRAINING,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            average=average,
            precision=precision,
        ),
        seed=seed,
    )
    translator.fit(sources, translations, validation, checkpoint=checkpoint, resume=resume)
    save_trained(translator, output, checkpoint)
    show_trained(translator, output, json)
