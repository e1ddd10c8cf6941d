"""A layer as a model of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from grukit.core.extras import require
from grukit.nn.convert.layers import (
    Weights,
    dtype_name,
    kind_of,
    refuse_options,
    reordered,
    weights_of,
)

HEAD = '<ir_version: 8, opset_import: ["" : 17], producer_name: "grukit">'
"""Old enough for every runtime since 2022."""

ELEMENT = {"float16": "float16", "float32": "float", "float64": "double"}
ORDER = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2), "RNN": (0,)}
"""Our gates in the order of ONNX: z, r, h and i, o, f, c."""


def to_onnx(layer: Any, *, hx: bool = False, lengths: bool = False) -> Any:
    """An onnx.ModelProto that does what the layer does in inference.

    >>> from grukit.nn import GRU
    >>> graph = to_onnx(GRU(10, 20), lengths=True).graph
    >>> [value.name for value in graph.input], [value.name for value in graph.output]
    (['input', 'lengths'], ['output', 'h_n'])

    hx: whether the state before the first step is an input; it is zero else.
    lengths: whether the lengths are an input; all steps count else.

    Inputs and outputs are those of the layer, with T and B free: "input" [T, B, I] ([B, T, I]
    with batch_first), "h_0" and for an LSTM "c_0" [L * D, B, H], "lengths" [B] as int32;
    "output" [T, B, D * H], "h_n", "c_n". A layer with a list of hidden sizes has a state for
    each layer, "h_0_l0" [D, B, H] and so on. Dropout of every kind is left out.

    The model has one GRU, LSTM or RNN node for each layer, is of opset 17, and has passed
    onnx.checker. Raises MissingExtra without onnx, and ParameterError for what these nodes do
    not have: proj_size, layer_norm, zoneout, learned_state, residual, models.
    """
    kind = kind_of(layer)
    drops = ("input_dropout", "recurrent_dropout", "candidate_dropout")
    refuse_options(layer, "ONNX", has=drops)
    onnx = require("onnx")
    stack = weights_of(layer)
    model = onnx.parser.parse_model(_text(layer, kind, stack, hx, lengths))
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in _constants(kind, stack).items()
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _text(layer: Any, kind: str, stack: list[list[Weights]], hx: bool, lengths: bool) -> str:
    """The model without its constants, in the textual syntax of ONNX."""
    element = ELEMENT[dtype_name(stack[0][0].w_ih.dtype)]
    directions, outer = len(stack[0]), "B,T" if layer.batch_first else "T,B"
    hidden = [of_layer[0].w_hh.shape[1] for of_layer in stack]
    inputs = [f"{element}[{outer},{stack[0][0].w_ih.shape[1]}] input"]
    outputs = [f"{element}[{outer},{directions * hidden[-1]}] output"]
    states = ("h", "c") if kind == "LSTM" else ("h",)
    split, joined = [], []
    for state in states:
        first, final = ([f"{state}_{when}_l{k}" for k in range(len(stack))] for when in "0n")
        shapes = [f"{element}[{directions},B,{size}]" for size in hidden]
        if isinstance(layer.hidden_size, int):
            split.append(f"{', '.join(first)} = Split <axis=0> ({state}_0)")
            joined.append(f"{state}_n = Concat <axis=0> ({', '.join(final)})")
            shapes = [f"{element}[{directions * len(stack)},B,{hidden[0]}]"]
            first, final = [f"{state}_0"], [f"{state}_n"]
        if hx:
            inputs += map(" ".join, zip(shapes, first, strict=True))
        outputs += map(" ".join, zip(shapes, final, strict=True))
    if lengths:
        inputs.append("int32[B] lengths")

    lines, x = split if hx else [], "input"
    if layer.batch_first:
        lines.append("x_l0 = Transpose <perm=[1, 0, 2]> (input)")
        x = "x_l0"
    for k in range(len(stack)):
        given = [x, f"W_l{k}", f"R_l{k}", f"B_l{k}" if layer.bias else ""]
        given += ["lengths" if lengths else ""]
        given += [f"{state}_0_l{k}" if hx else "" for state in states]
        finals = ", ".join(f"{state}_n_l{k}" for state in states)
        x = "output" if k == len(stack) - 1 and not layer.batch_first else f"x_l{k + 1}"
        lines += [
            f"y_l{k}, {finals} = {kind} <{_attributes(kind, layer, hidden[k])}> "
            f"({', '.join(given).rstrip(', ')})",
            f"y_by_batch_l{k} = Transpose <perm=[0, 2, 1, 3]> (y_l{k})",
            f"shape_l{k} = Constant <value_ints=[0, 0, {directions * hidden[k]}]> ()",
            f"{x} = Reshape (y_by_batch_l{k}, shape_l{k})",
        ]
    if layer.batch_first:
        lines.append(f"output = Transpose <perm=[1, 0, 2]> ({x})")
    body = "\n".join(lines + joined)
    return f"{HEAD}\nlayer ({', '.join(inputs)}) => ({', '.join(outputs)}) {{\n{body}\n}}"


def _attributes(kind: str, layer: Any, hidden_size: int) -> str:
    text = f"hidden_size={hidden_size}"
    if layer.bidirectional:
        text += ', direction="bidirectional"'
    if kind == "GRU":
        text += f", linear_before_reset={int(layer.reset_after)}"
    if kind == "RNN":
        name = f'"{layer.nonlinearity.capitalize()}"'
        text += f", activations=[{', '.join([name] * (1 + layer.bidirectional))}]"
    return text


def _constants(kind: str, stack: list[list[Weights]]) -> dict[str, np.ndarray]:
    """W [D, G*H, I], R [D, G*H, H] and B [D, 2*G*H] of each layer, by name."""
    constants = {}
    for k, of_layer in enumerate(stack):
        directions = [reordered(weights, ORDER[kind]) for weights in of_layer]
        constants[f"W_l{k}"] = torch.stack([weights.w_ih for weights in directions]).numpy()
        constants[f"R_l{k}"] = torch.stack([weights.w_hh for weights in directions]).numpy()
        biases = [torch.cat(weights.biases) for weights in directions if weights.biases]
        if biases:
            constants[f"B_l{k}"] = torch.stack(biases).numpy()
    return constants
