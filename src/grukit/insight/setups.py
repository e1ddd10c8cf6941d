"""How each problem is set and trained on: one table, the same for every cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import Rule, check, each, integer, number, optional
from grukit.training.config import FitConfig

_RULES: dict[str, Rule] = {
    "parameters": integer(at_least=1),
    "width": integer(at_least=1),
    "num_layers": integer(at_least=1),
    "rates": each(number(above=0), at_least=1),
    "input_dropout": number(at_least=0, below=1),
    "recurrent_dropout": number(at_least=0, below=1),
    "output_dropout": number(at_least=0, below=1),
    "enough": optional(number(at_least=0)),
}


@dataclass(frozen=True)
class Setup:
    """A problem's sizes, the size of the networks, and how they are trained.

    >>> quick = Setup(rates=(0.01,), training={"epochs": 2})
    >>> quick.fit_config(0.01).epochs
    2

    sizes: the settings of the problem's function.
    parameters, width: what is made equal, of the whole network or of its layers.
    num_layers: of every cell but the minGRU, which has one more.
    rates: the learning rates tried, each with the same training.
    input_dropout, recurrent_dropout, output_dropout: of `grukit.nn.sequence_model.SequenceModel`.
    enough: a validation loss at which training ends, since the problem is solved.
    training: settings of a FitConfig.
    """

    sizes: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 20_000
    width: int = 64
    num_layers: int = 1
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    input_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    output_dropout: float = 0.0
    enough: float | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(vars(self), _RULES)
        self.fit_config(self.rates[0])

    def fit_config(self, rate: float) -> FitConfig:
        """How to train at one learning rate."""
        settings = {"patience": None, "progress": False, "device": "cpu", **self.training}
        try:
            return FitConfig(**settings, learning_rate=rate)
        except TypeError:
            raise ParameterError(
                must_be("training", "settings of a FitConfig but learning_rate", dict(settings))
            ) from None

    def identity(self) -> dict[str, Any]:
        """What a result depends on, but for what the cells are made equal by and the rates."""
        content = asdict(self)
        for name in ("parameters", "width", "rates"):
            del content[name]
        return content


_SHORT = {
    "adding": Setup(
        sizes={"length": 100, "train": 5_000, "test": 500},
        parameters=10_000,
        rates=(3e-3, 1e-2),
        enough=1e-4,
        training={"epochs": 15, "batch_size": 50},
    ),
    "copy_memory": Setup(
        sizes={"delay": 50, "train": 5_000, "test": 500},
        parameters=10_000,
        rates=(3e-3, 1e-2),
        training={"epochs": 15, "batch_size": 50},
    ),
    "temporal_order": Setup(
        sizes={"length": 100, "train": 5_000, "test": 500},
        parameters=10_000,
        rates=(3e-3, 1e-2),
        enough=1e-3,
        training={"epochs": 12, "batch_size": 50},
    ),
    "parity": Setup(
        sizes={"length": 30, "train": 5_000, "test": 500},
        parameters=2_000,
        width=16,
        rates=(3e-3, 1e-2, 3e-2),
        enough=1e-4,
        training={"epochs": 15, "batch_size": 50},
    ),
    "anbn": Setup(
        sizes={"longest": 30, "test_longest": 300, "train": 1_000},
        parameters=600,
        width=10,
        rates=(1e-2, 3e-2),
        training={"epochs": 60, "batch_size": 20},
    ),
    "image_rows": Setup(
        sizes={"train": 3_000, "test": 1_000},
        parameters=20_000,
        rates=(3e-3, 1e-2),
        training={"epochs": 10, "batch_size": 50},
    ),
    "mnist1d": Setup(
        parameters=50_000,
        width=96,
        rates=(3e-3, 1e-2),
        training={"epochs": 30, "batch_size": 50, "weight_decay": 0.1},
    ),
    "jsb_chorales": Setup(
        parameters=22_900,
        width=46,
        rates=(1e-2, 3e-2),
        input_dropout=0.1,
        training={
            "epochs": 60,
            "batch_size": 8,
            "clip_norm": 5.0,
            "weight_decay": 0.1,
            "average": 0.99,
            "patience": 20,
        },
    ),
    "piano_midi": Setup(
        parameters=22_900,
        width=46,
        rates=(1e-2, 3e-2),
        input_dropout=0.1,
        training={
            "epochs": 15,
            "batch_size": 8,
            "clip_norm": 5.0,
            "weight_decay": 0.1,
            "average": 0.99,
            "patience": 6,
        },
    ),
}
_FULL = {
    "adding": Setup(
        sizes={"length": 600, "train": 10_000, "test": 1_000},
        parameters=70_000,
        width=128,
        rates=(3e-3, 1e-2),
        enough=1e-4,
        training={"epochs": 15, "batch_size": 50},
    ),
    "copy_memory": Setup(
        sizes={"delay": 1_000, "train": 10_000, "test": 500},
        parameters=16_000,
        rates=(3e-3, 1e-2),
        training={"epochs": 10, "batch_size": 50},
    ),
    "temporal_order": replace(
        _SHORT["temporal_order"],
        sizes={"length": 200, "train": 10_000, "test": 1_000},
        training={"epochs": 20, "batch_size": 50},
    ),
    "parity": replace(
        _SHORT["parity"],
        sizes={"length": 40, "train": 10_000, "test": 1_000},
        training={"epochs": 30, "batch_size": 50},
    ),
    "anbn": replace(
        _SHORT["anbn"],
        sizes={"longest": 50, "test_longest": 1_000, "train": 1_000},
        rates=(3e-3, 1e-2, 3e-2, 1e-1),
        training={"epochs": 150, "batch_size": 20},
    ),
    "image_rows": replace(
        _SHORT["image_rows"],
        sizes={"train": 10_000, "test": 2_000},
        training={"epochs": 20, "batch_size": 50},
    ),
    "mnist1d": replace(
        _SHORT["mnist1d"],
        rates=(1e-3, 3e-3, 1e-2, 3e-2),
        training={"epochs": 100, "batch_size": 50, "weight_decay": 0.1},
    ),
    "jsb_chorales": replace(
        _SHORT["jsb_chorales"],
        rates=(3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
        training={**_SHORT["jsb_chorales"].training, "epochs": 200, "patience": 60},
    ),
    "piano_midi": replace(
        _SHORT["piano_midi"],
        rates=(3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
        training={**_SHORT["piano_midi"].training, "epochs": 100, "patience": 30},
    ),
}
BUDGETS: dict[str, dict[str, Setup]] = {"short": _SHORT, "full": _FULL}
"""By budget and problem: "short" is minutes for a problem, "full" the sizes of the literature."""
