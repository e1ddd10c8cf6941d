"""A recognizer that learns tones as words."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from grukit import FitConfig, SpeechRecognizer
from grukit.core.errors import DataError, ModelFolderError, ParameterError
from grukit.data.augmentation import Augmentation
from grukit.decoding.ctc import CtcSearch
from grukit.tasks.base import load_model

RATE = 4000
TONES = {"la": 300.0, "mi": 600.0, "so": 1200.0}
SETTINGS = {
    "rate": RATE,
    "bins": 12,
    "tokens": "word",
    "hidden_size": 24,
    "num_layers": 1,
    "dropout": 0.0,
    "augmentation": Augmentation(speed=0, noise=0, warp=0, time_masks=0, feature_masks=0),
    "training": FitConfig(epochs=16, batch_size=4, learning_rate=0.01, patience=None),
}


def song(words, random):
    """Tones with pauses, float32 [S]."""
    parts = [np.zeros(RATE // 10)]
    for word in words:
        count = random.integers(RATE // 8, RATE // 4)
        parts.append(0.3 * np.sin(2 * np.pi * TONES[word] * np.arange(count) / RATE))
        parts.append(np.zeros(random.integers(RATE // 10, RATE // 5)))
    sound = np.concatenate(parts)
    return (sound + random.normal(0, 0.003, len(sound))).astype(np.float32)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("songs")
    pairs = []
    for at in range(150):
        words = random.choice(list(TONES), random.integers(1, 5)).tolist()
        path = folder / f"{at}.wav"
        soundfile.write(path, song(words, random), RATE)
        pairs.append((path, " ".join(words)))
    return pairs


@pytest.fixture(scope="module")
def live(songs):
    return SpeechRecognizer(look_ahead=0.15, **SETTINGS).fit(songs[:120], songs[120:])


@pytest.fixture(scope="module")
def whole(songs):
    return SpeechRecognizer(**SETTINGS).fit(songs[:120], songs[120:])


@pytest.mark.parametrize("name", ["live", "whole"])
def test_it_writes_what_is_said(name, songs, request):
    model = request.getfixturevalue(name)
    ours, frequent, nothing = model.validation_.scores
    assert ours.metrics["wer"] < 0.1 < frequent.metrics["wer"]
    assert nothing.metrics["wer"] == 1.0
    assert model.evaluate(songs[120:]).scores[0] == ours
    said = model.predict([path for path, _ in songs[120:]])
    assert sum(a == b for a, (_, b) in zip(said, songs[120:], strict=True)) >= 22


def test_words_come_in_order_with_times_and_confidence(whole, songs):
    answer = whole.transcribe(songs[1][0])
    assert [word.text for word in answer.words] == songs[1][1].split()
    starts = [word.start for word in answer.words]
    assert starts == sorted(starts)
    assert all(0 < word.confidence <= 1 and word.start < word.end for word in answer.words)
    assert answer.duration == pytest.approx(soundfile.info(songs[1][0]).duration, abs=0.05)


@pytest.mark.parametrize("size", [40, 333, 20_000])
def test_a_stream_finds_what_the_whole_file_has(live, songs, size):
    for path, _ in songs[120:125]:
        samples, _ = soundfile.read(path, dtype="int16")
        stream, found = live.stream(), []
        for first in range(0, len(samples), size):
            found += stream.push(samples[first : first + size].tobytes())
        found += stream.finish()
        whole = live.transcribe(path)
        assert stream.heard == whole.duration
        assert [word[:3] for segment in found for word in segment.words] == [
            word[:3] for word in whole.words
        ]
        sure = [word.confidence for segment in found for word in segment.words]
        assert sure == pytest.approx([word.confidence for word in whole.words], abs=1e-5)


def test_a_partial_result_grows(live):
    random = np.random.default_rng(5)
    sound, stream, partial = song(["la", "so", "mi"], random), live.stream(), []
    for first in range(0, len(sound), 400):
        stream.push(sound[first : first + 400])
        partial.append(str(stream.partial or ""))
    (last,) = stream.finish()
    assert last.text == "la so mi"
    assert last.is_final
    assert "la" in partial
    assert "la so" in partial


def test_a_long_recording_is_cut_in_quiet_places(whole):
    random = np.random.default_rng(1)
    words = random.choice(list(TONES), 120).tolist()
    answer = whole.transcribe((song(words, random), RATE))
    assert answer.duration > 40
    said = answer.text.split()
    assert abs(len(said) - len(words)) <= 3
    assert sum(a == b for a, b in zip(said[:20], words, strict=False)) >= 18


def test_a_saved_model_says_the_same(live, songs, tmp_path):
    live.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.get_params() == live.get_params()
    assert again.transcribe(songs[3][0]) == live.transcribe(songs[3][0])
    card = (tmp_path / "model" / "README.md").read_text()
    assert "120 recordings" in card
    assert "looks ahead 0.15 s" in card
    (tmp_path / "model" / "alphabet.json").write_text("{}")
    with pytest.raises(ModelFolderError, match="damaged"):
        SpeechRecognizer.load(tmp_path / "model")


def test_a_language_model_is_kept_and_says_what_is_likely(songs, whole, tmp_path):
    quick = {**SETTINGS, "training": FitConfig(epochs=1)}
    model = SpeechRecognizer(**quick).fit(songs[:40], None, language="transcripts")
    assert model.language_.vocabulary == set(TONES)
    model.save(tmp_path / "model")
    again = SpeechRecognizer.load(tmp_path / "model")
    assert again.language_.chance(("la",), "so") == pytest.approx(
        model.language_.chance(("la",), "so")
    )
    assert not again.decoder().is_greedy
    assert whole.decoder().is_greedy
    # Of words that are as likely to the ear, the model of words decides.
    la, so = (whole.alphabet_.encode(word)[0] for word in ("la", "so"))
    chances = np.full((1, 1, 4), 0.02)
    chances[0, 0, [la, so]] = 0.48
    for text, wanted in (("la so la la", la), ("so la so so", so)):
        decoder = whole.decoder(language=[text] * 20)
        assert decoder.decode(np.log(chances))[0][0].tokens == (wanted,)
    decoder = whole.decoder(CtcSearch(beam=4, hot_words={"so": 2.0}))
    assert decoder.decode(np.log(chances))[0][0].tokens == (so,)


def test_ready_made_features_take_the_place_of_sound(songs, tmp_path):
    features = SpeechRecognizer(**SETTINGS)
    from grukit.tasks.speech_data import features_of

    pairs = []
    for at, (path, text) in enumerate(songs):
        samples, _ = soundfile.read(path, dtype="float32")
        np.save(tmp_path / f"{at}.npy", features_of(features).of(samples))
        pairs.append((tmp_path / f"{at}.npy", text))
    model = features.fit(pairs[:120], pairs[120:])
    assert model.validation_.scores[0].metrics["wer"] < 0.1
    with pytest.raises(DataError, match="ready-made features"):
        model.transcribe(songs[0][0])


def test_the_same_seed_gives_the_same_model(songs, whole):
    again = SpeechRecognizer(**SETTINGS).fit(songs[:120], songs[120:])
    pairs = zip(again.network_.parameters(), whole.network_.parameters(), strict=True)
    assert all(bool((a == b).all()) for a, b in pairs)


def test_bad_input_is_told(songs, whole, tmp_path):
    quick = {**SETTINGS, "training": FitConfig(epochs=1)}
    with pytest.raises(DataError, match=r"must have at least .* frames for its transcript"):
        SpeechRecognizer(**quick).fit([(songs[0][0], "la " * 60), *songs[1:5]])
    strange = (tmp_path / "strange.wav", "xx")
    soundfile.write(strange[0], song(["la"], np.random.default_rng(0)), RATE)
    with pytest.raises(DataError, match=r"strange.wav.*got 'xx'"):
        SpeechRecognizer(**quick).fit(songs[:5], [strange])
    with pytest.raises(ParameterError, match="look_ahead must be a number of seconds"):
        whole.stream()
    with pytest.raises(ParameterError, match="look_ahead must be None or a number of at least 0"):
        SpeechRecognizer(**quick, look_ahead=-0.01).fit(songs[:5], None)
    with pytest.raises(DataError, match="validation must leave a recording"):
        SpeechRecognizer(**quick).fit(songs[:1])
