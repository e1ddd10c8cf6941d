"""The baseline of every recognizer of words: a linear model of their mean features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# This share of the common covariance is a multiple of the identity, so that it can be inverted
# where there are fewer recordings than features.
_SHRINKAGE = 0.05
# Of the spread of all recordings, where those of a class are all alike.
_LEAST = 1e-3


@dataclass(frozen=True, eq=False)
class LinearWords:
    """Linear discriminants (Fisher 1936): classes are Gaussians that share their covariance.

    >>> features = np.array([[0.0, 1.0], [0.2, 1.1], [3.0, 1.0], [3.1, 0.9]])
    >>> LinearWords.fit(features, np.array([0, 0, 1, 1]), classes=2).answers(features)
    array([0, 0, 1, 1])

    coefficients: float64 [C, F]. intercepts: float64 [C].
    """

    coefficients: np.ndarray
    intercepts: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray, classes: int) -> LinearWords:
        """Learn from the mean features of N recordings, float [N, F], and their int classes [N].

        A class without a recording is never answered.
        """
        features = np.asarray(features, np.float64)
        center = features.mean(axis=0)
        centered = features - center
        counts = np.bincount(targets, minlength=classes)
        means = np.zeros((classes, features.shape[1]))
        np.add.at(means, targets, centered)
        means /= np.maximum(counts, 1)[:, None]
        within = centered - means[targets]
        covariance = within.T @ within / len(features)
        size = features.shape[1]
        spread = max(np.trace(covariance), _LEAST * (centered**2).mean(axis=0).sum()) / size
        covariance += _SHRINKAGE * ((spread or 1.0) * np.eye(size) - covariance)
        coefficients = np.linalg.solve(covariance, means.T).T
        with np.errstate(divide="ignore"):
            priors = np.log(counts / len(features))
        middles = (coefficients * (0.5 * means + center)).sum(axis=1)
        return cls(coefficients, priors - middles)

    def answers(self, features: np.ndarray) -> np.ndarray:
        """The likeliest class of each recording, int64 [N]."""
        return (np.asarray(features, np.float64) @ self.coefficients.T + self.intercepts).argmax(1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Both arrays by name."""
        return dict(vars(self))
