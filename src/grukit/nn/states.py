"""States as they are given and handed out: their structure, whatever the tensors in it.

A tensor, for an LSTM a pair (h, c); with one hidden size per layer a tuple of tensors in the
place of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor


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


def _is_sequence(value: Any, length: int) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == length


def _described(state: Any) -> str:
    if isinstance(state, Tensor):
        return f"a tensor {list(state.shape)}"
    if isinstance(state, (list, tuple)):
        return f"({', '.join(map(_described, state))})"
    return type(state).__name__
