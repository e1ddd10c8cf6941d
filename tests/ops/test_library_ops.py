"""torch.library.opcheck: schemas, fake kernels, autograd registration, dynamic shapes."""

from __future__ import annotations

import itertools

import pytest
import torch

from grukit.ops.gru.contract import RESERVED
from grukit.testing.backends import GruCase

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
)
OPTIONS = [
    dict(zip(("reset_after", "reverse", "lengths", "resets", "bias"), values, strict=True))
    for values in itertools.product([True, False], repeat=5)
]
SPARSE = OPTIONS[::5]
EXTREMES = [OPTIONS[0], OPTIONS[-1]]
QUICK = ("test_schema", "test_autograd_registration", "test_faketensor")
ALL = (*QUICK, "test_aot_dispatch_dynamic")
BY_OPTIONS = [*((options, QUICK) for options in SPARSE), *((options, ALL) for options in EXTREMES)]
each_options = pytest.mark.parametrize(
    ("options", "tests"), BY_OPTIONS, ids=[f"{list(o.values())}-{len(t)}" for o, t in BY_OPTIONS]
)


def arguments(options, requires_grad=True, dtype=torch.float32, **sizes):
    case = GruCase(**{"time": 2, "batch": 2, **sizes}, **options, dtype=dtype)
    tensors = list(case.tensors())
    for tensor in tensors[:6]:
        if tensor is not None:
            tensor.requires_grad_(requires_grad)
    return case, tensors


@each_options
def test_the_forward_op(options, tests):
    _, tensors = arguments(options)
    flags = options["reset_after"], options["reverse"]
    torch.library.opcheck(
        torch.ops.grukit.gru.default, (*tensors, *flags, True, None), test_utils=tests
    )


@each_options
def test_the_backward_op(options, tests):
    _, tensors = arguments(options)
    flags = options["reset_after"], options["reverse"]
    output, final, reserve = torch.ops.grukit.gru(*tensors, *flags, True, None)
    torch.library.opcheck(
        torch.ops.grukit.gru_backward.default,
        (
            torch.randn_like(output).requires_grad_(),
            torch.randn_like(final).requires_grad_(),
            *tensors,
            output.detach(),
            reserve.detach(),
            *flags,
            True,
            None,
        ),
        test_utils=tests,
    )


@pytest.mark.parametrize("sizes", [{"time": 0}, {"batch": 0}, {}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("save", [True, False])
@pytest.mark.parametrize("wants_dx", [True, False])
def test_fake_kernels_promise_what_the_ops_give(sizes, dtype, save, wants_dx):
    for options in OPTIONS:
        _, tensors = arguments(options, requires_grad=False, dtype=dtype, **sizes)
        flags = options["reset_after"], options["reverse"]
        forward = (*tensors, *flags, save, None)
        real = torch.ops.grukit.gru(*forward)
        on_meta = torch.ops.grukit.gru(*to_meta(forward))
        assert [facts(t) for t in on_meta] == [facts(t) for t in real]
        if save:
            assert len(real[2]) == RESERVED
            output, final, reserve = real
            backward = (output, final, *tensors, output, reserve, *flags, wants_dx, None)
            real = torch.ops.grukit.gru_backward(*backward)
            on_meta = torch.ops.grukit.gru_backward(*to_meta(backward))
            assert [facts(t) for t in on_meta] == [facts(t) for t in real]


def to_meta(arguments):
    return [t.to("meta") if isinstance(t, torch.Tensor) else t for t in arguments]


def facts(tensor):
    return tensor.shape, tensor.dtype, tensor.stride() if tensor.numel() else None
