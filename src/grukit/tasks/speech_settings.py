"""What the settings of a recognizer of speech must be, and how it trains by default."""

from __future__ import annotations

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import integer, number, one_of, optional, text
from grukit.data.alphabet import KINDS
from grukit.nn.speech_network import SpeechNetwork
from grukit.training.config import FitConfig

TRAINING = FitConfig(
    epochs=60,
    batch_size=16,
    learning_rate=2e-3,
    weight_decay=0.01,
    average=0.998,
    patience=15,
)
RULES = {
    "mode": one_of("text", "words"),
    "tokens": optional(one_of(*KINDS)),
    "vocabulary": integer(at_least=2),
    "features": one_of("log-mel", "mfcc"),
    "bins": integer(at_least=4),
    "rate": integer(at_least=1000),
    "hop_ms": number(above=0),
    "look_ahead": optional(number(above=0)),
    "hidden_size": integer(at_least=1),
    "num_layers": integer(at_least=1),
    "stride": integer(at_least=1),
    "dropout": number(at_least=0, below=1),
    "cell": one_of("gru", "lstm", "rnn"),
    "audio": text(),
    "text": text(),
    "seed": integer(at_least=0),
}


def steps_ahead(look_ahead: float | None, hop_ms: float, stride: int) -> int | None:
    """How many steps of the network `look_ahead` seconds allow beyond its convolution.

    Raises ParameterError where they do not even allow that.
    """
    if look_ahead is None:
        return None
    frames = int(look_ahead * 1000 / hop_ms + 1e-9)
    if frames < SpeechNetwork.CONTEXT:
        least = f"None or at least {SpeechNetwork.CONTEXT * hop_ms / 1000:g} seconds"
        raise ParameterError(must_be("look_ahead", least, look_ahead))
    return (frames - SpeechNetwork.CONTEXT) // stride
