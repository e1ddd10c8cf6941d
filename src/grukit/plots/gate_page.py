"""A page on which every step of a text, series or sound shows the equations with its numbers."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from grukit.plots.style import left_out
from grukit.results.conversion import none_unless_finite
from grukit.results.gate_report import GateReport
from grukit.results.gates import GateRecord

# So many units and steps of a layer are in a page, and so many numbers of a picture at a step.
MOST_UNITS, MOST_STEPS, _MOST_BANDS = 64, 600, 80
# Numbers are whole ones of so much.
_SCALE = 10_000
WRITTEN = ("character", "token", "word")
"""What a step is where the steps together are a text."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def gate_page(records: Sequence[GateRecord], report: GateReport, title: str) -> str:
    """The whole page, which needs nothing else, and the network least of all."""
    data = {
        "scale": _SCALE,
        "report": report.words(),
        "layers": [_layer(record, report) for record in records],
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    # Nothing in it ends the script element, or begins a comment.
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    page = resources.files("grukit.plots").joinpath("gate_page.html").read_text(encoding="utf-8")
    return page.replace("@TITLE@", html.escape(title)).replace("@DATA@", text)


def notable(record: GateRecord, report: GateReport, most: int) -> np.ndarray:
    """The places of the units most worth looking at, in their order."""
    units = [own for own in report.units if own.layer == record.layer]
    followed = {one.unit: abs(one.correlation) for one in reversed(report.follows)}
    followed = {k: v for k, v in followed.items() if any(k == own.unit for own in units)}
    worth = [
        2.0 * len(set(own.is_) - {"dead"}) + followed.get(own.unit, 0.0) + own.highest - own.lowest
        for own in units
    ]
    return np.sort(np.argsort(-np.array(worth), kind="stable")[:most])


def labels_of(record: GateRecord) -> list[str]:
    """The steps in as few signs as tell them apart: of times without what is 0 in all."""
    labels = list(record.steps)
    if record.step in WRITTEN or not all(map(_TIME.match, labels)):
        return labels
    ends = (end for end in ("T00:00:00", ":00") if all(label.endswith(end) for label in labels))
    end = next(ends, "")
    return [label.removesuffix(end).replace("T", " ") for label in labels]


def _layer(record: GateRecord, report: GateReport) -> dict[str, Any]:
    chosen, steps = notable(record, report, MOST_UNITS), slice(0, MOST_STEPS)

    def whole(values: np.ndarray) -> list[int]:
        own = np.nan_to_num(values[steps][:, chosen])
        return np.rint(own * _SCALE).astype(np.int64).ravel().tolist()

    picture = None
    if record.picture is not None:
        drawn = np.round(record.picture[steps, :_MOST_BANDS], 4).tolist()
        picture = [[none_unless_finite(value) for value in row] for row in drawn]
    shown = (
        left_out(len(chosen), len(record.units), "units"),
        left_out(min(len(record), MOST_STEPS), len(record), f"{record.step}s"),
    )
    wide = record.hidden.shape
    return {
        "name": record.layer,
        "cell": record.cell,
        "after": record.after,
        "nonlinearity": record.nonlinearity,
        "reverse": record.reverse,
        "step": record.step,
        "written": record.step in WRITTEN,
        "steps": labels_of(record)[steps],
        "units": [record.units[at] for at in chosen],
        "does": [_does(record, record.units[at], report) for at in chosen],
        "gates": {name: whole(own) for name, own in record.gates.items() if own.shape == wide},
        "sums": {
            name: [whole(own.of_input), whole(own.of_past)]
            for name, own in record.sums.items()
            if own.of_input.shape == wide
        },
        "before": None if record.before is None else whole(record.before),
        "picture": picture,
        "note": "; ".join(filter(None, shown)),
    }


def _does(record: GateRecord, unit: str, report: GateReport) -> str:
    """What a unit does, in a few words."""
    words = [
        word
        for own in report.units
        if (own.layer, own.unit) == (record.layer, unit)
        for word in own.is_
    ]
    words += [
        f"{own.feature} {own.correlation:+.2f}"
        for own in report.follows
        if (own.layer, own.unit) == (record.layer, unit)
    ]
    return ", ".join(words[:3])
