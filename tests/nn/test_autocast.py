from __future__ import annotations

import pytest
import torch

from grukit.nn import GRU, GRUCell
from grukit.testing import assert_close


def losses_backward(layer, x, inside):
    """Gradients of the parameters, with the backward pass inside autocast or outside."""
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        output, h_n = layer(x)
        loss = output.float().square().sum() + h_n.float().sum()
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    return [parameter.grad.clone() for parameter in layer.parameters()]


@pytest.mark.parametrize("training", [False, True])
def test_autocast_computes_in_bfloat16_near_float32(training):
    layer, x = GRU(8, 16, 2, bidirectional=True).train(training), torch.randn(20, 4, 8)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(training):
        rounded = layer(x)
        carried = layer(x, rounded[1])
    for name, a, b in zip(("output", "h_n"), rounded, exact, strict=True):
        assert a.dtype == torch.bfloat16
        assert_close(a, b, f"{name} under autocast", within=0.02)
    assert carried[0].dtype == torch.bfloat16


def test_autocast_keeps_the_parameters_gradients_in_float32():
    layer, x = GRU(8, 16, 2), torch.randn(20, 4, 8)
    rounded = losses_backward(layer, x, inside=False)
    layer.zero_grad()
    output, h_n = layer(x)
    (output.square().sum() + h_n.sum()).backward()
    for parameter, gradient in zip(layer.parameters(), rounded, strict=True):
        assert gradient.dtype == torch.float32
        scale = parameter.grad.abs().max().item()
        assert_close(gradient, parameter.grad, "gradient", within=0.02 * scale)


def test_a_backward_pass_inside_autocast_is_as_exact_as_outside():
    layer, x = GRU(8, 16, 2), torch.randn(20, 4, 8)
    pairs = zip(losses_backward(layer, x, True), losses_backward(layer, x, False), strict=True)
    for inside, outside in pairs:
        assert torch.equal(inside, outside)


def test_a_second_backward_pass_inside_autocast_is_as_exact_as_outside():
    layer, x = GRU(3, 4), torch.randn(5, 2, 3, requires_grad=True)
    (dx,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
    wanted = torch.autograd.grad(dx.sum(), list(layer.parameters()), retain_graph=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(dx, list(layer.parameters()), torch.ones_like(dx))
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a, b)


def test_float64_stays_float64_under_autocast():
    layer, x = GRU(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x)[0], layer(x)[0].double())


def test_a_trace_under_autocast_is_of_the_forward_pass():
    layer, x = GRU(8, 16, 2), torch.randn(20, 4, 8)
    with torch.autocast("cpu", torch.bfloat16):
        output, trace = layer(x)[0], layer.trace(x, layer=1)
    assert {part.dtype for part in trace} == {torch.bfloat16}
    assert torch.equal(trace.hidden, output)


def test_a_cell_under_autocast():
    cell, x = GRUCell(3, 4), torch.randn(2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        h = cell(x, cell(x))
    assert h.dtype == torch.bfloat16
    assert_close(h, cell(x, cell(x)), "state under autocast", within=0.02)
    h.float().sum().backward()
    assert cell.weight_hh.grad.dtype == torch.float32
