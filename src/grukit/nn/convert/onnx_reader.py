"""The recurrent nodes of a model of ONNX as a layer."""

from __future__ import annotations

import itertools
import os
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.nn.convert.layers import GATES, Weights, made_of, reordered, same, tensor_of
from grukit.nn.convert.onnx_graph import Graph, name_of

ORDER = {"GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1), "RNN": (0,)}
"""The gates of ONNX, z, r, h and i, o, f, c, in our order."""

DIRECTIONS = {"forward": 1, "bidirectional": 2}
ACTIVATIONS = {
    "GRU": (["sigmoid", "tanh"],),
    "LSTM": (["sigmoid", "tanh", "tanh"],),
    "RNN": (["tanh"], ["relu"]),
}
"""What a direction may have; the first is the default."""

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
ATTRIBUTES = {
    "GRU": {"activations", "direction", "hidden_size", "layout", "linear_before_reset"},
    "LSTM": {"activations", "direction", "hidden_size", "layout", "input_forget"},
    "RNN": {"activations", "direction", "hidden_size", "layout"},
}


class _Layer(NamedTuple):
    """What a node says of itself."""

    kind: str
    form: dict[str, Any]
    batch_first: bool
    directions: list[Weights]


def from_onnx(model: Any) -> Any:
    """The layer of grukit that does what the GRU, LSTM or RNN nodes of a model do.

    >>> from grukit.nn import GRU
    >>> from grukit.nn.convert import to_onnx
    >>> from_onnx(to_onnx(GRU(10, 20, num_layers=2)))
    GRU(10, 20, num_layers=2)

    model: an onnx.ModelProto, or the path of one. Its recurrent nodes must be of one kind and
        form a chain, each taking the output of the one before as [T, B, D * H]. Transpose,
        Squeeze and Reshape may stand between them, as in our models and those of torch.onnx;
        the first two sizes that a Reshape computes are taken to be T and B.

    What stands before and after the chain is not read, except for a Transpose before it, which
    makes the layer batch_first. States and lengths are for the caller to give, as hx and
    lengths.

    The model is read and nothing of it run. Raises MissingExtra without onnx, OSError for a path
    that cannot be read, and ParameterError for what is no such model and for what no layer of
    grukit does: the direction reverse, other activations, clip, peepholes, input_forget,
    constant lengths, and constant states that are not zero.
    """
    onnx = require("onnx")
    graph = Graph(onnx, _loaded(onnx, model).graph)
    nodes = [node for node in graph.nodes if node.op_type in GATES and not node.domain]
    if not nodes:
        raise ParameterError("model must have a GRU, LSTM or RNN node, got none")
    layers = [_read(graph, node) for node in nodes]
    kind = same("the kind of node", [layer.kind for layer in layers])
    options = same("the form of the equations", [layer.form for layer in layers])
    batch_first = same("layout", [layer.batch_first for layer in layers])
    directions = same("the number of directions", [len(layer.directions) for layer in layers])
    for before, after in itertools.pairwise(nodes):
        graph.check_link(before, after, directions, batch_first)
    first = graph.makers.get(nodes[0].input[0])
    if first is not None and first.op_type == "Transpose":
        batch_first ^= graph.attributes(first).get("perm") == [1, 0, 2]
    stack = [layer.directions for layer in layers]
    return made_of(kind, stack, batch_first=batch_first, **options)


def _loaded(onnx: ModuleType, model: Any) -> Any:
    """The model, which onnx.checker has found sound."""
    if not isinstance(model, (onnx.ModelProto, str, os.PathLike)):
        wanted = "an onnx.ModelProto or the path of one"
        raise ParameterError(must_be("model", wanted, type(model).__qualname__))
    try:
        loaded = model if isinstance(model, onnx.ModelProto) else onnx.load(model)
        onnx.checker.check_model(loaded)
    except OSError:
        raise
    except Exception as error:
        raise ParameterError(f"model must be a sound model of ONNX: {error}") from error
    return loaded


def _read(graph: Graph, node: Any) -> _Layer:
    """What a recurrent node computes; ParameterError where no layer of grukit does."""
    kind, attributes = node.op_type, graph.attributes(node)
    inputs = {name: given for name, given in zip(INPUTS, node.input, strict=False) if given}
    for name in attributes.keys() - ATTRIBUTES[kind]:
        _refuse(node, name, "absent", attributes[name])
    if attributes.get("input_forget", 0) != 0:
        _refuse(node, "input_forget", "0", attributes["input_forget"])
    if "P" in inputs:
        _refuse(node, "P", "absent, since no layer of grukit has peepholes", inputs["P"])
    for name in ("sequence_lens", "initial_h", "initial_c"):
        value = graph.constant(inputs.get(name, ""))
        if value is not None and (name == "sequence_lens" or value.any()):
            _refuse(node, name, "no constant, except for a state of zero", inputs[name])
    direction = attributes.get("direction", b"forward").decode(errors="replace")
    if direction not in DIRECTIONS:
        _refuse(node, "direction", "'forward' or 'bidirectional'", direction)
    directions = DIRECTIONS[direction]
    choices = [choice * directions for choice in ACTIVATIONS[kind]]
    activations = [
        name.decode(errors="replace").lower() for name in attributes.get("activations", ())
    ]
    if activations and activations not in choices:
        _refuse(node, "activations", " or ".join(map(str, choices)), activations)

    form = {}
    if kind == "GRU":
        form = {"reset_after": attributes.get("linear_before_reset", 0) != 0}
    if kind == "RNN":
        form = {"nonlinearity": (activations or choices[0])[0]}
    arrays = _arrays(graph, node, inputs, directions, attributes.get("hidden_size"))
    weights = []
    for w, r, *b in zip(*map(tensor_of, arrays), strict=True):
        both = b[0].chunk(2) if b else ()
        weights.append(reordered(Weights(w, r, *both), ORDER[kind]))
    return _Layer(kind, form, attributes.get("layout", 0) != 0, weights)


def _arrays(
    graph: Graph, node: Any, inputs: dict[str, str], directions: int, hidden_size: int | None
) -> list[np.ndarray]:
    """W [D, G*H, I], R [D, G*H, H] and, where there is a bias, B [D, 2*G*H]."""
    arrays = {}
    for name in ("W", "R", "B"):
        if name in inputs:
            array = graph.constant(inputs[name])
            if array is None:
                wanted = "a constant; fold the constants of the model first"
                _refuse(node, name, wanted, f"{inputs[name]!r}, which is none")
            arrays[name] = array
    sizes = {name: array.shape[-1] if array.ndim else 0 for name, array in arrays.items()}
    rows = GATES[node.op_type] * sizes["R"]
    if hidden_size not in (None, sizes["R"]):
        _refuse(node, "hidden_size", f"{sizes['R']}, as R has columns", hidden_size)
    shapes = {"W": [rows, sizes["W"]], "R": [rows, sizes["R"]], "B": [2 * rows]}
    for name, array in arrays.items():
        wanted = [directions, *shapes[name]]
        if list(array.shape) != wanted:
            _refuse(node, name, f"of shape {wanted}", list(array.shape))
    return list(arrays.values())


def _refuse(node: Any, what: str, wanted: str, got: Any) -> NoReturn:
    raise ParameterError(must_be(f"{what} of {name_of(node)}", wanted, got))
