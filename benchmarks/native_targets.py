"""What the native core is meant to reach, and whether saved rows say that it does."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

PEERS = ("torch", "JAX", "Keras", "ONNX Runtime", "OpenVINO")
"""The libraries that compute in float32."""

Row = dict[str, Any]


class Target(NamedTuple):
    """found: None where nothing was measured. at_most: less is better."""

    what: str
    wanted: float
    found: float | None
    unit: str = "x"
    at_most: bool = False

    @property
    def verdict(self) -> str:
        if self.found is None:
            return "not measured"
        met = self.found <= self.wanted if self.at_most else self.found >= self.wanted
        return "met" if met else "**missed**"


def of(rows: dict[str, Row], kind: str, use: str) -> list[Row]:
    """The rows of the tables of a kind and use."""
    return [row for name, row in rows.items() if name.startswith(f"{kind} {use} ")]


def faster(row: Row, beside: str, ours: str = "grukit") -> float | None:
    """How many times faster ours is; None if one of the two was not measured."""
    times = row["times"]
    return times[beside] / times[ours] if beside in times and ours in times else None


def best_peer(row: Row) -> str:
    """The fastest of the float32 peers that were measured."""
    return min((name for name in PEERS if name in row["times"]), key=row["times"].__getitem__)


def beside_best(row: Row, ours: str = "grukit") -> float | None:
    """How many times faster ours is than the best peer of this row."""
    return faster(row, best_peer(row), ours)


def fraction(row: Row) -> float | None:
    """The share of the roofline; of the step of a stream through C."""
    ours = row["times"].get("grukit in C" if row["use"] == "step" else "grukit")
    return row["bound"] / ours if ours and "bound" in row else None


def mean(values: Iterable[float | None]) -> float | None:
    """The geometric mean; None if a value is missing or there are none."""
    return _all(values, statistics.geometric_mean)


def least(values: Iterable[float | None]) -> float | None:
    """The least; None if a value is missing or there are none."""
    return _all(values, min)


def targets(rows: dict[str, Row]) -> list[Target]:
    """Every target that a benchmark can judge."""
    training, inference = of(rows, "GRU", "training"), of(rows, "GRU", "inference")
    step = rows["step"]
    small = [row for row in inference if row["size"][1] == 1 and row["size"][2] >= 128]
    large = [row for row in training if row["size"][2] >= 128]
    # One step of a sequence is judged as the step of a stream, whose state is carried on.
    large += [row for row in inference if row["size"][2] >= 128 and row["size"][0] > 1] + [step]
    fractions = [fraction(row) for row in large]
    long = [row for name, row in rows.items() if name.startswith("int8 ")]
    others = [
        row for kind in ("LSTM", "RNN") for use in ("training", "inference")
        for row in of(rows, kind, use)
    ]  # fmt: skip
    halves = [row for name, row in rows.items() if name.startswith("bf16 ")]
    peaks, demo = rows["memory"]["bytes"], rows["weather"]["seconds"]

    def at(size: list[int]) -> float | None:
        return next((faster(row, "torch") for row in training if row["size"] == size), None)

    def share(name: str) -> float | None:
        return peaks[name] / peaks["torch"] if name in peaks and "torch" in peaks else None

    deviations = [row["deviations"].get("grukit int8", {}).get("absolute") for row in long]
    weather = []
    if row := rows.get("weather int8"):
        percent = [100 * change for change in row.get("change", {}).values()]
        what = "int8, largest change of the weather demo's metrics"
        weather = [Target(what, 1, _all(percent, max), unit=" %", at_most=True)]
    return [
        Target("training, geometric mean beside torch", 4.5, mean(map(_torch, training))),
        Target("training at 100, 1, 64 beside torch", 15, at([100, 1, 64])),
        Target("training at 1000, 1, 128 beside torch", 15, at([1000, 1, 128])),
        Target("training, geometric mean beside the best", 1.7, mean(map(beside_best, training))),
        Target("training, worst size beside the best", 1, least(map(beside_best, training))),
        Target(
            "inference, geometric mean beside the best", 1.15, mean(map(beside_best, inference))
        ),
        Target("inference, worst size beside the best", 0.95, least(map(beside_best, inference))),
        Target("a step in C beside ONNX Runtime", 2, faster(step, "ONNX Runtime", "grukit in C")),
        Target("a step in Python beside ONNX Runtime", 1.5, faster(step, "ONNX Runtime")),
        Target(
            "int8, B = 1, H >= 128, beside the best in float32",
            2.5,
            mean(beside_best(row, "grukit int8") for row in small),
        ),
        Target(
            "int8, B = 1, H >= 128, beside torch's int8",
            2,
            mean(faster(row, "torch int8", "grukit int8") for row in small),
        ),
        Target(
            "int8, largest deviation over 1000 steps",
            0.01,
            _all(deviations, max),
            unit="",
            at_most=True,
        ),
        *weather,
        Target(
            "bfloat16 training beside our float32, worst size",
            1.6,
            least(faster(row, "grukit", "grukit bf16") for row in halves),
        ),
        Target("LSTM and RNN beside torch, worst size", 1, least(map(_torch, others))),
        Target("share of the roofline, H >= 128, median", 0.7, _all(fractions, statistics.median)),
        Target("share of the roofline, H >= 128, worst size", 0.5, least(fractions)),
        Target("training memory beside torch's", 0.65, share("grukit"), at_most=True),
        Target(
            "training memory with recompute beside torch's",
            0.4,
            share("grukit recompute"),
            at_most=True,
        ),
        Target(
            "the weather demo's training beside the reference",
            2,
            demo["reference"] / demo["grukit"],
        ),
    ]


def _torch(row: Row) -> float | None:
    return faster(row, "torch")


def _all(values: Iterable[float | None], reduce: Any) -> float | None:
    found = list(values)
    return None if not found or None in found else float(reduce(found))
