"""From recordings to the frames that a network reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.data.audio import audio_blocks, read_audio
from grukit.data.audio_features import Features
from grukit.data.augmentation import Augmentation
from grukit.data.feature_files import SUFFIXES, read_features
from grukit.data.normalization import Normalization
from grukit.data.recordings import Recording

# A recording longer than this is read in pieces by a network that needs the whole; each ends where
# it is the most quiet, as the mean over a quarter of a second has it.
_LONGEST_SECONDS = 30.0
_QUIET_SECONDS = 0.25


@dataclass(frozen=True, eq=False)
class SpeechReader:
    """What turns a recording into normalized frames, float32 [T, F].

    features: of sound; None where recordings are ready-made features.
    size: F. hop: seconds from frame to frame.
    live: whether frames are normalized by those before them alone, as they are in a stream.
    cepstra: whether they are MFCC, rather than bands of frequency.
    words: whether each recording is a single word.
    means: by speaker, the mean frame of all that is known of them, which their recordings are
        normalized by in place of that of the training, [F].
    """

    features: Features | None
    size: int
    hop: float
    normalization: Normalization
    live: bool
    cepstra: bool
    words: bool
    means: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, source: Any) -> np.ndarray:
        """The frames of a Recording, a path, or (samples, rate)."""
        raw = raw_frames(source, self.features, self.size)
        return self.normalized(raw, getattr(source, "speaker", ""))

    def augmented(self, source: Any, augmentation: Augmentation) -> np.ndarray:
        """The same, changed by chance."""
        path = _path_of(source, self.features)
        if self.features is None:
            frames = read_features(path, self.size)
        else:
            samples = read_audio(path, self.features.rate)
            frames = self.features.of(augmentation.of_samples(samples, self.features.rate))
        frames = augmentation.warped(augmentation.stretched(frames), self.cepstra)
        frames = augmentation.equalized(frames, self.cepstra)
        frames = self.normalized(frames, getattr(source, "speaker", ""))
        return augmentation.masked(frames, self.cepstra)

    def normalized(self, frames: np.ndarray, speaker: str = "") -> np.ndarray:
        """Those of frames as they were read."""
        normalization = self.normalization
        if speaker in self.means:
            normalization = replace(normalization, mean=self.means[speaker])
        if self.live:
            return normalization.stream().push(frames)
        return normalization.by_level(frames) if self.by_level else normalization.whole(frames)

    @property
    def by_level(self) -> bool:
        """Whether recordings are normalized by a mean of many, rather than by their own."""
        return self.words and not self.live and not self.cepstra

    def parts(self, source: Any) -> Iterator[np.ndarray]:
        """A recording in constant memory: samples at the rate of the features, or frames."""
        path = _path_of(source, self.features)
        if self.features is None:
            yield read_features(path, self.size)
        elif isinstance(path, (str, Path)):
            yield from audio_blocks(path, self.features.rate)
        else:
            yield read_audio(path, self.features.rate)

    def loudness(self, frames: np.ndarray) -> np.ndarray:
        """How loud frames are that were not normalized, on a logarithmic scale, [T]."""
        return frames[:, 0] if self.cepstra else frames.mean(axis=1)

    def pieces(self, source: Any, multiple: int) -> Iterator[np.ndarray]:
        """The frames, not normalized, in pieces that end where it is quiet.

        multiple: of how many frames each piece but the last is.
        """
        blocks: Iterable[np.ndarray] = self.parts(source)
        if self.features is not None:
            stream = self.features.stream()
            blocks = map(stream.push, blocks)
        most = int(_LONGEST_SECONDS / self.hop) // multiple * multiple
        held = np.zeros((0, self.size), np.float32)
        for block in blocks:
            held = np.concatenate([held, block])
            while len(held) > most:
                end = self._quietest(held[:most]) // multiple * multiple
                yield held[:end]
                held = held[end:]
        yield held

    def _quietest(self, frames: np.ndarray) -> int:
        """A frame in the second half where the least is heard."""
        width = max(1, round(_QUIET_SECONDS / self.hop))
        smooth = np.convolve(self.loudness(frames), np.ones(width), "valid")
        half = len(frames) // 2
        return half + int(smooth[half - width // 2 :].argmin())


def raw_frames(source: Any, features: Features | None, size: int | None = None) -> np.ndarray:
    """The frames of a Recording, a path, or (samples, rate), as they are.

    Raises DataError for ready-made features where sound is wanted, or the other way round.
    """
    path = _path_of(source, features)
    if features is None:
        return read_features(path, size)
    return features.of(read_audio(path, features.rate))


def mean_frames(
    sources: Iterable[Any], features: Features | None, size: int | None = None
) -> np.ndarray:
    """The mean of all frames of recordings, float64 [F]; DataError where there are none."""
    return Normalization.learn(raw_frames(one, features, size) for one in sources).mean


def speaker_means(
    every: Sequence[Recording], features: Features | None, size: int | None = None
) -> dict[str, np.ndarray]:
    """The mean of all frames of each speaker, who has no mean where nothing is to be heard."""
    by_speaker: dict[str, list[Recording]] = {}
    for one in every:
        by_speaker.setdefault(one.speaker, []).append(one)
    return {name: mean_frames(own, features, size) for name, own in by_speaker.items()}


def _path_of(source: Any, features: Features | None) -> Any:
    path = source.path if isinstance(source, Recording) else source
    ready = isinstance(path, (str, Path)) and Path(path).suffix.lower() in SUFFIXES
    if ready != (features is None):
        wanted = "sound" if features else f"ready-made features ({', '.join(SUFFIXES)})"
        raise DataError(must_be("the recording", f"{wanted}, as in training", str(path)))
    return path
