"""A cell: the equations of one step, and what time, masks and gradients need to know of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from grukit.ops.backward import Past, StepBackward

States = tuple[Tensor, ...]
"""h, or h and c."""


@dataclass(frozen=True)
class Cell:
    """One step of a recurrence.

    variants: the forms of the equations, by name. For each the products of recurrent weights
        that a step takes, in the order of their rows; a product is a tuple of blocks, a block
        the number of gates that layer norm takes together. `((2, 1),)` is one product of three
        gates, of which it normalizes two together and one alone. Of a cell without recurrent
        products it is the input's product.
    step: step(of_x, states, a, recurrent, tensors, variant) -> (states, kept), from torch ops:
        of_x is the input's share of the gates [B, G], `a` what enters the recurrent products
        [B, H], `recurrent` those products, each a Projection; tensors are all of the call's.
    kept: the names of what a step keeps, each [B, H].
    backward: the step backwards, by hand, see backward.py. Without it gradients come from the
        definition by autograd.
    has_c: whether the states are h and c, or h alone.
    projects_state: whether a projection w_hr acts on the state, or on what is made of it.
    recurrent: whether a step has recurrent products. Without, there is no w_hh, and `recurrent`
        of a step is empty.
    """

    name: str
    variants: Mapping[str, tuple[tuple[int, ...], ...]]
    step: Callable[..., tuple[States, tuple[Tensor, ...]]]
    kept: tuple[str, ...]
    backward: Callable[[Past], StepBackward] | None = None
    has_c: bool = False
    projects_state: bool = True
    recurrent: bool = True
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By variant, the optional tensors that make no sense for it."""

    @cached_property
    def gates(self) -> int:
        """The number of gates, of H rows each."""
        return sum(self.blocks)

    @cached_property
    def blocks(self) -> tuple[int, ...]:
        """The gates that layer norm takes together, in the input's product."""
        products = next(iter(self.variants.values()))
        return tuple(block for product in products for block in product)

    def refuses(self, variant: str) -> tuple[str, ...]:
        """The names of the optional tensors that make no sense for the variant."""
        no_c = () if self.has_c else ("gain_c", "bias_c", "fresh_c", "keep_c")
        no_w = () if self.recurrent else ("w_hh", "b_hh", "w_hr", "gain_hh", "drop_h")
        return (*no_c, *no_w, *self.without.get(variant, ()))
