"""States as they are given and handed out, and as the layers and directions take them.

Given is a tensor, for an LSTM a pair (h, c); with one hidden size per layer a tuple of tensors in
the place of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grukit.nn.arguments import goes_with
from grukit.ops.cell import States


@dataclass(frozen=True)
class StateForm:
    """The form of a layer's states.

    sizes: of h, or of h and c, in each layer. apart: whether each layer has a tensor of its own.
    """

    sizes: tuple[tuple[int, ...], ...]
    directions: int
    models: int | None
    apart: bool

    def zeros(self, like: Tensor, batch: int) -> list[States]:
        """States of zeros, for each layer and direction; those of one size are one tensor."""
        shape, distinct = (*self._leading, batch), {size for sizes in self.sizes for size in sizes}
        zeros = {size: like.new_zeros((*shape, size)) for size in distinct}
        return [
            tuple(zeros[size] for size in sizes)
            for sizes in self.sizes
            for _ in range(self.directions)
        ]

    def check_dims(self, hx: Any, dims: int, kind: str) -> None:
        """Raise RuntimeError, as torch does, for tensors of another number of dimensions."""
        for column in self._columns(hx):
            for tensor in column:
                _check_dims(tensor, dims, kind)

    def split(self, hx: Any, x: Tensor, batch: int) -> list[States]:
        """The states of each layer and direction; RuntimeError, as torch, if they do not fit."""
        found, pair = [], self._parts == 2
        for which, column in enumerate(self._columns(hx)):
            count = self.directions * len(self.sizes) // len(column)
            states: list[Tensor] = []
            for layer, tensor in enumerate(column):
                expected = (*self._leading, count, batch, self.sizes[layer][which])
                kind = "batched 3-D input" if self.models is None else "several models"
                _check_dims(tensor, len(expected), kind)
                if tensor.shape != expected:
                    name = f"hidden[{which}]" if pair else "hidden"
                    raise RuntimeError(f"Expected {name} size {expected}, got {list(tensor.shape)}")
                if not goes_with(tensor, x.dtype):
                    raise RuntimeError(f"hx must be {x.dtype}, as the input, got {tensor.dtype}")
                states += tensor.unbind(-3)
            found.append(states)
        return list(zip(*found, strict=True))

    def join(self, states: list[States]) -> Any:
        """The states of each layer and direction, as they are handed out."""
        count = self.directions if self.apart else len(states)
        joined = [
            tuple(
                torch.stack(column[first : first + count], dim=-3)
                for first in range(0, len(column), count)
            )
            for column in zip(*states, strict=True)
        ]
        parts = joined if self.apart else [tensor for (tensor,) in joined]
        return tuple(parts) if self._parts == 2 else parts[0]

    @property
    def _leading(self) -> tuple[int, ...]:
        return () if self.models is None else (self.models,)

    @property
    def _parts(self) -> int:
        return len(self.sizes[0])

    def _columns(self, hx: Any) -> list[Sequence[Tensor]]:
        return columns(hx, self._parts == 2, len(self.sizes) if self.apart else None)


def columns(hx: Any, pair: bool, layers: int | None = None) -> list[Sequence[Tensor]]:
    """The tensors of h, and of c in a pair: one, or one for each of so many layers.

    Raises RuntimeError for another structure.
    """
    parts = hx if pair else (hx,)
    if _is_sequence(parts, 1 + pair):
        found: list[Sequence[Tensor]] = [(part,) if layers is None else part for part in parts]
        if all(_is_sequence(part, layers or 1) for part in found) and all(
            isinstance(tensor, Tensor) for part in found for tensor in part
        ):
            return found
    wanted = "a tensor" if layers is None else f"a tuple of {layers} tensors"
    if pair:
        wanted = f"a pair (h, c), each {wanted}"
    raise RuntimeError(f"hx must be {wanted}, got {_described(hx)}")


def map_state(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A state with every tensor changed."""
    if isinstance(state, Tensor):
        return change(state)
    return tuple(map_state(part, change) for part in state)


def _check_dims(tensor: Tensor, dims: int, kind: str) -> None:
    if tensor.dim() != dims:
        got = tensor.dim()
        raise RuntimeError(f"For {kind}, hx should also be {dims}-D but got {got}-D tensor")


def _is_sequence(value: Any, length: int) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == length


def _described(state: Any) -> str:
    if isinstance(state, Tensor):
        return f"a tensor {list(state.shape)}"
    if isinstance(state, (list, tuple)):
        return f"({', '.join(map(_described, state))})"
    return type(state).__name__
