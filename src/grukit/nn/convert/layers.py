"""What the converters share: a layer as the weights of its layers and directions, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from grukit.core.errors import ParameterError, must_be
from grukit.nn.gru import GRU
from grukit.nn.lstm import LSTM
from grukit.nn.rnn import RNN

KINDS: dict[str, type[nn.Module]] = {"GRU": GRU, "LSTM": LSTM, "RNN": RNN}
GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}

OPTIONS = (
    "proj_size",
    "layer_norm",
    "zoneout",
    "recurrent_dropout",
    "candidate_dropout",
    "input_dropout",
    "learned_state",
    "residual",
    "models",
)
"""What a layer may have beyond torch's, each off where it is zero, False or None."""


class Weights(NamedTuple):
    """One layer in one direction, the rows of the gates in our order."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None

    @property
    def biases(self) -> tuple[Tensor, Tensor] | None:
        """Both, or None."""
        return None if self.b_ih is None or self.b_hh is None else (self.b_ih, self.b_hh)


def kind_of(layer: Any) -> str:
    """GRU, LSTM or RNN; ParameterError for all else, subclasses among it."""
    for name, kind in KINDS.items():
        if type(layer) is kind:
            return name
    raise ParameterError(must_be("layer", "a GRU, LSTM or RNN of grukit.nn", type(layer)))


def refuse_options(layer: nn.Module, where: str, has: Sequence[str]) -> None:
    """ParameterError if the layer uses an option that is not among those it has there."""
    for name in OPTIONS:
        value = getattr(layer, name, None)
        is_on = any(value) if isinstance(value, (tuple, list)) else bool(value)
        if is_on and name not in has:
            raise ParameterError(f"{where} has no {name}, so it must be off, got {value!r}")


def weights_of(layer: Any) -> list[list[Weights]]:
    """The weights of every layer, each a list of one or two directions."""
    suffixes = ("", "_reverse") if layer.bidirectional else ("",)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [
        [
            Weights(*(_detached(layer, f"{name}_l{index}{suffix}") for name in names))
            for suffix in suffixes
        ]
        for index in range(layer.num_layers)
    ]


def _detached(layer: Any, name: str) -> Any:
    tensor = getattr(layer, name, None)
    return None if tensor is None else tensor.detach().cpu()


def made_of(kind: str, stack: list[list[Weights]], **options: Any) -> Any:
    """A layer with these weights, after a check of their shapes and dtypes."""
    _check(kind, stack)
    first = stack[0][0]
    sizes = [directions[0].w_hh.shape[1] for directions in stack]
    layer = KINDS[kind](
        input_size=first.w_ih.shape[1],
        hidden_size=sizes[0] if len(set(sizes)) == 1 else sizes,
        num_layers=len(stack),
        bias=first.b_ih is not None,
        bidirectional=len(stack[0]) == 2,
        dtype=first.w_ih.dtype,
        **options,
    )
    with torch.no_grad():
        for index, directions in enumerate(stack):
            for suffix, weights in zip(("", "_reverse"), directions, strict=False):
                for name, value in zip(
                    ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), weights, strict=True
                ):
                    if value is not None:
                        layer.get_parameter(f"{name}_l{index}{suffix}").copy_(value)
    return layer


def _check(kind: str, stack: list[list[Weights]]) -> None:
    inputs = stack[0][0].w_ih.shape[-1]
    tensors = [tensor for directions in stack for weights in directions for tensor in weights]
    same("dtype", [tensor.dtype for tensor in tensors if tensor is not None])
    same("the number of directions", [len(directions) for directions in stack])
    same("bias", [weights.b_ih is not None for directions in stack for weights in directions])
    for index, directions in enumerate(stack):
        hidden = directions[0].w_hh.shape[-1]
        rows = GATES[kind] * hidden
        for weights in directions:
            wanted = ([rows, inputs], [rows, hidden], [rows], [rows])
            for name, tensor, shape in zip(Weights._fields, weights, wanted, strict=True):
                if tensor is None:
                    continue
                if list(tensor.shape) != shape:
                    what = f"{name} of layer {index}"
                    raise ParameterError(must_be(what, f"of shape {shape}", list(tensor.shape)))
        inputs = len(directions) * hidden


def same(what: str, values: Sequence[Any]) -> Any:
    """The value that all have; ParameterError where they differ."""
    if any(value != values[0] for value in values):
        raise ParameterError(must_be(what, "the same in every layer and direction", list(values)))
    return values[0]


def tensor_of(array: np.ndarray) -> Tensor:
    """A tensor of its own; ParameterError for a dtype that is no usual float."""
    if array.dtype.name not in DTYPES:
        raise ParameterError(must_be("dtype", f"one of {', '.join(DTYPES)}", array.dtype.name))
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def dtype_name(dtype: torch.dtype) -> str:
    """The name that numpy has for it; ParameterError where it has none."""
    for name, own in DTYPES.items():
        if dtype == own:
            return name
    raise ParameterError(must_be("dtype", f"one of {', '.join(DTYPES)}", dtype))


def reordered(weights: Weights, order: Sequence[int]) -> Weights:
    """The blocks of rows, one for each gate, in another order."""

    def rows(tensor: Tensor) -> Tensor:
        blocks = tensor.tensor_split(len(order))
        return torch.cat([blocks[index] for index in order])

    return Weights(*(rows(tensor) for tensor in weights if tensor is not None))
