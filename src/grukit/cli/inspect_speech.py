"""grukit inspect, of recognizers of speech: each word, and the chances of all tokens."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grukit.cli.output import say, show, show_json, write_frame

if TYPE_CHECKING:
    from grukit.plots.speech import PosteriorsDisplay
    from grukit.tasks.speech import SpeechRecognizer

# So many seconds are drawn.
_DRAWN = 30.0


def inspect_speech(
    model: SpeechRecognizer, recording: Path, output: Path | None, plot: Path | None, json: bool
) -> None:
    """Print, draw and write when which word was heard, and how surely."""
    transcript = model.transcribe(recording)
    if output:
        write_frame(transcript.to_frame(), output)
        say(f"wrote {output}")
    if plot:
        _posteriors(model, recording, transcript.duration).save(plot)
        say(f"wrote {plot}")
    if json:
        show_json(transcript.to_dict())
    elif not output:
        show(transcript.table())


def _posteriors(model: SpeechRecognizer, recording: Path, duration: float) -> PosteriorsDisplay:
    """The picture of the beginning, so that an hour needs no more memory than half a minute."""
    from grukit.data.audio import audio_blocks
    from grukit.plots.speech import PosteriorsDisplay

    source: Any = recording
    title = "What was heard"
    if duration > _DRAWN and model.reader_.features is not None:
        blocks: Any = audio_blocks(recording, model.rate, _DRAWN)
        with closing(blocks):
            source = next(blocks), model.rate
        title += f" in the first {_DRAWN:g} of {duration:.1f} seconds"
    chances = model.log_chances(source)
    step = duration if model.network_.pooled else model.step_
    return PosteriorsDisplay(chances, model.alphabet_.tokens, step, title)
