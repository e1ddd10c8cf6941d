"""One alarm for one trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer


class Quiet:
    """After an alarm the next `rows` rows raise none.

    >>> quiet = Quiet(rows=2)
    >>> [quiet.update(alarm) for alarm in (True, True, True, True, False)]
    [True, False, False, True, False]
    """

    def __init__(self, rows: int) -> None:
        check({"rows": rows}, {"rows": integer(at_least=0)})
        self.rows = rows
        self._left = 0

    def update(self, alarm: bool) -> bool:
        """Whether the next row raises its alarm."""
        if self._left:
            self._left -= 1
            return False
        if alarm:
            self._left = self.rows
        return bool(alarm)

    def update_many(self, alarms: np.ndarray) -> np.ndarray:
        """The same for the next rows, bool [T]."""
        alarms = np.asarray(alarms, bool)
        if alarms.ndim != 1:
            raise ParameterError(must_be("alarms", "of shape [T]", alarms.shape))
        raised, free = np.zeros(alarms.shape, bool), self._left
        for row in np.flatnonzero(alarms):
            if row >= free:
                raised[row] = True
                free = int(row) + 1 + self.rows
        self._left = max(free - len(alarms), 0)
        return raised

    def to_dict(self) -> dict[str, Any]:
        """Its length, and how many quiet rows are left."""
        return {"rows": self.rows, "left": self._left}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; ParameterError if it is not that."""
        if set(state) != {"rows", "left"}:
            raise ParameterError(must_be("state", "of ['left', 'rows']", sorted(state)))
        check(state, {"rows": integer(at_least=0), "left": integer(at_least=0)})
        if state["left"] > state["rows"]:
            raise ParameterError(must_be("left", f"at most {state['rows']}", state["left"]))
        made = cls(state["rows"])
        made._left = state["left"]
        return made
