"""The model card of a recognizer of speech."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grukit import __version__
from grukit.results.cells import with_article

if TYPE_CHECKING:
    from grukit.tasks.speech import SpeechRecognizer

_MOST_WORDS = 50


def speech_card(model: SpeechRecognizer) -> str:
    """The card of a recognizer just trained."""
    parameters = sum(p.numel() for p in model.network_.parameters())
    reader, learned = model.reader_, model.learned_
    heard = f"{reader.size} ready-made features"
    if reader.features is not None:
        heard = f"{reader.size} features ({reader.features.kind}) of sound at {model.rate:,} Hz"
    reads = "reads a recording as a whole, in both directions"
    if model.look_ahead is not None:
        reads = f"reads a stream, and looks ahead {model.look_ahead:g} s at most"
    told = ""
    if model.mode == "words":
        known = model.alphabet_.tokens[1:]
        rest = f", and {len(known) - _MOST_WORDS:,} more" if len(known) > _MOST_WORDS else ""
        told = f"\n\nIt tells these words apart: {', '.join(known[:_MOST_WORDS])}{rest}."
    verb = "recognize" if model.mode == "words" else "transcribe"
    scores = "It was not validated."
    if model.validation_ is not None:
        scores = (
            f"On {model.validation_.recordings:,} recordings that training stopped by:\n\n"
            f"```text\n{model.validation_.table()}\n```"
        )
    return f"""\
# A recognizer of speech

{with_article(model.cell)} of {parameters:,} parameters {reads}, and writes {len(model.alphabet_):,}
tokens ({model.alphabet_.kind}) by CTC; it hears {heard}. Written by grukit {__version__}.{told}

## Data

{learned.recordings:,} recordings of {learned.seconds / 60:,.1f} minutes together,
{len(model.history_)} epochs.

## Scores

{scores}

## Limits

It knows voices, rooms, microphones and words like those that it has learned from. Of other sounds
and languages it writes what comes nearest, and may be sure of it.

## Use

```python
from grukit import SpeechRecognizer

model = SpeechRecognizer.load("this folder")
print(model.{verb}("a recording.wav"))
```
"""
