"""Finding every recurrent layer of a network, and what enters it while the network runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from grukit.core.errors import ParameterError, must_be
from grukit.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from grukit.nn.bidirectional import Bidirectional
from grukit.nn.chunked import ChunkedBidirectional
from grukit.nn.convert import from_torch
from grukit.nn.layer import Layer
from grukit.nn.states import map_state

_TORCH = (nn.GRU, nn.LSTM, nn.RNN)
_CELLS: dict[type[nn.Module], Any] = {
    GRUCell: GRU,
    LSTMCell: LSTM,
    RNNCell: RNN,
    nn.GRUCell: GRU,
    nn.LSTMCell: LSTM,
    nn.RNNCell: RNN,
}
# What a cell may have that acts in eval mode.
_OPTIONS = (
    *("bias", "proj_size", "layer_norm", "zoneout", "learned_state"),
    *("reset_after", "nonlinearity"),
)


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a recurrent layer within a network.

    name: the layer's place in the network, as in named_modules.
    layer: the layer, or for one of torch.nn, and for a cell, a copy of it as a layer of grukit.
    input, hx, lengths, resets: what it was called with.
    order: "ahead"; "back" or "chunks", for a layer that is given its input from the end on, as a
        whole or in chunks side by side; or "step", for a single step of a cell.
    """

    name: str
    layer: Layer
    input: Tensor
    hx: Any = None
    lengths: Any = None
    resets: Tensor | None = None
    order: str = "ahead"

    @property
    def is_back(self) -> bool:
        """Whether the input was given from its end on."""
        return self.order in ("back", "chunks")

    def places(self) -> Iterator[tuple[int, bool]]:
        """Each layer of the stack, and direction."""
        for index in range(self.layer.num_layers):
            yield index, False
            if self.layer.bidirectional:
                yield index, True

    def title(self, index: int, reverse: bool) -> str:
        """What to call one layer of the stack in one direction."""
        words = [self.name or type(self.layer).__name__]
        if self.layer.num_layers > 1:
            words.append(f"layer {index + 1}")
        if reverse or self.is_back:
            words.append("backwards")
        return ", ".join(words)

    def given(self) -> dict[str, Any]:
        """The arguments of the layer's trace, beside the place."""
        named = {"hx": self.hx, "lengths": self.lengths, "resets": self.resets}
        return {"input": self.input, **named}


@contextmanager
def recorded(network: nn.Module) -> Iterator[list[LayerCall]]:
    """A list that gets every call of a recurrent layer in the network, in their order.

    >>> network = GRU(3, 4)
    >>> with recorded(network) as calls:
    ...     _ = network(torch.zeros(5, 1, 3))
    >>> calls[0].title(0, False)
    'GRU'
    """
    calls: list[LayerCall] = []
    orders: dict[int, str] = {}
    for module in network.modules():
        if isinstance(module, (Bidirectional, ChunkedBidirectional)):
            backward = "chunks" if isinstance(module, ChunkedBidirectional) else "back"
            orders |= {id(own): backward for own in module.backward_layer.modules()}
    handles = []
    try:
        for name, module in network.named_modules():
            order = orders.get(id(module), "ahead")
            if type(module) in _CELLS:
                order = "step"
            elif not isinstance(module, (Layer, *_TORCH)):
                continue
            hook = _hook(name, as_layer(module), order, calls)
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def as_layer(module: Any) -> Layer:
    """A layer of grukit as it is, one of torch.nn, or a cell, as a copy; ParameterError for all
    else.
    """
    if isinstance(module, Layer):
        return module
    if isinstance(module, _TORCH):
        return from_torch(module)
    if type(module) in _CELLS:
        return _of_cell(module)
    kinds = ", ".join(kind.__name__ for kind in (GRU, LSTM, RNN))
    raise ParameterError(must_be("layer", f"a {kinds} of grukit.nn or torch.nn", type(module)))


def _of_cell(cell: Any) -> Layer:
    options = {name: getattr(cell, name) for name in _OPTIONS if hasattr(cell, name)}
    options["dtype"] = cell.weight_ih.dtype
    layer = _CELLS[type(cell)](cell.input_size, cell.hidden_size, **options)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.copy_(cell.get_parameter(name.removesuffix("_l0")))
    return layer


def _hook(name: str, layer: Layer, order: str, calls: list[LayerCall]) -> Callable[..., None]:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = dict(zip(("input", "hx"), args, strict=False)) | kwargs
        input, hx = named["input"], named.get("hx")
        lengths = named.get("lengths")
        if isinstance(input, PackedSequence):
            input, lengths = pad_packed_sequence(input, layer.batch_first)
        if order == "step":
            input, hx = _as_sequence(input), None if hx is None else map_state(hx, _as_sequence)
        calls.append(LayerCall(name, layer, input, hx, lengths, named.get("resets"), order))

    return hook


def _as_sequence(step: Tensor) -> Tensor:
    """[B, I] or [I] as [1, B, I]."""
    return (step if step.dim() == 2 else step[None])[None]
