"""What every threshold can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from grukit.core.errors import DataError, NotFittedError, ParameterError, must_be
from grukit.core.rules import Rule, check, number, one_of

RISK = number(above=0, below=1)


class Threshold(ABC):
    """A level above which a score is an alarm.

    Scores are the larger the more anomalous. NaN, the score of a row without values, raises no
    alarm and teaches nothing.

    Attributes:
        risk: share of the ordinary rows that may raise an alarm, between 0 and 1.
        level_: what the next score is compared with, once fitted.
    """

    options: ClassVar[dict[str, Rule]] = {"risk": RISK}
    learned: ClassVar[dict[str, Rule]] = {"level_": number()}

    def __init__(self, risk: float) -> None:
        self.risk = risk

    @abstractmethod
    def fit(self, scores: np.ndarray) -> Self:
        """Learn from the scores [T] of ordinary rows; NaN are left out.

        Raises ParameterError for an option outside its rule or scores that are not finite, and
        DataError where there are too few of them.
        """

    def update(self, score: float) -> bool:
        """Whether the score of the next row is an alarm."""
        self._check_fitted()
        return score > self.level_

    def update_many(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for the next rows, [T]: whether each is an alarm, and its level, float64 [T]."""
        self._check_fitted()
        scores = one_axis(scores)
        return scores > self.level_, np.full(scores.shape, self.level_)

    def to_dict(self) -> dict[str, Any]:
        """Options and state in strings, numbers and lists, as JSON wants them."""
        self._check_fitted()
        values = {name: getattr(self, name) for name in (*self.options, *self.learned)}
        return {"kind": type(self).__name__, **values}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; ParameterError if it is not that."""
        names = {"kind", *cls.options, *cls.learned}
        if set(state) != names:
            raise ParameterError(must_be("state", f"of {sorted(names)}", sorted(state)))
        check(state, {"kind": one_of(cls.__name__), **cls.options, **cls.learned})
        made = cls(**{name: state[name] for name in cls.options})
        for name in cls.learned:
            setattr(made, name, state[name])
        return made

    def _calibration(self, scores: np.ndarray, fewest: Callable[[], int] = lambda: 1) -> np.ndarray:
        """The scores that are known, after a look at the options."""
        check(vars(self), self.options)
        scores = one_axis(scores)
        if np.isinf(scores).any():
            raise ParameterError(must_be("scores", "finite, or NaN where there is none", np.inf))
        known = scores[~np.isnan(scores)]
        if len(known) < fewest():
            wanted = f"of at least {fewest()} rows at risk {self.risk:g}"
            raise DataError(must_be("scores", wanted, len(known)))
        return known

    def _check_fitted(self) -> None:
        if not hasattr(self, "level_"):
            raise NotFittedError(f"{type(self).__name__} must be fitted first: call fit(scores)")

    level_: float


def threshold_from_dict(state: Mapping[str, Any]) -> Threshold:
    """The threshold of any kind that `to_dict` has written; ParameterError if it is none.

    >>> from grukit.evaluation.alarms import Quantile
    >>> state = Quantile(risk=0.1).fit(np.arange(10.0)).to_dict()
    >>> state
    {'kind': 'Quantile', 'risk': 0.1, 'level_': 9.0}
    >>> threshold_from_dict(state).update(9.5)
    True
    """
    kinds = {kind.__name__: kind for kind in _below(Threshold)}
    if not isinstance(state, Mapping) or state.get("kind") not in kinds:
        raise ParameterError(must_be("state", f"a mapping of kind {sorted(kinds)}", state))
    return kinds[state["kind"]].from_dict(state)


def _below(kind: type[Threshold]) -> list[type[Threshold]]:
    return [found for sub in kind.__subclasses__() for found in (sub, *_below(sub))]


def one_axis(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1:
        raise ParameterError(must_be("scores", "of shape [T]", scores.shape))
    return scores
