"""Eager calls go straight to a backend: a library op costs more than a short sequence does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from grukit.ops.contract import DIFFERENTIABLE, NAMES, SAVE_NOTHING, Arguments
from grukit.ops.dispatch import Backend, run_backward, run_forward
from grukit.ops.library import filled, gradients, wanted
from grukit.ops.transforms import autocast_off, needs_definition, needs_op

if TYPE_CHECKING:
    from grukit.ops.recurrence import Recurrence

COUNT = len(NAMES)


class Plan(NamedTuple):
    """How some calls are run that do not depend on each other.

    For each its backend, and its way: variant and reverse.
    """

    recurrence: Recurrence
    backends: Sequence[Backend]
    ways: Sequence[tuple[str, bool]]
    save: int
    wish: str | None


def run(plan: Plan, calls: Sequence[Arguments]) -> list[tuple[Tensor, ...]]:
    """Output and final states of each call."""
    return [results[:-1] for results in _results(plan, calls)]


def track(plan: Plan, calls: Sequence[Arguments]) -> list[tuple[Tensor, ...]]:
    """The same, followed by autograd."""
    results = _Tracked.apply(plan, *(tensor for call in calls for tensor in call))
    return _groups(results, len(calls))


def _results(plan: Plan, calls: Sequence[Arguments]) -> list[tuple[Tensor, ...]]:
    arguments = [(call, *way, plan.save) for call, way in zip(calls, plan.ways, strict=True)]
    return run_forward(plan.backends, arguments)


class _Tracked(torch.autograd.Function):
    """Calls with their derivative: a backend's, and that of the library op for higher orders."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        calls = [Arguments(*group) for group in _groups(tensors, len(plan.ways))]
        results = _results(plan, calls)
        ctx.plan = plan
        ctx.save_for_backward(*tensors, *(t for found in results for t in (found[0], found[-1])))
        ctx.set_materialize_grads(False)
        return tuple(t for found in results for t in found[:-1])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        plan, saved = ctx.plan, ctx.saved_tensors
        count = len(plan.ways)
        calls = [Arguments(*group) for group in _groups(saved[: count * COUNT], count)]
        results = _groups(saved[count * COUNT :], count)
        seeds = [
            filled(group, call, output)
            for group, call, (output, _) in zip(
                _groups(cotangents, count), calls, results, strict=True
            )
        ]
        wants = [group[:DIFFERENTIABLE] for group in _groups(ctx.needs_input_grad[1:], count)]
        every = zip(calls, seeds, results, plan.ways, wants, strict=True)
        flat = [d for group in seeds for d in group]
        if _has_followers(plan, flat):
            owner, wish = plan.recurrence, plan.wish
            found = [
                gradients(owner, call, group, output, reserve, (*way, plan.save), flags, wish)
                for call, group, (output, reserve), way, flags in every
            ]
        else:
            arguments = [
                (call, group[0], tuple(group[1:]), *kept, *way, plan.save, wanted(flags))
                for call, group, kept, way, flags in every
            ]
            with autocast_off(flat[0].device):
                found = run_backward(plan.backends, arguments)
        return (None, *(group.get(name) for group in found for name in NAMES))


def _has_followers(plan: Plan, cotangents: Sequence[Tensor]) -> bool:
    """Whether someone follows the backward pass who would not see into a backend."""
    return (
        plan.save == SAVE_NOTHING
        or torch.is_grad_enabled()
        or needs_definition()
        or needs_op(cotangents[0], cotangents)
    )


def _groups(values: Sequence[Any], count: int) -> list[Any]:
    """So many groups of the same size."""
    size = len(values) // count
    return [values[first : first + size] for first in range(0, len(values), size)]
