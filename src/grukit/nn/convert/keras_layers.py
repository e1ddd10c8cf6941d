"""To and from the recurrent layers of Keras."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.nn.convert.layers import (
    GATES,
    Weights,
    dtype_name,
    kind_of,
    made_of,
    refuse_options,
    reordered,
    same,
    tensor_of,
    weights_of,
)

OURS = {"GRU": "GRU", "LSTM": "LSTM", "SimpleRNN": "RNN"}
THEIRS = {ours: theirs for theirs, ours in OURS.items()}
ORDER = {"GRU": (1, 0, 2), "LSTM": (0, 1, 2, 3), "RNN": (0,)}
"""Where each gate of one order is in the other: ours is r, z, n, Keras' z, r, h."""


class _Layer(NamedTuple):
    """What a layer of Keras says of itself."""

    kind: str
    form: dict[str, Any]
    dropout: float
    recurrent_dropout: float
    return_sequences: bool
    weights: list[Weights]


def from_keras(layers: Any) -> Any:
    """The layer of grukit that does what one of Keras does, or a list of them as a stack.

    >>> import os
    >>> os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported
    >>> import keras
    >>> layer = keras.layers.GRU(20)
    >>> layer.build((None, None, 10))
    >>> from_keras(layer)
    GRU(10, 20, batch_first=True)

    layers: a built keras.layers.GRU, LSTM, SimpleRNN or Bidirectional of one, or a list of
        such, of one kind, all but the last with return_sequences. A keras.layers.Dropout may
        stand between every two of a list.

    The result takes [B, T, I], as Keras. The dropout of Keras' layers becomes input_dropout,
    recurrent_dropout keeps its name, and Dropout between layers becomes dropout. What
    belongs to training alone, as initializers, regularizers and constraints, stays behind.

    Reads get_config() and get_weights(), and needs no Keras. Raises ParameterError for what no
    layer of grukit does: other activations, go_backwards, stateful, another merge_mode, and
    stacks of layers that differ in kind, directions, bias or the place of the reset gate.
    """
    stack = list(layers) if isinstance(layers, (list, tuple)) else [layers]
    if not stack:
        raise ParameterError(must_be("layers", "one layer or more", stack))
    stack, dropout = _without_dropout(stack)
    read = [_read(layer) for layer in stack]
    if not all(layer.return_sequences for layer in read[:-1]):
        raise ParameterError("return_sequences must be True in every layer but the last")
    kind = same("the kind of layer", [layer.kind for layer in read])
    options = same("the form of the equations", [layer.form for layer in read])
    drops = [layer.dropout for layer in read]
    recurrent_dropout = same("recurrent_dropout", [layer.recurrent_dropout for layer in read])
    if any(drops):
        options |= {"input_dropout": drops[0] if len(set(drops)) == 1 else drops}
    if recurrent_dropout:
        options |= {"recurrent_dropout": recurrent_dropout}
    return made_of(
        kind,
        [layer.weights for layer in read],
        batch_first=True,
        dropout=dropout,
        **options,
    )


def to_keras(layer: Any) -> list[Any]:
    """Keras' layers that one after the other do what a layer of grukit does.

    A keras.layers.GRU, LSTM or SimpleRNN for each layer, in a Bidirectional for two
    directions, all with return_sequences, and where the layer has dropout a
    keras.layers.Dropout between them. They take [B, T, I], whatever batch_first is.

    Raises MissingExtra without Keras, and ParameterError for what Keras does not have:
    proj_size, layer_norm, zoneout, candidate_dropout, learned_state, residual, models.
    """
    kind = kind_of(layer)
    refuse_options(layer, "Keras", has=("input_dropout", "recurrent_dropout"))
    keras = require("keras")
    stack = weights_of(layer)
    dtype = dtype_name(stack[0][0].w_ih.dtype)
    options = {
        "use_bias": stack[0][0].b_ih is not None,
        "recurrent_dropout": getattr(layer, "recurrent_dropout", 0.0),
        "return_sequences": True,
        "dtype": dtype,
    }
    if kind == "GRU":
        options |= {"reset_after": layer.reset_after}
    if kind == "RNN":
        options |= {"activation": layer.nonlinearity}
    separate = options.get("reset_after", False)
    drops = getattr(layer, "input_dropout", 0.0)
    drops = drops if isinstance(drops, (tuple, list)) else [drops] * len(stack)

    made: list[Any] = []
    for directions, drop in zip(stack, drops, strict=True):
        if made and layer.dropout:
            made.append(keras.layers.Dropout(layer.dropout, dtype=dtype))
        units, inputs = directions[0].w_hh.shape[1], directions[0].w_ih.shape[1]
        theirs = getattr(keras.layers, THEIRS[kind])(units, dropout=drop, **options)
        if len(directions) == 2:
            theirs = keras.layers.Bidirectional(theirs, merge_mode="concat", dtype=dtype)
        theirs.build((None, None, inputs))
        theirs.set_weights(
            [array for weights in directions for array in _arrays(kind, weights, separate)]
        )
        made.append(theirs)
    return made


def _without_dropout(stack: list[Any]) -> tuple[list[Any], float]:
    """The recurrent layers, and the rate of the Dropout between them."""
    dropped = [_name(layer) == "Dropout" for layer in stack]
    if not any(dropped):
        return stack, 0.0
    if dropped != [bool(index % 2) for index in range(len(stack))] or dropped[-1]:
        raise ParameterError("Dropout must stand between every two recurrent layers, or nowhere")
    configs = [layer.get_config() for layer in stack[1::2]]
    for config in configs:
        if config.get("noise_shape") is not None:
            raise ParameterError(must_be("noise_shape", "None", config["noise_shape"]))
    return stack[::2], same("the rate of Dropout", [config["rate"] for config in configs])


def _read(layer: Any) -> _Layer:
    """A layer in one or two directions."""
    if _name(layer) != "Bidirectional":
        return _read_direction(layer, backwards=False)
    merge_mode = layer.get_config()["merge_mode"]
    if merge_mode != "concat":
        raise ParameterError(must_be("merge_mode", "'concat'", merge_mode))
    forward = _read_direction(layer.forward_layer, backwards=False)
    backward = _read_direction(layer.backward_layer, backwards=True)
    for field in _Layer._fields[:-1]:
        same(field, [getattr(forward, field), getattr(backward, field)])
    return forward._replace(weights=forward.weights + backward.weights)


def _read_direction(layer: Any, backwards: bool) -> _Layer:
    name = _name(layer)
    if name not in OURS:
        wanted = f"a keras.layers.{', '.join(OURS)} or Bidirectional"
        raise ParameterError(must_be("layer", wanted, name))
    kind, config = OURS[name], layer.get_config()
    activations = ("tanh", "relu") if kind == "RNN" else ("tanh",)
    wanted = {"activation": activations, "go_backwards": (backwards,), "stateful": (False,)}
    if kind != "RNN":
        wanted |= {"recurrent_activation": ("sigmoid",)}
    for option, values in wanted.items():
        if config[option] not in values:
            raise ParameterError(must_be(option, " or ".join(map(repr, values)), config[option]))
    form = {}
    if kind == "GRU":
        form = {"reset_after": config["reset_after"]}
    if kind == "RNN":
        form = {"nonlinearity": config["activation"]}
    weights = _weights(kind, layer.get_weights(), config, bool(form.get("reset_after")))
    return _Layer(
        kind,
        form,
        config["dropout"],
        config["recurrent_dropout"],
        config["return_sequences"],
        [weights],
    )


def _weights(
    kind: str, arrays: list[np.ndarray], config: dict[str, Any], separate: bool
) -> Weights:
    """From kernel [I, G*H], recurrent kernel [H, G*H] and bias, rows in Keras' order.

    separate: the bias is [2, G*H], for input and recurrent kernel; else [G*H], their sum.
    """
    units, use_bias = config["units"], config["use_bias"]
    if len(arrays) != 2 + use_bias:
        wanted = f"{2 + use_bias} arrays; build the layer, or call it once"
        raise ParameterError(must_be("weights", wanted, len(arrays)))
    columns = GATES[kind] * units
    kernel, recurrent, *bias = arrays
    shapes = {
        "kernel": (kernel, [*kernel.shape[:1], columns]),
        "recurrent_kernel": (recurrent, [units, columns]),
    }
    if use_bias:
        shapes |= {"bias": (bias[0], [2, columns] if separate else [columns])}
    for name, (array, shape) in shapes.items():
        if list(array.shape) != shape:
            raise ParameterError(must_be(name, f"of shape {shape}", list(array.shape)))
    tensors = [tensor_of(array) for array in (kernel.T, recurrent.T, *bias)]
    if use_bias:
        tensors[2:] = tensors[2] if separate else (tensors[2], torch.zeros_like(tensors[2]))
    return reordered(Weights(*tensors), ORDER[kind])


def _arrays(kind: str, weights: Weights, separate: bool) -> list[np.ndarray]:
    """What `_weights` reads."""
    weights = reordered(weights, ORDER[kind])
    tensors = [weights.w_ih.T, weights.w_hh.T]
    if weights.biases:
        both = torch.stack(weights.biases)
        tensors.append(both if separate else both.sum(0))
    return [tensor.numpy() for tensor in tensors]


def _name(layer: Any) -> str:
    """The name of a class of Keras; ParameterError for what is not like a layer of it."""
    if not (hasattr(layer, "get_config") and hasattr(layer, "get_weights")):
        raise ParameterError(must_be("layer", "a layer of Keras", type(layer)))
    return type(layer).__name__
