"""What a classifier says of texts, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grukit.results.conversion import to_frame
from grukit.results.scores import Score, ScoreTable

UNCALIBRATED = "before calibration"


@dataclass(frozen=True)
class Classification:
    """What a classifier says of a text.

    Attributes:
        text: what was judged.
        label: its class; where a text may have several, a tuple of them.
        probabilities: the chance of each class, by its name.
    """

    text: str
    label: Any
    probabilities: Mapping[Any, float]

    @property
    def probability(self) -> float | None:
        """The chance of the label; None where there may be several."""
        return None if isinstance(self.label, tuple) else self.probabilities[self.label]

    def __str__(self) -> str:
        if isinstance(self.label, tuple):
            return ", ".join(f"{name} {self.probabilities[name]:.3f}" for name in self.label)
        return f"{self.label} {self.probability:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        chances = {str(name): chance for name, chance in self.probabilities.items()}
        if isinstance(self.label, tuple):
            return {"text": self.text, "labels": list(self.label), "probabilities": chances}
        own = {"text": self.text, "label": self.label, "probability": self.probability}
        return {**own, "probabilities": chances}


@dataclass(frozen=True, eq=False)
class ClassificationEvaluation(ScoreTable):
    """A classifier beside its baselines, on labelled texts.

    The metrics are accuracy (of several classes the share of texts that have all right), macro_f1,
    log_loss in nats, and ece, the expected calibration error.

    Attributes:
        scores: one Score each: the model, the same before its temperature, and the baselines.
        texts: how many were judged.
        classes: what they were told apart into.
    """

    texts: int
    classes: tuple[Any, ...]

    @property
    def baselines(self) -> tuple[Score, ...]:
        """The model itself before its temperature is none."""
        return tuple(own for own in self.scores[1:] if not own.name.endswith(UNCALIBRATED))

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation in strings, numbers and lists; what is not finite is None."""
        return {
            "texts": self.texts,
            "classes": list(self.classes),
            "scores": self._score_dicts(),
        }


@dataclass(frozen=True, eq=False)
class TextExplanation:
    """What each token added to the log-odds of a class.

    ``log_odds = start + weights.sum() + unexplained``, the last of which is the error of the
    numerical integration.

    Attributes:
        label: the class that is explained.
        tokens: T tokens that were read.
        weights: float64 [T], what each added.
        attention: float64 [T], the share of each in what was pooled, which says where the network
            looked, not what it made of it.
        log_odds: log(p / (1 - p)) of the class. start: the same of a text whose tokens say nothing.
        unexplained: see above.
    """

    label: Any
    tokens: tuple[str, ...]
    weights: np.ndarray
    attention: np.ndarray
    log_odds: float
    start: float
    unexplained: float

    def to_frame(self, backend: str = "pandas") -> Any:
        """A row for each token: what it added, and its attention."""
        data = {
            "token": list(self.tokens),
            "weight": self.weights.tolist(),
            "attention": self.attention.tolist(),
        }
        return to_frame(data, backend)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            **vars(self),
            "tokens": list(self.tokens),
            "weights": self.weights.tolist(),
            "attention": self.attention.tolist(),
        }
