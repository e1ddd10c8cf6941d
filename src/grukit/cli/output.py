"""Results go to stdout or to a file, words for the person at the terminal to stderr."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grukit.core.errors import DataError
from grukit.core.extras import require
from grukit.core.files import write_atomically
from grukit.core.model_folder import check_replaceable

if TYPE_CHECKING:
    from grukit.results import (
        AnomalyEvaluation,
        AnomalyReport,
        Evaluation,
        Forecast,
        SamplePaths,
    )
    from grukit.results.classification import ClassificationEvaluation
    from grukit.results.generation import TextEvaluation
    from grukit.results.speech_evaluation import SpeechEvaluation, WordsEvaluation
    from grukit.results.translation import TranslationEvaluation

# So many pairs of confused words are told.
_CONFUSED = 5


def say(words: str) -> None:
    """Words, on stderr."""
    typer.echo(words, err=True)


def show(result: str) -> None:
    """A result, on stdout."""
    typer.echo(result)


def show_json(result: Any) -> None:
    """A result as JSON, on stdout."""
    typer.echo(json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False))


def show_evaluation(
    evaluation: Evaluation
    | AnomalyEvaluation
    | TextEvaluation
    | ClassificationEvaluation
    | TranslationEvaluation
    | SpeechEvaluation
    | WordsEvaluation,
) -> None:
    """The table of scores on stdout, and on stderr what was scored."""
    from grukit.data.calendar import show_time
    from grukit.results import Evaluation
    from grukit.results.classification import ClassificationEvaluation
    from grukit.results.generation import TextEvaluation
    from grukit.results.speech_evaluation import SpeechEvaluation, WordsEvaluation
    from grukit.results.translation import TranslationEvaluation

    show(evaluation.table())
    if isinstance(evaluation, Evaluation):
        what = (
            f"{evaluation.windows:,} forecasts of {evaluation.horizon} steps, made from "
            f"{show_time(evaluation.first_origin)} to {show_time(evaluation.last_origin)}"
        )
    elif isinstance(evaluation, ClassificationEvaluation):
        what = f"{evaluation.texts:,} texts of {len(evaluation.classes):,} classes"
    elif isinstance(evaluation, TranslationEvaluation):
        signatures = (f"{name} {text}" for name, text in evaluation.signatures.items())
        what = f"{evaluation.sentences:,} translations; {'; '.join(signatures)}"
    elif isinstance(evaluation, SpeechEvaluation):
        what = f"{evaluation.utterances:,} recordings; words: {evaluation.words}"
        if evaluation.confusions:
            pairs = (f"{own.said} as {own.heard}" for own in evaluation.confusions[:_CONFUSED])
            what += f"; most often confused: {', '.join(pairs)}"
        what += _speed(evaluation)
    elif isinstance(evaluation, WordsEvaluation):
        what = f"{evaluation.recordings:,} recordings of {len(evaluation.classes):,} words"
        if not math.isnan(evaluation.rejected):
            what += f", {evaluation.rejected:.1%} rejected below {evaluation.threshold:.3g}"
        what += _speed(evaluation)
    elif isinstance(evaluation, TextEvaluation):
        what = f"{evaluation.characters:,} characters"
    else:
        what = f"{evaluation.rows:,} rows with {evaluation.events:,} labelled events"
    say(f"{what}; * marks the best")


def _speed(evaluation: SpeechEvaluation | WordsEvaluation) -> str:
    """How quickly speech was recognized, where it was measured."""
    factor = evaluation.real_time_factor
    return "" if math.isnan(factor) else f"; {factor:.3g} s for a second of sound"


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as text in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def check_output(path: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse an output that could not be written, before any long work starts."""
    if path is None:
        return
    if suffixes and path.suffix not in suffixes:
        raise typer.BadParameter(f"{path} must end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise DataError(
            f"the folder of the output must exist, got {path}; run: mkdir -p {path.parent}"
        )
    if suffixes and path.is_dir():
        raise DataError(f"{path} must be a file, got a folder")
    if path.suffix == ".parquet":
        require("pyarrow")


def check_model_output(path: Path, overwrite: bool) -> None:
    """Refuse a model folder that could not be written, before any long work starts."""
    if not path.name:
        raise typer.BadParameter(f"the model must be a folder with a name, got {str(path)!r}")
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists already; to replace it, add --overwrite")
    check_output(path)
    check_replaceable(path)


def write_answer(answer: Forecast | SamplePaths | AnomalyReport, path: Path) -> None:
    """Write an answer as CSV, Parquet or JSON, as its suffix says, whole or not at all."""
    if path.suffix == ".json":
        write_atomically(path, json.dumps(answer.to_dict(), indent=2, allow_nan=False) + "\n")
    else:
        write_frame(answer.to_frame(), path)


def write_frame(frame: Any, path: Path) -> None:
    """Write a pandas frame as CSV or Parquet, as its suffix says, whole or not at all."""
    write = frame.to_parquet if path.suffix == ".parquet" else frame.to_csv
    write_atomically(path, write(index=False))
