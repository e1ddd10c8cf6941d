"""Texts with labels: from lists, frames and files."""

from __future__ import annotations

import csv
import json
import lzma
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grukit.core.errors import DataError, did_you_mean, must_be
from grukit.data.tables import read_frame
from grukit.data.texts import decoded_lines, open_bytes

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_TABLES = (*_SEPARATORS, ".jsonl", ".parquet")
_PACKED = (".gz", ".xz", ".bz2")
_LONGEST_CELL = 1 << 30


def labelled(
    data: Any, labels: Any = None, text: str = "text", label: str = "label"
) -> tuple[list[str], Any]:
    """Texts and as many labels.

    data: a list of texts, with `labels`; or a frame, or the path of a file, with a column of texts
        and one of labels.
    labels: as they come, if they are not a column of `data`.

    Raises DataError for a missing column, a text that is none, or another number of labels.
    """
    if labels is None:
        texts, labels = _columns(data, text, label)
        return checked_texts(texts), labels
    texts = texts_of(data, text)
    labels = labels if hasattr(labels, "shape") else list(labels)
    if len(texts) != len(labels):
        raise DataError(f"labels must be as many as texts ({len(texts):,}), got {len(labels):,}")
    return texts, labels


def texts_of(data: Any, text: str = "text") -> list[str]:
    """Texts: a list of them, or a column of a frame or file."""
    if isinstance(data, Path) or hasattr(data, "columns"):
        return columns_of(data, text)[0]
    if isinstance(data, (str, bytes, Mapping)) or not isinstance(data, Iterable):
        wanted = "a list of texts, a frame, or the Path of a file"
        raise DataError(must_be("the texts", wanted, type(data)))
    return checked_texts(data)


def columns_of(data: Any, *names: str) -> tuple[list[str], ...]:
    """The texts in the columns of a frame or file."""
    return tuple(map(checked_texts, _columns(data, *names)))


def checked_texts(texts: Iterable[Any]) -> list[str]:
    """The same texts; DataError for one that is none."""
    found = list(texts)
    for at, text in enumerate(found, 1):
        if not isinstance(text, str):
            raise DataError(must_be(f"text {at:,}", "a str", text))
    return found


def is_table(path: Path) -> bool:
    """Whether a file is, by its name, one that `rows_of` reads."""
    return _kind(path) in _TABLES


def rows_of(path: Path) -> Sequence[Mapping[str, Any]]:
    """The rows of a .csv, .tsv, .jsonl or .parquet file, the first three packed or not.

    Raises DataError, with the number of the line, for what is no such file.
    """
    kind = _kind(path)
    if kind == ".parquet":
        return read_frame(path).rows(named=True)
    if kind not in _TABLES:
        wanted = "a .csv, .tsv, .jsonl (also .gz, .xz, .bz2) or .parquet file"
        raise DataError(must_be("the data", wanted, str(path)))
    try:
        with open_bytes(path) as file:
            lines = _without_mark(decoded_lines(file, str(path)))
            read = _objects if kind == ".jsonl" else _records
            return read(lines, path, _SEPARATORS.get(kind, ""))
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} must be a whole {path.suffix} file: {error}") from error


def _kind(path: Path) -> str:
    kinds = [suffix for suffix in path.suffixes if suffix not in _PACKED]
    return kinds[-1] if kinds else ""


def _rows(data: Any) -> Sequence[Mapping[str, Any]]:
    if isinstance(data, Path):
        return rows_of(data)
    if hasattr(data, "columns"):
        return read_frame(data).rows(named=True)
    wanted = "a list of texts with labels, a frame, or the Path of a file"
    raise DataError(must_be("the data", wanted, type(data)))


def _columns(data: Any, *names: str) -> list[list[Any]]:
    rows = _rows(data)
    return [[_cell(row, name, at) for at, row in enumerate(rows, 1)] for name in names]


def _cell(row: Mapping[str, Any], column: str, at: int) -> Any:
    if column not in row:
        hint = did_you_mean(column, [str(name) for name in row])
        raise DataError(f"row {at:,} must have the column {column!r}, got {list(row)}{hint}")
    return row[column]


def _without_mark(lines: Iterator[str]) -> Iterator[str]:
    """Without the byte order mark that spreadsheets write."""
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")


def _objects(lines: Iterator[str], path: Path, _: str) -> list[Mapping[str, Any]]:
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {number:,} of {path} must be JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(must_be(f"line {number:,} of {path}", "a JSON object", row))
        rows.append(row)
    return rows


def _records(lines: Iterator[str], path: Path, separator: str) -> list[Mapping[str, Any]]:
    reader = csv.DictReader(lines, delimiter=separator, strict=True)
    rows: list[Mapping[str, Any]] = []
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        names = list(reader.fieldnames or ())
        if len(set(names)) < len(names):
            raise DataError(must_be(f"the columns of {path}", "all different", names))
        for row in reader:
            if None in row or None in row.values():
                wanted = f"of {len(names)} columns, as the header"
                raise DataError(
                    f"the row that ends in line {reader.line_num:,} of {path} must be {wanted}"
                )
            rows.append(row)
    except csv.Error as error:
        raise DataError(
            f"line {reader.reader.line_num:,} of {path} must be CSV: {error}"
        ) from error
    finally:
        csv.field_size_limit(before)
    return rows
