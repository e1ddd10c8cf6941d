"""Sound as mono float32 samples at one rate: from files, from arrays, and live.

    file  ->  audio_blocks  ->  blocks [S]        in constant memory
    file or (samples, rate)  ->  read_audio  ->  [S]
    raw PCM, as it comes  ->  AudioStream.push  ->  [S]

All three resample with the same filter (soxr, HQ), whose output does not depend on how the input
is cut, so that they give the same samples bit for bit. Channels are averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from grukit.core.errors import DataError, did_you_mean, must_be
from grukit.core.extras import require
from grukit.core.rules import check, integer, number, one_of
from grukit.data.wav_header import EndlessWav, whole_wav

# Samples a second beyond these are a damaged header, which would ask for endless output.
SLOWEST, FASTEST = 1000, 1_000_000
# Samples in floating point may overshoot 1; at this size they are integers in disguise.
_LOUDEST = 16.0
_FRAMES_AT_ONCE = 1 << 16
_KINDS = "an audio file that can be read (WAV, FLAC, OGG, MP3)"
_ENCODINGS = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}
_LONGEST_OGG_PAGE = 65_307


def read_audio(source: Any, rate: int) -> np.ndarray:
    """Sound as float32 [S], mono, in -1..1, at `rate` samples a second.

    source: the path of a WAV, FLAC, OGG or MP3 file, or (samples, their rate), with samples [S] or
        [S, channels] as floats in -1..1 or as int16.

    Raises DataError for a file that is missing, empty, cut off or no audio, for no samples, and
    for samples that are not finite.

    >>> tone = np.sin(np.arange(8000) / 8000 * 440 * 2 * np.pi)
    >>> read_audio((tone, 8000), 16000).shape
    (16000,)
    """
    blocks = list(_blocks(source, rate))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def audio_blocks(path: str | Path, rate: int, seconds: float = 1.0) -> Iterator[np.ndarray]:
    """The samples of `read_audio`, `seconds` of them at a time, the last block as it comes.

    However long the file, no more than a few blocks are in memory. Errors are those of
    `read_audio`; that a file is cut off is found at its end where the header does not tell.
    """
    check({"seconds": seconds}, {"seconds": number(above=0)})
    size = max(1, round(seconds * rate))
    held, count = [], 0
    for block in _blocks(path, rate):
        held.append(block)
        count += len(block)
        if count >= size:
            joined = np.concatenate(held)
            whole = count - count % size
            yield from joined[:whole].reshape(-1, size)
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)


class AudioStream:
    """Live PCM as mono float32 samples at another rate, whatever pieces it comes in.

    >>> stream = AudioStream(8000, 16000)
    >>> pcm = np.zeros(8000, "<i2").tobytes()
    >>> len(stream.push(pcm[:4001])) + len(stream.push(pcm[4001:])) + len(stream.finish())
    16000

    rate_in, rate_out: samples a second.
    channels: of what comes in, interleaved; they are averaged.
    encoding: of bytes: "s16le" or "f32le".
    """

    def __init__(
        self, rate_in: int, rate_out: int, channels: int = 1, encoding: str = "s16le"
    ) -> None:
        check_rate("rate_in", rate_in)
        check_rate("rate_out", rate_out)
        check({"channels": channels}, {"channels": integer(at_least=1)})
        check({"encoding": encoding}, {"encoding": one_of(*_ENCODINGS)})
        self._channels, self._dtype = channels, _ENCODINGS[encoding]
        self._cut = b""
        self._resampler = None
        if rate_in != rate_out:
            soxr = require("soxr")
            self._resampler = soxr.ResampleStream(
                int(rate_in), int(rate_out), 1, dtype="float32", quality="HQ"
            )

    def push(self, data: bytes | bytearray | memoryview | np.ndarray) -> np.ndarray:
        """The samples that `data` completes, float32 [S].

        data: bytes, which may end inside a sample; or an array [S] or [S, channels] of floats in
            -1..1 or of int16.

        Raises DataError for samples that are not finite and for another number of channels.
        """
        samples = self._decoded(data) if not isinstance(data, np.ndarray) else data
        return self._resampled(_mono(samples, self._channels), last=False)

    def finish(self) -> np.ndarray:
        """The samples that the resampler still held, float32 [S]; a begun sample is left out."""
        return self._resampled(np.zeros(0, np.float32), last=True)

    def _decoded(self, data: bytes | bytearray | memoryview) -> np.ndarray:
        joined = self._cut + bytes(data)
        whole = len(joined) - len(joined) % (self._dtype.itemsize * self._channels)
        self._cut = joined[whole:]
        return np.frombuffer(joined[:whole], self._dtype).reshape(-1, self._channels)

    def _resampled(self, samples: np.ndarray, last: bool) -> np.ndarray:
        if self._resampler is None:
            return samples
        return self._resampler.resample_chunk(samples, last=last)


def check_rate(what: str, rate: Any) -> None:
    """Raise DataError unless `rate` is a number of samples a second that sound can have."""
    if not integer(SLOWEST).holds(rate) or rate > FASTEST:
        wanted = f"an integer from {SLOWEST:,} to {FASTEST:,} samples a second"
        raise DataError(must_be(what, wanted, rate))


def _blocks(source: Any, rate: int) -> Iterator[np.ndarray]:
    if isinstance(source, (str, Path)):
        yield from _of_file(Path(source).expanduser(), rate)
        return
    if not isinstance(source, tuple) or len(source) != 2:
        wanted = "a path, or (samples, rate)"
        raise DataError(must_be("the audio", wanted, type(source).__name__))
    samples = np.asarray(source[0])
    if not samples.size:
        raise DataError(must_be("the audio", "at least one sample", samples.shape))
    channels = samples.shape[1] if samples.ndim == 2 else 1
    stream = AudioStream(source[1], rate, channels)
    yield stream.push(samples)
    yield stream.finish()


def _of_file(path: Path, rate: int) -> Iterator[np.ndarray]:
    check_rate("rate", rate)
    with _opened(path) as file:
        check_rate(f"the rate of {path}", file.samplerate)
        stream = AudioStream(file.samplerate, rate, file.channels)
        count = 0
        while len(frames := file.read(_FRAMES_AT_ONCE, dtype="float32", always_2d=True)):
            count += len(frames)
            try:
                yield stream.push(frames)
            except DataError as error:
                raise DataError(f"{path}: {error}") from error
        if count == 0:
            raise DataError(f"{path} must hold at least one sample, got none")
        if count < file.frames < 1 << 62:
            promise = f"{file.frames:,} samples, as it says"
            raise DataError(f"{path} must hold {promise}, got {count:,}: the file is cut off")
        yield stream.finish()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    soundfile = require("soundfile")
    if not path.is_file():
        near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(
            must_be("the audio", "an existing file", str(path)) + did_you_mean(path.name, near)
        )
    if path.stat().st_size == 0:
        raise DataError(f"{path} must be {_KINDS}, got an empty file")
    with path.open("rb", buffering=0) as file:
        _refuse_cut_ogg(file, path)
        whole = whole_wav(file, path)
        try:
            # By its number libsndfile looks into a file, and does not go by its name.
            opened = whole if isinstance(whole, EndlessWav) else file.fileno()
            with soundfile.SoundFile(opened, closefd=False) as sound:
                yield sound
        except soundfile.SoundFileError as error:
            raise DataError(f"{path} must be {_KINDS}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2].strip() or "libsndfile cannot read it"


def _refuse_cut_ogg(file: BinaryIO, path: Path) -> None:
    """The last page of a whole OGG file has a flag that says so."""
    is_ogg = file.read(4) == b"OggS"
    if is_ogg:
        file.seek(-min(path.stat().st_size, _LONGEST_OGG_PAGE), 2)
        tail = file.read()
        flags = tail[tail.rfind(b"OggS") :][5:6]
        if not flags or not flags[0] & 4:
            raise DataError(f"{path} must end with its last page, got an OGG file that is cut off")
    file.seek(0)


def _mono(samples: np.ndarray, channels: int) -> np.ndarray:
    """float32 [S] from [S] or [S, channels], of int16 or floats."""
    shape = samples.shape
    if samples.ndim not in (1, 2) or (shape[1] if samples.ndim == 2 else 1) != channels:
        wanted = f"of shape [S, {channels}]" if channels > 1 else "of shape [S] or [S, 1]"
        raise DataError(must_be("samples", wanted, shape))
    if samples.dtype == np.int16:
        floats = samples.astype(np.float32) / 32768
    elif samples.dtype.kind == "f":
        floats = samples.astype(np.float32)
    else:
        raise DataError(must_be("samples", "floats in -1..1 or int16", str(samples.dtype)))
    loudest = np.abs(floats).max(initial=0.0)
    if not loudest <= _LOUDEST:
        raise DataError(must_be("samples", "finite and in -1..1", float(loudest)))
    return floats if floats.ndim == 1 else floats.mean(axis=1)
