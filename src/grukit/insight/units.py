"""What each unit does, from what its gates did; `grukit.insight.gates` tells how it is judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.results.gate_report import (
    FEWEST_STEPS,
    Doubled,
    Follows,
    GateReport,
    Memory,
    Passing,
    UnitReport,
)
from grukit.results.gates import GateRecord

# `inspect_gates` says what these are for.
_HOLDS, _SHARE_OF_A_SEQUENCE = 20, 4
_LESS_PASSES, _CHANCE, _FEWEST_BOUNDARIES = 0.3, 0.05, 3
_SATURATED, _SATURATED_STEPS = 0.95, 0.95
_STILL = 0.01
_STUCK, _STUCK_STEPS = 0.02, 0.98
_DOUBLED, _FOLLOWS, _APART = 0.99, 0.5, 5
_SIGMOIDS = ("reset", "update", "input", "forget", "output")
_TINY = 1e-12


def inspect_records(records: Sequence[GateRecord]) -> GateReport:
    """The report of records, those of one layer together."""
    layers: dict[str, list[GateRecord]] = {}
    for record in records:
        if not len(record):
            raise ParameterError(must_be("a record", "of at least one step", 0))
        for name, values in record.gates.items():
            known = np.isfinite(values).all(axis=1)
            if not known.all():
                got = f"others from step {known.argmin() + 1} on"
                raise ParameterError(must_be(f"{name} of {record.layer}", "finite numbers", got))
        layers.setdefault(record.layer, []).append(record)
    units: list[UnitReport] = []
    follows: list[Follows] = []
    doubled: list[Doubled] = []
    for own in layers.values():
        reports = _units(own)
        lively = np.array([not {"dead", "saturated"} & set(unit.is_) for unit in reports])
        units += reports
        if sum(map(len, own)) >= FEWEST_STEPS:
            follows += _follows(own, lively)
            doubled += _doubled(own, lively)
    return GateReport(
        tuple(units),
        tuple(sorted(follows, key=lambda one: -abs(one.correlation))),
        tuple(sorted(doubled, key=lambda pair: -abs(pair.correlation))),
        {name: sum(map(len, own)) for name, own in layers.items()},
        records[0].step,
    )


def memory_lengths(carry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each step but the last, after how many more the product of the gates is at most 1/e.

    carry: [T, H], in the direction in which the layer reads. Gives [T - 1, H] numbers of steps,
    and whether each was seen, or is only known to be longer.

    >>> memory_lengths(np.full((6, 1), 0.7))[0][:, 0].tolist()
    [3, 3, 3, 2, 1]
    """
    spent = np.cumsum(-np.log(np.maximum(carry, _TINY)), axis=0)
    time = len(carry)
    lengths = np.empty((max(time - 1, 0), carry.shape[1]), np.int64)
    for unit, own in enumerate(spent.T):
        # Rounding must not turn a product of exactly 1/e into one above it.
        lengths[:, unit] = np.searchsorted(own, own[:-1] + 1 - 1e-9) - np.arange(time - 1)
    left = (time - 1 - np.arange(time - 1))[:, None]
    return np.minimum(lengths, left), lengths <= left


def quantiles(lengths: np.ndarray, seen: np.ndarray, levels: Sequence[float]) -> list[float]:
    """Of lengths [N] of which some are known to be longer (Kaplan and Meier 1958); inf if so.

    >>> quantiles(np.array([1, 2, 3, 3]), np.array([True, True, False, False]), (0.5, 0.9))
    [2.0, inf]
    """
    most = int(lengths.max(initial=0))
    ended = np.bincount(lengths[seen], minlength=most + 1)
    at_risk = np.bincount(lengths, minlength=most + 1)[::-1].cumsum()[::-1]
    surviving = np.cumprod(1 - ended / np.maximum(at_risk, 1))
    reached = [np.flatnonzero(surviving <= 1 - level + 1e-9) for level in levels]
    return [float(at[0]) if len(at) else np.inf for at in reached]


def _units(records: Sequence[GateRecord]) -> list[UnitReport]:
    """Of the records of one layer."""
    first = records[0]
    settled = np.concatenate([_settled(own.hidden) for own in records])
    low, high = settled.min(axis=0), settled.max(axis=0)
    saturated = np.zeros(len(low), bool)
    if np.abs(settled).max() <= 1 + 1e-6:
        saturated = (np.abs(settled) > _SATURATED).mean(axis=0) >= _SATURATED_STEPS
    dead = (high - low <= _STILL) & ~saturated
    memories, passing, stuck = _memories(records), _passing(records), _stuck(records)
    longest = max(FEWEST_STEPS, *map(len, records))
    enough = min(_HOLDS, longest / _SHARE_OF_A_SEQUENCE)
    judged = sum(map(len, records)) >= FEWEST_STEPS
    reports = []
    for at, name in enumerate(first.units):
        memory, passes = memories[at], passing[at]
        said = {
            "holds": memory is not None and memory.median >= enough and not saturated[at],
            "reset": passes is not None
            and passes.elsewhere - passes.at_boundaries >= _LESS_PASSES
            and passes.chance <= _CHANCE,
            "saturated": saturated[at],
            "dead": dead[at],
        }
        is_ = ("dead",) if dead[at] else tuple(word for word, holds in said.items() if holds)
        if not judged:
            is_ = ()
        reports.append(
            UnitReport(
                first.layer,
                name,
                memory,
                passes,
                float(settled[:, at].mean()),
                float(low[at]),
                float(high[at]),
                is_,
                stuck[at] if judged else {},
            )
        )
    return reports


def _settled(values: np.ndarray) -> np.ndarray:
    """All but the first tenth of the steps."""
    return values[len(values) // 10 :]


def _memories(records: Sequence[GateRecord]) -> list[Memory | None]:
    count = len(records[0].units)
    found = []
    for record in records:
        carry = record.carry
        if carry is None or carry.shape[1] != count:
            return [None] * count
        found.append(memory_lengths(carry[::-1] if record.reverse else carry))
    lengths, seen = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if not len(lengths):
        return [None] * count
    return [Memory(*quantiles(lengths[:, at], seen[:, at], (0.5, 0.1, 0.9))) for at in range(count)]


def _passing(records: Sequence[GateRecord]) -> list[Passing | None]:
    """How much may pass at boundaries and elsewhere."""
    count = len(records[0].units)
    bounds, passes = [], []
    for record in records:
        carry = record.carry
        if record.boundaries is None or carry is None or carry.shape[1] != count:
            return [None] * count
        if record.boundaries.shape != (len(record),):
            wanted = f"bool of shape {(len(record),)}"
            raise ParameterError(must_be("boundaries", wanted, record.boundaries.shape))
        reset = record.gates.get("reset", 0.0)
        bounds.append(record.boundaries)
        passes.append(carry + (1 - carry) * reset)
    at, values = np.concatenate(bounds), np.concatenate(passes)
    here, others = int(at.sum()), int((~at).sum())
    if here < _FEWEST_BOUNDARIES or others < _FEWEST_BOUNDARIES:
        return [None] * count
    # For every shift of the boundaries at once.
    inside = _over_shifts(values, at.astype(np.float64)) / here
    outside = (values.sum(axis=0) - inside * here) / others
    less = outside - inside
    chances = (less >= less[0] - 1e-9).mean(axis=0)
    return [
        Passing(float(inside[0, unit]), float(outside[0, unit]), float(chances[unit]))
        for unit in range(count)
    ]


def _over_shifts(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The sums of values [T, H] times other [T] shifted round by 0, 1, ... T - 1 steps: [T, H]."""
    spectrum = np.fft.rfft(values, axis=0) * np.conj(np.fft.rfft(other))[:, None]
    return np.fft.irfft(spectrum, len(values), axis=0)


def _stuck(records: Sequence[GateRecord]) -> list[dict[str, str]]:
    count = len(records[0].units)
    found: list[dict[str, str]] = [{} for _ in range(count)]
    for name in _SIGMOIDS:
        if name not in records[0].gates:
            continue
        values = np.concatenate([_settled(record.gates[name]) for record in records])
        if values.shape[1] != count:
            continue
        for end, near in (("0", values <= _STUCK), ("1", values >= 1 - _STUCK)):
            for unit in np.flatnonzero(near.mean(axis=0) >= _STUCK_STEPS):
                found[unit][name] = end
    return found


def _follows(records: Sequence[GateRecord], lively: np.ndarray) -> list[Follows]:
    first = records[0]
    states = [_settled(own.hidden) for own in records]
    moves = [_changes(own) for own in states]
    if not sum(map(len, moves)):
        return []
    levels, changes = _joined(states), _joined(moves)
    found = []
    for name in first.features:
        if any(name not in record.features for record in records):
            continue
        parts = [_settled(_filled(own.features[name])) for own in records]
        feature = _joined(parts)
        by_shift = _over_shifts(levels, feature) / len(levels)
        with_changes = _over_shifts(changes, _joined([_changes(own) for own in parts]))
        sizes, signed = np.abs(by_shift), with_changes * np.sign(by_shift[0])
        chances = np.maximum(*((own >= own[0] - 1e-9).mean(axis=0) for own in (sizes, signed)))
        found += [
            Follows(first.layer, first.units[at], name, float(by_shift[0, at]), float(chances[at]))
            for at in np.flatnonzero(lively & (sizes[0] >= _FOLLOWS) & (chances <= _CHANCE))
        ]
    return found


def _doubled(records: Sequence[GateRecord], lively: np.ndarray) -> list[Doubled]:
    first = records[0]
    states = [_settled(own.hidden) for own in records]
    changes = _joined([np.diff(own, axis=0) for own in states])
    levels = _joined(states)
    of_levels = levels.T @ levels / len(levels)
    of_changes = changes.T @ changes / max(1, len(changes))
    alike = np.minimum(np.abs(of_levels), of_changes * np.sign(of_levels)) > _DOUBLED
    return [
        Doubled(first.layer, first.units[a], first.units[b], float(of_levels[a, b]))
        for a, b in np.argwhere(np.triu(alike & np.outer(lively, lively), k=1))
    ]


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """All steps, with mean 0 and deviation 1 over them; 0 of what never moves."""
    values = np.concatenate(parts)
    if not len(values):
        return values
    centred = values - values.mean(axis=0)
    deviation = centred.std(axis=0)
    return np.where(deviation > 1e-9, centred / np.maximum(deviation, 1e-9), 0.0)


def _changes(values: np.ndarray) -> np.ndarray:
    """Over a few steps: a state that goes with something may come a little later."""
    return values[_APART:] - values[:-_APART]


def _filled(values: np.ndarray) -> np.ndarray:
    """The mean in the place of what is unknown."""
    known = np.isfinite(values)
    return np.where(known, values, values[known].mean() if known.any() else 0.0)
