"""The recordings that a recognizer of speech learns from, and those it is validated on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.rules import check, number
from grukit.data.alphabet import Alphabet
from grukit.data.audio_features import Features
from grukit.data.normalization import Normalization
from grukit.data.recordings import Recording, recordings
from grukit.data.speech_items import SpeechItems
from grukit.tasks.speech_reader import SpeechReader, raw_frames, speaker_means

if TYPE_CHECKING:
    from grukit.tasks.speech import SpeechRecognizer

_SPLIT = 11


class Learned(NamedTuple):
    """What a recognizer learned from: how many recordings, of how many seconds in all, and the
    transcript that most of them have."""

    recordings: int
    seconds: float
    most_frequent: str

    @classmethod
    def of(cls, own: Sequence[Recording], sizes: dict[Recording, int], hop: float) -> Learned:
        ((most_frequent, _),) = Counter(one.text for one in own).most_common(1)
        return cls(len(own), round(sum(sizes[one] for one in own) * hop, 3), most_frequent)


class Prepared(NamedTuple):
    """All that training begins with; `judged` is empty where nothing is."""

    alphabet: Alphabet
    reader: SpeechReader
    learned: list[Recording]
    judged: list[Recording]
    sizes: dict[Recording, int]
    """The frames of each recording."""

    def items(self, own: Sequence[Recording], read: Callable[[Recording], np.ndarray]):
        """Recordings as training data, read by `read`."""
        return SpeechItems(
            lambda at: read(own[at]),
            [self.sizes[one] for one in own],
            [self.alphabet.encode(one.text) for one in own],
        )


def prepare(settings: SpeechRecognizer, data: Any, validation: Any) -> Prepared:
    """Read every recording once, so that what is wrong with one is found before training.

    Raises DataError for recordings that cannot be read, and for those too short for what is said
    in them, all of which it counts.
    """
    learned = recordings(data, settings.audio, settings.text, settings.speaker)
    judged: list[Recording] = []
    if isinstance(validation, (int, float)):
        check({"validation": validation}, {"validation": number(above=0, below=1)})
        learned, judged = _shared_out(learned, validation, int(settings.seed))
    elif validation is not None:
        judged = recordings(validation, settings.audio, settings.text, settings.speaker)
    kind = settings.tokens or ("word" if settings.mode == "words" else "char")
    alphabet = Alphabet.learn((one.text for one in learned), kind, settings.vocabulary)
    features, size = None, None
    if not learned[0].has_features:
        features = features_of(settings)
        size = features.size
    sizes: dict[Recording, int] = {}

    def read(one: Recording) -> np.ndarray:
        nonlocal size
        frames = raw_frames(one, features, size)
        sizes[one], size = len(frames), frames.shape[1]
        return frames

    normalization = Normalization.learn(map(read, learned))
    for one in judged:
        read(one)
    assert size is not None
    _check_lengths([*learned, *judged], sizes, alphabet, settings.stride)
    hop = features.hop if features else settings.hop_ms / 1000
    live, cepstra = settings.look_ahead is not None, settings.features == "mfcc"
    words = settings.mode == "words"
    reader = SpeechReader(features, size, hop, normalization, live, cepstra, words)
    if settings.speaker is not None:
        if not reader.by_level:
            wanted = "None but for single words, by log-mel energies and without look_ahead"
            raise ParameterError(must_be("speaker", wanted, settings.speaker))
        means = speaker_means([*learned, *judged], features, size)
        reader = replace(reader, means=means)
    return Prepared(alphabet, reader, learned, judged, sizes)


def features_of(settings: SpeechRecognizer) -> Features:
    """Those of sound that the settings ask for."""
    return Features(settings.features, settings.rate, settings.bins, hop_ms=settings.hop_ms)


def fingerprint(own: Sequence[Recording], sizes: dict[Recording, int]) -> str:
    """What tells these recordings from others, as far as names, lengths and texts do."""
    digest = hashlib.sha256()
    for one in own:
        digest.update(f"{one.path.name}\0{sizes[one]}\0{one.text}\0".encode())
    return digest.hexdigest()[:16]


def steps_needed(tokens: np.ndarray) -> int:
    """The fewest steps that CTC needs: one for each token, and a blank between two alike."""
    return len(tokens) + int((tokens[1:] == tokens[:-1]).sum())


def _shared_out(every: list[Recording], share: float, seed: int) -> tuple[list[Recording], ...]:
    order = np.random.default_rng((seed, _SPLIT)).permutation(len(every))
    count = max(1, round(share * len(every)))
    if count >= len(every):
        raise DataError(
            f"validation must leave a recording to learn from, got {len(every)} recordings; give "
            "validation=None, or recordings of its own"
        )
    return [every[at] for at in np.sort(order[count:])], [
        every[at] for at in np.sort(order[:count])
    ]


def _check_lengths(
    every: Sequence[Recording], sizes: dict[Recording, int], alphabet: Alphabet, stride: int
) -> None:
    short = []
    for one in every:
        try:
            needed = steps_needed(alphabet.encode(one.text))
        except DataError as error:
            raise DataError(f"{one.name}: {error}") from error
        if -(-sizes[one] // stride) < needed:
            short.append((one, needed))
    if short:
        one, needed = short[0]
        more = f" (and {len(short) - 1:,} more)" if len(short) > 1 else ""
        raise DataError(
            f"{one.name} must have at least {needed * stride} frames for its transcript "
            f"{one.text[:60]!r}, got {sizes[one]}{more}: mend its transcript, leave it out, or "
            "lower stride or hop_ms"
        )
