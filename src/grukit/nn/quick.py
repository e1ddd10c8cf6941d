"""The quick way of calls without a graph: straight to the native core, on tensors where they lie.

The checks of a short call cost more than the call. What was found out about one is kept, and holds
for the next that looks the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from grukit.core import clib, env
from grukit.nn import parameters
from grukit.ops.contract import Arguments, check_call
from grukit.ops.native import DTYPES, dense
from grukit.ops.packed import Sight, is_visible
from grukit.ops.transforms import needs_definition, needs_op, someone_looks_on

KEPT = 8
"""So many preparations of a layer are kept, for each way: one for each key and thread."""

SETTINGS = attrgetter("training", "backend", "batch_first", "learned_state", "zoneout")


class Prepared(ABC):
    """What the calls of a layer on inputs of one key have in common; of one thread at a time."""

    def __init__(self, layer: Any, x: Tensor) -> None:
        """x: as [T, B, I]."""
        self.settings, self.core, self.dtype = SETTINGS(layer), _core(), x.dtype
        self.num_layers, self.sizes = layer.num_layers, layer._form.sizes[0]
        self.learned_state, self.zeros = layer.learned_state, ()
        self.sights = [(name, Sight(layer._parameters[name])) for name in weight_names(layer)]
        self.layers = []
        for index in range(layer.num_layers):
            inputs = _inputs(layer, x, index)
            check_call(layer.recurrence.cell, inputs, layer._variant)
            self.layers.append(self.prepare(layer, dense(inputs)))
            x = x.new_empty((*x.shape[:2], layer._output_size(index)))

    @classmethod
    @abstractmethod
    def key(cls, layer: Any, x: Tensor) -> Any:
        """What inputs have in common that one preparation serves."""

    @classmethod
    @abstractmethod
    def of(cls, layer: Any, x: Tensor) -> Prepared | None:
        """A preparation for inputs like x; None where the core does not run them."""

    @abstractmethod
    def prepare(self, layer: Any, inputs: Arguments) -> Any:
        """What is kept of one layer of the stack."""

    @abstractmethod
    def run(self, x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
        """What the layer gives; None where the state has to be looked at closely."""

    def fits(self, layer: Any, x: Tensor) -> bool:
        """Whether it is good for an input of its key: what it was made of has not changed."""
        if x.dtype is not self.dtype or SETTINGS(layer) != self.settings or _core() != self.core:
            return False
        given = layer._parameters.get
        return all(sight.holds(given(name)) for name, sight in self.sights)

    def given(self, state: Any, batch: tuple[int, ...]) -> tuple[Tensor, ...] | None:
        """The tensors of a state, if they are as the core takes them. batch: () or (B,)."""
        shapes = [(self.num_layers, *batch, size) for size in self.sizes]
        if state is None:
            if self.learned_state:
                return None
            if not self.zeros or self.zeros[0].shape != shapes[0]:
                self.zeros = tuple(torch.zeros(shape, dtype=self.dtype) for shape in shapes)
            return self.zeros
        given = state if len(shapes) == 2 else (state,)
        if type(given) is not tuple or len(given) != len(shapes):
            return None
        for tensor, shape in zip(given, shapes, strict=True):
            if not is_plain(tensor) or tensor.dtype is not self.dtype or tensor.shape != shape:
                return None
        return given


class Pool:
    """The preparations of a layer that nobody is using, by key."""

    def __init__(self, kind: type[Prepared]) -> None:
        self._kind = kind
        self._idle: dict[Any, list[Prepared]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of a layer prepares its own."""
        return Pool, (self._kind,)

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def clear(self) -> None:
        """Take the weights anew for the next call."""
        self._idle = {}

    def run(self, layer: Any, x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
        """What the layer gives; None where the core does not run it, or not this way."""
        if _is_watched() or not is_plain(x) or env.backend() not in (None, "native"):
            return None
        key = self._kind.key(layer, x)
        idle = self._idle.get(key)
        prepared = idle.pop() if idle else None
        if prepared is None or idle is None or not prepared.fits(layer, x):
            if prepared is not None or len(self) >= KEPT:
                self._idle = {}
            prepared = self._kind.of(layer, x)
            if prepared is None:
                return None
            idle = self._idle.setdefault(key, [])
        result = prepared.run(x, state)
        idle.append(prepared)
        return result


def can_run(layer: Any, x: Tensor) -> bool:
    """Whether the core runs the layer, for x [..., I], once it has been told of its weights."""
    recurrence, weights = layer.recurrence, layer._parameters
    names = weight_names(layer)
    return (
        layer.backend in (None, "native", "int8")
        and recurrence.backends[0].name == "native"
        and recurrence.cell.recurrent
        and clib.why_missing() is None
        and not layer.bidirectional
        and layer.models is None
        and not layer.residual
        and isinstance(layer.hidden_size, int)
        and not (layer.proj_size and layer.num_layers > 1 and not recurrence.cell.projects_state)
        and x.dtype in DTYPES
        and x.shape[-1] == layer.input_size
        and x.numel() > 0
        and all(isinstance(weights.get(name), Tensor) for name in names)
        and not needs_op(x, [weights[name] for name in names])
        and all(weights[name].dtype == x.dtype and is_visible(weights[name]) for name in names)
    )


def weight_names(layer: Any) -> list[str]:
    """The names of the parameters of all layers, but for learned states."""
    names = [name for name in layer._names if name in parameters.WEIGHTS]
    return [name + suffix for suffix in layer._suffixes for name in names]


def is_plain(tensor: Any) -> bool:
    """Whether the values of a tensor are what lies in memory, one after the other."""
    return (
        type(tensor) is Tensor and tensor.is_cpu and tensor.is_contiguous() and not tensor.is_neg()
    )


def _is_watched() -> bool:
    """Whether a transform, autocast or a trace must see the operations themselves."""
    return someone_looks_on() or needs_definition() or torch.is_autocast_enabled("cpu")


def _core() -> tuple[str, int]:
    """What else may change: the kernels, and the threads that a call may have."""
    return clib.isa(), torch.get_num_threads()


def _inputs(layer: Any, x: Tensor, index: int) -> Arguments:
    """The arguments of one layer of the stack in eval mode, with states that only have a shape."""
    states = [x.new_empty((x.shape[1], size)) for size in layer._form.sizes[index]]
    return Arguments(
        x,
        **dict(zip(("h0", "c0"), states, strict=False)),
        **layer._weights(index, False),
        **layer._keeps(x, (), training=False),
    )
