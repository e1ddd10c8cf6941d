"""grukit train transcribe and grukit train words: recognizers of speech from recordings."""

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

_Audio = Annotated[
    str, option(metavar="COLUMN", help="Of a table: the column of paths, relative to it.")
]
_Text = Annotated[str, option(metavar="COLUMN", help="Of a table: the column of what is said.")]
_Features = Annotated[
    Literal["log-mel", "mfcc"],
    option(metavar="FEATURES", help="What the network reads of sound: log-mel or mfcc."),
]
_Bins = Annotated[
    int, option(min=4, metavar="BINS", help="Bands of frequency that features are made of.")
]
_Rate = Annotated[
    int,
    option(
        min=1000,
        metavar="HZ",
        help="All sound is brought to this rate; give that of the recordings if it is lower.",
    ),
]
_Layers = Annotated[
    int, option(min=1, metavar="LAYERS", help="Recurrent layers on top of each other.")
]
_Units = Annotated[int, option(min=1, metavar="UNITS", help="Units of each recurrent layer.")]
_Stride = Annotated[
    int, option(min=1, metavar="FRAMES", help="The network goes by so many frames of 10 ms.")
]
_Dropout = Annotated[
    float, option(min=0.0, metavar="SHARE", help="Dropout after the convolution and each layer.")
]
_LookAhead = Annotated[
    float | None,
    option(
        metavar="SECONDS",
        help="Train for streams: what is said of a moment rests on no more than so much after it. "
        "By default the network reads a recording as a whole, in both directions.",
    ),
]
_Augment = Annotated[
    bool,
    option(
        "--augment/--no-augment",
        help="Whether training changes the speed and loudness of recordings, and masks parts.",
    ),
]
_Held = Annotated[
    str,
    option(
        metavar="SHARE|DATA",
        help="What training stops by and never learns: a share, or recordings of its own.",
    ),
]
_Epochs = Annotated[
    int, option(min=1, metavar="EPOCHS", help="Passes over the recordings, at most.")
]
_Batch = Annotated[int, option(min=1, metavar="RECORDINGS", help="Recordings of one update.")]


def transcribe(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Recordings with what is said in them: a .csv, .tsv, .jsonl or .parquet file with "
            "a column of each, or a folder with a .txt beside each audio file.",
        ),
    ],
    output: Output,
    audio: _Audio = "audio",
    text: _Text = "text",
    tokens: Annotated[
        Literal["char", "bpe", "word"],
        option(
            metavar="TOKENS",
            help="What a transcript is written in: char; bpe, pieces of words; or word, whole "
            "words, of which no others are ever recognized.",
        ),
    ] = "char",
    vocabulary: Annotated[
        int, option(min=2, metavar="TOKENS", help="How many pieces a bpe has, at most.")
    ] = 300,
    language: Annotated[
        str | None,
        option(
            metavar="FILE|transcripts",
            help="Keep in the model what knows which words are likely: an .arpa file, a file of "
            "lines to learn from, or what is said in DATA.",
        ),
    ] = None,
    features: _Features = "log-mel",
    bins: _Bins = 40,
    rate: _Rate = 16_000,
    look_ahead: _LookAhead = None,
    cell: Cell = "gru",
    hidden_size: _Units = 256,
    num_layers: _Layers = 3,
    stride: _Stride = 2,
    dropout: _Dropout = 0.3,
    augment: _Augment = True,
    validation: _Held = "0.1",
    epochs: _Epochs = 50,
    batch_size: _Batch = 8,
    learning_rate: LearningRate = 2e-3,
    average: Average = 0.999,
    precision: Precision = "float32",
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Train a recognizer that writes down what is said, and score it by WER and CER.

    While it trains, its state lies in MODEL.training. Ctrl-C keeps it; the same command with
    --resume goes on from there.
    """
    checkpoint = checkpoint_of(output, resume, overwrite)

    from grukit.data.augmentation import Augmentation
    from grukit.tasks.speech import SpeechRecognizer
    from grukit.tasks.speech_settings import TRAINING

    recognizer = SpeechRecognizer(
        mode="text",
        tokens=tokens,
        vocabulary=vocabulary,
        features=features,
        bins=bins,
        rate=rate,
        look_ahead=look_ahead,
        hidden_size=hidden_size,
        num_layers=num_layers,
        stride=stride,
        dropout=dropout,
        cell=cell,
        augmentation=Augmentation() if augment else None,
        audio=audio,
        text=text,
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
    held_out = _held_out(validation)
    recognizer.fit(data, held_out, language=language, checkpoint=checkpoint, resume=resume)
    save_trained(recognizer, output, checkpoint)
    show_trained(recognizer, output, json)


def words(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Recordings of single words: a .csv, .tsv, .jsonl or .parquet file with columns "
            "of paths and words, or a folder of folders that are named as the words.",
        ),
    ],
    output: Output,
    audio: _Audio = "audio",
    text: _Text = "text",
    speaker: Annotated[
        str | None,
        option(
            metavar="COLUMN",
            help="Of a table: the column that tells who is heard. What is common to all recordings "
            "of a speaker is taken from each; grukit predict --adapt does so for a new voice.",
        ),
    ] = None,
    features: _Features = "log-mel",
    bins: _Bins = 40,
    rate: _Rate = 16_000,
    look_ahead: _LookAhead = None,
    cell: Cell = "gru",
    hidden_size: _Units = 256,
    num_layers: _Layers = 3,
    stride: _Stride = 2,
    dropout: _Dropout = 0.3,
    augment: _Augment = True,
    validation: _Held = "0.1",
    epochs: _Epochs = 50,
    batch_size: _Batch = 8,
    learning_rate: LearningRate = 2e-3,
    average: Average = 0.999,
    precision: Precision = "float32",
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Train a recognizer of single words, and score it beside a linear model.

    With --look-ahead it also finds the words in a stream. MODEL.training is as for
    grukit train transcribe.
    """
    checkpoint = checkpoint_of(output, resume, overwrite)

    from grukit.data.augmentation import Augmentation
    from grukit.tasks.speech import SpeechRecognizer
    from grukit.tasks.speech_settings import TRAINING

    recognizer = SpeechRecognizer(
        mode="words",
        features=features,
        bins=bins,
        rate=rate,
        look_ahead=look_ahead,
        hidden_size=hidden_size,
        num_layers=num_layers,
        stride=stride,
        dropout=dropout,
        cell=cell,
        augmentation=Augmentation() if augment else None,
        audio=audio,
        text=text,
        speaker=speaker,
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
    recognizer.fit(data, _held_out(validation), checkpoint=checkpoint, resume=resume)
    save_trained(recognizer, output, checkpoint)
    show_trained(recognizer, output, json)


def _held_out(validation: str) -> float | Path:
    given = number_or_text(validation)
    return Path(given) if isinstance(given, str) else given
