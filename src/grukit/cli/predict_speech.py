"""grukit predict, of recognizers of speech: files one by one, or live sound."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from grukit.cli.live import LiveLine, end_as_told, sound_of_microphone, sound_of_stdin
from grukit.cli.output import say, show
from grukit.core.errors import DataError
from grukit.core.files import write_atomically
from grukit.training.signals import SignalWatch

if TYPE_CHECKING:
    from grukit.decoding.ctc import CtcDecoder
    from grukit.results.transcript import Segment, Transcript
    from grukit.tasks.speech import SpeechRecognizer

SUFFIXES = (".txt", ".json", ".srt", ".vtt")
"""Of what can be written."""

Named = tuple[str, Path]
Answer = TypeVar("Answer")


def recordings_of(given: Sequence[str], column: str) -> list[Named]:
    """The names and paths of recordings: files, folders of them, and tables with a column of paths.

    Raises DataError for a folder or a table without any.
    """
    from grukit.data.feature_files import SUFFIXES as FEATURE_SUFFIXES
    from grukit.data.labelled import is_table, rows_of
    from grukit.data.recordings import AUDIO_SUFFIXES

    found: list[Named] = []
    for name in given:
        path, before = Path(name), len(found)
        if path.is_dir():
            suffixes = (*AUDIO_SUFFIXES, *FEATURE_SUFFIXES)
            files = sorted(own for own in path.rglob("*") if own.suffix.lower() in suffixes)
            found += [(str(own), own) for own in files]
        elif is_table(path):
            for at, row in enumerate(rows_of(path), start=1):
                if not isinstance(row.get(column), str):
                    raise DataError(f"row {at:,} of {path} must have a path in {column!r}")
                found.append((row[column], path.parent / row[column]))
        else:
            found.append((name, path))
        if len(found) == before:
            raise DataError(f"{path} must have at least one recording, got none")
    return found


def ask_each(
    recordings: Sequence[Named], ask: Callable[[Path], Answer], tell: Callable[[str, Answer], None]
) -> None:
    """Tell what is answered of each recording, as soon as it is known.

    One that cannot be read is told on stderr, and the others are answered; then DataError.
    """
    failed = 0
    for name, path in recordings:
        try:
            answer = ask(path)
        except (DataError, OSError) as error:
            if len(recordings) == 1:
                raise
            say(f"grukit: error: {error}")
            failed += 1
        else:
            tell(name, answer)
    if failed:
        raise DataError(
            f"every recording must be one that can be read, got {failed:,} that are not among "
            f"{len(recordings):,}; the others are done"
        )


def transcribe(
    model: SpeechRecognizer,
    decoder: CtcDecoder | None,
    recordings: Sequence[Named],
    output: Path | None,
    plot: Path | None,
    json: bool,
) -> None:
    """Write down what is said in each recording."""
    one = len(recordings) == 1
    check_one(recordings, output, plot)
    decoder = decoder or model.decoder()
    answers: list[tuple[str, Transcript]] = []

    def tell(name: str, answer: Transcript) -> None:
        if output or plot:
            answers.append((name, answer))
        if output:
            return
        if json:
            show(json_line({"file": name, **answer.to_dict()}))
        else:
            show(answer.text if one else f"{name}\t{answer.text}")

    try:
        ask_each(recordings, lambda path: model.transcribe(path, decoder), tell)
    finally:
        if output and answers:
            write_atomically(output, _written(answers, output.suffix, one))
            say(f"wrote {output}")
    if plot:
        model.plot(recordings[0][1], answers[0][1]).save(plot)
        say(f"wrote {plot}")


def check_one(recordings: Sequence[Named], output: Path | None, plot: Path | None) -> None:
    """Refuse to write subtitles of several recordings, or to draw them."""
    if len(recordings) == 1:
        return
    if output and output.suffix in (".srt", ".vtt"):
        raise typer.BadParameter(f"{output} takes one recording, got {len(recordings):,}")
    if plot:
        raise typer.BadParameter(f"--plot draws one recording, got {len(recordings):,}")


def listen(
    model: SpeechRecognizer,
    decoder: CtcDecoder | None,
    rate: int | None,
    microphone: bool,
    json: bool,
    final: Callable[[Segment], None] | None = None,
) -> None:
    """Write down live sound: each segment when it is final, and on a terminal what may change.

    As JSON every change is a line. After Ctrl-C the last segment is told, too.

    final: what is done with a final segment in place of that; then changes are no lines.
    """
    if model.reader_.features is None:
        raise typer.BadParameter("live sound needs a model of sound, not of ready-made features")
    stream, line = model.stream(rate, decoder=decoder), LiveLine()
    told = ""

    def tell(segments: Sequence[Segment]) -> None:
        for segment in segments:
            line.clear()
            if final is not None:
                final(segment)
            else:
                show(json_line(segment.to_dict()) if json else segment.text)

    with SignalWatch() as watch:
        heard = rate or model.rate
        sound: Iterator[Any] = (
            sound_of_microphone(watch, heard) if microphone else sound_of_stdin(watch)
        )
        for piece in sound:
            tell(stream.push(piece))
            partial = stream.partial
            text = "" if partial is None else partial.text
            if json and final is None and partial is not None and text != told:
                show(json_line(partial.to_dict()))
            line.show(text)
            told = text
        tell(stream.finish())
        line.clear()
    end_as_told(watch)


def _written(answers: Sequence[tuple[str, Transcript]], suffix: str, one: bool) -> str:
    if suffix == ".json":
        found = [{"file": name, **answer.to_dict()} for name, answer in answers]
        content = json_module.dumps(found[0] if one else found, indent=2, ensure_ascii=False)
        return f"{content}\n"
    if one:
        answer = answers[0][1]
        ways = {".srt": answer.to_srt, ".vtt": answer.to_vtt}
        return ways[suffix]() if suffix in ways else f"{answer.text}\n"
    return "".join(f"{name}\t{answer.text}\n" for name, answer in answers)


def json_line(content: dict[str, Any]) -> str:
    """An object in one line."""
    return json_module.dumps(content, ensure_ascii=False, allow_nan=False)
