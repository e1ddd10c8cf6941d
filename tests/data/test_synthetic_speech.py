from __future__ import annotations

import itertools

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.data.audio import read_audio
from grukit.data.recordings import Recording, recordings
from grukit.data.synthetic_speech import (
    LETTERS,
    Spoken,
    spoken_strings,
    spoken_tones,
    write_spoken,
)

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


def heard(one: Spoken) -> str:
    """What is said in tones, told by the strongest pitch between moments of quiet."""
    pitches = np.geomspace(300, 3000, len(LETTERS))
    words = []
    for start, end in one.times:
        samples = one.samples[round(start * one.rate) : round(end * one.rate)]
        loud = np.convolve(np.abs(samples), np.ones(40) / 40, "same") > 0.05
        edges = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]]).astype(int)))
        letters = ""
        for first, last in edges.reshape(-1, 2):
            if last - first > 200:
                power = np.abs(np.fft.rfft(samples[first:last], 8192))
                pitch = power.argmax() * one.rate / 8192
                letters += LETTERS[np.abs(np.log(pitches / pitch)).argmin()]
        words.append(letters)
    return " ".join(words)


def test_tones_say_their_texts():
    every = list(spoken_tones(40, seed=1))
    assert [heard(one) for one in every] == [one.text for one in every]
    assert {letter for one in every for letter in one.text} == set(LETTERS) | {" "}
    assert {len(one.times) for one in every} == {1, 2, 3}
    assert all(one.samples.dtype == np.float32 for one in every)
    assert all(np.abs(one.samples).max() < 1 for one in every)


def test_the_same_seed_says_the_same():
    for make in (spoken_tones, lambda n, seed: spoken_tones(n, seed, rate=16000)):
        first, again, other = make(3, 0), make(3, 0), make(3, 5)
        for a, b, c in zip(first, again, other, strict=True):
            assert np.array_equal(a.samples, b.samples)
            assert a.text != c.text


@pytest.fixture
def digits(tmp_path) -> list[Recording]:
    """Three words, each a constant with one quieter stretch."""
    found = []
    for at, word in enumerate(("one", "two", "three"), 1):
        samples = np.full(400 * at, 0.1 * at)
        samples[80:160] = 0.001 * at
        soundfile.write(tmp_path / f"{word}.wav", samples, 8000, subtype="FLOAT")
        found.append(Recording(word, word, tmp_path / f"{word}.wav"))
    return found


def test_strings_hold_their_words_where_they_say(digits):
    own = {one.text: one.samples(8000) for one in digits}
    sizes, pauses = set(), []
    for one in spoken_strings(digits, 50, pauses=(0.05, 0.2)):
        words, last = one.text.split(), 0
        sizes.add(len(words))
        for word, (start, end) in zip(words, one.times, strict=True):
            first, stop = round(start * 8000), round(end * 8000)
            assert np.array_equal(one.samples[first:stop], own[word])
            pauses.append(first - last)
            last = stop
        pauses.append(len(one.samples) - last)
        assert np.abs(one.samples[: round(one.times[0][0] * 8000)]).max() < 0.02
    assert sizes == {3, 4, 5, 6, 7}
    assert 0.05 * 8000 <= min(pauses) < 0.06 * 8000
    assert 0.19 * 8000 < max(pauses) <= 0.2 * 8000


def test_strings_are_fixed_by_their_seed(digits):
    first, again = (list(spoken_strings(digits, 5, seed=3)) for _ in range(2))
    assert [one.text for one in first] == [one.text for one in again]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first, again, strict=True))
    other = list(spoken_strings(digits, 5, seed=4))
    assert [one.text for one in first] != [one.text for one in other]


def test_what_is_written_is_read_again(tmp_path):
    every = list(itertools.islice(spoken_tones(), 3))
    written = write_spoken(tmp_path / "tones", every)
    assert recordings(tmp_path / "tones") == written
    for one, recording in zip(every, written, strict=True):
        assert recording.text == one.text
        assert np.abs(read_audio(recording.path, 8000) - one.samples).max() < 3.1e-5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"words": (0, 3)}, "the fewest words must be an integer of at least 1, got 0"),
        ({"words": (4, 3)}, "the most words must be an integer of at least 4, got 3"),
        ({"count": -1}, "count must be an integer of at least 0"),
        ({"pauses": (0.5, 0.1)}, "the longest pause must be a number of at least 0.5, got 0.1"),
        ({"recordings": []}, "recordings must be at least one"),
    ],
)
def test_draws_that_cannot_be_are_refused(digits, settings, message):
    with pytest.raises(ParameterError, match=message):
        next(spoken_strings(**{"recordings": digits} | settings))
