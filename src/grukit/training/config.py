"""The settings of a training run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from grukit.core.rules import Rule, check, flag, integer, number, one_of, optional, text

_RULES: dict[str, Rule] = {
    "epochs": integer(at_least=1),
    "items_per_epoch": optional(integer(at_least=1)),
    "batch_size": integer(at_least=1),
    "accumulate": integer(at_least=1),
    "learning_rate": number(above=0),
    "warmup_fraction": number(at_least=0, below=1),
    "final_fraction": number(at_least=0),
    "weight_decay": number(at_least=0),
    "clip_norm": optional(number(above=0)),
    "average": number(at_least=0, below=1),
    "patience": optional(integer(at_least=1)),
    "precision": one_of("float32", "bfloat16", "float16"),
    "device": text(),
    "save_every_seconds": number(at_least=0),
    "tensorboard": Rule(
        "None or a folder",
        lambda value: value is None or (isinstance(value, (str, Path)) and str(value) != ""),
    ),
    "progress": flag(),
}
_WITHOUT_EFFECT_ON_THE_RESULT = ("save_every_seconds", "tensorboard", "progress")


@dataclass(frozen=True)
class FitConfig:
    """How to train; the same settings serve every task.

    >>> from grukit import FitConfig
    >>> FitConfig(epochs=20, learning_rate=3e-3).batch_size
    64
    >>> FitConfig(clip_norm=0)
    Traceback (most recent call last):
    grukit.core.errors.ParameterError: clip_norm must be None or a number above 0, got 0

    epochs:             passes over the training data, at most.
    items_per_epoch:    items drawn for an epoch, those first that were not drawn before (of a
                        TextGenerator in their order); None takes all (a Forecaster all up to a
                        million windows).
    batch_size:         items in one forward pass.
    accumulate:         forward passes in one update; the gradient is exactly that of one batch of
                        `accumulate * batch_size` items.
    learning_rate:      the peak, reached after warm-up.
    warmup_fraction:    share of all updates over which the learning rate rises from zero.
    final_fraction:     the learning rate at the end of its cosine, as a fraction of the peak.
    weight_decay:       of AdamW (Loshchilov and Hutter 2019).
    clip_norm:          largest Euclidean norm of the whole gradient; None leaves it as it is.
    average:            decay of an exponential mean of the weights over the updates, which is what
                        is validated and kept (Polyak and Juditsky 1992); 0 keeps the weights
                        themselves, 0.999 their mean over about the last thousand updates.
    patience:           stop after this many epochs without a better validation loss; None never.
    precision:          "float32", or mixed precision in "bfloat16" or (CUDA only) "float16".
    device:             "auto" takes CUDA where there is one, else the CPU; or any torch device.
    save_every_seconds: pause between checkpoints within an epoch; 0 saves after every update.
    tensorboard:        folder for a TensorBoard log, or None.
    progress:           show a bar on stderr when that is a terminal.
    """

    epochs: int = 50
    items_per_epoch: int | None = None
    batch_size: int = 64
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup_fraction: float = 0.05
    final_fraction: float = 0.01
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0
    average: float = 0.0
    patience: int | None = 10
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    save_every_seconds: float = 300.0
    tensorboard: str | Path | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        check(vars(self), _RULES)

    def identity(self) -> dict[str, Any]:
        """The settings that change the result, as JSON values: a resumed run needs them equal."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in _WITHOUT_EFFECT_ON_THE_RESULT
        }
