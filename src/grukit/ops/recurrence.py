"""A cell over a sequence, as it is called: by its definition, its library op or a backend."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from grukit.ops import library, sequence
from grukit.ops.backward import backward
from grukit.ops.cell import Cell
from grukit.ops.contract import (
    DIFFERENTIABLE,
    FLOATS,
    SAVE_ALL,
    SAVE_NOTHING,
    SAVE_STATES,
    Arguments,
    Call,
    check_call,
)
from grukit.ops.dispatch import Backend, choose, explain
from grukit.ops.eager import Plan, run, track
from grukit.ops.transforms import (
    autocast_arguments,
    autocast_dtype,
    autocast_off,
    needs_definition,
    needs_op,
)

MASKS = slice(DIFFERENTIABLE, FLOATS)
REMEMBERED = 1024
"""So many kinds of call are remembered at most, by shapes."""


class Recurrence:
    """A cell over a sequence: `recurrence(x, h0, w_ih, w_hh, ...)` -> output, h (and c).

    The tensors, by place or by name, are those of contract.py. variant names the form of the
    equations, the cell's first if None. Under autocast the floating tensors are cast to its
    dtype. Where autograd follows a mask the definition runs, since the op gives masks no gradient.
    Raises ParameterError for wrong shapes or dtypes, and BackendError if the backend asked for
    cannot run the call.

    recompute: keep only the states for the backward pass, which computes the rest again; it saves
        memory and costs time.
    """

    def __init__(self, cell: Cell, backends: tuple[Backend, ...] = ()) -> None:
        self.cell = cell
        self.backends = (*backends, _reference(cell))
        self._known: dict[tuple[Any, ...], Call] = {}
        self.forward_op = library.register_forward(self)
        self.backward_op = None if cell.backward is None else library.register_backward(self)

    def __call__(
        self,
        *tensors: Tensor | None,
        variant: str | None = None,
        reverse: bool = False,
        recompute: bool = False,
        backend: str | None = None,
        **named: Tensor | None,
    ) -> tuple[Tensor, ...]:
        call = Arguments(*tensors, **named), reverse  # type: ignore[arg-type]
        return self.together([call], variant=variant, recompute=recompute, backend=backend)[0]

    def together(
        self,
        calls: Sequence[tuple[Arguments, bool]],
        *,
        variant: str | None = None,
        recompute: bool = False,
        backend: str | None = None,
    ) -> list[tuple[Tensor, ...]]:
        """The results of calls that do not depend on each other, as if each ran alone.

        calls: for each the tensors, and whether time runs in reverse. A backend may run them side
        by side.
        """
        variant = self._variant(variant)
        ways = [(variant, reverse) for _, reverse in calls]
        arguments = [_cast(tensors) for tensors, _ in calls]
        flat = [tensor for tensors in arguments for tensor in tensors]
        tracked = _tracked(flat)
        save = self._save(tracked, recompute)
        with autocast_off(arguments[0].x.device):
            if needs_definition() or (tracked and any(_tracked(t[MASKS]) for t in arguments)):
                self._check(arguments, variant)
                return [
                    sequence.definition(self.cell, tensors, *way)
                    for tensors, way in zip(arguments, ways, strict=True)
                ]
            if needs_op(arguments[0].x, flat):
                self._check(arguments, variant)
                return [
                    self.forward_op(*tensors, *way, save, backend)[:-1]
                    for tensors, way in zip(arguments, ways, strict=True)
                ]
            backends = [
                choose(self._facts(tensors, *way, save), self.backends, backend)
                for tensors, way in zip(arguments, ways, strict=True)
            ]
            plan = Plan(self, backends, ways, save, backend)
            return track(plan, arguments) if tracked else run(plan, arguments)

    def step(
        self,
        *tensors: Tensor | None,
        variant: str | None = None,
        **named: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output and states after one step, for x [B, I]; unchecked, for streams."""
        call = _cast(Arguments(*tensors, **named))  # type: ignore[arg-type]
        dtype, call = call.x.dtype, call.computed()
        variant = self._variant(variant)
        with autocast_off(call.x.device):
            output, states = sequence.one_step(self.cell, call, variant)
        if output.dtype != dtype:
            return output.to(dtype), tuple(state.to(dtype) for state in states)
        return output, states

    def trace(
        self,
        *tensors: Tensor | None,
        variant: str | None = None,
        reverse: bool = False,
        **named: Tensor | None,
    ) -> dict[str, Tensor]:
        """What the cell keeps of every step, and its states h and c, [T, B, H] each."""
        return self._by_definition(sequence.trace, tensors, named, variant, reverse)

    def sums(
        self,
        *tensors: Tensor | None,
        variant: str | None = None,
        reverse: bool = False,
        **named: Tensor | None,
    ) -> dict[str, Tensor]:
        """What every step adds up inside the gates, by name: see `sequence.sums`."""
        return self._by_definition(sequence.sums, tensors, named, variant, reverse)

    def _by_definition(
        self,
        function: Callable[..., dict[str, Tensor]],
        tensors: tuple[Tensor | None, ...],
        named: dict[str, Tensor | None],
        variant: str | None,
        reverse: bool,
    ) -> dict[str, Tensor]:
        variant = self._variant(variant)
        call = _cast(Arguments(*tensors, **named))  # type: ignore[arg-type]
        self._check([call], variant)
        with autocast_off(call.x.device):
            return function(self.cell, call, variant, reverse)

    def explain(
        self,
        *tensors: Tensor | None,
        variant: str | None = None,
        reverse: bool = False,
        recompute: bool = False,
        **named: Tensor | None,
    ) -> str:
        """A line per backend for such a call: that it can run it, or why not. Runs nothing."""
        variant = self._variant(variant)
        call = _cast(Arguments(*tensors, **named))  # type: ignore[arg-type]
        self._check([call], variant)
        save = self._save(_tracked(call), recompute)
        facts = Call.of(self.cell, call, variant=variant, reverse=reverse, save=save)
        return explain(facts, self.backends)

    def _variant(self, variant: str | None) -> str:
        return next(iter(self.cell.variants)) if variant is None else variant

    def _save(self, tracked: bool, recompute: bool) -> int:
        if not tracked or self.backward_op is None:
            return SAVE_NOTHING
        return SAVE_STATES if recompute else SAVE_ALL

    def _check(self, calls: Sequence[Arguments], variant: str) -> None:
        for tensors in calls:
            check_call(self.cell, tensors, variant)

    def _facts(self, tensors: Arguments, variant: str, reverse: bool, save: int) -> Call:
        """The facts about a call after its check, both remembered: most calls are like another."""
        looks = [None if t is None else (t.shape, t.dtype, t.device) for t in tensors]
        key = (variant, reverse, save, *looks)
        facts = self._known.get(key)
        if facts is None:
            check_call(self.cell, tensors, variant)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            facts = Call.of(self.cell, tensors, variant=variant, reverse=reverse, save=save)
            self._known[key] = facts
        return facts


def _cast(tensors: Arguments) -> Arguments:
    """The tensors as autocast asks for them."""
    if autocast_dtype(tensors.x) is None:
        return tensors
    floats = autocast_arguments(*tensors[:FLOATS])  # type: ignore[arg-type]
    return Arguments(*floats, *tensors[FLOATS:])


def _tracked(tensors: Sequence[Tensor | None]) -> bool:
    """Whether autograd follows one of them."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _reference(cell: Cell) -> Backend:
    return Backend(
        name="reference",
        why_not=lambda call: (),
        forward=functools.partial(sequence.forward, cell),
        backward=functools.partial(backward, cell),
    )
