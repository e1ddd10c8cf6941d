"""Reading texts: from strings and files to pieces that fit into memory."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import random
import sysconfig
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
        yield (text for text, _ in pieces(data))
    elif isinstance(data, Iterable) and not isinstance(data, (bytes, dict)):
        for one in data:
            if not isinstance(one, (str, Path)):
                raise DataError(must_be("a document", "a str or a Path", type(one)))
            yield from documents(one)
    else:
        wanted = "a str (the text itself), a Path (a file), or many of these"
        raise DataError(must_be("the text", wanted, type(data)))


def pieces(path: Path, start: int = 0) -> Iterator[tuple[str, int]]:
    """A file of UTF-8 in pieces of at most a megabyte, each with the place in bytes where it ends.

    A piece ends with a line, if there is an end of a line in it; line ends stay as they are. Where
    pieces are cut depends on nothing but where the last one ended, `start`.
    """
    with open_bytes(path) as file:
        try:
            file.seek(start)
            rest = b""
            while block := rest + file.read(PIECE_IN_BYTES - len(rest)):
                whole = len(block) < PIECE_IN_BYTES
                end = len(block) if whole else block.rfind(b"\n") + 1 or len(block)
                text, used = _decoded(block[:end], whole, path, start)
                yield text, start + used
                start, rest = start + used, block[used:]
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise DataError(f"{path} must be a whole {path.suffix} file: {error}") from error


def spread(texts: Iterable[str], most: int) -> list[str]:
    """All of them up to `most` characters; of more some, evenly spread and at most that long.

    They are read once, and no more than `most` characters are held beside the one that comes.

    >>> spread(["one", "two", "three", "four", "five"], 12)
    ['one', 'three', 'five']
    """
    kept: list[str] = []
    size, every = 0, 1
    for number, text in enumerate(_parts(texts, most)):
        if number % every == 0:
            kept.append(text)
            size += len(text)
        while size > most:
            kept, every = kept[::2], 2 * every
            size = sum(map(len, kept))
    return kept


def _parts(texts: Iterable[str], most: int) -> Iterator[str]:
    """Texts, cut where one alone has more than `most` characters."""
    for text in texts:
        length = len(text) if len(text) <= most else -(-most // 64)
        for start in range(0, len(text), max(1, length)):
            yield text[start : start + length]


def decoded_lines(source: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines of UTF-8, with their ends; DataError with the number of the first that is none."""
    for number, line in enumerate(source, start=1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"line {number:,} of {name} must be UTF-8, got 0x{line[error.start]:02x} at its "
                f"byte {error.start + 1:,}"
            ) from error


def _decoded(block: bytes, whole: bool, path: Path, start: int) -> tuple[str, int]:
    """The text of the whole characters at the start of a block, and their bytes."""
    try:
        return codecs.utf_8_decode(block, "strict", whole)
    except UnicodeDecodeError as error:
        byte, at = block[error.start], start + error.start
        raise DataError(
            f"{path} must be UTF-8, got 0x{byte:02x} at byte {at:,}; convert it, as with iconv"
        ) from error


def open_bytes(path: Path) -> BinaryIO:
    """A file, unpacked where its name says that it is packed; DataError if it is not there."""
    try:
        return _OPENERS.get(path.suffix, open)(path, "rb")  # type: ignore[return-value]
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror or error}") from error


def standard_library(characters: int) -> list[str]:
    """Modules of Python's standard library, the same ones in every run, as many as fit.

    >>> modules = standard_library(100_000)
    >>> 50_000 < sum(map(len, modules)) <= 100_000
    True
    """
    folder = Path(sysconfig.get_path("stdlib"))
    others = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"}
    paths = sorted(
        path for path in folder.rglob("*.py") if not others & set(path.relative_to(folder).parts)
    )
    random.Random(0).shuffle(paths)
    modules, left = [], characters
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if 0 < len(text) <= left:
            modules.append(text)
            left -= len(text)
    return modules
