"""grukit predict, of recognizers of speech: files one by one, or live sound."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def transcribe(
    model: SpeechRecognizer,
    decoder: CtcDecoder | None,
    recordings: Sequence[Named],
    output: Path | None,
    plot: Path | None,
    json: bool,
) -> None:
    """Write down what is said in each recording, as soon as it is known.

    One that cannot be read is told, and the others are transcribed; then DataError.
    """
    one = len(recordings) == 1
    if not one and output and output.suffix in (".srt", ".vtt"):
        raise typer.BadParameter(f"{output} takes one recording, got {len(recordings):,}")
    if not one and plot:
        raise typer.BadParameter(f"--plot draws one recording, got {len(recordings):,}")
    decoder = decoder or model.decoder()
    answers: list[tuple[str, Transcript]] = []
    failed = 0
    for name, path in recordings:
        try:
            answer = model.transcribe(path, decoder)
        except (DataError, OSError) as error:
            if one:
                raise
            say(f"grukit: error: {error}")
            failed += 1
            continue
        if output is None:
            show(_json(name, answer) if json else answer.text if one else f"{name}\t{answer.text}")
        else:
            answers.append((name, answer))
        if plot:
            model.plot(path, answer).save(plot)
            say(f"wrote {plot}")
    if output:
        write_atomically(output, _written(answers, output.suffix, one))
        say(f"wrote {output}")
    if failed:
        raise DataError(
            f"every recording must be one that can be read, got {failed:,} that are not among "
            f"{len(recordings):,}; the others are transcribed"
        )


def listen(
    model: SpeechRecognizer,
    decoder: CtcDecoder | None,
    rate: int | None,
    microphone: bool,
    json: bool,
) -> None:
    """Write down live sound: each segment when it is final, and on a terminal what may change.

    As JSON every change is a line. After Ctrl-C the last segment is told, too.
    """
    stream, line = model.stream(rate, decoder=decoder), LiveLine()
    told = ""

    def tell(segments: Sequence[Segment]) -> None:
        for segment in segments:
            line.clear()
            show(_line(segment.to_dict()) if json else segment.text)

    with SignalWatch() as watch:
        heard = rate or model.rate
        sound: Iterator[Any] = (
            sound_of_microphone(watch, heard) if microphone else sound_of_stdin(watch)
        )
        for piece in sound:
            tell(stream.push(piece))
            partial = stream.partial
            text = "" if partial is None else partial.text
            if json and partial is not None and text != told:
                show(_line(partial.to_dict()))
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


def _json(name: str, answer: Transcript) -> str:
    return _line({"file": name, **answer.to_dict()})


def _line(content: dict[str, Any]) -> str:
    return json_module.dumps(content, ensure_ascii=False, allow_nan=False)
