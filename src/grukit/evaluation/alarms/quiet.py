"""One alarm for one trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer, number, optional

# So many times the score of the last alarm is another trouble, or the first was none.
ESCALATION = 2.0


class Quiet:
    """After an alarm the next `rows` rows raise none, unless the score is twice as high.

    >>> quiet = Quiet(rows=2)
    >>> [quiet.update(alarm) for alarm in (True, True, True, True, False)]
    [True, False, False, True, False]
    >>> Quiet(rows=2).update_many(np.array([True, True, True]), np.array([3.0, 5.0, 7.0]))
    array([ True, False,  True])
    """

    def __init__(self, rows: int) -> None:
        check({"rows": rows}, {"rows": integer(at_least=0)})
        self.rows = rows
        self._left = 0
        self._raised: float | None = None

    def update(self, alarm: bool, score: float | None = None) -> bool:
        """Whether the next row raises its alarm; without a score nothing breaks the quiet."""
        self._left -= 1
        before = self._raised
        higher = score is not None and before is not None and score >= ESCALATION * before
        raised = bool(alarm) and (self._left < 0 or higher)
        if raised:
            self._left, self._raised = self.rows, score
        self._left = max(self._left, 0)
        return raised

    def update_many(self, alarms: np.ndarray, scores: np.ndarray | None = None) -> np.ndarray:
        """The same for the next rows, bool [T], with their scores [T] if there are any."""
        alarms = np.asarray(alarms, bool)
        if alarms.ndim != 1:
            raise ParameterError(must_be("alarms", "of shape [T]", alarms.shape))
        if scores is not None and np.shape(scores) != alarms.shape:
            raise ParameterError(must_be("scores", f"of shape {alarms.shape}", np.shape(scores)))
        raised, done = np.zeros(alarms.shape, bool), 0
        for row in np.flatnonzero(alarms).tolist():
            self._left = max(self._left - (row - done), 0)
            raised[row] = self.update(True, None if scores is None else float(scores[row]))
            done = row + 1
        self._left = max(self._left - (len(alarms) - done), 0)
        return raised

    def to_dict(self) -> dict[str, Any]:
        """Its length, how many quiet rows are left, and the score of the last alarm."""
        return {"rows": self.rows, "left": self._left, "raised": self._raised}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; ParameterError if it is not that."""
        if set(state) != {"rows", "left", "raised"}:
            raise ParameterError(must_be("state", "of ['left', 'raised', 'rows']", sorted(state)))
        natural = integer(at_least=0)
        check(state, {"rows": natural, "left": natural, "raised": optional(number())})
        if state["left"] > state["rows"]:
            raise ParameterError(must_be("left", f"at most {state['rows']}", state["left"]))
        made = cls(state["rows"])
        made._left, made._raised = state["left"], state["raised"]
        return made
