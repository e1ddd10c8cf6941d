"""grukit predict, of recognizers of single words: which word a recording is, or where words are."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grukit.cli.output import say, show
from grukit.cli.predict_speech import Named, ask_each, check_one, json_line
from grukit.core.files import write_atomically

if TYPE_CHECKING:
    from grukit.results.spoken_words import Detection, WordAnswer
    from grukit.results.transcript import Segment
    from grukit.tasks.speech import SpeechRecognizer


def recognize(
    model: SpeechRecognizer,
    recordings: Sequence[Named],
    threshold: float,
    spot: bool,
    output: Path | None,
    plot: Path | None,
    json: bool,
) -> None:
    """Tell which word each recording is, or which words are in it."""
    if output and output.suffix in (".srt", ".vtt"):
        raise typer.BadParameter(f"{output} is for transcripts: words take .txt or .json")
    check_one(recordings, output, plot)
    one = len(recordings) == 1
    objects: list[dict[str, Any]] = []
    lines: list[str] = []

    def tell(name: str, answer: WordAnswer | list[Detection]) -> None:
        if isinstance(answer, list):
            found = {"file": name, "words": [own._asdict() for own in answer]}
            told = [_found(own) for own in answer]
        else:
            found = {"file": name, **answer.to_dict()}
            told = [f"{answer.word or '(unknown)'}\t{answer.confidence:.3f}"]
        if not one:
            told = [f"{name}\t{line}" for line in told]
        if output:
            objects.append(found)
            lines.extend(told)
        elif json:
            show(json_line(found))
        else:
            for line in told:
                show(line)

    ways: dict[bool, Callable[[Path], Any]] = {
        False: lambda path: model.recognize(path, threshold),
        True: lambda path: model.spot(path, threshold),
    }
    try:
        ask_each(recordings, ways[spot], tell)
    finally:
        if output and objects:
            content = "".join(f"{line}\n" for line in lines)
            if output.suffix == ".json":
                every = objects[0] if one else objects
                content = json_module.dumps(every, indent=2, ensure_ascii=False) + "\n"
            write_atomically(output, content)
            say(f"wrote {output}")
    if plot:
        model.plot(recordings[0][1]).save(plot)
        say(f"wrote {plot}")


def spotter(threshold: float, json: bool) -> Callable[[Segment], None]:
    """What tells the words of a segment of live sound that are likely enough."""
    from grukit.tasks.speech_words import detections

    def tell(segment: Segment) -> None:
        for found in detections([segment], threshold):
            show(json_line(found._asdict()) if json else _found(found))

    return tell


def _found(own: Detection) -> str:
    return f"{own.start:.2f}\t{own.end:.2f}\t{own.word}\t{own.confidence:.3f}"
