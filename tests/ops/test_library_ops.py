"""torch.library.opcheck: schemas, fake kernels, autograd registration, dynamic shapes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from op_calls import each_op, each_variant, everything, one_by_one, with_leaves

from grukit.ops.contract import DIFFERENTIABLE, SAVE_ALL, SAVE_NOTHING, SAVE_STATES, slots
from grukit.testing.backends import Case

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
)
QUICK = ("test_schema", "test_autograd_registration", "test_faketensor")
SMALL = {"time": 2, "batch": 2, "hidden_size": 3, "reverse": True}


def forward_arguments(case, save=SAVE_ALL):
    return (*with_leaves(case), case.variant, case.reverse, save, None)


def backward_arguments(case, save=SAVE_ALL, wants_x=True):
    """Cotangents, and what a forward pass has left."""
    tensors = with_leaves(case)
    with torch.no_grad():
        output, *final, reserve = forward_op(case)(*forward_arguments(case, save))
    d_output, d_h, *d_c = (torch.randn_like(t).requires_grad_() for t in (output, *final))
    d_c = d_c[0] if d_c else None
    wants = [t is not None for t in tensors[:DIFFERENTIABLE]]
    flags = case.variant, case.reverse, save, [wants_x, *wants[1:]], None
    return d_output, d_h, d_c, *tensors, output, reserve, *flags


def forward_op(case):
    return getattr(torch.ops.grukit, case.op).default


def backward_op(case):
    return getattr(torch.ops.grukit, f"{case.op}_backward").default


@each_variant
@pytest.mark.parametrize("options", ["none", "all", "all but models"])
def test_opcheck(op, variant, options):
    fields = {"models": None, **SMALL} if options == "all but models" else SMALL
    case = Case(op, variant, **SMALL) if options == "none" else everything(op, variant, **fields)
    torch.library.opcheck(forward_op(case), forward_arguments(case), test_utils=QUICK)
    torch.library.opcheck(backward_op(case), backward_arguments(case), test_utils=QUICK)


@each_op
def test_opcheck_with_sizes_that_may_change(op):
    case = everything(op, **SMALL)
    tests = ("test_aot_dispatch_dynamic",)
    torch.library.opcheck(forward_op(case), forward_arguments(case), test_utils=tests)


def test_opcheck_of_a_backward_op_with_sizes_that_may_change():
    case = everything("rnn", **SMALL)
    tests = ("test_aot_dispatch_dynamic",)
    torch.library.opcheck(backward_op(case), backward_arguments(case), test_utils=tests)


@pytest.mark.parametrize("sizes", [{"time": 0}, {"batch": 0}, {"time": 2}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@each_variant
def test_fake_kernels_promise_what_the_ops_give(op, variant, dtype, sizes):
    plain = Case(op, variant, dtype=dtype, bias=False, **sizes)
    cases = [plain, *one_by_one(op, variant, dtype=dtype, **sizes).values()]
    for case, save in itertools.product(cases, [SAVE_NOTHING, SAVE_ALL, SAVE_STATES]):
        forward = forward_arguments(case, save)
        real = forward_op(case)(*forward)
        assert facts(forward_op(case)(*to_meta(forward))) == facts(real)
        assert len(real[-1]) == len(slots(case.cell, case.tensors(), save))
        if save == SAVE_NOTHING:
            continue
        backward = backward_arguments(case, save, wants_x=save == SAVE_ALL)
        real = backward_op(case)(*backward)
        assert facts(backward_op(case)(*to_meta(backward))) == facts(real)


def to_meta(arguments):
    return [t.to("meta") if isinstance(t, torch.Tensor) else t for t in arguments]


def facts(tensors):
    return [(t.shape, t.dtype, t.stride() if t.numel() else None) for t in tensors]


@pytest.mark.parametrize("time", [0, 2])
@each_op
def test_results_are_laid_out_plainly_and_change_in_place(op, time):
    case = everything(op, time=time, dtype=torch.float64)
    for options in ({}, {"lengths": False, "resets": False, "models": None}):
        forward = forward_arguments(replace(case, **options))
        results = forward_op(case)(*map(turn, forward))
        assert all(result.is_contiguous() for result in results)
        for result in results[:-1]:
            result.add_(1).detach_()
        for gradient in backward_op(case)(*map(turn, backward_arguments(case))):
            assert gradient.is_contiguous()


def turn(argument):
    """The same values, the last axis being the one with the longest stride."""
    if not isinstance(argument, torch.Tensor) or argument.dim() < 2:
        return argument
    return argument.transpose(0, -1).contiguous().transpose(0, -1)
