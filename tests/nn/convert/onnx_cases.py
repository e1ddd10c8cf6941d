"""Models of ONNX made by hand, and their results by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from convert_cases import INPUT, H

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
IN_ONNX = {
    "gru reset after": ("GRU", "linear_before_reset=1"),
    "gru reset before": ("GRU", "linear_before_reset=0"),
    "lstm": ("LSTM", "input_forget=0"),
    "rnn tanh": ("RNN", ""),
    "rnn relu": ("RNN", 'activations=["Relu"]'),
}


def by_hand(nodes, constants, inputs=f"float[T,B,{INPUT}] x", outputs="float[T,B,K] out", opset=17):
    """A model from the text of its nodes and its constants."""
    head = f'<ir_version: 8, opset_import: ["" : {opset}]>'
    model = onnx.parser.parse_model(f"{head} g ({inputs}) => ({outputs}) {{ {nodes} }}")
    for name, array in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    return model


def weights(kind="GRU", directions=1, inputs=INPUT, suffix=""):
    """Random W, R and B of one node, as the documentation of ONNX has them."""
    rows = GATES[kind] * H
    shapes = {"W": (rows, inputs), "R": (rows, H), "B": (2 * rows,)}
    return {
        f"{name}{suffix}": np.random.uniform(-0.6, 0.6, (directions, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def chain(form, layers, bidirectional, bias):
    """Nodes on top of each other, and their constants."""
    kind, attributes = IN_ONNX[form]
    directions = 1 + bidirectional
    attributes = ", ".join(filter(None, [attributes, f"hidden_size={H}"]))
    if bidirectional:
        attributes = attributes.replace('"Relu"', '"Relu", "Relu"')
        attributes += ', direction="bidirectional"'
    constants = {"one": [1], "merged": [0, 0, -1]}
    nodes, x = "", "x"
    for k in range(layers):
        width = INPUT if k == 0 else directions * H
        constants |= weights(kind, directions, width, suffix=str(k))
        given = ", ".join([x, f"W{k}", f"R{k}", *([f"B{k}"] if bias else [])])
        nodes += f"y{k}, h{k} = {kind} <{attributes}> ({given})"
        if bidirectional:
            nodes += f" t{k} = Transpose <perm=[0, 2, 1, 3]> (y{k}) x{k} = Reshape (t{k}, merged) "
        else:
            nodes += f" x{k} = Squeeze (y{k}, one) "
        x = f"x{k}"
    states = [f"h{k}" for k in range(layers)]
    nodes += f"out = Identity ({x}) h_n = Concat <axis=0> ({', '.join(states)})"
    return by_hand(nodes, constants, outputs="float[T,B,K] out, float[L,B,H] h_n")


def runtime(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run_onnx(session, **inputs):
    """All outputs; tensors and lengths go in by name."""
    return session.run(None, {name: np.asarray(value) for name, value in inputs.items()})
