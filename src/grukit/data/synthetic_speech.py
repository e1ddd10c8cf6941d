"""Speech with known answers: tones as letters, and words joined to strings."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.core.files import write_atomically
from grukit.core.rules import check, integer, number
from grukit.data.augmentation import quietest
from grukit.data.recordings import Recording

LETTERS = "abcdefgh"
_LOWEST, _HIGHEST = 300.0, 3000.0
_ONSET = 0.012
_LOUDNESS, _NOISE = 0.3, 0.01


@dataclass(frozen=True, eq=False)
class Spoken:
    """Sound, float32 [S], what is said in it, and when each word begins and ends, in seconds."""

    samples: np.ndarray
    rate: int
    text: str
    times: tuple[tuple[float, float], ...]


def spoken_tones(
    count: int = 500, seed: int = 0, rate: int = 8000, words: tuple[int, int] = (1, 3)
) -> Iterator[Spoken]:
    """Texts of random words over `LETTERS`, each letter a tone of its own pitch.

    A tone rises and falls, so that two alike are two; it lasts 70 to 140 ms, is now louder and now
    softer, and a little out of tune. Words have 1 to 4 letters; before, between and after them are
    pauses of 0.1 to 0.3 s; all of it is noisy.

    words: the fewest and the most in a text.

    >>> one = next(spoken_tones())
    >>> one.text, len(one.samples), [round(start, 2) for start, _ in one.times]
    ('hecg cfc', 10034, [0.28, 0.82])
    """
    _check_draws(count, words)
    random = np.random.default_rng((seed, 1))
    pitches = np.geomspace(_LOWEST, min(_HIGHEST, rate / 2.5), len(LETTERS)).tolist()
    for _ in range(count):
        parts, texts = [], []
        for _ in range(random.integers(words[0], words[1] + 1)):
            letters = random.integers(0, len(LETTERS), random.integers(1, 5))
            texts.append("".join(LETTERS[at] for at in letters))
            parts.append(np.concatenate([_tone(pitches[at], rate, random) for at in letters]))
        pauses = (random.uniform(0.1, 0.3, len(parts) + 1) * rate).astype(np.int64)
        joined, times = _joined(parts, [np.zeros(size) for size in pauses], rate)
        joined += random.normal(0, _NOISE, len(joined))
        yield Spoken(joined.astype(np.float32), rate, " ".join(texts), times)


def spoken_strings(
    recordings: Sequence[Recording],
    count: int = 100,
    seed: int = 0,
    rate: int = 8000,
    words: tuple[int, int] = (3, 7),
    pauses: tuple[float, float] = (0.1, 0.5),
) -> Iterator[Spoken]:
    """Recordings joined at random to strings, with random pauses before, between and after them.

    A pause is white noise, as quiet as the recordings beside it ever are. Each recording counts as
    one word, from its first sample to its last.

    words: the fewest and the most in a string. pauses: the shortest and the longest, in seconds.
    """
    _check_draws(count, words)
    limits = {"the shortest pause": pauses[0], "the longest pause": pauses[1]}
    check(limits, {"the shortest pause": number(at_least=0)})
    check(limits, {"the longest pause": number(at_least=pauses[0])})
    if not recordings:
        raise ParameterError(must_be("recordings", "at least one", 0))
    random = np.random.default_rng((seed, 2))
    for _ in range(count):
        size = random.integers(words[0], words[1] + 1)
        chosen = [recordings[at] for at in random.integers(0, len(recordings), size)]
        parts = [one.samples(rate) for one in chosen]
        levels = [quietest(part, rate) for part in parts]
        between = [
            min(around) * random.normal(size=round(random.uniform(*pauses) * rate))
            for around in zip([levels[0], *levels], [*levels, levels[-1]], strict=True)
        ]
        joined, times = _joined(parts, between, rate)
        text = " ".join(one.text for one in chosen if one.text)
        yield Spoken(joined.astype(np.float32), rate, text, times)


def write_spoken(folder: str | Path, every: Iterable[Spoken]) -> list[Recording]:
    """Write each as `folder`/00000.wav, 00001.wav, ... of 16 bits with its text beside it."""
    soundfile = require("soundfile")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for at, one in enumerate(every):
        path = folder / f"{at:05d}.wav"
        file = io.BytesIO()
        soundfile.write(file, one.samples, one.rate, format="WAV", subtype="PCM_16")
        write_atomically(path, file.getvalue())
        write_atomically(path.with_suffix(".txt"), one.text + "\n")
        written.append(Recording(path.name, one.text, path))
    return written


def _check_draws(count: int, words: tuple[int, int]) -> None:
    check({"count": count}, {"count": integer(at_least=0)})
    check({"the fewest words": words[0]}, {"the fewest words": integer(at_least=1)})
    check({"the most words": words[1]}, {"the most words": integer(at_least=words[0])})


def _tone(pitch: float, rate: int, random: np.random.Generator) -> np.ndarray:
    count = round(rate * random.uniform(0.07, 0.14))
    times = np.arange(count) / rate
    pitch *= random.uniform(0.98, 1.02)
    envelope = np.minimum(1, np.minimum(times, times[::-1]) / _ONSET)
    loudness = _LOUDNESS * random.uniform(0.5, 1.5)
    return loudness * envelope * np.sin(2 * np.pi * (pitch * times + random.random()))


def _joined(
    parts: Sequence[np.ndarray], pauses: Sequence[np.ndarray], rate: int
) -> tuple[np.ndarray, tuple[tuple[float, float], ...]]:
    """Pause, part, pause, ..., pause as one, and when each part begins and ends."""
    pieces, times, at = [pauses[0]], [], len(pauses[0])
    for part, pause in zip(parts, pauses[1:], strict=True):
        times.append((at / rate, (at + len(part)) / rate))
        pieces += [part, pause]
        at += len(part) + len(pause)
    return np.concatenate(pieces), tuple(times)
