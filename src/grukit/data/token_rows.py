"""Texts as one long row of tokens, in memory or in a file that is mapped into it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from grukit.core.files import write_atomically
from grukit.data.catalog import cache_folder
from grukit.data.texts import documents, pieces
from grukit.data.tokenizers import Tokenizer

IN_MEMORY_BYTES = 1 << 26
"""Files that are larger together than this become a file of tokens."""

Progress = Callable[[int, int], None]
"""Told how many bytes are done, out of how many."""

_BLOCK = 1 << 22


def token_row(
    data: Any, tokenizer: Tokenizer, border: int, progress: Progress | None = None
) -> np.ndarray:
    """All tokens of all documents, unsigned [N], with `border` before each and after the last.

    data: as for `documents`. Large files are read once; their tokens lie in the cache, as
    `tokens/NAME.tokens`, until the files change, and an interrupted reading goes on where it was.
    """
    paths = [data] if isinstance(data, Path) else data
    if isinstance(paths, (list, tuple)) and paths and all(isinstance(p, Path) for p in paths):
        sizes = [path.stat().st_size if path.exists() else 0 for path in paths]
        if sum(sizes) > IN_MEMORY_BYTES:
            return _mapped(list(paths), sizes, tokenizer, border, progress)
    kind, parts = _smallest(tokenizer), []
    for document in documents(data):
        parts += [np.array([border]), *map(tokenizer.encode, document)]
    return np.concatenate([part.astype(kind) for part in (*parts, np.array([border]))])


def counts_of(tokens: np.ndarray, size: int) -> np.ndarray:
    """How often each token comes, int64 [size]; a mapped row stays on the disk."""
    return sum(
        (np.bincount(part, minlength=size) for part in blocks(tokens)), np.zeros(size, np.int64)
    )


def fingerprint(tokens: np.ndarray) -> str:
    """The same for the same tokens."""
    digest = hashlib.sha256()
    for part in blocks(tokens):
        digest.update(part.tobytes())
    return digest.hexdigest()[:16]


def blocks(tokens: np.ndarray) -> Iterator[np.ndarray]:
    """A row in parts that fit into memory."""
    for start in range(0, len(tokens), _BLOCK):
        yield tokens[start : start + _BLOCK]


def _mapped(
    paths: list[Path],
    sizes: list[int],
    tokenizer: Tokenizer,
    border: int,
    progress: Progress | None,
) -> np.ndarray:
    files = [
        [str(p.resolve()), size, p.stat().st_mtime_ns] for p, size in zip(paths, sizes, strict=True)
    ]
    identity = json.dumps([files, tokenizer.to_json(), border])
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = cache_folder() / "tokens"
    row, partial, state = (folder / f"{name}{end}" for end in (".tokens", ".partial", ".json"))
    kind = _smallest(tokenizer)
    if not row.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with _held(folder / f"{name}.lock"):
            if not row.exists():
                _write(paths, sizes, tokenizer, border, kind, partial, state, progress)
                os.replace(partial, row)
                state.unlink()
    return np.memmap(row, kind, "r")


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Let one process after the other read the same text; the end of one ends its hold."""
    with path.open("w") as lock:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(
    paths: list[Path],
    sizes: list[int],
    tokenizer: Tokenizer,
    border: int,
    kind: np.dtype[Any],
    partial: Path,
    state: Path,
    progress: Progress | None,
) -> None:
    """Append the tokens of each piece, and after it note how far it is."""
    done = {"file": 0, "bytes": 0, "written": 0}
    if state.exists() and partial.exists():
        noted = json.loads(state.read_text())
        if noted["written"] <= partial.stat().st_size:
            done = noted
    with partial.open("ab") as out:
        out.truncate(done["written"])

        def append(tokens: np.ndarray) -> None:
            out.write(tokens.astype(kind).tobytes())

        for index in range(done["file"], len(paths)):
            start = done["bytes"] if index == done["file"] else 0
            if not start:
                append(np.array([border]))
            for text, end in pieces(paths[index], start):
                append(tokenizer.encode(text))
                out.flush()
                noted = {"file": index, "bytes": end, "written": out.tell()}
                write_atomically(state, json.dumps(noted))
                if progress is not None:
                    progress(sum(sizes[:index]) + end, sum(sizes))
        append(np.array([border]))
        out.flush()
        os.fsync(out.fileno())


def _smallest(tokenizer: Tokenizer) -> np.dtype[Any]:
    return np.min_scalar_type(len(tokenizer) - 1)
