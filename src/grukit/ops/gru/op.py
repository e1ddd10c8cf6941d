"""The GRU as one library op for a whole sequence, with its backward as a second op.

Two ops, since autograd does not work inside an op's body. The backward op takes its own
derivative from the definition, which gives every higher order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grukit.ops.dispatch import Backend, choose
from grukit.ops.gru import reference
from grukit.ops.gru.contract import RESERVED, GruCall, check_call, compute_dtype
from grukit.ops.transforms import autocast_arguments, autocast_off, needs_definition

BACKENDS = (
    Backend(
        name="reference",
        why_not=lambda call: (),
        forward=reference.forward,
        backward=reference.backward,
    ),
)


def gru(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    *,
    reset_after: bool = True,
    reverse: bool = False,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """A GRU over a sequence: (output [T, B, H], final [B, H]).

    Shapes and meanings are those of contract.py. Under autocast the floating arguments are
    cast to its dtype. Raises ParameterError for wrong shapes or dtypes and BackendError if
    the backend asked for cannot run the call.
    """
    x, h0, w_ih, w_hh, b_ih, b_hh = autocast_arguments(x, h0, w_ih, w_hh, b_ih, b_hh)
    check_call(x, h0, w_ih, w_hh, b_ih, b_hh, lengths, resets)
    floats = (x, h0, w_ih, w_hh, b_ih, b_hh)
    with autocast_off(x.device):
        if needs_definition(*floats):
            return reference.gru_reference(*floats, lengths, resets, reset_after, reverse)
        save = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in floats)
        output, final, _ = _gru(*floats, lengths, resets, reset_after, reverse, save, backend)
    return output, final


@torch.library.custom_op("grukit::gru", mutates_args=())
def _gru(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    reset_after: bool,
    reverse: bool,
    save: bool,
    backend: str | None,
) -> tuple[Tensor, Tensor, Tensor]:
    call = GruCall.of(
        x,
        h0,
        lengths=lengths,
        resets=resets,
        reset_after=reset_after,
        reverse=reverse,
        save=save,
    )
    return choose(call, BACKENDS, backend).forward(
        x, h0, w_ih, w_hh, b_ih, b_hh, lengths, resets, reset_after, reverse, save
    )


@_gru.register_fake
def _(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    reset_after: bool,
    reverse: bool,
    save: bool,
    backend: str | None,
) -> tuple[Tensor, Tensor, Tensor]:
    states = (x.shape[0], *h0.shape)
    reserve = x.new_empty((RESERVED, *states) if save else 0, dtype=compute_dtype(x.dtype))
    return x.new_empty(states), x.new_empty(h0.shape), reserve


@torch.library.custom_op("grukit::gru_backward", mutates_args=())
def _gru_backward(
    d_output: Tensor,
    d_final: Tensor,
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    output: Tensor,
    reserve: Tensor,
    reset_after: bool,
    reverse: bool,
    wants_dx: bool,
    backend: str | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    call = GruCall.of(
        x,
        h0,
        lengths=lengths,
        resets=resets,
        reset_after=reset_after,
        reverse=reverse,
        save=True,
    )
    return choose(call, BACKENDS, backend).backward(
        d_output,
        d_final,
        x,
        h0,
        w_ih,
        w_hh,
        lengths,
        resets,
        output,
        reserve,
        reset_after,
        reverse,
        wants_dx,
    )


@_gru_backward.register_fake
def _(
    d_output: Tensor,
    d_final: Tensor,
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    output: Tensor,
    reserve: Tensor,
    reset_after: bool,
    reverse: bool,
    wants_dx: bool,
    backend: str | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    bias = w_hh.shape[:1]
    return (
        x.new_empty(x.shape if wants_dx else 0),
        x.new_empty(h0.shape),
        x.new_empty(w_ih.shape),
        x.new_empty(w_hh.shape),
        x.new_empty(bias),
        x.new_empty(bias),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, ctx.reset_after, ctx.reverse, _, ctx.backend = inputs
    hidden_states, _, reserve = output
    ctx.save_for_backward(*tensors, hidden_states, reserve)
    ctx.mark_non_differentiable(reserve)


def _backward(ctx: Any, d_output: Tensor, d_final: Tensor, _: Tensor) -> tuple[Any, ...]:
    *tensors, hidden_states, reserve = ctx.saved_tensors
    if needs_definition(d_output, d_final):
        return (*_definition_backward(ctx, tensors, [d_output, d_final]), *([None] * 6))
    with autocast_off(d_output.device):
        dx, dh0, dw_ih, dw_hh, db_ih, db_hh = _gru_backward(
            d_output,
            d_final,
            *tensors,
            hidden_states,
            reserve,
            ctx.reset_after,
            ctx.reverse,
            ctx.needs_input_grad[0],
            ctx.backend,
        )
    has_bias = tensors[4] is not None
    return (
        dx if ctx.needs_input_grad[0] else None,
        dh0,
        dw_ih,
        dw_hh,
        db_ih if has_bias else None,
        db_hh if has_bias else None,
        *([None] * 6),
    )


_gru.register_autograd(_backward, setup_context=_keep)


def _definition_backward(
    ctx: Any, tensors: list[Tensor | None], cotangents: list[Tensor]
) -> list[Tensor | None]:
    """The gradients of x, h0, weights and biases through the definition."""
    *floats, lengths, resets = tensors
    graph_goes_on = torch.is_grad_enabled()
    with torch.enable_grad(), autocast_off(cotangents[0].device):
        inputs: list[Any] = [_alias(t, graph_goes_on) for t in floats]
        outputs = reference.gru_reference(
            *inputs,
            lengths=lengths,
            resets=resets,
            reset_after=ctx.reset_after,
            reverse=ctx.reverse,
        )
        found = torch.autograd.grad(
            outputs,
            [t for t in inputs if t is not None],
            cotangents,
            create_graph=graph_goes_on,
            allow_unused=True,
            materialize_grads=True,
        )
    return [*found, *([None] * (len(floats) - len(found)))]


def _alias(tensor: Tensor | None, graph_goes_on: bool) -> Tensor | None:
    """The same values, so that a gradient stops here and not further back."""
    if tensor is None:
        return None
    if tensor.requires_grad and graph_goes_on:
        return tensor.view_as(tensor)
    return tensor.detach().requires_grad_()


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, _, _, ctx.reset_after, ctx.reverse, ctx.wants_dx, _ = inputs
    ctx.save_for_backward(*tensors)


def _double_backward(ctx: Any, *cotangents: Tensor) -> tuple[Any, ...]:
    """The vector-Jacobian product of the backward op, through the definition."""
    d_output, d_final, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, resets = ctx.saved_tensors
    graph_goes_on = torch.is_grad_enabled()
    with torch.enable_grad(), autocast_off(x.device):
        inputs: list[Any] = [_alias(t, graph_goes_on) for t in (x, h0, w_ih, w_hh, b_ih, b_hh)]
        seeds = [_alias(t, graph_goes_on) for t in (d_output, d_final)]
        outputs = reference.gru_reference(
            *inputs,
            lengths=lengths,
            resets=resets,
            reset_after=ctx.reset_after,
            reverse=ctx.reverse,
        )
        sources = [t for t in inputs if t is not None]
        first = torch.autograd.grad(
            outputs, sources, seeds, create_graph=True, allow_unused=True, materialize_grads=True
        )
        pairs = [
            (gradient, cotangent)
            for source, gradient, cotangent in zip(
                sources, first, cotangents[: len(sources)], strict=True
            )
            if gradient.requires_grad and (source is not inputs[0] or ctx.wants_dx)
        ]
        targets = [*seeds, *sources]
        if not pairs:
            second = [torch.zeros_like(t) for t in targets]
        else:
            second = torch.autograd.grad(
                [gradient for gradient, _ in pairs],
                targets,
                [cotangent for _, cotangent in pairs],
                create_graph=graph_goes_on,
                allow_unused=True,
                materialize_grads=True,
            )
    has_bias = b_ih is not None
    d_biases = [None, None] if not has_bias else list(second[6:8])
    return (*second[:6], *d_biases, *([None] * 8))


_gru_backward.register_autograd(_double_backward, setup_context=_keep_backward)
