"""Recognizers of speech on the command line, on live sound."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

from grukit.cli.live import LiveLine
from grukit.data.audio import read_audio
from grukit.tasks.base import load_model


@pytest.fixture(scope="module")
def pcm(wavs) -> bytes:
    """Two recordings with two seconds of silence between, 16 bits at 8 kHz."""
    first, second = (read_audio(wav, 8000) for wav in wavs[:2])
    return _pcm(np.concatenate([first, np.zeros(16000, np.float32), second]))


def _pcm(samples: np.ndarray) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def segments(recognizer, pcm) -> list[str]:
    stream = load_model(recognizer).stream(8000)
    return [own.text for own in [*stream.push(pcm), *stream.finish()]]


@pytest.fixture
def piped(monkeypatch):
    """A pipe as stdin, into which these bytes are written in odd pieces."""
    with contextlib.ExitStack() as stack:

        def pipe(content: bytes) -> None:
            reading, writing = os.pipe()

            def write() -> None:
                with os.fdopen(writing, "wb", buffering=0) as file:
                    for at in range(0, len(content), 1601):
                        file.write(content[at : at + 1601])

            thread = threading.Thread(target=write)
            thread.start()
            stack.callback(thread.join)
            file = stack.enter_context(os.fdopen(reading, "rb", buffering=0))
            monkeypatch.setattr(sys, "stdin", file)

        yield pipe


def test_a_stream_is_told_pause_by_pause(grukit, recognizer, pcm, segments, piped):
    piped(pcm)
    outcome = grukit("predict", recognizer, "--stream", "--rate", 8000)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == segments
    assert "".join(segments)


def test_json_tells_what_may_change_and_what_is_final(grukit, recognizer, pcm, segments, piped):
    piped(pcm)
    outcome = grukit("predict", recognizer, "--stream", "--json")
    told = list(map(json.loads, outcome.out.splitlines()))
    final = [one for one in told if one["is_final"]]
    assert [one["text"] for one in final] == segments
    assert [one["start"] for one in final] == sorted(one["start"] for one in final)
    assert not told[0]["is_final"]
    assert len(told) > len(final)


def test_nothing_said_is_nothing_told(grukit, recognizer, piped):
    piped(b"")
    assert grukit("predict", recognizer, "--stream").out == ""
    piped(bytes(8001))
    outcome = grukit("predict", recognizer, "--stream")
    assert (outcome.code, outcome.out) == (0, "")


def test_another_rate_is_brought_to_that_of_the_training(grukit, recognizer, segments, pcm, piped):
    soxr = pytest.importorskip("soxr")
    samples = soxr.resample(np.frombuffer(pcm, "<i2").astype(np.float32) / 32768, 8000, 44100)
    piped((samples * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    outcome = grukit("predict", recognizer, "--stream", "--rate", 44100)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines() == segments


def test_a_terminal_has_no_sound(grukit, recognizer, monkeypatch):
    terminal = types.SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    outcome = grukit("predict", recognizer, "--stream")
    assert outcome.code == 2
    assert "reads raw PCM" in outcome.err


STREAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from grukit.cli.main import main
main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_tells_what_was_heard_last(recognizer, wavs, texts, number, code):
    command = [sys.executable, "-c", STREAM, "predict", recognizer, "--stream", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(_pcm(read_audio(wavs[0], 8000)))
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(number)
        rest, words = process.stdout.read(), process.stderr.read().decode()
        assert process.wait(60) == code
    told = [json.loads(line) for line in (first + rest).decode().splitlines()]
    assert told[-1]["is_final"]
    assert told[-1]["text"] == texts[0]
    assert words == "grukit: stopped; all that was heard is told\n"


class Microphone:
    """As sounddevice: gives sound in pieces, then somebody presses Ctrl-C."""

    PortAudioError = type("PortAudioError", (Exception,), {})

    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples

    def InputStream(self, samplerate, channels, dtype, callback):
        assert (samplerate, channels, dtype) == (8000, 1, "float32")
        self.callback = callback
        return self

    def __enter__(self):
        for at in range(0, len(self.samples), 1000):
            piece = self.samples[at : at + 1000, None]
            self.callback(piece, len(piece), None, "input overflow" if at == 1000 else "")
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        return self

    def __exit__(self, *error):
        return None


def test_a_microphone_is_heard_until_ctrl_c(grukit, recognizer, pcm, segments, monkeypatch):
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(samples))
    outcome = grukit("predict", recognizer, "--mic")
    assert outcome.code == 130
    assert outcome.out.splitlines() == segments
    assert outcome.err.splitlines() == [
        "listening; Ctrl-C ends it",
        "grukit: some sound was lost: this machine is too slow or too busy",
        "grukit: stopped; all that was heard is told",
    ]


def test_without_a_microphone_it_is_told(grukit, recognizer, monkeypatch):
    broken = Microphone(np.zeros(0))

    def none(*_, **__):
        raise broken.PortAudioError("no default input device")

    broken.InputStream = none
    monkeypatch.setitem(sys.modules, "sounddevice", broken)
    outcome = grukit("predict", recognizer, "--mic", "--rate", 8000)
    assert outcome.code == 1
    assert "there must be a microphone that gives 8000 Hz: no default input device" in outcome.err
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    outcome = grukit("predict", recognizer, "--mic")
    assert outcome.code == 1
    assert "sounddevice" in outcome.err


def test_the_line_on_a_terminal_is_written_over(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "9")
    line = LiveLine()
    line.clear()
    for text in ("one", "one", "one two\x1b three"):
        line.show(text)
    line.clear()
    line.clear()
    assert sys.stderr.getvalue() == "\r\x1b[Kone\r\x1b[Ko  three\r\x1b[K"


def test_no_line_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    line = LiveLine()
    line.show("one")
    line.clear()
    assert sys.stderr.getvalue() == ""
