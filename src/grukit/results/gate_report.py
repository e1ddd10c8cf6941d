"""What the units of recurrent layers do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from grukit.results.conversion import none_unless_finite, to_frame

FEWEST_STEPS = 20
"""Of fewer it is not said what units do: nearly all seem to follow something, and each other."""
_NAMED = 12
"""So many units are named in a sentence; the others are counted."""
_STUCK = {
    ("update", "1"): "a step changes little",
    ("update", "0"): "it carries nothing on",
    ("reset", "1"): "its past always enters in full",
    ("reset", "0"): "its memory content never sees the past",
    ("forget", "1"): "it hardly forgets",
    ("forget", "0"): "it carries nothing on",
    ("input", "1"): "it writes at every step",
    ("input", "0"): "it hardly ever writes",
    ("output", "1"): "it is always read",
    ("output", "0"): "it is never read",
}


class Memory(NamedTuple):
    """After how many steps 1/e of a state is left: the median over all steps, and the 10th and
    90th percentile; inf where longer than could be seen."""

    median: float
    low: float
    high: float


class Passing(NamedTuple):
    """How much of the past may pass at boundaries and elsewhere, means from 0 to 1; and the share
    of shifts of the boundaries, with that by 0 steps, that part the two as far."""

    at_boundaries: float
    elsewhere: float
    chance: float


class Follows(NamedTuple):
    """A unit that goes with a feature of the input: their correlation, and the share of shifts of
    the feature, with that by 0 steps, that reach it, or go as well with its changes."""

    layer: str
    unit: str
    feature: str
    correlation: float
    chance: float


class Doubled(NamedTuple):
    """Two units of a layer that do the same, or the opposite."""

    layer: str
    one: str
    other: str
    correlation: float


@dataclass(frozen=True)
class UnitReport:
    """One unit.

    Attributes:
        layer, unit: which.
        memory: None without a gate that carries the state on.
        passing: None without boundaries, or without such a gate.
        mean, lowest, highest: of its state.
        is_: what it is: "holds", "reset", "saturated", "dead".
        stuck: by gate, the end it is always near, "0" or "1".
    """

    layer: str
    unit: str
    memory: Memory | None
    passing: Passing | None
    mean: float
    lowest: float
    highest: float
    is_: tuple[str, ...]
    stuck: Mapping[str, str]


@dataclass(frozen=True)
class GateReport:
    """What the units of some layers do; `grukit.insight.gates.inspect_gates` says what words mean.

    Attributes:
        units: one UnitReport each, layer by layer.
        follows: the units that follow a feature, the closest first.
        doubled: pairs of units, the most alike first.
        steps: how many were looked at, by layer. step: what one is.
    """

    units: tuple[UnitReport, ...]
    follows: tuple[Follows, ...]
    doubled: tuple[Doubled, ...]
    steps: Mapping[str, int]
    step: str = "step"

    def named(self, what: str) -> list[tuple[str, str]]:
        """Layer and unit of all that are "holds", "reset", "saturated" or "dead"."""
        return [(own.layer, own.unit) for own in self.units if what in own.is_]

    def words(self) -> list[str]:
        """The same in sentences."""
        found = []
        for layer, steps in self.steps.items():
            units = [own for own in self.units if own.layer == layer]
            found.append(f"{layer}: {len(units)} units over {steps:,} {self._steps(steps)}")
            found += [f"  {line}" for line in self._of_layer(layer, units)]
            if steps < FEWEST_STEPS:
                found.append(f"  too short to say what units do: give {FEWEST_STEPS} or more")
        return found

    def table(self, most: int = 20) -> str:
        """A line for each unit, those with the longest memory first."""
        rows = [("layer", "unit", "memory", "state", "what it does")]
        ordered = sorted(self.units, key=lambda own: -(own.memory.median if own.memory else 0.0))
        for own in ordered[:most]:
            memory = "" if own.memory is None else _length(own.memory.median)
            follows = [
                f"{f.feature} {f.correlation:+.2f}"
                for f in self.follows
                if (f.layer, f.unit) == (own.layer, own.unit)
            ]
            does = ", ".join([*own.is_, *(f"{k} at {v}" for k, v in own.stuck.items()), *follows])
            state = f"{own.lowest:+.2f} to {own.highest:+.2f}"
            rows.append((own.layer, own.unit, memory, state, does))
        widths = [max(len(row[at]) for row in rows) for at in range(5)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
        if len(self.units) > most:
            lines.append(f"({len(self.units) - most:,} other units)")
        return "\n".join(line.rstrip() for line in lines)

    def to_frame(self, backend: str = "pandas") -> Any:
        """A row for each unit."""
        memory = [own.memory or Memory(*[math.nan] * 3) for own in self.units]
        passing = [own.passing or Passing(*[math.nan] * 3) for own in self.units]
        return to_frame(
            {
                "layer": [own.layer for own in self.units],
                "unit": [own.unit for own in self.units],
                "memory": [own.median for own in memory],
                "memory_low": [own.low for own in memory],
                "memory_high": [own.high for own in memory],
                "at_boundaries": [own.at_boundaries for own in passing],
                "elsewhere": [own.elsewhere for own in passing],
                "mean": [own.mean for own in self.units],
                "lowest": [own.lowest for own in self.units],
                "highest": [own.highest for own in self.units],
                **{
                    what: [what in own.is_ for own in self.units]
                    for what in ("holds", "reset", "saturated", "dead")
                },
            },
            backend,
        )

    def to_dict(self) -> dict[str, Any]:
        """The whole report as JSON values; what is not finite is None."""
        return {
            "step": self.step,
            "steps": dict(self.steps),
            "words": self.words(),
            "units": [
                {
                    "layer": own.layer,
                    "unit": own.unit,
                    "memory": _finite(own.memory),
                    "passing": _finite(own.passing),
                    "mean": own.mean,
                    "lowest": own.lowest,
                    "highest": own.highest,
                    "is": list(own.is_),
                    "stuck": dict(own.stuck),
                }
                for own in self.units
            ],
            "follows": [own._asdict() for own in self.follows],
            "doubled": [own._asdict() for own in self.doubled],
        }

    def _of_layer(self, layer: str, units: Sequence[UnitReport]) -> list[str]:
        lines = []
        memories = sorted(own.memory.median for own in units if own.memory)
        if memories:
            middle = memories[len(memories) // 2]
            half = _length(middle)
            if math.isfinite(middle):
                half += f" {self._steps(middle)} or more"
            lines.append(
                f"half of the units keep 1/e of their state for {half}; "
                f"the longest for {_length(memories[-1])}"
            )
        for what, said in (
            ("holds", "long memory"),
            ("reset", "reset at boundaries"),
            ("saturated", "saturated: the state is always at an end"),
            ("dead", "dead: the state never moves"),
        ):
            own = [unit for unit in units if what in unit.is_]
            if own:
                lines.append(f"{said}: {_list([_told(unit, what) for unit in own])}")
        for gate, end in sorted({pair for unit in units for pair in unit.stuck.items()}):
            own = [unit.unit for unit in units if unit.stuck.get(gate) == end]
            why = _STUCK.get((gate, end), "it decides nothing")
            lines.append(f"{gate} gate always near {end} ({why}): {_list(own)}")
        doubled = [pair for pair in self.doubled if pair.layer == layer]
        if doubled:
            pairs = [f"{p.one} and {p.other} ({p.correlation:+.3f})" for p in doubled]
            lines.append(f"doubled: {_list(pairs)}")
        by_feature: dict[str, list[Follows]] = {}
        for one in self.follows:
            if one.layer == layer:
                by_feature.setdefault(one.feature, []).append(one)
        for feature, own in by_feature.items():
            units_ = [f"{one.unit} ({one.correlation:+.2f})" for one in own]
            lines.append(f"follow {feature}: {_list(units_)}")
        return lines

    def _steps(self, count: float) -> str:
        return self.step if count == 1 else f"{self.step}s"


def _told(unit: UnitReport, what: str) -> str:
    if what == "holds" and unit.memory is not None:
        return f"{unit.unit} ({_length(unit.memory.median)})"
    if what == "reset" and unit.passing is not None:
        own = unit.passing
        there = f"{own.at_boundaries:.2f} may pass there, {own.elsewhere:.2f} elsewhere"
        return f"{unit.unit} ({there})"
    return unit.unit


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _length(steps: float) -> str:
    return f"{steps:,.0f}" if math.isfinite(steps) else "longer than was seen"


def _finite(record: Memory | Passing | None) -> dict[str, float | None] | None:
    if record is None:
        return None
    return {name: none_unless_finite(value) for name, value in record._asdict().items()}
