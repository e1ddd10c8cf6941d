"""Reading texts: from strings and files to pieces that fit into memory."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from grukit.core.errors import DataError, must_be

_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
PIECE_IN_BYTES = 1 << 20


def documents(data: Any) -> Iterator[Iterator[str]]:
    """The documents of a text or of many, each in pieces whose concatenation it is.

    data: a str, which is a text; a Path, which is a file of UTF-8, plain or .gz, .xz, .bz2; or an
        iterable of these, in which each is a document.

    Raises DataError for anything else, for bytes that are no UTF-8, and for a file that is not
    there.
    """
    if isinstance(data, str):
        yield iter((data,))
    elif isinstance(data, Path):
        yield pieces(data)
    elif isinstance(data, Iterable) and not isinstance(data, (bytes, dict)):
        for one in data:
            if not isinstance(one, (str, Path)):
                raise DataError(must_be("a document", "a str or a Path", type(one)))
            yield from documents(one)
    else:
        wanted = "a str (the text itself), a Path (a file), or many of these"
        raise DataError(must_be("the text", wanted, type(data)))


def pieces(path: Path) -> Iterator[str]:
    """A file of UTF-8 in pieces of about a megabyte; line ends stay as they are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = 0
    with open_bytes(path) as file:
        while True:
            try:
                block = file.read(PIECE_IN_BYTES)
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise DataError(f"{path} must be a whole {path.suffix} file: {error}") from error
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                at = before - len(decoder.getstate()[0]) + error.start
                byte = error.object[error.start]
                raise DataError(
                    f"{path} must be UTF-8, got 0x{byte:02x} at byte {at:,}; convert it, as with "
                    "iconv"
                ) from error
            if text:
                yield text
            if not block:
                return
            before += len(block)


def open_bytes(path: Path) -> BinaryIO:
    """A file, unpacked where its name says that it is packed; DataError if it is not there."""
    try:
        return _OPENERS.get(path.suffix, open)(path, "rb")  # type: ignore[return-value]
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror or error}") from error
