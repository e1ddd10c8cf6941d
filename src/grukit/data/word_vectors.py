"""Pretrained word vectors from a file of text, as GloVe, word2vec and fastText write them."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.data.texts import open_bytes


def read_word_vectors(path: Path, words: Iterable[str]) -> dict[str, np.ndarray]:
    """The vectors of those `words` that a file has, float32 [E] each.

    path: a file, also .gz, .xz or .bz2, of a word and its numbers in each line; a first line of two
        numbers, as word2vec writes, is skipped. Only one line is held at a time.

    Of a word that comes twice the first vector counts. Raises DataError, with the number of the
    line, for vectors of different lengths or of anything but finite numbers, and for a file that
    knows none of the words.
    """
    wanted = {word.encode("utf-8", "surrogatepass"): word for word in words}
    found: dict[str, np.ndarray] = {}
    try:
        with open_bytes(path) as file:
            for number, name, numbers in _lines(file, path):
                word = wanted.get(name)
                if word is not None and word not in found:
                    found[word] = _vector(numbers, f"line {number:,} of {path}")
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} must be a whole {path.suffix} file: {error}") from error
    if not found:
        raise DataError(f"{path} must have a vector of a word of the texts, got none")
    return found


def _lines(file: Iterable[bytes], path: Path) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """The number of each line, its word, which may have spaces in it, and its numbers."""
    size = None
    for number, line in enumerate(file, start=1):
        fields = line.rstrip().split(b" ")
        if number == 1 and len(fields) == 2:
            continue
        if size is None:
            size = len(fields) - 1
        if size < 1 or len(fields) <= size:
            wanted = f"a word and {size or 'its'} numbers"
            raise DataError(must_be(f"line {number:,} of {path}", wanted, line[:60]))
        yield number, b" ".join(fields[:-size]), fields[-size:]


def _vector(numbers: list[bytes], where: str) -> np.ndarray:
    try:
        vector = np.array(numbers).astype(np.float32)
    except ValueError as error:
        raise DataError(must_be(where, "a word and numbers", numbers[:4])) from error
    if not np.isfinite(vector).all():
        raise DataError(f"{where} must be of finite numbers")
    return vector
