"""What helps a recognizer of speech to tell which words are likely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from grukit.core.errors import ParameterError, must_be
from grukit.data.alphabet import Alphabet
from grukit.data.recordings import Recording
from grukit.decoding.ngram import NgramModel
from grukit.decoding.token_model import TokenModel
from grukit.tasks.base import load_model

TRANSCRIPTS = "transcripts"


def words_of(language: Any, learned: Sequence[Recording] = ()) -> NgramModel | None:
    """A model of words: None, or one as it is; of an ARPA file (.arpa); learned from the lines of
    any other file, from a list of texts, or as "transcripts" from those of recordings."""
    if language is None or isinstance(language, NgramModel):
        return language
    if language == TRANSCRIPTS:
        return NgramModel.learn([one.text for one in learned])
    if isinstance(language, (str, Path)):
        path = Path(language)
        if path.suffix == ".arpa":
            return NgramModel.from_arpa(path)
        return NgramModel.learn(path.read_text(encoding="utf-8").splitlines())
    if isinstance(language, Iterable):
        return NgramModel.learn(language)
    wanted = "None, a model, a path, texts or 'transcripts'"
    raise ParameterError(must_be("language", wanted, language))


def tokens_of(language: Any, alphabet: Alphabet) -> TokenModel | None:
    """A model of tokens: of a TextGenerator, or of the folder of one; None for anything else."""
    given: Any = language
    if isinstance(language, (str, Path)):
        given = load_model(language) if Path(language).is_dir() else None
    if getattr(given, "task", None) != "generation":
        return None
    return TokenModel(given.network_, given.tokenizer_, alphabet)
