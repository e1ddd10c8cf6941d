"""Live sound, from stdin or a microphone, and a line that tells what is heard while it changes."""

from __future__ import annotations

import os
import queue
import select
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import typer

from grukit.cli.output import say
from grukit.core.errors import DataError, Interrupted
from grukit.core.extras import require
from grukit.training.signals import SignalWatch

# After so many seconds without sound Ctrl-C is looked for.
_PATIENCE = 0.1
_BYTES_AT_ONCE = 1 << 16


def sound_of_stdin(watch: SignalWatch) -> Iterator[bytes]:
    """The bytes of stdin as they come, until it ends or a signal was received."""
    if sys.stdin.isatty():
        raise typer.BadParameter(
            "--stream reads raw PCM (16 bits, little-endian) from stdin, as from: "
            "arecord -q -f S16_LE -r 16000 | grukit predict MODEL --stream"
        )
    number = sys.stdin.fileno()
    while watch.received is None:
        if select.select([number], [], [], _PATIENCE)[0]:
            piece = os.read(number, _BYTES_AT_ONCE)
            if not piece:
                return
            yield piece


def sound_of_microphone(watch: SignalWatch, rate: int) -> Iterator[Any]:
    """float32 samples [S] of the default microphone, until a signal was received.

    Raises MissingExtra without sounddevice, and DataError where there is no microphone.
    """
    try:
        sounddevice = require("sounddevice")
    except OSError as error:  # it is there, but the library that it calls is not
        raise DataError(f"a microphone needs PortAudio (libportaudio2): {error}") from error
    pieces: queue.SimpleQueue[tuple[Any, bool]] = queue.SimpleQueue()

    def hear(samples: Any, frames: int, time: Any, status: Any) -> None:
        pieces.put((samples[:, 0].copy(), bool(status)))

    try:
        with sounddevice.InputStream(rate, channels=1, dtype="float32", callback=hear):
            say("listening; Ctrl-C ends it")
            while watch.received is None:
                try:
                    samples, lost = pieces.get(timeout=_PATIENCE)
                except queue.Empty:
                    continue
                if lost:
                    say("grukit: some sound was lost: this machine is too slow or too busy")
                yield samples
    except sounddevice.PortAudioError as error:
        raise DataError(f"there must be a microphone that gives {rate} Hz: {error}") from error


class LiveLine:
    """A line on stderr that is written over again and again; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, text: str) -> None:
        """This text now; of a long one the end."""
        if text == self._shown or not sys.stderr.isatty():
            return
        plain = "".join(sign if sign.isprintable() else " " for sign in text)
        room = shutil.get_terminal_size().columns - 1
        typer.echo(f"\r\x1b[K{plain[-room:]}", nl=False, err=True)
        self._shown = text

    def clear(self) -> None:
        """An empty line, for others to write on."""
        if self._shown:
            typer.echo("\r\x1b[K", nl=False, err=True)
            self._shown = ""


def end_as_told(watch: SignalWatch) -> None:
    """Raise what the signal that was received asks for; the command ends with its exit code."""
    if watch.received is not None:
        raise Interrupted(watch.received, "stopped; all that was heard is told")
