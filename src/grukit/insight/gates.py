"""The gates of any model while it reads an input, and what its units do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grukit.core.errors import ParameterError, must_be
from grukit.insight.readings import READINGS, Reading, Steps, of_module, of_pieces
from grukit.insight.recording import LayerCall, recorded
from grukit.insight.units import inspect_records
from grukit.nn.convert import from_keras
from grukit.results.gate_report import GateReport
from grukit.results.gates import GateRecord, Sums


def read_gates(
    model: Any, input: Any = None, *, text: Sequence[str] | None = None, inside: bool = False
) -> list[GateRecord]:
    """What every recurrent layer of a model did while it read one input, in eval mode.

    >>> from grukit.nn import GRU
    >>> (record,) = read_gates(GRU(3, 4), torch.zeros(5, 1, 3))
    >>> sorted(record.gates), record.hidden.shape
    (['hidden', 'memory', 'reset', 'update'], (5, 4))

    model: an estimator of grukit; a layer of grukit, torch.nn or Keras (or a list of those, as a
        stack); or any network in which there are such layers.
    input: for an estimator what it predicts from: a text or the Path of one, a table (None for a
        forecaster: the end of its training data; with known-future covariates a tuple of the past
        and of what is known), a recording. For a layer or network what it is
        called with, of a single sequence; a tuple for several arguments.
    text: for a layer or network that reads a text, what each step stands for: the text itself, or
        its tokens. Labels, features and boundaries come from it, as for an estimator.
    inside: also what is added up inside the gates, and the states before (`GateRecord.sums`).

    One record for each layer, direction and member of an ensemble, in the order of the calls;
    several calls of a layer are put together. A layer that reads backwards is told in the order of
    the input. Dropout and other chance are left out.

    Raises ParameterError for a model without recurrent layers, for several sequences, and for a
    text of another length than each of them reads; and what the model raises.
    """
    reading = _reading(model, input)
    if text is not None:
        if reading.about:
            raise ParameterError(must_be("text", "None for an estimator, which knows it", text))
        reading = replace(reading, about=of_pieces(text))
    was_training = reading.network.training
    reading.network.eval()
    try:
        with torch.no_grad(), recorded(reading.network) as calls:
            reading.run()
            # In the context, since a trace runs the layers below.
            found = [part for call in tuple(calls) for part in _parts(call, inside)]
    finally:
        reading.network.train(was_training)
    if not found:
        wanted = "a model in which recurrent layers run (GRU, LSTM, RNN)"
        raise ParameterError(must_be("model", wanted, type(model).__name__))
    layers: dict[str, list[GateRecord]] = {}
    for part in found:
        layers.setdefault(part.layer, []).append(part)
    records = [_joined(parts) for parts in layers.values()]
    if text is not None and len(text) not in map(len, records):
        wanted = f"of a sign or token for each step, {len(records[0])}"
        raise ParameterError(must_be("text", wanted, len(text)))
    return [_about(record, reading.about) for record in records]


def inspect_gates(
    records: Sequence[GateRecord],
    features: Mapping[str, np.ndarray] | None = None,
    boundaries: np.ndarray | None = None,
) -> GateReport:
    """What the units of layers do, from what their gates did.

    features: by name, [T] numbers that units may follow; by default those of the records.
    boundaries: bool [T], the steps at which units may be reset; by default those of the records.

    For every unit, of 20 steps and more:

    - Its memory: the number of steps after which the product of the gates that carry the state on
      (of a GRU the update gate z) has fallen to 1/e; Tallec and Ollivier 2018 (arXiv:1804.11188)
      call it the characteristic time. It is told for every step to start from; here are the
      median, and the 10th and 90th percentile. Where a sequence ends before, only that it is at
      least so long is known, which the estimate of Kaplan and Meier 1958 takes into account.
      It is about the direct way alone: what units tell each other through the recurrent weights
      may last longer. A unit *holds* if the median is at least 20 steps, or a quarter of a
      shorter sequence.
    - Whether it is *reset* at boundaries. What may pass from the state before is z + (1 - z) r in
      a GRU, and the forget gate in an LSTM: 0 where it is wiped out. A unit is reset if on the
      mean at least 0.3 less may pass at boundaries than elsewhere, and of all shifts of the
      boundaries round the sequence at most one in twenty does as well.
    - Whether it is *saturated*: its state within 0.05 of 1 or -1 at 95 % of the steps. *Dead*: its
      state stays within 0.01 after the first tenth, and is not saturated. *Stuck* gates: within
      0.02 of the same end at 98 % of the steps.
    - Pairs of units are *doubled* if their states correlate by more than 0.99, or less than -0.99,
      and so do their changes from step to step.
    - The features that its state *follows*: a correlation of at least 0.5 in size, which at most
      one in twenty shifts of the feature round the sequence reaches; and so with their changes
      over 5 steps, without which all that grows would follow all else that does. The first
      tenth of the steps, in which states leave their start, is not counted. What is unknown of a
      feature, NaN, takes its mean.

    Several records of one layer, of several inputs, are judged together. Raises ParameterError
    for features and boundaries of another length, and for gates that are not finite numbers.
    """
    if not records:
        raise ParameterError(must_be("records", "at least one GateRecord", records))
    if features is not None or boundaries is not None:
        changed: dict[str, Any] = {}
        if features is not None:
            changed["features"] = {k: np.asarray(v, np.float64) for k, v in features.items()}
        if boundaries is not None:
            changed["boundaries"] = np.asarray(boundaries, bool)
        records = [replace(record, **changed) for record in records]
    return inspect_records(records)


def _reading(model: Any, input: Any) -> Reading:
    task = getattr(type(model), "task", None)
    if task in READINGS:
        model._check_fitted()
        return READINGS[task](model, input)
    # Keras' layers on torch are modules too.
    if isinstance(model, (list, tuple)) or hasattr(model, "get_config"):
        layer = from_keras(model)
        x = torch.as_tensor(np.asarray(input))
        return of_module(layer, x[None] if x.dim() == 2 else x)
    if isinstance(model, nn.Module):
        return of_module(model, input)
    wanted = "an estimator of grukit, or a layer or network of torch or Keras"
    raise ParameterError(must_be("model", wanted, type(model).__name__))


def _parts(call: LayerCall, inside: bool) -> list[GateRecord]:
    """A record for each layer of the stack, direction and member of an ensemble."""
    return [
        part for index, reverse in call.places() for part in _of_place(call, index, reverse, inside)
    ]


def _of_place(call: LayerCall, index: int, reverse: bool, inside: bool) -> list[GateRecord]:
    layer, given = call.layer, call.given()
    trace = layer.trace(**given, layer=index, reverse=reverse)
    gates = {name: value for name, value in trace._asdict().items() if value is not None}
    parts = gates | (_inside(layer, given, index, reverse) if inside else {})
    own = []
    for member in range(layer.models or 1):
        of_member = {
            name: _sequence(call, value if layer.models is None else value[member])
            for name, value in parts.items()
        }
        title = call.title(index, reverse)
        hidden = of_member["hidden"]
        own.append(
            GateRecord(
                title if layer.models is None else f"{title}, member {member + 1}",
                layer.recurrence.cell.name,
                tuple(map(str, range(len(hidden)))),
                {name: of_member[name] for name in gates},
                reverse=reverse or call.is_back,
                before=of_member.get("before"),
                sums=_sums(of_member, layer.recurrence.cell.kept),
                after=getattr(layer, "reset_after", True),
                nonlinearity=getattr(layer, "nonlinearity", "tanh"),
            )
        )
    return own


def _inside(layer: Any, given: dict[str, Any], index: int, reverse: bool) -> dict[str, Tensor]:
    """What is added up inside each gate, "of_x NAME" and "of_h NAME", and the states before."""
    sums = layer.sums(**given, layer=index, reverse=reverse)
    names, found = layer.recurrence.cell.kept[: layer.gates], {"before": sums["before"]}
    for share in ("of_x", "of_h"):
        parts = sums[share].chunk(layer.gates, dim=-1)
        found |= {f"{share} {name}": part for name, part in zip(names, parts, strict=True)}
    return found


def _sums(parts: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, Sums]:
    return {
        name: Sums(parts[f"of_x {name}"], parts[f"of_h {name}"])
        for name in names
        if f"of_x {name}" in parts
    }


def _sequence(call: LayerCall, part: Tensor) -> np.ndarray:
    """[T, H] in the order of the input, of what one direction computed, laid out as it is."""
    values = part.double().cpu()
    if values.dim() == 3 and call.layer.batch_first:
        values = values.transpose(0, 1)
    lengths = call.lengths
    if call.order == "chunks":
        # Side by side, each read from its end: see ChunkedBidirectional.
        chunks = zip(values.unbind(1), torch.as_tensor(lengths).tolist(), strict=True)
        return torch.cat([chunk[:length].flip(0) for chunk, length in chunks]).numpy()
    if values.dim() == 3:
        if values.shape[1] != 1:
            wanted = "of a single sequence"
            raise ParameterError(must_be("input", wanted, f"{values.shape[1]} side by side"))
        values = values[:, 0]
    if lengths is not None:
        values = values[: int(torch.as_tensor(lengths).flatten()[0])]
    return (values.flip(0) if call.order == "back" else values).numpy()


def _joined(parts: Sequence[GateRecord]) -> GateRecord:
    """One record of several calls, one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    gates = {name: np.concatenate([own.gates[name] for own in parts]) for name in first.gates}
    sums = {
        name: Sums(
            np.concatenate([own.sums[name].of_input for own in parts]),
            np.concatenate([own.sums[name].of_past for own in parts]),
        )
        for name in first.sums
    }
    before = None
    if first.before is not None:
        before = np.concatenate([own.before for own in parts if own.before is not None])
    steps = tuple(map(str, range(len(gates["hidden"]))))
    return replace(first, steps=steps, gates=gates, sums=sums, before=before)


def _about(record: GateRecord, about: Mapping[int, Steps]) -> GateRecord:
    """The record with what is known of its steps."""
    steps = about.get(len(record.steps))
    if steps is None:
        return record
    return replace(
        record,
        layer=f"{record.layer}, of {steps.of}" if steps.of else record.layer,
        steps=tuple(steps.labels),
        step=steps.step,
        features=steps.features,
        boundaries=steps.boundaries,
        picture=steps.picture,
    )
