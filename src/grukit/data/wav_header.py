"""What the header of a WAV file promises, beside what is there.

libsndfile reads a cut file to its end in silence, and takes the size 0 in the header of a pipe, or
of a recorder that was killed, at its word; both would lose sound without a sign of it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from grukit.core.errors import DataError

# Programs that write to a pipe promise 0 bytes, or about as many as 31 or 32 bits can say.
_UNKNOWN = 0x7FFF0000
_ENDLESS = struct.pack("<I", 0xFFFFFFFF)


def whole_wav(file: BinaryIO, path: Path) -> BinaryIO | EndlessWav:
    """The same file, as libsndfile should read it; what is no WAV comes back as it is.

    Raises DataError for a file that is shorter than its header says.
    """
    size = path.stat().st_size
    found = _data_chunk(file)
    file.seek(0)
    if found is None:
        return file
    promised, start, riff = found
    there = size - start
    if promised == 0 and there > 0 and riff + 8 != size:
        return EndlessWav(file, start - 4)
    if there < promised < _UNKNOWN:
        raise DataError(
            f"{path} must hold {promised:,} bytes of sound, as its header says, got {there:,}: the "
            "file is cut off"
        )
    return file


class EndlessWav:
    """A WAV file whose header says that its sound goes on to the end, read by soundfile."""

    def __init__(self, file: BinaryIO, size_at: int) -> None:
        self._file, self._size_at = file, size_at

    def read(self, count: int = -1) -> bytes:
        start = self._file.tell()
        content = bytearray(self._file.read(count))
        for offset, byte in enumerate(_ENDLESS, self._size_at - start):
            if 0 <= offset < len(content):
                content[offset] = byte
        return bytes(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _data_chunk(file: BinaryIO) -> tuple[int, int, int] | None:
    """The bytes of sound promised, where they start, and the size of the RIFF; None if no WAV."""
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    riff = struct.unpack("<I", head[4:8])[0]
    while len(chunk := file.read(8)) == 8:
        size = struct.unpack("<I", chunk[4:])[0]
        if chunk[:4] == b"data":
            return size, file.tell(), riff
        file.seek(size + size % 2, 1)
    return None
