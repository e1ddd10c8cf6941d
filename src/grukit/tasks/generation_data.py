"""The tokens that a language model learns, and those that it is validated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.core.rules import check, number
from grukit.data.labelled import texts_of
from grukit.data.texts import documents
from grukit.data.token_rows import token_row
from grukit.data.tokenizers import Tokenizer, learn_tokenizer

if TYPE_CHECKING:
    from grukit.tasks.generation import TextGenerator

END = "<end>"
Stage = Callable[[str], None]


def prepare(
    settings: TextGenerator, text: Any, validation: Any, stage: Stage
) -> tuple[Tokenizer, np.ndarray, np.ndarray | None]:
    """The tokenizer, the tokens to learn, and those to validate on; arguments as for `fit`.

    The first token of both is only read, never foretold.
    """
    if isinstance(validation, (int, float)):
        check({"validation": validation}, {"validation": number(above=0, below=1)})
    text = _in_column(text, settings.text)
    if isinstance(text, Iterator):  # it is read more than once
        text = list(text)
    stage("learning the tokenizer")
    pieces = (piece for document in documents(text) for piece in document)
    tokenizer = learn_tokenizer(settings.tokenizer, pieces, settings.vocabulary, specials=(END,))

    row = row_of(text, None, tokenizer, stage)
    judged, held_out = None, 0
    if isinstance(validation, (int, float)):
        held_out = max(1, round(validation * (len(row) - 1)))
        judged = row[len(row) - held_out - 1 :]
    elif validation is not None:
        judged = row_of(validation, settings.text, tokenizer, stage)
    learned = row[: len(row) - held_out]
    if len(learned) < 2 or len(row) < 3:
        wanted = "long enough to train on, and to validate"
        raise DataError(must_be("the text", wanted, f"{len(row) - 2} tokens"))
    return tokenizer, learned, judged


def row_of(
    text: Any, column: str | None, tokenizer: Tokenizer, stage: Stage | None = None
) -> np.ndarray:
    """All tokens of a text, or of the texts in a column of tables, each between two ends."""

    def progress(done: int, total: int) -> None:
        if stage is not None:
            stage(f"reading the text: {done:,} of {total:,} bytes")

    return token_row(_in_column(text, column), tokenizer, tokenizer.special(END), progress)


def _in_column(data: Any, column: str | None) -> Any:
    """The texts in a column, of what is a table; anything else as it is."""
    if column is None:
        return data
    if isinstance(data, Path) or hasattr(data, "columns"):
        return texts_of(data, column)
    if isinstance(data, (list, tuple)) and any(isinstance(one, Path) for one in data):
        return [text for one in data for text in texts_of(one, column)]
    return data
