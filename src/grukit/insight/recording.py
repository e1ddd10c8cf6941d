"""Finding every recurrent layer of a network, and what enters it while the network runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from grukit.core.errors import ParameterError, must_be
from grukit.nn import GRU, LSTM, RNN
from grukit.nn.bidirectional import Bidirectional
from grukit.nn.chunked import ChunkedBidirectional
from grukit.nn.convert import from_torch
from grukit.nn.layer import Layer

_TORCH = (nn.GRU, nn.LSTM, nn.RNN)


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a recurrent layer within a network.

    name: the layer's place in the network, as in named_modules.
    layer: the layer, or for one of torch.nn a copy of it as one of grukit's.
    input, hx, lengths, resets: what it was called with.
    order: "ahead"; or "back" and "chunks", for a layer that is given its input from the end on,
        as a whole or in chunks side by side.
    """

    name: str
    layer: Layer
    input: Tensor
    hx: Any = None
    lengths: Any = None
    resets: Tensor | None = None
    order: str = "ahead"

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
        if reverse or self.order != "ahead":
            words.append("backwards")
        return ", ".join(words)

    def given(self) -> dict[str, Any]:
        """The arguments of the layer's trace, beside the place."""
        named = {"hx": self.hx, "lengths": self.lengths, "resets": self.resets}
        return {"input": self.input, **named}


@contextmanager
def recorded(network: nn.Module) -> Iterator[list[LayerCall]]:
    """A list that gets every call of a recurrent layer in the network, in their order.

    >>> import torch
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
            if isinstance(module, (Layer, *_TORCH)):
                hook = _hook(name, module, orders.get(id(module), "ahead"), calls)
                handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def as_layer(module: Any) -> Layer:
    """A layer of grukit as it is, one of torch.nn as a copy; ParameterError for all else."""
    if isinstance(module, Layer):
        return module
    if isinstance(module, _TORCH):
        return from_torch(module)
    kinds = ", ".join(kind.__name__ for kind in (GRU, LSTM, RNN))
    raise ParameterError(must_be("layer", f"a {kinds} of grukit.nn or torch.nn", type(module)))


def _hook(name: str, module: nn.Module, order: str, calls: list[LayerCall]) -> Callable[..., None]:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = dict(zip(("input", "hx"), args, strict=False)) | kwargs
        input = named["input"]
        lengths = named.get("lengths")
        layer = as_layer(module)
        if isinstance(input, PackedSequence):
            input, lengths = pad_packed_sequence(input, layer.batch_first)
        calls.append(
            LayerCall(
                name,
                layer,
                input.detach(),
                _detached(named.get("hx")),
                lengths,
                named.get("resets"),
                order,
            )
        )

    return hook


def _detached(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    return None if state is None else tuple(_detached(part) for part in state)
