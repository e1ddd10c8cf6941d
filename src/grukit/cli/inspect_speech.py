"""grukit inspect, of recognizers of speech: each word, and the chances of all tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grukit.cli.output import say, show, show_json, write_frame

if TYPE_CHECKING:
    from grukit.tasks.speech import SpeechRecognizer


def inspect_speech(
    model: SpeechRecognizer, recording: Path, output: Path | None, plot: Path | None, json: bool
) -> None:
    """Print, draw and write when which word was heard, and how surely."""
    transcript = model.transcribe(recording)
    if output:
        write_frame(transcript.to_frame(), output)
        say(f"wrote {output}")
    if plot:
        from grukit.plots.speech import PosteriorsDisplay

        chances = model.log_chances(recording)
        PosteriorsDisplay(chances, model.alphabet_.tokens, model.step_).save(plot)
        say(f"wrote {plot}")
    if json:
        show_json(transcript.to_dict())
    elif not output:
        show(transcript.table())
