"""What helps a recognizer of speech, as options of several commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grukit.cli.options import option

if TYPE_CHECKING:
    from grukit.decoding.ctc import CtcDecoder
    from grukit.tasks.speech import SpeechRecognizer

_NONE = "none"

Language = Annotated[
    str | None,
    option(
        metavar="FILE|MODEL",
        help="Of a recognizer of speech: what knows which words are likely: an .arpa file, a file "
        "of lines to learn from, or the folder of a writer of text that goes by characters; none "
        "for nothing. By default what was trained with it.",
    ),
]
HotWords = Annotated[
    list[str] | None,
    option(
        "--hot-word",
        metavar="TEXT:WEIGHT",
        help="Of a recognizer of speech: a word or phrase to expect, and what it adds to a score, "
        "as in Reykjavik:6; 3 makes it 20 times as likely. Repeatable.",
    ),
]


def decoder_of(
    model: SpeechRecognizer, beam: int | None, language: str | None, hot_words: list[str] | None
) -> CtcDecoder | None:
    """What the options ask for; None where there are none.

    Raises BadParameter for a hot word without a weight, and for a file that is not there.
    """
    if beam is None and language is None and not hot_words:
        return None
    from grukit.decoding.ctc import GREEDY, CtcDecoder, CtcSearch

    hot = dict(map(_weighted, hot_words or ()))
    search = None
    if beam is not None:
        search = CtcSearch(beam=beam, hot_words=hot)
    elif hot:
        search = CtcSearch(hot_words=hot)
    if language == _NONE:
        return CtcDecoder(model.alphabet_, search or GREEDY)
    if language is not None and not Path(language).exists():
        raise typer.BadParameter(f"--language must be a file, a folder or none, got {language!r}")
    return model.decoder(search, language)


def _weighted(given: str) -> tuple[str, float]:
    text, _, weight = given.rpartition(":")
    try:
        return text, float(weight)
    except ValueError:
        wanted = "a text and a weight, as in Reykjavik:6"
        raise typer.BadParameter(f"--hot-word must be {wanted}, got {given!r}") from None
