"""grukit train sentiment: a judge of texts from texts with labels."""

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
    number_or_text,
    save_trained,
    show_trained,
)


def sentiment(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A .csv, .tsv or .jsonl (also .gz, .xz, .bz2) or .parquet file with a column of "
            "texts and one of labels.",
        ),
    ],
    output: Output,
    text: Annotated[str, option(metavar="COLUMN", help="The column of texts.")] = "text",
    label: Annotated[str, option(metavar="COLUMN", help="The column of labels.")] = "label",
    separator: Annotated[
        str | None,
        option(metavar="SIGN", help="What stands between several labels of one text."),
    ] = None,
    unlabelled: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="A file as DATA, whose texts alone are read: the network learns first to foretell "
            "their tokens.",
        ),
    ] = None,
    tokenizer: Annotated[
        Literal["word", "bpe", "char", "byte"],
        option(metavar="TOKENIZER", help="What a token is: word, bpe, char or byte."),
    ] = "word",
    vocabulary: Annotated[
        int, option(min=258, metavar="TOKENS", help="How many words or bpe tokens, at most.")
    ] = 20_000,
    vectors: Annotated[
        Path | None,
        option(metavar="FILE", help="Pretrained word vectors, as of GloVe, to start from."),
    ] = None,
    cell: Cell = "gru",
    hidden_size: Annotated[
        int, option(min=1, metavar="UNITS", help="Units of each layer and direction.")
    ] = 128,
    max_tokens: Annotated[
        int, option(min=2, metavar="TOKENS", help="The most read of a text, at both its ends.")
    ] = 512,
    balanced: Annotated[
        bool, option("--balanced", help="Let rare classes count as much as frequent ones.")
    ] = False,
    threshold: Annotated[
        str | None,
        option(
            metavar="CHANCE|f1|accuracy",
            help="Of two classes, from which chance of the second it is said, and of several for "
            "each: a number, or the best for f1 or accuracy on the validation texts. By default "
            "0.5.",
        ),
    ] = None,
    validation: Annotated[
        float,
        option(metavar="SHARE", help="The share of the texts that training stops by."),
    ] = 0.1,
    epochs: Annotated[
        int, option(min=1, metavar="EPOCHS", help="Passes over the texts, at most.")
    ] = 6,
    batch_size: Annotated[int, option(min=1, metavar="TEXTS", help="Texts of one update.")] = 32,
    learning_rate: LearningRate = 4e-3,
    average: Average = 0.998,
    precision: Precision = "float32",
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Train a judge of texts, for sentiment or any other kind, and score it beside n-grams.

    While it trains, its state lies in MODEL.training. Ctrl-C keeps it; the same command with
    --resume goes on from there.
    """
    checkpoint = checkpoint_of(output, resume, overwrite)

    from grukit.tasks.classification import TextClassifier
    from grukit.tasks.classification_settings import TRAINING

    judge = TextClassifier(
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        vectors=vectors,
        cell=cell,
        hidden_size=hidden_size,
        max_tokens=max_tokens,
        class_weight="balanced" if balanced else None,
        threshold=None if threshold is None else number_or_text(threshold),
        text=text,
        label=label,
        separator=separator,
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
    judge.fit(
        data, validation=validation, unlabelled=unlabelled, checkpoint=checkpoint, resume=resume
    )
    save_trained(judge, output, checkpoint)
    show_trained(judge, output, json)
