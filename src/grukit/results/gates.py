"""What the gates of a recurrent layer did at every step of an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.results.conversion import to_frame

CARRIES = {"gru": "update", "lstm": "forget", "mingru": "update"}
"""By cell, the gate that says how much of the state is carried on."""


class Sums(NamedTuple):
    """What is added up inside a gate, [T, H] each: the input's share and the past's."""

    of_input: np.ndarray
    of_past: np.ndarray


@dataclass(frozen=True, eq=False)
class GateRecord:
    """One layer in one direction, over T steps of one input, in the order of the input.

    >>> half = np.full((3, 1), 0.5)
    >>> GateRecord("layer 1", "gru", ("a", "b", "c"), {"update": half, "hidden": half}).units
    ('0',)

    Attributes:
        layer: its name.
        cell: "gru", "lstm", "rnn" or another.
        steps: T labels: characters, tokens, times.
        gates: by name, float64 [T, H] each: of a GRU reset, update, memory and hidden.
        units: H names.
        step: what one step is: "character", "token", "word", "row", "moment", ...
        reverse: whether the layer read from the last step to the first.
        before: [T, H], the hidden state that each step began with, where it is known.
        sums: by gate, what is inside it, where that is known.
        after: whether the reset gate of a GRU acts after the recurrent product.
        nonlinearity: of an RNN, "tanh" or "relu".
        features: by name, [T] each: what the input is at each step, such as the depth of brackets.
        boundaries: bool [T], the steps at which something ends, such as a word; or None.
        picture: [T, F], what to draw below the gates, such as a spectrogram; or None. NaN is not
            drawn.
    """

    layer: str
    cell: str
    steps: tuple[str, ...]
    gates: Mapping[str, np.ndarray]
    units: tuple[str, ...] = ()
    step: str = "step"
    reverse: bool = False
    before: np.ndarray | None = None
    sums: Mapping[str, Sums] = field(default_factory=dict)
    after: bool = True
    nonlinearity: str = "tanh"
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    boundaries: np.ndarray | None = None
    picture: np.ndarray | None = None

    def __post_init__(self) -> None:
        if "hidden" not in self.gates:
            raise ParameterError(must_be("gates", "with 'hidden' among them", sorted(self.gates)))
        if not self.units:
            object.__setattr__(self, "units", tuple(map(str, range(self.hidden.shape[1]))))
        shape = (len(self.steps), len(self.units))
        for name, values in self.gates.items():
            # With a projection the gates are wider than the hidden state.
            if values.shape != shape and (name == "hidden" or values.shape[:1] != shape[:1]):
                raise ParameterError(must_be(f"the gate {name}", f"of shape {shape}", values.shape))
        for name, values in self.features.items():
            if np.shape(values) != shape[:1]:
                wanted = f"of shape {shape[:1]}"
                raise ParameterError(must_be(f"the feature {name}", wanted, np.shape(values)))

    @property
    def hidden(self) -> np.ndarray:
        """The hidden state, [T, H]."""
        return self.gates["hidden"]

    @property
    def carry(self) -> np.ndarray | None:
        """How much of the state each step carries on, from 0 to 1, [T, H]; None without a gate."""
        return self.gates.get(CARRIES.get(self.cell, ""))

    def __len__(self) -> int:
        return len(self.steps)

    def to_frame(self, backend: str = "pandas") -> Any:
        """A row for each step and unit, with a column for each gate."""
        return frame_of([self], backend)

    def to_dict(self) -> dict[str, Any]:
        """Names, labels and gates as JSON values."""
        return {
            "layer": self.layer,
            "cell": self.cell,
            "step": self.step,
            "steps": list(self.steps),
            "units": list(self.units),
            "gates": {name: values.tolist() for name, values in self.gates.items()},
        }


def frame_of(records: Sequence[GateRecord], backend: str = "pandas") -> Any:
    """A row for each layer, step and unit, with a column for each gate; NaN where it has none."""
    names = dict.fromkeys(name for record in records for name in record.gates)
    data: dict[str, list[Any]] = {name: [] for name in ("layer", "at", "step", "unit", *names)}
    for record in records:
        time, units = len(record.steps), len(record.units)
        data["layer"] += [record.layer] * (time * units)
        data["at"] += np.repeat(np.arange(time), units).tolist()
        data["step"] += [label for label in record.steps for _ in range(units)]
        data["unit"] += list(record.units) * time
        for name in names:
            own = record.gates.get(name)
            if own is None or own.shape != (time, units):
                own = np.full((time, units), np.nan)
            data[name] += own.ravel().tolist()
    return to_frame(data, backend)
