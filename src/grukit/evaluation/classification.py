"""How good a classifier's answers and chances are.

Shapes: `targets` are int64 [N], the place of each text's class among C; or, where a text may have
several classes, 0 and 1 [N, C]. `chances` are float64 [N, C]. `answers` have the shape of targets.
"""

from __future__ import annotations

import numpy as np

_BINS = 15
_SMALLEST = 1e-15


def metrics_of(targets: np.ndarray, chances: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """All metrics by name: accuracy, macro_f1, log_loss, ece."""
    return {
        "accuracy": accuracy(targets, answers),
        "macro_f1": macro_f1(targets, answers, chances.shape[1]),
        "log_loss": log_loss(targets, chances),
        "ece": calibration_error(targets, chances),
    }


def accuracy(targets: np.ndarray, answers: np.ndarray) -> float:
    """The share of texts whose class, or all of whose classes, are right."""
    right = np.asarray(targets) == np.asarray(answers)
    return float((right if right.ndim == 1 else right.all(axis=1)).mean())


def macro_f1(targets: np.ndarray, answers: np.ndarray, classes: int) -> float:
    """The mean over all classes of F1, which is 0 for a class that is neither there nor named."""
    if targets.ndim == 1:
        names = np.arange(classes)
        targets, answers = targets[:, None] == names, answers[:, None] == names
    return float(f1_scores(targets, answers).mean())


def f1_scores(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of each column, 0 where there is nothing: float64 [C]."""
    targets, answers = np.asarray(targets, bool), np.asarray(answers, bool)
    both = 2.0 * (targets & answers).sum(axis=0)
    either = targets.sum(axis=0) + answers.sum(axis=0)
    return both / np.maximum(either, 1)


def log_loss(targets: np.ndarray, chances: np.ndarray) -> float:
    """Mean of -log of the chance of what is true, in nats; of several classes the mean of all."""
    if targets.ndim == 1:
        held = chances[np.arange(len(targets)), targets]
    else:
        held = np.where(targets > 0, chances, 1 - chances)
    return float(-np.log(np.maximum(held, _SMALLEST)).mean())


def calibration_error(targets: np.ndarray, chances: np.ndarray) -> float:
    """Expected calibration error: how far chances are from how often they come true.

    The mean, over 15 bins of equal width weighted by what is in them, of the distance between the
    mean chance and the share that came true (Guo et al. 2017, arXiv:1706.04599). Of one class among
    all it is about the chance of the answer, of several classes about the chances of all.

    >>> chances = np.array([[0.2, 0.8]] * 10)
    >>> calibration_error(np.array([1] * 8 + [0] * 2), chances)
    0.0
    """
    if targets.ndim == 1:
        said, true = chances.max(axis=1), chances.argmax(axis=1) == targets
    else:
        said, true = chances.ravel(), targets.ravel() > 0
    bins = np.minimum((said * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, said, _BINS) - np.bincount(bins, true, _BINS)
    return float(np.abs(gaps).sum() / len(said))
