"""What recordings and transcripts may be like, and what becomes of it: an error that says what is
wrong, or an answer that is defined; and nothing that there was is lost."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from grukit import FitConfig, SpeechRecognizer
from grukit.core.errors import DataError
from grukit.data.audio import read_audio

soundfile = pytest.importorskip("soundfile")
RATE = 8000


@pytest.fixture(scope="module")
def model(recognizer) -> SpeechRecognizer:
    return SpeechRecognizer.load(recognizer)


@pytest.fixture(scope="module")
def samples(wavs) -> np.ndarray:
    return read_audio(wavs[0], RATE)


@pytest.fixture
def write(tmp_path):
    def written(name: str, samples: np.ndarray, rate: int = RATE):
        soundfile.write(tmp_path / name, samples, rate)
        return tmp_path / name

    return written


@pytest.fixture
def refused(grukit, recognizer, model):
    """A file is refused with these words, from Python and on the command line."""

    def check(path, words: str) -> None:
        with pytest.raises(DataError) as error:
            model.transcribe(path)
        assert words in str(error.value)
        assert str(path) in str(error.value)
        outcome = grukit("predict", recognizer, path)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err == f"grukit: error: {error.value}\n"

    return check


def test_an_empty_file(refused, tmp_path):
    (tmp_path / "empty.wav").touch()
    refused(tmp_path / "empty.wav", "must be an audio file that can be read")


def test_a_file_without_samples(refused, write):
    refused(write("none.wav", np.zeros(0, np.float32)), "at least one sample, got none")


def test_a_text_that_is_called_wav(refused, tmp_path):
    (tmp_path / "text.wav").write_text("what was said, as words\n" * 9)
    refused(tmp_path / "text.wav", "must be an audio file that can be read")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_a_file_that_is_cut_off(refused, write, samples, suffix):
    path = write(f"cut.{suffix}", np.tile(samples, 8))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    refused(path, str(path))


def test_no_file(refused, tmp_path):
    refused(tmp_path / "missing.wav", "must be an existing file")


def test_silence_is_a_transcript_without_words(model, grukit, recognizer, write):
    path = write("silence.wav", np.zeros(5 * RATE, np.float32))
    answer = model.transcribe(path)
    assert answer.duration == pytest.approx(5, abs=0.05)
    outcome = grukit("predict", recognizer, path, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["text"] == answer.text
    assert all(0 <= word.confidence <= 1 for word in answer.words)


@pytest.mark.parametrize("count", [1, 100, 199, 200, 201, 400])
def test_sound_shorter_than_a_window_or_a_step(model, grukit, recognizer, write, count):
    path = write("short.wav", np.full(count, 0.1, np.float32))
    assert model.transcribe(path).words == ()
    outcome = grukit("predict", recognizer, path)
    assert (outcome.code, outcome.out) == (0, "\n")


def test_clipped_sound_is_transcribed(model, write, samples):
    clipped = np.clip(samples * 100, -1, 1)
    answer = model.transcribe(write("clipped.wav", clipped))
    assert answer.duration == pytest.approx(len(samples) / RATE, abs=0.05)
    assert all(np.isfinite(word.confidence) for word in answer.words)


@pytest.mark.parametrize("rate", [4000, 96000])
def test_other_rates_are_brought_to_that_of_the_training(model, write, samples, texts, rate):
    soxr = pytest.importorskip("soxr")
    path = write("other.wav", soxr.resample(samples, RATE, rate), rate)
    answer = model.transcribe(path)
    assert answer.duration == pytest.approx(len(samples) / RATE, abs=0.05)
    if rate > RATE:  # below, the highest tones are gone
        assert answer.text == texts[0]


def test_channels_are_mixed(model, write, samples, texts):
    assert model.transcribe(write("stereo.wav", np.stack([samples] * 2, 1))).text == texts[0]
    halves = np.stack([samples * 2, np.zeros_like(samples)], 1)
    assert model.transcribe((halves, RATE)).text == texts[0]


def test_samples_that_are_no_numbers(model, samples):
    with pytest.raises(DataError, match="must be finite"):
        model.transcribe((np.where(samples > 0.1, np.nan, samples), RATE))


QUICK = {"rate": RATE, "bins": 10, "hidden_size": 4, "num_layers": 1, "stride": 3}


def quick() -> SpeechRecognizer:
    return SpeechRecognizer(**QUICK, training=FitConfig(epochs=1))


@pytest.fixture
def corpus(speech, tmp_path):
    """Six recordings with their texts, to be spoiled."""
    for at in range(6):
        for suffix in ("wav", "txt"):
            shutil.copy(speech / f"{at:05d}.{suffix}", tmp_path)
    return tmp_path


def test_a_transcript_longer_than_its_recording_can_be(grukit, corpus, recognizer):
    (corpus / "00003.txt").write_text("abba " * 100)
    with pytest.raises(DataError, match=r"00003.wav must have at least \d+ frames for its"):
        quick().fit(corpus, validation=None)
    # A model and the state of an earlier training beside it are as they were.
    kept = corpus / "model"
    shutil.copytree(recognizer, kept)
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    outcome = grukit("train", "transcribe", corpus, "-o", kept, "--rate", RATE, "--overwrite")
    assert outcome.code == 1
    assert "00003.wav must have at least" in outcome.err
    assert "mend its transcript" in outcome.err
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    found = json.loads(grukit("evaluate", recognizer, corpus, "--json").out)
    assert found["utterances"] == 6
    assert found["words"]["deletions"] > 90


def test_characters_that_are_not_in_the_alphabet(grukit, corpus, recognizer, model, tmp_path):
    (corpus / "held").mkdir()
    shutil.copy(corpus / "00000.wav", corpus / "held")
    (corpus / "held" / "00000.txt").write_text("größer")
    held = corpus / "held"
    learned = [(corpus / f"0000{at}.wav", (corpus / f"0000{at}.txt").read_text()) for at in (1, 2)]
    with pytest.raises(DataError, match=r"00000.wav: .* characters that were learned, got .*'ö'"):
        quick().fit(learned, validation=held)
    scores = model.evaluate(held)
    assert scores.words.hits == 0
    assert scores.words.said == 1
    outcome = grukit("evaluate", recognizer, held)
    assert outcome.code == 0, outcome.err


def test_one_bad_recording_among_many_stops_a_training_and_is_named(grukit, corpus):
    (corpus / "00004.wav").write_bytes((corpus / "00004.wav").read_bytes()[:500])
    outcome = grukit("train", "transcribe", corpus, "-o", corpus / "new", "--rate", RATE)
    assert outcome.code == 1
    assert "00004.wav" in outcome.err
    assert sorted(path.name for path in corpus.glob("new*")) == []
    outcome = grukit("evaluate", "no-model", corpus)
    assert outcome.code == 1


def test_recordings_without_texts_are_named(grukit, corpus):
    (corpus / "00005.txt").unlink()
    outcome = grukit("train", "transcribe", corpus, "-o", corpus / "new")
    assert outcome.code == 1
    assert "00005.wav" in outcome.err


def test_texts_that_all_say_nothing(grukit, corpus):
    for path in corpus.glob("*.txt"):
        path.write_text(" \n")
    outcome = grukit("train", "transcribe", corpus, "-o", corpus / "new")
    assert outcome.code == 1
    assert "the transcripts must not all be empty" in outcome.err


def test_a_recognizer_of_whole_recordings_does_not_stream(grukit, corpus):
    whole = quick().fit(corpus, validation=None)
    whole.save(corpus / "whole")
    outcome = grukit("predict", corpus / "whole", "--stream")
    assert outcome.code == 2
    assert "look_ahead must be a number of seconds for a stream" in outcome.err


def test_ready_made_features_are_no_sound(grukit, tmp_path, wavs):
    random, folder = np.random.default_rng(0), tmp_path / "frames"
    folder.mkdir()
    for at in range(4):
        np.save(folder / f"{at}.npy", random.normal(size=(40, 13)).astype(np.float32))
        (folder / f"{at}.txt").write_text("ab ba")
    small = ("--hidden-size", 4, "--num-layers", 1, "--epochs", 1, "--look-ahead", 0.2)
    outcome = grukit("train", "transcribe", folder, "-o", tmp_path / "model", *small)
    assert outcome.code == 0, outcome.err
    picture = tmp_path / "frames.png"
    outcome = grukit("predict", tmp_path / "model", folder / "0.npy", "--plot", picture)
    assert outcome.code == 0, outcome.err
    assert picture.stat().st_size > 5000
    outcome = grukit("predict", tmp_path / "model", wavs[0])
    assert outcome.code == 1
    assert "must be ready-made features" in outcome.err
    outcome = grukit("predict", tmp_path / "model", "--stream")
    assert outcome.code == 2
    assert "live sound needs a model of sound, not of ready-made features" in outcome.err
    np.save(folder / "bad.npy", np.full((40, 13), np.nan, np.float32))
    outcome = grukit("predict", tmp_path / "model", folder / "bad.npy")
    assert outcome.code == 1
    assert "bad.npy" in outcome.err
