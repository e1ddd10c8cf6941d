"""What the modules that are made of layers share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from grukit.core.errors import ParameterError, must_be


def shared_batch_first(layers: Collection[nn.Module]) -> bool:
    """The batch_first of all layers; ParameterError where they differ or one is no layer."""
    if not layers:
        raise ParameterError("layers must be at least one, got none")
    found = set()
    for layer in layers:
        if not isinstance(layer, nn.Module) or not isinstance(
            getattr(layer, "batch_first", None), bool
        ):
            raise ParameterError(must_be("a part", "a layer with batch_first", layer))
        found.add(layer.batch_first)
    if len(found) != 1:
        raise ParameterError("layers must agree on batch_first, got both True and False")
    return found.pop()


def states_of_parts(hx: Any, parts: int) -> tuple[Any, ...]:
    """One state for each part, each None without hx."""
    if hx is None:
        return (None,) * parts
    if not isinstance(hx, (tuple, list)) or len(hx) != parts:
        got = f"{len(hx)} of them" if isinstance(hx, (tuple, list)) else type(hx).__name__
        raise ParameterError(f"hx must be a tuple of {parts} states, one for each part, got {got}")
    return tuple(hx)


def check_widths(what: str, one: Tensor, other: Tensor) -> None:
    """ParameterError unless two outputs are equally wide, so that their sum spreads neither."""
    if one.shape[-1] != other.shape[-1]:
        widths = f"{one.shape[-1]} and {other.shape[-1]}"
        raise ParameterError(f"{what} needs outputs of equal width, got {widths}")
