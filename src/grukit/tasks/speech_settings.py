"""What the settings of a recognizer of speech must be, and how it trains by default."""

from __future__ import annotations

from grukit.core.rules import integer, number, one_of, optional, text
from grukit.data.alphabet import KINDS
from grukit.nn.by_name import LAYER_OF
from grukit.nn.speech_network import LookAhead
from grukit.training.config import FitConfig

TRAINING = FitConfig(
    epochs=50,
    batch_size=8,
    learning_rate=2e-3,
    weight_decay=0.01,
    average=0.999,
    patience=12,
)
RULES = {
    "mode": one_of("text", "words"),
    "tokens": optional(one_of(*KINDS)),
    "vocabulary": integer(at_least=2),
    "features": one_of("log-mel", "mfcc"),
    "bins": integer(at_least=4),
    "rate": integer(at_least=1000),
    "hop_ms": number(above=0),
    "look_ahead": optional(number(at_least=0)),
    "hidden_size": integer(at_least=1),
    "num_layers": integer(at_least=1),
    "stride": integer(at_least=1),
    "dropout": number(at_least=0, below=1),
    "cell": one_of(*LAYER_OF),
    "audio": text(),
    "text": text(),
    "speaker": optional(text()),
    "seed": integer(at_least=0),
}


def frames_ahead(look_ahead: float | None, hop_ms: float, stride: int) -> LookAhead | None:
    """How the network uses `look_ahead` seconds."""
    if look_ahead is None:
        return None
    return LookAhead.within(int(look_ahead * 1000 / hop_ms + 1e-9), stride)
