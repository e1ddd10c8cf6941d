"""Tensors inside tuples, lists, dicts and dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """The same structure with `function` applied to every tensor; other leaves stay."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return type(tree)((key, map_tensors(function, value)) for key, value in tree.items())
    if isinstance(tree, (list, tuple)):
        members = [map_tensors(function, member) for member in tree]
        return type(tree)(*members) if hasattr(tree, "_fields") else type(tree)(members)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        changes = {
            field.name: map_tensors(function, getattr(tree, field.name))
            for field in dataclasses.fields(tree)
        }
        return dataclasses.replace(tree, **changes)
    return tree
