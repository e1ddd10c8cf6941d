"""A cell as one library op for a whole sequence, with its backward as a second op.

Two ops, since autograd does not work inside an op's body. The backward op takes its own
derivative from the definition, which gives every higher order.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from grukit.ops import sequence
from grukit.ops.backward import backward
from grukit.ops.cell import Cell
from grukit.ops.contract import (
    DIFFERENTIABLE,
    FLOATS,
    NAMES,
    SAVE_ALL,
    SAVE_NOTHING,
    SAVE_STATES,
    Arguments,
    Call,
    check_call,
    compute_dtype,
    output_size,
    reserve_shape,
)
from grukit.ops.dispatch import Backend, choose
from grukit.ops.transforms import autocast_arguments, autocast_off, needs_definition

COUNT = len(NAMES)
_TENSORS = ", ".join(
    f"Tensor{'?' if name in Arguments._field_defaults else ''} {name}" for name in NAMES
)


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
        self._forward = _register_forward(self)
        self._backward = None if cell.backward is None else _register_backward(self)

    def __call__(
        self,
        *tensors: Tensor | None,
        variant: str | None = None,
        reverse: bool = False,
        recompute: bool = False,
        backend: str | None = None,
        **named: Tensor | None,
    ) -> tuple[Tensor, ...]:
        call, variant = self._checked(Arguments(*tensors, **named), variant)  # type: ignore[arg-type]
        with autocast_off(call.x.device):
            if needs_definition(*call[:FLOATS]) or _tracked(call[DIFFERENTIABLE:FLOATS]):
                return sequence.definition(self.cell, call, variant, reverse)
            save = SAVE_NOTHING
            if self._backward is not None and _tracked(call[:DIFFERENTIABLE]):
                save = SAVE_STATES if recompute else SAVE_ALL
            return self._forward(*call, variant, reverse, save, backend)[:-1]

    def step(
        self,
        *tensors: Tensor | None,
        variant: str | None = None,
        **named: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output and states after one step, for x [B, I]; unchecked, for streams."""
        call = Arguments(*tensors, **named)  # type: ignore[arg-type]
        call = Arguments(*autocast_arguments(*call[:FLOATS]))  # type: ignore[arg-type]
        dtype, call = call.x.dtype, call.computed()
        variant = next(iter(self.cell.variants)) if variant is None else variant
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
        call, variant = self._checked(Arguments(*tensors, **named), variant)  # type: ignore[arg-type]
        with autocast_off(call.x.device):
            return sequence.trace(self.cell, call, variant, reverse)

    def _checked(self, tensors: Arguments, variant: str | None) -> tuple[Arguments, str]:
        floats = autocast_arguments(*tensors[:FLOATS])  # type: ignore[arg-type]
        tensors = Arguments(*floats, *tensors[FLOATS:])
        variant = next(iter(self.cell.variants)) if variant is None else variant
        check_call(self.cell, tensors, variant)
        return tensors, variant


def _reference(cell: Cell) -> Backend:
    return Backend(
        name="reference",
        why_not=lambda call: (),
        forward=functools.partial(sequence.forward, cell),
        backward=functools.partial(backward, cell),
    )


def _register_forward(recurrence: Recurrence) -> Any:
    cell = recurrence.cell
    results = ", ".join(["Tensor"] * (3 + cell.has_c))
    schema = f"({_TENSORS}, str variant, bool reverse, int save, str? backend) -> ({results})"

    def run(*arguments: Any) -> tuple[Tensor, ...]:
        tensors, variant, reverse, save, wish = _parts(arguments)
        call = Call.of(cell, tensors, variant=variant, reverse=reverse, save=save)
        chosen = choose(call, recurrence.backends, wish)
        return chosen.forward(tensors, variant, reverse, save)

    def fake(*arguments: Any) -> tuple[Tensor, ...]:
        tensors, _, _, save, _ = _parts(arguments)
        x, states = tensors.x, [t for t in (tensors.h0, tensors.c0) if t is not None]
        return (
            x.new_empty((*x.shape[:-1], output_size(cell, tensors))),
            *(x.new_empty(state.shape) for state in states),
            x.new_empty(reserve_shape(cell, tensors, save), dtype=compute_dtype(x.dtype)),
        )

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        tensors, ctx.variant, ctx.reverse, ctx.save, ctx.backend = _parts(inputs)
        ctx.save_for_backward(*tensors, output[0], output[-1])
        ctx.mark_non_differentiable(output[-1])
        # Else zeros as large as the reserve would be made for its gradient.
        ctx.set_materialize_grads(False)

    def differentiate(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        *saved, output, reserve = ctx.saved_tensors
        tensors = Arguments(*saved)
        results = [t for t in (output, tensors.h0, tensors.c0) if t is not None]
        seeds = [
            torch.zeros_like(result) if d is None else d
            for d, result in zip(cotangents, results, strict=False)
        ]
        if recurrence._backward is None or needs_definition(*seeds):
            found = _by_definition(cell, tensors, seeds, ctx)
        else:
            d_output, d_h, *d_c = seeds
            wants = list(ctx.needs_input_grad[:DIFFERENTIABLE])
            with autocast_off(d_output.device):
                results = recurrence._backward(
                    d_output,
                    d_h,
                    d_c[0] if d_c else None,
                    *tensors,
                    output,
                    reserve,
                    ctx.variant,
                    ctx.reverse,
                    ctx.save,
                    wants,
                    ctx.backend,
                )
            found = dict(zip(_names(wants), results, strict=True))
        return (*(found.get(name) for name in NAMES), *([None] * 4))

    op = torch.library.custom_op(f"grukit::{cell.name}", run, mutates_args=(), schema=schema)
    op.register_fake(fake)
    op.register_autograd(differentiate, setup_context=keep)
    return op


def _register_backward(recurrence: Recurrence) -> Any:
    cell = recurrence.cell
    schema = (
        f"(Tensor d_output, Tensor d_h, Tensor? d_c, {_TENSORS}, Tensor output, Tensor reserve, "
        "str variant, bool reverse, int save, bool[] wants, str? backend) -> Tensor[]"
    )

    def run(d_output: Tensor, d_h: Tensor, d_c: Tensor | None, *arguments: Any) -> list[Tensor]:
        tensors, output, reserve, variant, reverse, save, wants, wish = _parts(arguments)
        call = Call.of(cell, tensors, variant=variant, reverse=reverse, save=save)
        d_final, names = ((d_h,) if d_c is None else (d_h, d_c)), _names(wants)
        found = choose(call, recurrence.backends, wish).backward(
            tensors, d_output, d_final, output, reserve, variant, reverse, save, names
        )
        return [found[name] for name in names]

    def fake(d_output: Tensor, d_h: Tensor, d_c: Tensor | None, *arguments: Any) -> list[Tensor]:
        tensors, *_, wants, _ = _parts(arguments)
        return [
            torch.empty_like(getattr(tensors, name), memory_format=torch.contiguous_format)
            for name in _names(wants)
        ]

    def keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
        tensors, _, _, ctx.variant, ctx.reverse, _, ctx.wants, _ = _parts(inputs[3:])
        ctx.save_for_backward(*inputs[:3], *tensors)

    def differentiate(ctx: Any, cotangents: list[Tensor]) -> tuple[Any, ...]:
        """The vector-Jacobian product of the backward op, through the definition."""
        seeds = list(ctx.saved_tensors[:3])
        tensors = Arguments(*ctx.saved_tensors[3:])
        names = _names(ctx.wants)
        graph_goes_on = torch.is_grad_enabled()
        with torch.enable_grad(), autocast_off(tensors.x.device):
            inputs = _inputs(tensors, graph_goes_on)
            seeds = [_alias(t, graph_goes_on) for t in seeds if t is not None]
            outputs = sequence.definition(
                cell, tensors._replace(**inputs), ctx.variant, ctx.reverse
            )
            first = torch.autograd.grad(
                outputs,
                [inputs[name] for name in names],
                seeds,
                create_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            pairs = [pair for pair in zip(first, cotangents, strict=True) if pair[0].requires_grad]
            targets = [*seeds, *inputs.values()]
            if pairs:
                second = torch.autograd.grad(
                    [gradient for gradient, _ in pairs],
                    targets,
                    [cotangent for _, cotangent in pairs],
                    create_graph=graph_goes_on,
                    allow_unused=True,
                    materialize_grads=True,
                )
            else:
                second = [torch.zeros_like(t) for t in targets]
        of_seeds = [*second[: len(seeds)], *([None] * (3 - len(seeds)))]
        found = dict(zip(inputs, second[len(seeds) :], strict=True))
        return (*of_seeds, *(found.get(name) for name in NAMES), *([None] * 7))

    op = torch.library.custom_op(
        f"grukit::{cell.name}_backward", run, mutates_args=(), schema=schema
    )
    op.register_fake(fake)
    op.register_autograd(differentiate, setup_context=keep)
    return op


def _parts(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors of a call as Arguments, and what follows them."""
    return (Arguments(*arguments[:COUNT]), *arguments[COUNT:])


def _names(wants: Sequence[bool]) -> list[str]:
    """The names of the arguments of which gradients are wanted."""
    return [name for name, wanted in zip(NAMES[:DIFFERENTIABLE], wants, strict=True) if wanted]


def _inputs(tensors: Arguments, graph_goes_on: bool) -> dict[str, Tensor]:
    """Aliases of the arguments that have gradients, by name."""
    there = zip(NAMES[:DIFFERENTIABLE], tensors, strict=False)
    return {name: _alias(t, graph_goes_on) for name, t in there if t is not None}


def _tracked(tensors: tuple[Tensor | None, ...]) -> bool:
    """Whether autograd follows one of them."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _by_definition(
    cell: Cell, tensors: Arguments, cotangents: list[Tensor], ctx: Any
) -> dict[str, Tensor]:
    """The gradients through the definition, by name."""
    graph_goes_on = torch.is_grad_enabled()
    with torch.enable_grad(), autocast_off(cotangents[0].device):
        inputs = _inputs(tensors, graph_goes_on)
        outputs = sequence.definition(cell, tensors._replace(**inputs), ctx.variant, ctx.reverse)
        found = torch.autograd.grad(
            outputs,
            list(inputs.values()),
            cotangents,
            create_graph=graph_goes_on,
            allow_unused=True,
            materialize_grads=True,
        )
    return dict(zip(inputs, found, strict=True))


def _alias(tensor: Tensor, graph_goes_on: bool) -> Tensor:
    """The same values, so that a gradient stops here and not further back."""
    if tensor.requires_grad and graph_goes_on:
        return tensor.view_as(tensor)
    return tensor.detach().requires_grad_()
