"""The network of a classifier of texts, as training begins with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from grukit.core.errors import ParameterError, must_be
from grukit.data.tokenizers import Tokenizer, WordTokenizer
from grukit.data.word_vectors import read_word_vectors
from grukit.nn.recurrent_classifier import RecurrentClassifier

if TYPE_CHECKING:
    from grukit.tasks.classification import TextClassifier

_EMBEDDING_SIZE = 128


def new_network(
    settings: TextClassifier, vocabulary: int, classes: int, embedding_size: int | None = None
) -> RecurrentClassifier:
    """One of random weights, which depend on nothing but the settings and sizes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(settings.seed))
        return RecurrentClassifier(
            vocabulary,
            classes,
            embedding_size or settings.embedding_size or _EMBEDDING_SIZE,
            settings.hidden_size,
            settings.num_layers,
            settings.dropout,
            settings.word_dropout,
            settings.cell,
        )


def starting_network(
    settings: TextClassifier, tokenizer: Tokenizer, classes: int
) -> RecurrentClassifier:
    """The same with the word vectors of the settings, for the words that have one.

    Raises ParameterError for a tokenizer that has no words, and for another embedding_size.
    """
    if settings.vectors is None:
        return new_network(settings, len(tokenizer), classes)
    if not isinstance(tokenizer, WordTokenizer):
        wanted = "None where the tokenizer is not 'word'"
        raise ParameterError(must_be("vectors", wanted, str(settings.vectors)))
    found = read_word_vectors(Path(settings.vectors), tokenizer.words)
    size = len(next(iter(found.values())))
    if settings.embedding_size not in (None, size):
        wanted = f"None or {size}, as the vectors are"
        raise ParameterError(must_be("embedding_size", wanted, settings.embedding_size))
    network = new_network(settings, len(tokenizer), classes, size)
    with torch.no_grad():
        for word, vector in found.items():
            network.embedding[tokenizer.encode(word)[0]] = torch.from_numpy(vector)
    return network
