"""What a classifier of texts has learned as a config and tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from grukit.core.errors import must_be
from grukit.data.labels import Classes
from grukit.data.tokenizers import Tokenizer
from grukit.evaluation.linear_text import LinearText
from grukit.nn.recurrent_classifier import RecurrentClassifier
from grukit.tasks.classification_network import new_network

if TYPE_CHECKING:
    from grukit.tasks.classification import TextClassifier


class Learned(NamedTuple):
    """All that a classifier answers from; what has a `_` in the end of its name there.

    shares: how often each class was in the training texts, float64 [C].
    thresholds: float64 [C] where a text may have several classes, else [1], for the second of two.
    """

    network: RecurrentClassifier
    tokenizer: Tokenizer
    classes: Classes
    shares: np.ndarray
    temperature: float
    thresholds: np.ndarray
    linear: LinearText | None


def to_folder(model: TextClassifier) -> tuple[dict[str, Any], bytes]:
    """A config of JSON values, and safetensors."""
    config = {
        "classes": model.classes_.tolist(),
        "multilabel": model.multilabel_,
        "temperature": model.temperature_,
        "thresholds": model.thresholds_.tolist(),
    }
    tensors = {f"network.{name}": own for name, own in model.network_.state_dict().items()}
    tensors["shares"] = torch.from_numpy(model.shares_)
    if model.linear_ is not None:
        arrays = model.linear_.arrays().items()
        tensors |= {f"linear.{name}": torch.from_numpy(own) for name, own in arrays}
    return config, safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()})


def from_folder(
    settings: TextClassifier,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    tokenizer: Tokenizer,
) -> Learned:
    """The inverse of `to_folder`; an error of the usual kinds for parts that do not fit."""
    classes = Classes(tuple(config["classes"]), bool(config["multilabel"]))
    count, weights, arrays = len(classes.names), {}, {}
    for name, value in tensors.items():
        whose, _, own = name.partition(".")
        if whose == "network":
            weights[own] = value
        elif whose == "linear":
            arrays[own] = value.numpy()
    network = new_network(settings, len(tokenizer), count, weights["embedding"].shape[1])
    network.load_state_dict(weights)
    shares, temperature = tensors["shares"].numpy(), float(config["temperature"])
    thresholds = np.array(config["thresholds"], np.float64)
    for name, own, size in (
        ("shares", shares, count),
        ("thresholds", thresholds, count if classes.multilabel else 1),
    ):
        if own.shape != (size,):
            raise ValueError(must_be(name, f"of shape {[size]}", list(own.shape)))
    if not temperature > 0:
        raise ValueError(must_be("temperature", "above 0", temperature))
    linear = LinearText(**arrays, multilabel=classes.multilabel) if arrays else None
    return Learned(network.eval(), tokenizer, classes, shares, temperature, thresholds, linear)
