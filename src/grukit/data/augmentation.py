"""Recordings changed by chance, so that a network learns what is said, and not how it sounded.

Every number that is drawn comes from torch's own random numbers, which the training loop seeds for
each update: a resumed training hears the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.core.rules import check, each, integer, number
from grukit.core.rules import text as words
from grukit.data.audio import read_audio

_NOISES_KEPT = 32
_QUIET_SECONDS = 0.01
# Cepstra are changed as so many bands.
_BANDS = 40
# In the logarithm of an energy.
_DECIBEL = np.float32(np.log(10) / 10)
_RULES = {
    "speed": number(at_least=0, below=1),
    "gain": number(at_least=0),
    "noise": number(at_least=0, at_most=1),
    "lowest_snr": number(),
    "highest_snr": number(),
    "noise_files": each(words()),
    "pauses": number(at_least=0),
    "stretch": number(at_least=0, below=1),
    "warp": number(at_least=0, below=1),
    "equalizer": number(at_least=0),
    "time_masks": integer(at_least=0),
    "time_share": number(at_least=0, at_most=1),
    "feature_masks": integer(at_least=0),
    "feature_share": number(at_least=0, at_most=1),
}


@dataclass(frozen=True)
class Augmentation:
    """How recordings are changed in training; 0 leaves the thing alone.

    >>> samples = np.sin(np.arange(8000) / 5).astype(np.float32)
    >>> changed = Augmentation(speed=0.2, pauses=0.0).of_samples(samples, 8000)
    >>> 6600 < len(changed) < 10_100
    True

    Of sound:

    speed: played faster or slower by up to this share, so that its pitch moves as well (Ko et al.
        2015).
    gain: louder or softer by up to so many decibels.
    pauses: up to so many seconds of near silence before, and after.
    noise: the chance that noise is added, between `lowest_snr` and `highest_snr` decibels below the
        sound: a piece of one of `noise_files`, or white where there are none.

    Of frames, of sound or ready-made features:

    stretch: longer or shorter by up to this share, without a change of pitch.
    warp: the scale of frequencies longer or shorter by up to this share, as vocal tracts are
        (Jaitly and Hinton 2013).
    equalizer: some frequencies louder and others softer, as microphones and rooms have it, by about
        so many decibels: a sum of slow waves over the bands. Where the mean of a recording is
        taken away, it is heard in streams alone.

    Of normalized frames, by masks in which all is 0 (SpecAugment, Park et al. 2019):

    time_masks, time_share: so many masks, each over up to this share of the frames.
    feature_masks, feature_share: the same over the bands of frequency.

    Cepstra (MFCC) are turned into bands for the masks, the warp and the equalizer, and back.
    """

    speed: float = 0.1
    gain: float = 6.0
    pauses: float = 0.2
    noise: float = 0.5
    lowest_snr: float = 5.0
    highest_snr: float = 40.0
    noise_files: tuple[str, ...] = ()
    stretch: float = 0.1
    warp: float = 0.1
    equalizer: float = 3.0
    time_masks: int = 2
    time_share: float = 0.1
    feature_masks: int = 2
    feature_share: float = 0.15

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise_files", tuple(map(str, self.noise_files)))
        check(vars(self), _RULES)
        if self.lowest_snr > self.highest_snr:
            wanted = f"at most highest_snr ({self.highest_snr})"
            raise ParameterError(must_be("lowest_snr", wanted, self.lowest_snr))

    def of_samples(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """Sound, float32 [S], changed in speed, gain, pauses and noise."""
        if self.speed and (heard := round(rate * _between(1 - self.speed, 1 + self.speed))) != rate:
            samples = require("soxr").resample(samples, heard, rate, quality="HQ")
        if self.gain:
            samples = samples * np.float32(10 ** (_between(-self.gain, self.gain) / 20))
        loudness = _rms(samples)
        if self.pauses and len(samples):
            level = quietest(samples, rate)
            around = [round(_between(0, self.pauses) * rate) for _ in range(2)]
            before, after = (level * _white(count) for count in around)
            samples = np.concatenate([before, samples, after])
        if self.noise and _between(0, 1) < self.noise:
            samples = self._with_noise(samples, rate, loudness)
        return samples

    def stretched(self, frames: np.ndarray) -> np.ndarray:
        """Frames, float32 [T, F], stretched in time."""
        count = len(frames)
        if not self.stretch or count < 2:
            return frames
        longer = max(2, round(count * _between(1 - self.stretch, 1 + self.stretch)))
        return _between_columns(frames.T, np.linspace(0, count - 1, longer)).T

    def warped(self, frames: np.ndarray, cepstra: bool = False) -> np.ndarray:
        """Frames, float32 [T, F], with their frequencies warped."""
        if not self.warp:
            return frames
        bands = _bands(frames) if cepstra else frames
        last = bands.shape[1] - 1
        places = np.arange(last + 1) * _between(1 - self.warp, 1 + self.warp)
        warped = _between_columns(bands, np.minimum(places, last))
        return _cepstra(warped, frames.shape[1]) if cepstra else warped

    def equalized(self, frames: np.ndarray, cepstra: bool = False) -> np.ndarray:
        """Frames, float32 [T, F], with some of their frequencies louder and others softer."""
        if not self.equalizer:
            return frames
        size = frames.shape[1]
        slow = _waves(_cosines(size).shape[1] if cepstra else size)
        curve = (_DECIBEL * self.equalizer * _white(len(slow))) @ slow
        return frames + (_cepstra(curve, size) if cepstra else curve)

    def masked(self, frames: np.ndarray, cepstra: bool = False) -> np.ndarray:
        """Normalized frames, float32 [T, F], with masks in which all is 0."""
        if self.feature_masks:
            bands = _bands(frames) if cepstra else frames.copy()
            _mask(bands.T, self.feature_masks, self.feature_share)
            frames = _cepstra(bands, frames.shape[1]) if cepstra else bands
        if self.time_masks:
            frames = frames.copy()
            _mask(frames, self.time_masks, self.time_share)
        return frames

    def _with_noise(self, samples: np.ndarray, rate: int, loudness: float) -> np.ndarray:
        snr = _between(self.lowest_snr, self.highest_snr)
        if self.noise_files:
            noise = _noise(self.noise_files[_whole(len(self.noise_files) - 1)], rate)
            start = _whole(max(0, len(noise) - len(samples)))
            noise = np.resize(noise[start:], len(samples))
        else:
            noise = _white(len(samples))
        own = _rms(noise)
        return samples + noise * np.float32(loudness / own * 10 ** (-snr / 20) if own else 0)


def quietest(samples: np.ndarray, rate: int) -> np.float32:
    """The root mean square of the quietest hundredth of a second of sound, [S] and not empty."""
    size = min(len(samples), max(1, round(_QUIET_SECONDS * rate)))
    parts = samples[: len(samples) // size * size].reshape(-1, size)
    return np.sqrt((parts.astype(np.float64) ** 2).mean(1).min()).astype(np.float32)


def _mask(rows: np.ndarray, masks: int, share: float) -> None:
    for _ in range(masks):
        width = _whole(int(share * len(rows)))
        start = _whole(len(rows) - width)
        rows[start : start + width] = 0


def _between_columns(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The columns of float32 [T, F] at any places from 0 to F - 1, by linear interpolation."""
    below = np.clip(places.astype(np.int64), 0, max(0, values.shape[1] - 2))
    above = np.minimum(below + 1, values.shape[1] - 1)
    share = (places - below).astype(np.float32)
    return values[:, below] * (1 - share) + values[:, above] * share


def _bands(cepstra: np.ndarray) -> np.ndarray:
    """The smooth bands that cepstra stand for, by the inverse cosine transform."""
    return cepstra @ _cosines(cepstra.shape[1])


def _cepstra(bands: np.ndarray, count: int) -> np.ndarray:
    return bands @ _cosines(count).T


@lru_cache
def _cosines(count: int) -> np.ndarray:
    """The first rows of an orthonormal cosine transform, float32 [count, bands]."""
    bands = max(_BANDS, count)
    angles = np.outer(np.arange(count), np.arange(bands) + 0.5) * np.pi / bands
    scale = np.where(np.arange(count) == 0, 1.0, 2.0)[:, None]
    return (np.sqrt(scale / bands) * np.cos(angles)).astype(np.float32)


@lru_cache
def _waves(count: int) -> np.ndarray:
    """Half a wave over so many bands, one wave, ...: float32 [5, bands], the slow ones stronger."""
    waves = np.arange(1, 6)[:, None]
    places = (np.arange(count) + 0.5) / count
    return (np.cos(np.pi * waves * places) / np.sqrt(waves)).astype(np.float32)


def _between(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), dtype=torch.float64))


def _whole(highest: int) -> int:
    """An integer from 0 to `highest`."""
    return int(torch.randint(highest + 1, ()))


def _white(count: int) -> np.ndarray:
    return torch.randn(count).numpy()


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt((samples.astype(np.float64) ** 2).mean())) if len(samples) else 0.0


@lru_cache(_NOISES_KEPT)
def _noise(path: str, rate: int) -> np.ndarray:
    return read_audio(Path(path), rate)
