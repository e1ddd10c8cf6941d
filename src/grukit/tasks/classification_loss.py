"""What a classifier learns by, and how much each class counts in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from grukit.core.errors import ParameterError, must_be
from grukit.data.labels import Classes
from grukit.data.text_batches import TextBatch
from grukit.nn.recurrent_classifier import RecurrentClassifier
from grukit.training.losses import LossSum


def classification_loss(model: RecurrentClassifier, batch: TextBatch, weights: Tensor) -> LossSum:
    """Cross entropy, of one class among all or of each class by itself.

    weights: float32 [C]. Of one class among all that of a text is its class's, and their sum is
        what the loss is divided by; of several it is that of the texts that have the class.
    """
    logits = model(batch.tokens, batch.lengths).float()
    weights = weights.to(logits.device)
    if batch.targets.dim() == 1:
        total = cross_entropy(logits, batch.targets, weights, reduction="sum")
        return LossSum(total, weights[batch.targets].sum())
    total = binary_cross_entropy_with_logits(
        logits, batch.targets, pos_weight=weights, reduction="sum"
    )
    return LossSum(total, batch.targets.numel())


def class_weights(
    wanted: str | Mapping[Any, float] | None, classes: Classes, targets: np.ndarray
) -> np.ndarray:
    """What each class counts, float32 [C]; ParameterError for one that there is not.

    "balanced" is scikit-learn's N / (C count of the class); of several classes for a text it is
    the number of texts without the class for each with it.
    """
    weights = np.ones(len(classes.names), np.float32)
    if isinstance(wanted, Mapping):
        for name, weight in wanted.items():
            if name not in classes.names:
                known = f"of the classes {classes.names}"
                raise ParameterError(must_be("class_weight", known, name))
            weights[classes.names.index(name)] = weight
    elif wanted == "balanced":
        if classes.multilabel:
            count = targets.sum(axis=0)
            weights = np.where(count > 0, (len(targets) - count) / np.maximum(count, 1), 1.0)
            weights = np.maximum(weights, 1e-3)
        else:
            count = np.bincount(targets, minlength=len(weights))
            weights = len(targets) / (len(weights) * np.maximum(count, 1))
    return weights.astype(np.float32)
