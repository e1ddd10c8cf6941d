"""Texts with their translations: from lists, frames and files."""

from __future__ import annotations

import lzma
import zlib
from pathlib import Path
from typing import Any

from grukit.core.errors import DataError
from grukit.data.labelled import columns_of, texts_of
from grukit.data.texts import decoded_lines, open_bytes


def parallel(
    sources: Any, targets: Any = None, source: str = "source", target: str = "target"
) -> tuple[list[str], list[str]]:
    """Texts and their translations, as many of each.

    sources, targets: each a list of texts, or the Path of a file with one in each line, plain or
        .gz, .xz, .bz2; or instead of both a frame, or the Path of a .csv, .tsv, .jsonl or .parquet
        file, with the columns `source` and `target`.

    Raises DataError for another number of targets, a missing column, or a text that is none.
    """
    if targets is None:
        texts, answers = columns_of(sources, source, target)
        return texts, answers
    texts, answers = lines_of(sources), lines_of(targets)
    if len(texts) != len(answers):
        raise DataError(
            f"targets must be as many as sources ({len(texts):,}), got {len(answers):,}: line by "
            "line each is the translation of the other"
        )
    return texts, answers


def lines_of(data: Any) -> list[str]:
    """Texts: a list of them, or the lines of a file of UTF-8, without their ends."""
    if not isinstance(data, Path):
        return texts_of(data)
    try:
        with open_bytes(data) as file:
            lines = decoded_lines(file, str(data))
            return [line.removesuffix("\n").removesuffix("\r") for line in lines]
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{data} must be a whole {data.suffix} file: {error}") from error
