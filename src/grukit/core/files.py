"""Files that are either whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write a file in one switch: readers see the old content or the new, never a part.

    Raises OSError (a full disk, no permission), which names `path`, with the old file untouched.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    try:
        _switch_in(path, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _switch_in(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
