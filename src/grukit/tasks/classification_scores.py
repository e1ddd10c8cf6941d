"""A classifier of texts beside its baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from grukit.core.errors import MissingExtra
from grukit.evaluation.classification import metrics_of
from grukit.evaluation.linear_text import LinearText
from grukit.evaluation.temperature import answers_of, probabilities_of
from grukit.results.cells import NAMES
from grukit.results.classification import UNCALIBRATED, ClassificationEvaluation
from grukit.results.scores import Score
from grukit.tasks.classification_data import Targeted

if TYPE_CHECKING:
    from grukit.tasks.classification import TextClassifier


def shares_of(targets: np.ndarray, classes: int) -> np.ndarray:
    """How often each class is there, float64 [C]."""
    if targets.ndim == 2:
        return targets.mean(axis=0, dtype=np.float64)
    return np.bincount(targets, minlength=classes) / len(targets)


def linear_baseline(learned: Targeted, weights: np.ndarray) -> LinearText | None:
    """Fitted on the same texts, where its package is installed."""
    try:
        return LinearText.fit(learned.texts, learned.targets, weights)
    except MissingExtra:
        return None


def beside_baselines(
    model: TextClassifier, judged: Targeted, logits: np.ndarray
) -> ClassificationEvaluation:
    """The scores of the model, by its `logits` of the judged texts, and of its baselines."""
    multilabel, name = model.multilabel_, f"grukit {NAMES[model.cell]}"
    own = probabilities_of(logits / model.temperature_, multilabel)
    rivals = {name: (own, answers_of(own, multilabel, model.thresholds_))}
    others = {"most frequent class": np.broadcast_to(model.shares_, own.shape)}
    if model.linear_ is not None:
        others = {"linear, words and pairs": model.linear_.probabilities(judged.texts), **others}
    if model.temperature_ != 1.0:
        others = {f"{name} {UNCALIBRATED}": probabilities_of(logits, multilabel), **others}
    rivals |= {name: (chances, answers_of(chances, multilabel)) for name, chances in others.items()}
    scores = tuple(
        Score(name, metrics_of(judged.targets, chances, answers))
        for name, (chances, answers) in rivals.items()
    )
    return ClassificationEvaluation(scores, len(judged.texts), tuple(model.classes_.tolist()))
