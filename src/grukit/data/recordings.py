"""Recordings with what is said in them: from manifests, frames, lists and folders.

A recording is a name, a text and the path of a file, of sound or of ready-made features. Nothing of
its sound is kept: whoever needs it reads it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grukit.core.errors import DataError, did_you_mean, must_be
from grukit.data.audio import read_audio
from grukit.data.audio_features import Features
from grukit.data.feature_files import SUFFIXES as FEATURE_SUFFIXES
from grukit.data.feature_files import read_features
from grukit.data.labelled import is_table, rows_of
from grukit.data.tables import read_frame

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".mp3")
_MOST_NAMED = 3


@dataclass(frozen=True)
class Recording:
    """What is said (an empty text: nothing), and the file in which it is heard.

    `name` is how messages call it: the path as it was given, or below its folder; `speaker` tells
    who is heard, where that is known.
    """

    name: str
    text: str
    path: Path
    speaker: str = ""

    @property
    def has_features(self) -> bool:
        """Whether the file holds ready-made features instead of sound."""
        return self.path.suffix.lower() in FEATURE_SUFFIXES

    def samples(self, rate: int) -> np.ndarray:
        """Its sound, float32 [S]; errors are those of `read_audio`."""
        return read_audio(self.path, rate)

    def frames(self, features: Features, size: int | None = None) -> np.ndarray:
        """Its features, float32 [T, F]: those of its sound, or the ready-made ones of `size`."""
        if self.has_features:
            return read_features(self.path, size)
        return features.of(self.samples(features.rate))


class _Given(NamedTuple):
    """A row: where it stands, its path and what that is relative to, its text, its speaker."""

    where: str
    path: Any
    base: Path
    text: Any
    speaker: Any = ""


def recordings(
    data: Any, audio: str = "audio", text: str = "text", speaker: str | None = None
) -> list[Recording]:
    """Recordings with their texts, in the order of the data, a folder's by name.

    data: the path of a .csv, .tsv, .jsonl or .parquet file, or a frame, with a column `audio` of
        paths and a column `text`; a list of (path, text); a folder with a .txt of the same name
        beside each audio or feature file, however deep; or a folder of folders that are named as
        the word which is said in all their files (those that begin with _ or . are left out).

    speaker: a column that tells who is heard; then the data must be a table.

    Paths in a file are relative to it. An empty text is kept: nothing is said there. Other spaces
    than single ones are made single.

    Raises DataError for missing columns and files, for a text that is none, for an audio file
    without a text, and for one that comes twice.
    """
    found = list(_checked(_rows(data, _Columns(audio, text, speaker))))
    if not found:
        raise DataError(f"the recordings must be at least one, got none in {_what(data)}")
    return found


class _Columns(NamedTuple):
    audio: str
    text: str
    speaker: str | None


def _rows(data: Any, columns: _Columns) -> Iterator[_Given]:
    if isinstance(data, (str, Path)):
        path = Path(data).expanduser()
        if path.is_dir():
            _check_no_speaker(columns, data)
            return _of_folder(path)
        if not path.exists():
            raise DataError(must_be("the recordings", "an existing file or folder", str(path)))
        if not is_table(path):
            wanted = "a folder, or a .csv, .tsv, .jsonl or .parquet file"
            raise DataError(must_be("the recordings", wanted, str(path)))
        return _of_table(rows_of(path), columns, path.parent)
    if hasattr(data, "columns"):
        return _of_table(read_frame(data).rows(named=True), columns, Path())
    if not isinstance(data, Iterable) or isinstance(data, Mapping):
        wanted = "a path, a frame or a list of (path, text)"
        raise DataError(must_be("the recordings", wanted, type(data).__name__))
    _check_no_speaker(columns, data)
    return _of_pairs(data)


def _check_no_speaker(columns: _Columns, data: Any) -> None:
    if columns.speaker is not None:
        wanted = f"a table with the column {columns.speaker!r}, which tells the speaker"
        raise DataError(must_be("the recordings", wanted, _what(data)))


def _of_table(rows: Iterable[Mapping[str, Any]], columns: _Columns, base: Path) -> Iterator[_Given]:
    audio, text, speaker = columns
    for at, row in enumerate(rows, 1):
        for column in columns:
            if column is not None and column not in row:
                names = [str(name) for name in row]
                hint = did_you_mean(column, names)
                raise DataError(f"row {at:,} must have the column {column!r}, got {names}{hint}")
        who = "" if speaker is None else row[speaker]
        yield _Given(f"row {at:,}", row[audio], base, row[text], who)


def _of_pairs(pairs: Iterable[Any]) -> Iterator[_Given]:
    for at, pair in enumerate(pairs, 1):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise DataError(must_be(f"recording {at:,}", "(path, text)", pair))
        yield _Given(f"recording {at:,}", pair[0], Path(), pair[1])


def _of_folder(folder: Path) -> Iterator[_Given]:
    suffixes = (*AUDIO_SUFFIXES, *FEATURE_SUFFIXES)
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in suffixes)
    silent = [file for file in files if not file.with_suffix(".txt").is_file()]
    if files and len(silent) == len(files):
        return _of_words(folder, files)
    if silent:
        names = _named(file.relative_to(folder) for file in silent)
        raise DataError(
            f"each audio file in {folder} must have a .txt beside it, got none: {names}"
        )
    return (
        _Given(str(file), file.relative_to(folder), folder, _transcript(file.with_suffix(".txt")))
        for file in files
    )


def _of_words(folder: Path, files: list[Path]) -> Iterator[_Given]:
    paths = [file.relative_to(folder) for file in files]
    misplaced = [path for path in paths if len(path.parts) != 2]
    if misplaced:
        raise DataError(
            f"the audio files in {folder} must have a .txt beside them, or lie in folders named as "
            f"the word that is said, got {_named(misplaced)}"
        )
    for path in paths:
        if not path.parts[0].startswith(("_", ".")):
            yield _Given(str(folder / path), path, folder, path.parts[0])


def _checked(rows: Iterable[_Given]) -> Iterator[Recording]:
    seen: dict[Path, str] = {}
    for where, given, base, text, speaker in rows:
        if not isinstance(given, (str, Path)) or not str(given).strip():
            raise DataError(must_be(f"the audio of {where}", "the path of a file", given))
        if not isinstance(text, str):
            raise DataError(must_be(f"the text of {where}", "a str", text))
        if not isinstance(speaker, (str, int)):
            raise DataError(must_be(f"the speaker of {where}", "a str or an int", speaker))
        path = base / Path(given).expanduser()
        if not path.is_file():
            raise DataError(must_be(f"the audio of {where}", "an existing file", str(path)))
        if (first := seen.setdefault(path, where)) != where:
            raise DataError(f"each file must come once, got {path} in {first} and {where}")
        yield Recording(Path(given).as_posix(), " ".join(text.split()), path, str(speaker))


def _transcript(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} must be a text in UTF-8: {error}") from error


def _named(paths: Iterable[Path]) -> str:
    names = [path.as_posix() for path in paths]
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _what(data: Any) -> str:
    return str(data) if isinstance(data, (str, Path)) else f"a {type(data).__name__}"
