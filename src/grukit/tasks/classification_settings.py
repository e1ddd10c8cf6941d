"""What the settings of a classifier of texts must be, and how it trains by default."""

from __future__ import annotations

from collections.abc import Mapping

from grukit.core.rules import Rule, integer, number, one_of, optional, text
from grukit.nn.by_name import LAYER_OF
from grukit.training.config import FitConfig

TRAINING = FitConfig(epochs=6, batch_size=32, learning_rate=4e-3, average=0.998, patience=3)
_THRESHOLD = Rule(
    "None, 'f1', 'accuracy' or a number above 0 and below 1",
    lambda value: (
        one_of(None, "f1", "accuracy").holds(value) or number(above=0, below=1).holds(value)
    ),
)
_CLASS_WEIGHT = Rule(
    "None, 'balanced' or a dict of numbers above 0",
    lambda value: (
        all(map(number(above=0).holds, value.values()))
        if isinstance(value, Mapping)
        else one_of(None, "balanced").holds(value)
    ),
)
RULES = {
    "tokenizer": one_of("word", "bpe", "char", "byte"),
    "vocabulary": integer(at_least=258),
    "embedding_size": optional(integer(at_least=1)),
    "hidden_size": integer(at_least=1),
    "num_layers": integer(at_least=1),
    "dropout": number(at_least=0, below=1),
    "word_dropout": number(at_least=0, below=1),
    "cell": one_of(*LAYER_OF),
    "class_weight": _CLASS_WEIGHT,
    "threshold": _THRESHOLD,
    "max_tokens": optional(integer(at_least=2)),
    "text": text(),
    "label": text(),
    "separator": optional(text()),
    "seed": integer(at_least=0),
}
