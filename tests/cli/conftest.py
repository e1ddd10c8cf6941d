"""Running the command line in this process, and a tiny model made by it."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from grukit.cli.main import main

TINY_SPEECH = (
    *("--rate", "8000", "--bins", "10", "--stride", "3", "--look-ahead", "0.1", "--no-augment"),
    *("--hidden-size", "24", "--num-layers", "1", "--dropout", "0"),
    *("--epochs", "12", "--batch-size", "4", "--learning-rate", "0.02"),
)
TINY = ("--horizon", "6", "--lookback", "24", "--hidden-size", "4", "--epochs", "2")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def run(*arguments: object) -> Outcome:
    """One command line, its exit code, and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as exit_,
    ):
        main([str(argument) for argument in arguments])
    code = exit_.value.code
    assert isinstance(code, int)
    return Outcome(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def grukit():
    return run


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Options for a forecaster that trains in a moment."""
    return TINY


@pytest.fixture(scope="session")
def hours(tmp_path_factory) -> Path:
    """A CSV of 300 hours of a daily wave with ripples."""
    start, lines = datetime(2024, 1, 1), ["ds,y"]
    for hour in range(300):
        value = 10 + 5 * math.sin(hour * math.tau / 24) + hour * 7919 % 13 / 13
        lines.append(f"{start + timedelta(hours=hour)},{value:.3f}")
    path = tmp_path_factory.mktemp("data") / "hours.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory, hours) -> Path:
    """A model folder written by `grukit train forecast`."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    outcome = run("train", "forecast", hours, "-o", path, *TINY)
    assert outcome.code == 0, outcome.err
    return path


@pytest.fixture(scope="session")
def speech(tmp_path_factory) -> Path:
    """A folder of 40 recordings of four words, with their texts."""
    from grukit.data.synthetic_speech import spoken_strings, spoken_tones, write_spoken

    folder = tmp_path_factory.mktemp("speech")
    words = write_spoken(folder / "words", spoken_tones(4, seed=3, words=(1, 1)))
    write_spoken(folder / "strings", spoken_strings(words, 40, words=(1, 3)))
    return folder / "strings"


@pytest.fixture(scope="session")
def wavs(speech, tmp_path_factory) -> list[Path]:
    """Three of them, alone in a folder."""
    folder = tmp_path_factory.mktemp("wavs")
    names = [f"{at:05d}.wav" for at in range(3)]
    return [shutil.copy(speech / name, folder / name) for name in names]


@pytest.fixture(scope="session")
def trained(speech) -> tuple[Outcome, Path]:
    """What `grukit train transcribe` said, and the model that it wrote."""
    path = speech.with_name("recognizer")
    outcome = run("train", "transcribe", speech, "-o", path, *TINY_SPEECH)
    assert outcome.code == 0, outcome.err
    return outcome, path


@pytest.fixture(scope="session")
def recognizer(trained) -> Path:
    return trained[1]


@pytest.fixture(scope="session")
def texts(recognizer, wavs) -> list[str]:
    """What the recognizer makes of `wavs`."""
    from grukit import SpeechRecognizer

    return SpeechRecognizer.load(recognizer).predict(wavs)
