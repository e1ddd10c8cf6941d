"""A cell of which nothing is written but its step is an op with every derivative and transform.

The cell is the minimal gated unit of Zhou et al. 2016 (arXiv:1603.09420): one gate f, and
h_t = (1 - f) * h_{t-1} + f * tanh(W x + U (f * h_{t-1}) + b).
"""

from __future__ import annotations

import pytest
import torch
from op_calls import everything, leaves, one_by_one, with_leaves
from torch.autograd import gradcheck, gradgradcheck

from grukit.ops import RECURRENCES
from grukit.ops.cell import Cell
from grukit.ops.recurrence import Recurrence
from grukit.testing.backends import Case

SMALL = {"time": 3, "batch": 2, "input_size": 2, "hidden_size": 3, "dtype": torch.float64}
NAME = "test_minimal_gated_unit"


def step(of_x, states, a, recurrent, tensors, variant):
    (h,) = states
    x_f, x_n = of_x.chunk(2, dim=-1)
    f = torch.sigmoid(x_f + recurrent[0](a))
    n = torch.tanh(x_n + recurrent[1](f * a))
    return (torch.lerp(h, n, f),), (f, n)


mgu = Recurrence(
    Cell(
        name=NAME,
        variants={"": ((1,), (1,))},
        step=step,
        kept=("forget", "memory"),
        without={"": ("w_hr", "drop_n")},
    )
)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(RECURRENCES, NAME, mgu)


def test_it_is_the_equation():
    tensors = Case(NAME, "", hidden_size=1, dtype=torch.float64).tensors()
    output, final = mgu(*tensors)
    w_f, w_n = tensors.w_ih
    u_f, u_n = tensors.w_hh.flatten()
    b_f, b_n = tensors.b_ih + tensors.b_hh
    h = tensors.h0
    for x, got in zip(tensors.x, output, strict=True):
        f = 1 / (1 + torch.exp(-((x @ w_f)[:, None] + u_f * h + b_f)))
        h = (1 - f) * h + f * torch.tanh((x @ w_n)[:, None] + u_n * f * h + b_n)
        torch.testing.assert_close(got, h)
    torch.testing.assert_close(final, h)


def differentiable(case):
    """The op as a function of the values that have gradients, and these values."""
    tensors = with_leaves(case)
    inputs = leaves(tensors)

    def call(*values):
        return mgu(*tensors._replace(**dict(zip(inputs, values, strict=True))))

    return call, tuple(inputs.values())


@pytest.mark.parametrize("option", ["nothing", "models", "layer norm", "everything"])
def test_it_has_first_and_second_derivatives(option):
    case = one_by_one(NAME, "", **SMALL)[option]
    call, values = differentiable(case)
    assert gradcheck(call, values, fast_mode=True, check_batched_grad=True)
    assert gradgradcheck(call, values, fast_mode=True)


def test_opcheck():
    tensors = with_leaves(everything(NAME, **SMALL))
    op = getattr(torch.ops.grukit, NAME).default
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(op, (*tensors, "", False, False, None), test_utils=tests)


def test_nothing_is_kept_that_no_backward_reads():
    tensors = with_leaves(everything(NAME, **SMALL))
    *_, reserve = mgu(*tensors)[0].grad_fn.saved_tensors
    assert reserve.numel() == 0
    assert not hasattr(torch.ops.grukit, f"{NAME}_backward")


def test_it_maps_over_inputs_and_over_weights():
    case = everything(NAME, **SMALL, models=3)
    tensors = case.tensors()._replace(lengths=None, resets=None)
    there = {name: t for name, t in tensors._asdict().items() if t is not None}
    mapped = torch.vmap(lambda named: mgu(**named))(there)
    for got, wanted in zip(mapped, mgu(*tensors), strict=True):
        torch.testing.assert_close(got, wanted)


def test_it_compiles_as_one_op():
    ops = []

    def see(graph, inputs):
        ops.extend(node.target for node in graph.graph.nodes if node.op == "call_function")
        return graph

    tensors = everything(NAME, **SMALL).tensors()
    compiled = torch.compile(lambda *tensors: mgu(*tensors), fullgraph=True, backend=see)
    for got, wanted in zip(compiled(*tensors), mgu(*tensors), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=0)
    assert getattr(torch.ops.grukit, NAME).default in ops


def test_training_compiles():
    def gradients(function):
        tensors = with_leaves(everything(NAME, **SMALL))
        loss = sum(result.square().sum() for result in function(*tensors))
        return torch.autograd.grad(loss, list(leaves(tensors).values()))

    compiled = torch.compile(lambda *tensors: mgu(*tensors), fullgraph=True, backend="aot_eager")
    for got, wanted in zip(gradients(compiled), gradients(mgu), strict=True):
        torch.testing.assert_close(got, wanted)
