"""Probabilities that mean what they say, and thresholds on them."""

from __future__ import annotations

import numpy as np

_SHARPEST, _FLATTEST = 0.05, 20.0


def probabilities_of(logits: np.ndarray, multilabel: bool) -> np.ndarray:
    """Logits [N, C] as chances: of one class among all, or of each class by itself."""
    if multilabel:
        return np.exp(-np.logaddexp(0.0, -logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    chances = np.exp(shifted)
    return chances / chances.sum(axis=1, keepdims=True)


def answers_of(
    chances: np.ndarray, multilabel: bool, thresholds: np.ndarray | None = None
) -> np.ndarray:
    """What is said at chances [N, C], in the shape of targets: int64 [N], or 0 and 1 [N, C].

    thresholds: from which chance on a class is said, float64 [C] or of two classes, for the second,
        [1]; by default one half. Of more classes the most probable is said.
    """
    if thresholds is None:
        thresholds = np.array([0.5])
    if multilabel:
        return (chances >= thresholds).astype(np.int64)
    if chances.shape[1] == 2:
        return (chances[:, 1] >= thresholds[0]).astype(np.int64)
    return chances.argmax(1)


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """What logits are to be divided by, so that their chances have the least log loss.

    logits: float64 [N, C], of data that the model has not learned.
    targets: int64 [N], or 0 and 1 [N, C] where a text may have several classes.

    Temperature scaling (Guo et al. 2017, arXiv:1706.04599). As Platt (1999) has it for his sigmoid,
    a target counts as (N + 1) / (N + 2) in the place of 1, so that a few answers that are all right
    do not make certainty. The result is between 0.05 and 20.

    >>> round(fit_temperature(np.array([[9.0, 0.0]] * 4), np.array([0, 0, 0, 1])), 1)
    13.0
    """
    multilabel = targets.ndim == 2
    hot = targets if multilabel else np.eye(logits.shape[1])[targets]
    doubt = 1 / (len(targets) + 2)
    hot = hot * (1 - doubt) + (1 - hot) * doubt / (1 if multilabel else logits.shape[1] - 1)

    def slope(cold: float) -> float:
        """The derivative of the log loss by 1 / temperature, which rises with it."""
        return float(((probabilities_of(cold * logits, multilabel) - hot) * logits).sum())

    low, high = 1 / _FLATTEST, 1 / _SHARPEST
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / low


def best_threshold(chances: np.ndarray, truth: np.ndarray, goal: str) -> float:
    """The threshold from which a chance means yes, with the best "f1" or "accuracy".

    chances: float64 [N]. truth: bool [N]. Of equally good thresholds the nearest to one half; it
    lies in the middle between two chances.

    >>> best_threshold(np.array([0.1, 0.2, 0.4, 0.9]), np.array([False, False, True, True]), "f1")
    0.3
    """
    order = np.argsort(-chances, kind="stable")
    falling = chances[order]
    # Yes to the first 1, 2, ... N - 1 of them, wherever a threshold fits between two.
    right = np.cumsum(truth[order])[:-1]
    said = np.arange(1, len(chances))
    fits = falling[:-1] > falling[1:]
    if goal == "f1":
        goodness = 2 * right / (said + truth.sum())
    else:
        goodness = (right + (len(chances) - said) - (truth.sum() - right)) / len(chances)
    if not fits.any() or not goodness[fits].max():
        return 0.5
    between = ((falling[:-1] + falling[1:]) / 2)[fits]
    best = between[goodness[fits] == goodness[fits].max()]
    return float(best[np.abs(best - 0.5).argmin()])
