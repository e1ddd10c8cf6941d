"""Recognizers of single words on the command line."""

from __future__ import annotations

import json
import os
import sys
import threading

import numpy as np
import pytest

from grukit import SpeechRecognizer
from grukit.data.audio import read_audio
from grukit.data.synthetic_speech import spoken_strings, spoken_tones, write_spoken

TINY = (
    *("--rate", "8000", "--bins", "10", "--stride", "3", "--look-ahead", "0.1", "--no-augment"),
    *("--hidden-size", "24", "--num-layers", "1", "--dropout", "0"),
    *("--epochs", "12", "--batch-size", "4", "--learning-rate", "0.02"),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder of recordings of three words, a few of two, and the model of them."""
    folder = tmp_path_factory.mktemp("words")
    words = write_spoken(folder / "tones", spoken_tones(3, seed=3, words=(1, 1)))
    write_spoken(folder / "data", spoken_strings(words, 40, words=(1, 2)))
    write_spoken(folder / "single", spoken_strings(words, 6, seed=7, words=(1, 1)))
    return folder


@pytest.fixture(scope="module")
def recognizer(grukit, corpus):
    path = corpus / "model"
    outcome = grukit("train", "words", corpus / "data", "-o", path, *TINY)
    assert outcome.code == 0, outcome.err
    assert "accuracy" in outcome.out
    assert "most frequent word" in outcome.out
    assert "recordings of 3 words" in outcome.err
    return path


@pytest.fixture(scope="module")
def model(recognizer) -> SpeechRecognizer:
    return SpeechRecognizer.load(recognizer)


@pytest.fixture(scope="module")
def wavs(corpus):
    return sorted((corpus / "single").glob("*.wav"))


def test_the_card_names_the_words(recognizer, model):
    card = (recognizer / "README.md").read_text(encoding="utf-8")
    assert f"It tells these words apart: {', '.join(model.alphabet_.tokens[1:])}." in card
    assert "model.recognize(" in card


def test_which_word_it_is_is_told_with_its_chance(grukit, recognizer, model, wavs):
    answers = [model.recognize(wav) for wav in wavs]
    wanted = [f"{own.word or '(unknown)'}\t{own.confidence:.3f}" for own in answers]
    outcome = grukit("predict", recognizer, wavs[0])
    assert (outcome.code, outcome.out.splitlines()) == (0, wanted[:1])
    outcome = grukit("predict", recognizer, *wavs)
    lines = [f"{wav}\t{line}" for wav, line in zip(wavs, wanted, strict=True)]
    assert outcome.out.splitlines() == lines
    outcome = grukit("predict", recognizer, *wavs, "--json")
    found = list(map(json.loads, outcome.out.splitlines()))
    assert found == [
        {"file": str(wav), **own.to_dict()} for wav, own in zip(wavs, answers, strict=True)
    ]


def test_a_threshold_rejects(grukit, recognizer, wavs):
    found = json.loads(grukit("predict", recognizer, wavs[0], "--threshold", 1, "--json").out)
    assert found["word"] is None
    assert grukit("predict", recognizer, wavs[0], "--threshold", 1.5).code == 2


@pytest.fixture(scope="module")
def two(model, corpus):
    """A recording of two words, and a threshold that only one of them reaches."""
    for wav in sorted((corpus / "data").glob("*.wav")):
        sure = sorted(own.confidence for own in model.spot(wav, 0.0))
        if len(sure) == 2 and sure[1] - sure[0] > 1e-4:
            return wav, sum(sure) / 2
    raise AssertionError("no recording has two words of which one is surer")


def test_words_are_found_in_a_recording(grukit, recognizer, model, two, wavs, tmp_path):
    wav, threshold = two
    (found,) = model.spot(wav, threshold)
    line = f"{found.start:.2f}\t{found.end:.2f}\t{found.word}\t{found.confidence:.3f}"
    given = (recognizer, wav, "--spot", "--threshold", threshold)
    assert grukit("predict", *given).out == f"{line}\n"
    assert len(grukit("predict", recognizer, wav, "--spot", "--threshold", 0).out.split("\n")) == 3
    path = tmp_path / "found.json"
    grukit("predict", *given, "-o", path)
    assert json.loads(path.read_text()) == {"file": str(wav), "words": [found._asdict()]}
    grukit("predict", *given, "-o", tmp_path / "found.txt")
    assert (tmp_path / "found.txt").read_text() == f"{line}\n"
    grukit("predict", recognizer, *wavs[:2], "-o", path)
    assert json.loads(path.read_text()) == [
        {"file": str(one), **model.recognize(one).to_dict()} for one in wavs[:2]
    ]


def test_words_are_found_in_live_sound(grukit, recognizer, model, two, monkeypatch):
    wav, threshold = two
    content = (read_audio(wav, 8000) * 32767).astype("<i2").tobytes()
    samples = np.frombuffer(content, "<i2").astype(np.float32) / 32768
    wanted = [own._asdict() for own in model.spot((samples, 8000), threshold)]
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb", buffering=0) as file:
        monkeypatch.setattr(sys, "stdin", file)
        outcome = grukit("predict", recognizer, "--stream", "--threshold", threshold, "--json")
    thread.join()
    assert outcome.code == 0, outcome.err
    found = list(map(json.loads, outcome.out.splitlines()))
    assert [own["word"] for own in found] == [own["word"] for own in wanted]
    for own, other in zip(found, wanted, strict=True):
        assert own["start"] == pytest.approx(other["start"])
        assert own["confidence"] == pytest.approx(other["confidence"], abs=1e-5)


def test_words_are_scored_and_their_confusion_drawn(grukit, recognizer, corpus, tmp_path):
    picture = tmp_path / "confused.svg"
    outcome = grukit("evaluate", recognizer, corpus / "single", "--plot", picture)
    assert outcome.code == 0, outcome.err
    assert "linear, of mean features" in outcome.out
    assert "rejected below 0.5" in outcome.err
    assert picture.stat().st_size > 5000
    found = json.loads(grukit("evaluate", recognizer, corpus / "single", "--json").out)
    assert found["recordings"] == 6
    assert len(found["confusion"]) == 4


def test_wrong_usage_is_told(grukit, recognizer, wavs, tmp_path):
    outcome = grukit("predict", recognizer, wavs[0], "-o", tmp_path / "a.srt")
    assert outcome.code == 2
    assert "is for transcripts: words take .txt or .json" in outcome.err
    outcome = grukit("predict", recognizer, wavs[0], "--hot-word", "a:1")
    assert outcome.code == 2
    assert "not --hot-word" in outcome.err


def test_a_recognizer_adapts_to_a_voice(grukit, corpus, wavs, tmp_path):
    rows = [f"{file},{file.with_suffix('.txt').read_text().strip()},me" for file in wavs]
    table = tmp_path / "data.csv"
    table.write_text("\n".join(["audio,text,who", *rows]) + "\n")
    own = [option for option in TINY if option not in ("--look-ahead", "0.1")]
    trained = ("train", "words", table, "-o", tmp_path / "model", "--speaker", "who")
    outcome = grukit(*trained, *own, "--validation", "0.2")
    assert outcome.code == 0, outcome.err
    outcome = grukit("predict", tmp_path / "model", *wavs, "--adapt")
    assert outcome.code == 0, outcome.err
    adapted = SpeechRecognizer.load(tmp_path / "model").adapted(wavs)
    told = [line.split("\t") for line in outcome.out.splitlines()]
    chances = [adapted.recognize(file).confidence for file in wavs]
    assert [float(line[-1]) for line in told] == pytest.approx(chances, abs=6e-4)
    assert grukit("evaluate", tmp_path / "model", table).code == 0


def test_only_a_recognizer_of_speakers_adapts(grukit, recognizer, wavs):
    outcome = grukit("predict", recognizer, *wavs, "--adapt")
    assert outcome.code == 2
    assert "speaker must be a column in training, got None" in outcome.err
