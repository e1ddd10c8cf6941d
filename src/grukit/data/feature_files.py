"""Ready-made features from files: `.npy`, and the formats of Sphinx and HTK."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from grukit.core.errors import DataError, did_you_mean, must_be

SUFFIXES = (".npy", ".mfc", ".htk", ".fea")
_SPHINX_SIZE = 13
# Bits of HTK's kind of parameters: compressed, and with a checksum.
_PACKED = 0o2000 | 0o10000


def read_features(path: str | Path, size: int | None = None) -> np.ndarray:
    """A matrix of features, float32 [T, F], from a file of one utterance.

    path: an `.npy` file with numbers [T, F]; else a file as Sphinx writes them (an int32 count and
        as many float32) or HTK (a header of 12 bytes), of either order of bytes.
    size: F, to check; for Sphinx, whose files do not tell, 13 unless given.

    Raises DataError for a file that is missing, damaged or without frames, for another F, and for
    numbers that are not finite.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(
            must_be("the features", "an existing file", str(path)) + did_you_mean(path.name, near)
        )
    found = _of_numpy(path) if path.suffix == ".npy" else _of_bytes(path, size)
    if found.ndim != 2 or not found.size:
        raise DataError(must_be(f"the features of {path}", "of shape [T, F]", found.shape))
    if size is not None and found.shape[1] != size:
        wanted = f"{size} numbers in each frame"
        raise DataError(must_be(f"the features of {path}", wanted, found.shape[1]))
    if not np.isfinite(found).all():
        frame = int(np.argmin(np.isfinite(found).all(axis=1)))
        raise DataError(must_be(f"frame {frame:,} of {path}", "finite", found[frame].tolist()))
    return found


def _of_numpy(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} must be an .npy file of numbers: {error}") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        kind = getattr(found, "dtype", type(found).__name__)
        raise DataError(must_be(f"the features of {path}", "numbers", str(kind)))
    with np.errstate(over="ignore"):
        return found.astype(np.float32)


def _of_bytes(path: Path, size: int | None) -> np.ndarray:
    content = path.read_bytes()
    for order in "><":
        if len(content) >= 4 and 4 + 4 * _integer(content, 0, order + "i4") == len(content):
            return _of_sphinx(content, path, order, size or _SPHINX_SIZE)
    for order in "><":
        if len(content) >= 12:
            frames, width = _integer(content, 0, order + "i4"), _integer(content, 8, order + "i2")
            if width > 0 and 12 + frames * width == len(content):
                return _of_htk(content, path, order, width)
    wanted = "a whole feature file of Sphinx or HTK, whose header gives its length"
    raise DataError(must_be(str(path), wanted, f"{len(content):,} bytes"))


def _of_sphinx(content: bytes, path: Path, order: str, size: int) -> np.ndarray:
    numbers = np.frombuffer(content, order + "f4", offset=4).astype(np.float32)
    if len(numbers) % size:
        wanted = f"a whole number of frames of {size}"
        raise DataError(must_be(f"the features of {path}", wanted, f"{len(numbers):,} numbers"))
    return numbers.reshape(-1, size)


def _of_htk(content: bytes, path: Path, order: str, width: int) -> np.ndarray:
    kind = _integer(content, 10, order + "u2")
    if kind & _PACKED or kind & 0o77 == 0 or width % 4:
        wanted = "HTK features of float32, neither compressed nor with a checksum"
        raise DataError(must_be(str(path), wanted, f"kind {kind:#o}, {width} bytes a frame"))
    numbers = np.frombuffer(content, order + "f4", offset=12).astype(np.float32)
    return numbers.reshape(-1, width // 4)


def _integer(content: bytes, at: int, kind: str) -> int:
    return int(np.frombuffer(content, kind, count=1, offset=at)[0])
