from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import ctc_loss

from grukit import FitConfig
from grukit.core.errors import NotFittedError, ParameterError
from grukit.data.alphabet import Alphabet
from grukit.data.audio import read_audio
from grukit.data.recordings import Recording
from grukit.data.synthetic_speech import spoken_strings, spoken_tones, write_spoken
from grukit.tasks.speech import SpeechRecognizer
from grukit.tasks.speech_words import single_chances, word_answer

pytest.importorskip("soundfile")
pytest.importorskip("kaldi_native_fbank")
pytest.importorskip("jiwer")


@pytest.mark.parametrize("steps", [1, 2, 3, 25])
def test_the_chance_of_a_word_is_that_of_ctc(steps):
    chances = torch.randn(steps, 6).log_softmax(-1)
    found = single_chances(chances.numpy())
    for token in range(1, 6):
        loss = ctc_loss(
            chances[:, None].double(),
            torch.tensor([[token]]),
            torch.tensor([steps]),
            torch.tensor([1]),
            reduction="sum",
        )
        assert found[token] == pytest.approx(-loss.item(), abs=1e-6)
    assert found[0] == pytest.approx(chances[:, 0].double().sum().item(), abs=1e-6)


def test_chances_of_all_answers_of_one_step_are_all_there_are():
    chances = torch.randn(1, 6).log_softmax(-1).numpy()
    assert np.exp(single_chances(chances)).sum() == pytest.approx(1, abs=1e-6)


def test_what_is_less_likely_than_the_threshold_or_than_nothing_is_rejected():
    alphabet = Alphabet("word", ["", "no", "yes"])
    chances = np.log(np.array([[0.3, 0.1, 0.6]]))
    answer = word_answer(chances, alphabet, 0.5)
    assert answer.word == "yes"
    assert answer.chances == pytest.approx({"no": 0.1, "yes": 0.6})
    assert word_answer(chances, alphabet, 0.7).word is None
    assert word_answer(np.log(np.array([[0.6, 0.1, 0.3]])), alphabet, 0.0).word is None


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> list[Recording]:
    """Words of one letter, and as what is none of them the letters g and h."""
    folder = tmp_path_factory.mktemp("tones")
    every = [one for one in spoken_tones(1400, words=(1, 1)) if len(one.text) == 1]
    written = write_spoken(folder, every)
    return [Recording(r.name, r.text if r.text in "abcdef" else "", r.path) for r in written]


@pytest.fixture(scope="module")
def model(tones) -> SpeechRecognizer:
    training = FitConfig(
        epochs=14, batch_size=16, learning_rate=0.01, patience=None, progress=False
    )
    model = SpeechRecognizer(
        mode="words",
        rate=8000,
        look_ahead=0.3,
        hidden_size=24,
        num_layers=1,
        dropout=0.0,
        augmentation=None,
        training=training,
    )
    pairs = [(one.path, one.text) for one in tones]
    return model.fit(pairs[:240], validation=pairs[240:])


def test_words_are_recognized_and_others_are_not(model, tones):
    evaluation = model.validation_
    print(evaluation.table())
    metrics = {score.name: score.metrics["accuracy"] for score in evaluation.scores}
    assert list(metrics) == ["grukit GRU", "linear, of mean features", "most frequent word"]
    assert metrics["grukit GRU"] > 0.95
    assert metrics["most frequent word"] < 0.4
    assert evaluation.recordings == len(tones) - 240
    assert evaluation.classes == tuple("abcdef")
    known = next(one for one in tones[300:] if one.text)
    answer = model.recognize(known)
    assert answer.word == known.text
    assert 0.5 < answer.confidence <= 1
    assert model.recognize(known, threshold=1.0).word is None
    nothing = model.recognize((np.zeros(4000), 8000))
    assert nothing.word is None


def test_a_saved_model_answers_the_same(model, tones, tmp_path):
    model.save(tmp_path / "model")
    again = SpeechRecognizer.load(tmp_path / "model")
    assert again.recognize(tones[0]) == model.recognize(tones[0])
    pairs = [(one.path, one.text) for one in tones[300:320]]
    assert again.evaluate(pairs).table() == model.evaluate(pairs).table()
    assert "linear, of mean features" in (tmp_path / "model" / "README.md").read_text()


def test_words_are_spotted_with_their_times(model, tones):
    chosen = [one for one in tones[300:] if one.text][:4]
    quiet = np.random.default_rng(0).normal(0, 0.01, 8000).astype(np.float32)
    parts, moments, at = [quiet], [], 1.0
    for one in chosen:
        samples = one.samples(8000)
        loudest = np.abs(samples).argmax() / 8000
        moments.append(at + loudest)
        parts += [samples, quiet]
        at += len(samples) / 8000 + 1.0
    found = model.spot((np.concatenate(parts), 8000), threshold=0.3)
    assert [one.word for one in found] == [one.text for one in chosen]
    for one, moment in zip(found, moments, strict=True):
        assert one.start <= moment <= one.end
        assert one.confidence >= 0.3
    assert model.spot((np.concatenate(parts), 8000), threshold=1.0) == []


@pytest.fixture(scope="module")
def pooled(tones) -> SpeechRecognizer:
    """Of single words and without `look_ahead`: one answer for each recording."""
    training = FitConfig(epochs=8, batch_size=16, learning_rate=0.01, progress=False)
    model = SpeechRecognizer(
        mode="words", rate=8000, hidden_size=24, num_layers=1, dropout=0.0, training=training
    )
    pairs = [(one.path, one.text) for one in tones]
    return model.fit(pairs[:240], validation=pairs[240:])


def test_a_network_of_single_words_answers_once(pooled, tones, tmp_path):
    accuracy = pooled.validation_.scores[0].metrics["accuracy"]
    print(pooled.validation_.table())
    assert accuracy > 0.95
    known = next(one for one in tones[240:] if one.text)
    assert pooled.log_chances(known).shape == (1, 7)
    pooled.save(tmp_path / "model")
    again = SpeechRecognizer.load(tmp_path / "model")
    assert again.recognize(known) == pooled.recognize(known)
    transcript = again.transcribe(known)
    assert transcript.text == known.text
    (word,) = transcript.words
    assert 0 <= word.start < word.end <= transcript.duration
    assert transcript.duration == pytest.approx(len(known.samples(8000)) / 8000, abs=0.05)
    for nothing in (np.zeros(8000, np.float32), np.zeros(50, np.float32)):
        assert again.transcribe((nothing, 8000)).text == ""


def test_a_network_of_single_words_finds_none_in_a_stream(pooled, tones):
    with pytest.raises(ParameterError, match="look_ahead must be set to find words"):
        pooled.spot(tones[0])
    with pytest.raises(ParameterError, match="look_ahead must be"):
        pooled.stream()


def test_where_some_recordings_have_several_words_none_is_pooled(tmp_path):
    words = write_spoken(tmp_path / "words", spoken_tones(8, seed=1, words=(1, 1)))
    written = write_spoken(tmp_path / "strings", spoken_strings(words, 8, words=(1, 2)))
    training = FitConfig(epochs=1, progress=False)
    model = SpeechRecognizer(mode="words", rate=8000, hidden_size=4, num_layers=1)
    model.training = training
    assert any(" " in one.text for one in written)
    assert not model.fit(tmp_path / "strings", validation=None).network_.pooled


@pytest.fixture(scope="module")
def voices(tmp_path_factory) -> pd.DataFrame:
    """The words a to d, of one tone each, through three microphones of different colour."""
    folder, rows = tmp_path_factory.mktemp("voices"), []
    colours = {"bright": [1.0, -0.9], "plain": [1.0], "dull": [0.2, 0.4, 0.4, 0.2]}
    tones = [one for one in spoken_tones(900, words=(1, 1)) if one.text in {"a", "b", "c", "d"}]
    for at, one in enumerate(tones[:180]):
        speaker = list(colours)[at % 3]
        heard = np.convolve(one.samples, colours[speaker], "same").astype(np.float32)
        own = dataclasses.replace(one, samples=heard)
        (written,) = write_spoken(folder / f"{at:03}", [own])
        rows.append((str(written.path), one.text, speaker))
    return pd.DataFrame(rows, columns=["audio", "text", "speaker"])


def test_what_a_microphone_adds_is_taken_away(voices, tmp_path):
    training = FitConfig(epochs=6, batch_size=16, learning_rate=0.01, progress=False)
    settings = {"mode": "words", "rate": 8000, "hidden_size": 16, "num_layers": 1}
    model = SpeechRecognizer(
        **settings, speaker="speaker", dropout=0.0, augmentation=None, training=training
    )
    known, new = (voices[voices["speaker"].isin(own)] for own in (["plain", "dull"], ["bright"]))
    model.fit(known, validation=known[:20])
    assert model.validation_.scores[0].metrics["accuracy"] > 0.9
    assert not model.reader_.means
    sources = new["audio"].tolist()
    adapted = model.adapted(sources)
    frames = np.concatenate([model.reader_.features.of(read_audio(p, 8000)) for p in sources])
    np.testing.assert_allclose(adapted.reader_.normalization.mean, frames.mean(0), rtol=1e-5)
    assert model.reader_.normalization is not adapted.reader_.normalization
    said = [adapted.recognize(source, threshold=0.0).word for source in sources]
    accuracy = np.mean([word == text for word, text in zip(said, new["text"], strict=True)])
    assert accuracy > 0.9
    strange = [model.recognize(source, threshold=0.0).word for source in sources]
    assert np.mean([a == b for a, b in zip(strange, new["text"], strict=True)]) < 0.6
    # To evaluate is to adapt to each speaker.
    metrics = model.evaluate(new).scores[0].metrics
    sure = [adapted.recognize(source).word for source in sources]
    assert metrics["accuracy"] == np.mean([a == b for a, b in zip(sure, new["text"], strict=True)])
    model.save(tmp_path / "model")
    again = SpeechRecognizer.load(tmp_path / "model").adapted(sources)
    assert again.recognize(sources[0]) == adapted.recognize(sources[0])


def test_a_speaker_is_for_what_is_normalized_by_many_recordings(voices, model):
    for settings in ({"mode": "text"}, {"features": "mfcc"}, {"look_ahead": 0.3}):
        wrong = SpeechRecognizer(
            **{"mode": "words", "rate": 8000, "speaker": "speaker", **settings}
        )
        with pytest.raises(ParameterError, match="speaker must be None but for single words"):
            wrong.fit(voices[:20], validation=None)
    with pytest.raises(ParameterError, match="speaker must be a column in training, got None"):
        model.adapted(voices["audio"].tolist())


def test_words_are_only_for_the_mode_of_words(model, tones):
    with pytest.raises(NotFittedError):
        SpeechRecognizer(mode="words").recognize(tones[0])
    with pytest.raises(ParameterError, match="threshold must be a number"):
        model.recognize(tones[0], threshold=1.5)
    model = SpeechRecognizer()
    model.network_ = None
    with pytest.raises(ParameterError, match=r"mode must be 'words'.*got 'text'"):
        model.recognize(tones[0])
