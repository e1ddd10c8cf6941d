"""Features of speech about zero, whoever speaks into whichever microphone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from grukit.core.errors import DataError, must_be

# A running mean begins as if so many frames of training had been heard, and forgets after so many.
_BEGUN, _KEPT = 50, 1000


@dataclass(frozen=True, eq=False)
class Normalization:
    """Frames less their mean, over the deviation of the training recordings.

    >>> frames = np.array([[1.0, 10.0], [3.0, 30.0]], np.float32)
    >>> Normalization.learn([frames]).whole(frames).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]

    The mean is that of the recording, which takes away what a microphone and a voice add to all
    frames (cepstral mean normalization, Atal 1974); of a stream it is that of what was heard.

    mean, deviation: of the training recordings, float64 [F].
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def learn(cls, recordings: Iterable[np.ndarray]) -> Normalization:
        """The mean and deviation of the frames of recordings, [T, F] each; DataError without any.

        A feature that never changes keeps its size.
        """
        count, total, squares = 0, 0.0, 0.0
        for frames in recordings:
            exact = frames.astype(np.float64)
            count += len(exact)
            total, squares = total + exact.sum(0), squares + (exact**2).sum(0)
        if count == 0:
            raise DataError(must_be("the recordings", "of at least one frame", "none"))
        mean = np.asarray(total / count)
        variance = np.maximum(np.asarray(squares / count) - mean**2, 0.0)
        # What is left of a constant by rounding is no deviation.
        changes = variance > 1e-10 * (1.0 + mean**2)
        return cls(mean, np.where(changes, np.sqrt(variance), 1.0))

    def whole(self, frames: np.ndarray) -> np.ndarray:
        """A recording that is all there, [T, F], as float32."""
        own = frames.mean(0, dtype=np.float64) if len(frames) else self.mean
        return ((frames - own) / self.deviation).astype(np.float32)

    def by_level(self, frames: np.ndarray) -> np.ndarray:
        """A recording of a single word: less the mean of the training, as loud as the recording is.

        The mean of so few frames says more of the word than of the microphone. For the logarithms
        of energies, [T, F], as float32.
        """
        louder = frames.mean(dtype=np.float64) - self.mean.mean() if len(frames) else 0.0
        return ((frames - self.mean - louder) / self.deviation).astype(np.float32)

    def stream(self) -> RunningNormalization:
        """The same of one that is heard as it comes."""
        return RunningNormalization(self)


class RunningNormalization:
    """Frames less the mean of those before; what comes later, and in which pieces, is no matter."""

    def __init__(self, normalization: Normalization) -> None:
        self._of = normalization
        self._mean, self._heard = normalization.mean.copy(), _BEGUN

    def push(self, frames: np.ndarray) -> np.ndarray:
        """The next frames, [t, F], as float32."""
        centred = np.empty(frames.shape, np.float64)
        for frame, place in zip(frames.astype(np.float64), centred, strict=True):
            self._heard = min(self._heard + 1, _KEPT)
            self._mean += (frame - self._mean) / self._heard
            np.subtract(frame, self._mean, out=place)
        return (centred / self._of.deviation).astype(np.float32)
