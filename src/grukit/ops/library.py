"""A cell as one library op for a whole sequence, with its backward as a second op.

Two ops, since autograd does not work inside an op's body. The backward op takes its own
derivative from the definition, which gives every higher order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from grukit.ops import sequence
from grukit.ops.cell import Cell
from grukit.ops.contract import (
    DIFFERENTIABLE,
    NAMES,
    SAVE_NOTHING,
    Arguments,
    Call,
    compute_dtype,
    output_size,
    reserve_shape,
)
from grukit.ops.dispatch import choose
from grukit.ops.transforms import autocast_off, needs_definition

if TYPE_CHECKING:
    from grukit.ops.recurrence import Recurrence

COUNT = len(NAMES)
_TENSORS = ", ".join(
    f"Tensor{'?' if name in Arguments._field_defaults else ''} {name}" for name in NAMES
)


def register_forward(recurrence: Recurrence) -> Any:
    """The op of a recurrence: its results, and the reserve."""
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
        tensors, *way, ctx.backend = _parts(inputs)
        ctx.way = tuple(way)
        ctx.save_for_backward(*tensors, output[0], output[-1])
        ctx.mark_non_differentiable(output[-1])
        # Else zeros as large as the reserve would be made for its gradient.
        ctx.set_materialize_grads(False)

    def differentiate(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        *saved, output, reserve = ctx.saved_tensors
        tensors = Arguments(*saved)
        found = gradients(
            recurrence,
            tensors,
            filled(cotangents, tensors, output),
            output,
            reserve,
            ctx.way,
            ctx.needs_input_grad[:DIFFERENTIABLE],
            ctx.backend,
        )
        return (*(found.get(name) for name in NAMES), *([None] * 4))

    op = torch.library.custom_op(f"grukit::{cell.name}", run, mutates_args=(), schema=schema)
    op.register_fake(fake)
    op.register_autograd(differentiate, setup_context=keep)
    return op


def register_backward(recurrence: Recurrence) -> Any:
    """The op of the gradients that are wanted of its arguments."""
    cell = recurrence.cell
    schema = (
        f"(Tensor d_output, Tensor d_h, Tensor? d_c, {_TENSORS}, Tensor output, Tensor reserve, "
        "str variant, bool reverse, int save, bool[] wants, str? backend) -> Tensor[]"
    )

    def run(d_output: Tensor, d_h: Tensor, d_c: Tensor | None, *arguments: Any) -> list[Tensor]:
        tensors, output, reserve, variant, reverse, save, wants, wish = _parts(arguments)
        call = Call.of(cell, tensors, variant=variant, reverse=reverse, save=save)
        d_final, names = ((d_h,) if d_c is None else (d_h, d_c)), wanted(wants)
        found = choose(call, recurrence.backends, wish).backward(
            tensors, d_output, d_final, output, reserve, variant, reverse, save, names
        )
        return [found[name] for name in names]

    def fake(d_output: Tensor, d_h: Tensor, d_c: Tensor | None, *arguments: Any) -> list[Tensor]:
        tensors, *_, wants, _ = _parts(arguments)
        return [
            torch.empty_like(getattr(tensors, name), memory_format=torch.contiguous_format)
            for name in wanted(wants)
        ]

    def keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
        tensors, _, _, ctx.variant, ctx.reverse, _, ctx.wants, _ = _parts(inputs[3:])
        ctx.save_for_backward(*inputs[:3], *tensors)

    def differentiate(ctx: Any, cotangents: list[Tensor]) -> tuple[Any, ...]:
        """The vector-Jacobian product of the backward op, through the definition."""
        seeds = list(ctx.saved_tensors[:3])
        tensors = Arguments(*ctx.saved_tensors[3:])
        names = wanted(ctx.wants)
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


def gradients(
    recurrence: Recurrence,
    tensors: Arguments,
    cotangents: list[Tensor],
    output: Tensor,
    reserve: Tensor,
    way: tuple[str, bool, int],
    wants: Sequence[bool],
    wish: str | None,
) -> dict[str, Tensor]:
    """The wanted gradients of a call by name, which have derivatives in turn.

    way: variant, reverse and save.
    """
    variant, reverse, save = way
    if save == SAVE_NOTHING or recurrence.backward_op is None or needs_definition():
        return _by_definition(recurrence.cell, tensors, cotangents, variant, reverse, wants)
    d_output, d_h, *d_c = cotangents
    with autocast_off(d_output.device):
        found = recurrence.backward_op(
            d_output,
            d_h,
            d_c[0] if d_c else None,
            *tensors,
            output,
            reserve,
            variant,
            reverse,
            save,
            list(wants),
            wish,
        )
    return dict(zip(wanted(wants), found, strict=True))


def filled(cotangents: Sequence[Tensor | None], tensors: Arguments, output: Tensor) -> list[Tensor]:
    """The cotangents of output and states, with zeros for those that are missing."""
    results = [t for t in (output, tensors.h0, tensors.c0) if t is not None]
    return [
        torch.zeros_like(result) if d is None else d
        for d, result in zip(cotangents, results, strict=False)
    ]


def wanted(wants: Sequence[bool]) -> list[str]:
    """The names of the arguments of which gradients are wanted."""
    return [name for name, wanted in zip(NAMES[:DIFFERENTIABLE], wants, strict=True) if wanted]


def _inputs(tensors: Arguments, graph_goes_on: bool) -> dict[str, Tensor]:
    """Aliases of the arguments that have gradients, by name."""
    there = zip(NAMES[:DIFFERENTIABLE], tensors, strict=False)
    return {name: _alias(t, graph_goes_on) for name, t in there if t is not None}


def _by_definition(
    cell: Cell,
    tensors: Arguments,
    cotangents: list[Tensor],
    variant: str,
    reverse: bool,
    wants: Sequence[bool],
) -> dict[str, Tensor]:
    """The wanted gradients through the definition, by name."""
    names, graph_goes_on = wanted(wants), torch.is_grad_enabled()
    with torch.enable_grad(), autocast_off(cotangents[0].device):
        inputs = _inputs(tensors, graph_goes_on)
        outputs = sequence.definition(cell, tensors._replace(**inputs), variant, reverse)
        found = torch.autograd.grad(
            outputs,
            [inputs[name] for name in names],
            cotangents,
            create_graph=graph_goes_on,
            allow_unused=True,
            materialize_grads=True,
        )
    return dict(zip(names, found, strict=True))


def _alias(tensor: Tensor, graph_goes_on: bool) -> Tensor:
    """The same values, so that a gradient stops here and not further back."""
    if tensor.requires_grad and graph_goes_on:
        return tensor.view_as(tensor)
    return tensor.detach().requires_grad_()
