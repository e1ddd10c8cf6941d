"""The baseline of every classifier of texts: which words and pairs of words are in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from grukit.core.extras import require
from grukit.data.tokenizers import words_of
from grukit.evaluation.temperature import probabilities_of

_PLACES = 1 << 20
_STRENGTH = 3.0


@dataclass(frozen=True, eq=False)
class LinearText:
    """Logistic regression on the TF-IDF of words and pairs of words, of scikit-learn.

    Features are hashed to 2^20 places, so that a model needs no vocabulary.

    places: int32 [F], those that the training texts use. idf: float32 [F], the weight of each.
    coefficients: float32 [C, F], of two classes [1, F]. intercepts: float32 [C] or [1].
    """

    places: np.ndarray
    idf: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    multilabel: bool

    @classmethod
    def fit(cls, texts: Sequence[str], targets: np.ndarray, weights: np.ndarray) -> LinearText:
        """Learn from texts.

        targets: int64 [N], or 0 and 1 [N, C].
        weights: float32 [C], how much the texts of each class count.

        Raises MissingExtra without scikit-learn.
        """
        counts = _counts(texts)
        frequency = np.asarray((counts > 0).sum(axis=0)).ravel()
        places = np.flatnonzero(frequency).astype(np.int32)
        idf = np.log((1 + len(texts)) / (1 + frequency[places])) + 1
        features = _weighted(counts, places, idf)
        several = targets.ndim == 2
        if several:
            columns = zip(targets.T, weights, strict=True)
            pairs = [(column, np.where(column > 0, own, 1.0)) for column, own in columns]
        else:
            pairs = [(targets, weights[targets])]
        parts = [_regression(features, *pair) for pair in pairs]
        return cls(
            places,
            idf.astype(np.float32),
            np.concatenate([own for own, _ in parts]).astype(np.float32),
            np.concatenate([own for _, own in parts]).astype(np.float32),
            several,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        return {name: own for name, own in vars(self).items() if name != "multilabel"}

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """The chance of each class, float64 [N, C]."""
        features = _weighted(_counts(texts), self.places, self.idf)
        logits = features @ self.coefficients.T.astype(np.float64) + self.intercepts
        if not self.multilabel and logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        return probabilities_of(logits, self.multilabel)


def _regression(
    features: Any, targets: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    seen = np.unique(targets)
    if len(seen) < 2:  # a class that all texts have, or none
        certain = 30.0 if seen[0] else -30.0
        return np.zeros((1, features.shape[1])), np.array([certain])
    model = require("sklearn.linear_model").LogisticRegression(C=_STRENGTH, max_iter=1000)
    model.fit(features, targets, weights)
    return model.coef_, model.intercept_


def _counts(texts: Sequence[str]) -> Any:
    """How often each feature is in each text: a sparse matrix [N, places]."""
    vectorizer = require("sklearn.feature_extraction.text").HashingVectorizer(
        n_features=_PLACES, analyzer=_features, norm=None, alternate_sign=False
    )
    return vectorizer.transform(texts)


def _features(text: str) -> list[str]:
    words = words_of(text)
    return words + [f"{one} {two}" for one, two in pairwise(words)]


def _weighted(counts: Any, places: np.ndarray, idf: np.ndarray) -> Any:
    """TF-IDF with log of the counts, rows of length 1."""
    found = counts[:, places]
    found.data = 1 + np.log(found.data)
    found = found.multiply(idf).tocsr()
    return require("sklearn.preprocessing").normalize(found)
