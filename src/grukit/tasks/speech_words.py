"""Which word a recording is: the mode "words" of a recognizer of speech.

CTC gives every sequence of words a chance; that of a sequence of one word is the word's own. What
is left over belongs to silence, and to more than one word.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from grukit.data.alphabet import BLANK, Alphabet
from grukit.data.recordings import Recording
from grukit.evaluation.linear_words import LinearWords
from grukit.evaluation.word_metrics import words_evaluation
from grukit.results.cells import NAMES
from grukit.results.speech_evaluation import WordsEvaluation
from grukit.results.spoken_words import Detection, WordAnswer
from grukit.results.transcript import Segment
from grukit.tasks.speech_reader import SpeechReader, raw_frames

if TYPE_CHECKING:
    from grukit.tasks.speech import SpeechRecognizer

THRESHOLD = 0.5
"""Words with less chance are rejected, unless another threshold is asked for."""

_LINEAR = "linear."


def single_chances(chances: np.ndarray) -> np.ndarray:
    """ln of the chance that token v is all that is said, float64 [V]; of 0, that nothing is.

    chances: ln of the chances of all tokens at every step, [T, V].

    The forward algorithm of CTC (Graves et al. 2006), for all answers of one token at once: blanks,
    then v at least once, then blanks.
    """
    before, within = 0.0, np.full(chances.shape[1], -np.inf)
    after = within.copy()
    for step in chances.astype(np.float64):
        blank = step[BLANK]
        after = np.logaddexp(after, within) + blank
        within = np.logaddexp(within, before) + step
        before += blank
    every = np.logaddexp(within, after)
    every[BLANK] = before
    return every


def word_answer(chances: np.ndarray, alphabet: Alphabet, threshold: float) -> WordAnswer:
    """The likeliest word; None where nothing is likelier, or the word less likely than `threshold`.

    chances: as for `single_chances`.
    """
    every = np.exp(single_chances(chances))
    own = dict(zip(alphabet.tokens[1:], every[1:].tolist(), strict=True))
    likeliest = max(own, key=lambda word: own[word])
    is_word = own[likeliest] >= threshold and own[likeliest] > every[BLANK]
    return WordAnswer(likeliest if is_word else None, own)


def detections(segments: Iterable[Segment], threshold: float) -> list[Detection]:
    """The words of segments, as a stream gives them, that are at least so likely."""
    words = (word for segment in segments for word in segment.words)
    return [Detection(*word) for word in words if word.confidence >= threshold]


def mean_features(every: Sequence[Recording], reader: SpeechReader) -> np.ndarray:
    """The mean frame of each recording, less that of its speaker if known, float64 [N, F]."""
    rows = []
    for one in every:
        frames = raw_frames(one, reader.features, reader.size)
        rows.append(frames.mean(0, dtype=np.float64) - reader.means.get(one.speaker, 0.0))
    return np.stack(rows)


def linear_words(
    every: Sequence[Recording], reader: SpeechReader, alphabet: Alphabet
) -> LinearWords | None:
    """The baseline, learned from the recordings of one word or none; class 0 is none of the words.

    None where there are no such recordings.
    """
    places = {word: at for at, word in enumerate(alphabet.tokens)}
    single = [one for one in every if one.text in places]
    if not single:
        return None
    targets = np.array([places[one.text] for one in single])
    return LinearWords.fit(mean_features(single, reader), targets, len(alphabet))


def tensors_of(linear: LinearWords | None) -> dict[str, Tensor]:
    """The baseline as named tensors, none if there is none."""
    arrays = linear.arrays() if linear is not None else {}
    return {f"{_LINEAR}{name}": torch.from_numpy(own) for name, own in arrays.items()}


def linear_of(tensors: dict[str, Tensor]) -> LinearWords | None:
    """The baseline in `tensors`, out of which it is taken."""
    names = [name for name in tensors if name.startswith(_LINEAR)]
    arrays = {name.removeprefix(_LINEAR): tensors.pop(name).numpy() for name in names}
    return LinearWords(**arrays) if arrays else None


def judged_words(model: SpeechRecognizer, every: Sequence[Recording]) -> WordsEvaluation:
    """How often the words of recordings are recognized, beside the baselines."""
    started = time.perf_counter()
    found = [model.recognize(one, THRESHOLD).word for one in every]
    took = time.perf_counter() - started
    features, words = mean_features(every, model.reader_), model.alphabet_.tokens
    answers: dict[str, list[str | None]] = {f"grukit {NAMES[model.cell]}": found}
    if model.linear_ is not None:
        linear = model.linear_.answers(features).tolist()
        answers["linear, of mean features"] = [words[at] or None for at in linear]
    answers["most frequent word"] = [model.learned_.most_frequent or None] * len(every)
    seconds = sum(len(model.reader_(one)) for one in every) * model.reader_.hop
    truth = [one.text or None for one in every]
    return words_evaluation(answers, truth, words[1:], THRESHOLD, seconds, took)
