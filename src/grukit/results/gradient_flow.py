"""How much of a gradient comes through many steps of a recurrent layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.results.cells import NAMES
from grukit.results.conversion import none_unless_finite, to_frame

_LOST, _LOST_AT_A_STEP = math.log(1e3), 1e-3
_FLOOR = -1e4
"""In the place of the log of a norm that is exactly zero."""
_CLEARLY = 0.9
_SOON = 10
_SHOWN = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_ADVICE = {
    ("vanishing", "rnn"): (
        "take a GRU or LSTM, whose gates let a state pass unchanged",
        "or draw the recurrent weights by grukit.nn.init.orthogonal_",
    ),
    ("vanishing", ""): (
        "draw the biases of the gates that carry the state on for the lag that matters: "
        "grukit.nn.init.chrono_(layer, longest=...)",
        "shorten what must be remembered: fewer steps, segments, or attention over the steps",
    ),
    ("exploding", ""): (
        "clip the gradient more: FitConfig(clip_norm=...), 1.0 by default",
        "lower the learning rate, or draw the recurrent weights by grukit.nn.init.orthogonal_",
        "keep the sums in bounds: layer_norm=True",
    ),
}


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """The norm of d h_T / d s_t against the lag T - t, for N sequences.

    s is the state before a step: h, or h and c. A norm is that of Frobenius by the root of the
    width: 1 at lag 0.

    >>> flow = GradientFlow("rnn", np.arange(4), np.log([[1, 0.1, 0.01, 0.0009]]), {}, np.ones(2))
    >>> round(flow.rate, 2), flow.verdict
    (0.09, 'vanishing')

    Attributes:
        cell: "gru", "lstm", "rnn" or another.
        lags: int64 [n], from 0.
        log_norms: float64 [N, n], natural logarithms; -inf where nothing comes through.
        singular: by lag, float64 [H], the log of the singular values of d h_T / d s_t, the largest
            first, means over sequences.
        step_singular: float64 [S], those of single steps, d s_t / d s_{t-1}, not their log; means
            over steps and sequences.
    """

    cell: str
    lags: np.ndarray
    log_norms: np.ndarray
    singular: Mapping[int, np.ndarray]
    step_singular: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.log_norms), len(self.lags))
        if self.log_norms.shape != shape or len(self.lags) < 2:
            wanted = "of shape [N, n] with a lag for each column, two or more"
            raise ParameterError(must_be("log_norms", wanted, self.log_norms.shape))

    @property
    def log_norm(self) -> np.ndarray:
        """[n], the mean of the logarithms over sequences."""
        return np.maximum(self.log_norms, _FLOOR).mean(axis=0)

    @property
    def norms(self) -> np.ndarray:
        """[n], the geometric mean over sequences; 0 below what a float can hold."""
        return np.exp(np.minimum(self.log_norm, 700.0))

    @property
    def slope(self) -> float:
        """Of the logarithm over the lag, by least squares from lag 1 on."""
        return self._line[0]

    @property
    def r_squared(self) -> float:
        """How straight the logarithm is: 1 where the norm goes by a power of the lag exactly."""
        return self._line[1]

    @property
    def rate(self) -> float:
        """By what the norm is multiplied at each step, on the mean."""
        return math.exp(self.slope)

    @property
    def half_life(self) -> float:
        """After how many steps it has halved, or doubled; inf where it stays."""
        return math.log(2) / abs(self.slope) if self.slope else math.inf

    @property
    def verdict(self) -> str:
        """ "vanishing" or "exploding": a factor of 1,000 over all lags; else "steady"."""
        last = float(self.log_norm[-1])
        if last < -_LOST:
            return "vanishing"
        return "exploding" if last > _LOST else "steady"

    @property
    def reach(self) -> int:
        """The last lag before the norm first falls below 0.001."""
        below = np.flatnonzero(self.log_norm < math.log(_LOST_AT_A_STEP))
        return int(self.lags[below[0] - 1] if len(below) else self.lags[-1])

    def advice(self) -> tuple[str, ...]:
        """What to do about it; nothing where it is steady."""
        own = _ADVICE.get((self.verdict, self.cell))
        return own or _ADVICE.get((self.verdict, ""), ())

    def words(self) -> str:
        """The verdict with its figures, in a sentence."""
        name, last = NAMES.get(self.cell, self.cell), int(self.lags[-1])
        size = f"{_power(float(self.log_norm[-1]))} of it after {last:,} steps"
        if self.verdict == "steady":
            return f"{name}: the gradient is steady: {size}{self._ahead()}."
        how = "falls" if self.slope < 0 else "grows"
        shape = "exponentially, " if self.r_squared >= _CLEARLY else ""
        found = (
            f"{name}: the gradient is {self.verdict}: it {how} {shape}by {self.rate:.3g} a step "
            f"(r^2 {self.r_squared:.3f}); {size}"
        )
        if self.verdict == "vanishing":
            found += f"; 1/1,000 is left after {self.reach:,}"
        return f"{found}."

    def _ahead(self) -> str:
        """Of a norm that goes straight to where more steps would lose it, when that is."""
        steps = _LOST / abs(self.slope) if self.slope else math.inf
        if self.r_squared < _CLEARLY or steps > _SOON * self.lags[-1]:
            return ""
        left = "1/1,000 is" if self.slope < 0 else "1,000 times as much is"
        return f"; going on by {self.rate:.3g} a step, {left} left after {steps:,.0f}"

    def table(self) -> str:
        """The norm at some lags."""
        shown = {lag: at for at, lag in enumerate(self.lags.tolist())}
        lags = [lag for lag in (*_SHOWN, int(self.lags[-1])) if lag in shown]
        norms = {lag: float(self.log_norm[shown[lag]]) for lag in lags}
        cells = [(f"{lag:,}", _power(norm)) for lag, norm in norms.items()]
        width = max(len("lag"), *(len(lag) for lag, _ in cells))
        return "\n".join(f"{lag:>{width}}  {norm}" for lag, norm in [("lag", "norm"), *cells])

    def to_frame(self, backend: str = "pandas") -> Any:
        """A row for each lag."""
        data = {"lag": self.lags.tolist(), "norm": self.norms.tolist()}
        return to_frame(data | {"log_norm": self.log_norm.tolist()}, backend)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values, for `from_dict`, and the verdict."""
        return {
            "cell": self.cell,
            "lags": self.lags.tolist(),
            "log_norms": [[none_unless_finite(v) for v in own] for own in self.log_norms],
            "singular": {
                str(lag): [none_unless_finite(v) for v in values]
                for lag, values in self.singular.items()
            },
            "step_singular": self.step_singular.tolist(),
            "verdict": self.verdict,
            "words": self.words(),
            "advice": list(self.advice()),
            "rate": self.rate,
            "r_squared": self.r_squared,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """What `to_dict` wrote."""

        def array(values: Any) -> np.ndarray:
            nothing = -np.inf
            return np.array([nothing if v is None else v for v in values], np.float64)

        return cls(
            str(data["cell"]),
            np.array(data["lags"], np.int64),
            np.stack([array(own) for own in data["log_norms"]]),
            {int(lag): array(values) for lag, values in data["singular"].items()},
            np.array(data["step_singular"], np.float64),
        )

    @property
    def _line(self) -> tuple[float, float]:
        """Slope and r^2 of the logarithm over the lag."""
        x, y = self.lags[1:].astype(np.float64), self.log_norm[1:]
        if len(x) < 2:
            return float(y[0]), 1.0
        x, y = x - x.mean(), y - y.mean()
        slope = float(x @ y / (x @ x))
        total = float(y @ y)
        rest = y - slope * x
        return slope, 1.0 if total == 0 else 1 - float(rest @ rest) / total


def _power(log: float) -> str:
    """e to the log, however small."""
    if abs(log) < 300:
        return f"{math.exp(log):.2g}"
    return "0" if log <= _FLOOR else f"1e{log / math.log(10):.0f}"
