"""Derivatives of every order, against finite differences."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from grukit.ops import gru, gru_reference
from grukit.testing.backends import GruCase
from grukit.testing.gradients import random_like

T, B = 4, 3
OPTIONS = list(itertools.product([True, False], repeat=4))


def arguments(lengths, resets, bias=True, time=T):
    case = GruCase(
        time, B, 2, 3, lengths=lengths, resets=resets, bias=bias, dtype=torch.float64
    ).tensors()
    floats = [None if t is None else t.requires_grad_() for t in case[:6]]
    return floats, case[6:]


@pytest.mark.parametrize(("reset_after", "reverse", "lengths", "resets"), OPTIONS)
def test_first_and_second_derivatives(reset_after, reverse, lengths, resets):
    floats, others = arguments(lengths, resets)

    def call(*floats):
        return gru(*floats, *others, reset_after=reset_after, reverse=reverse)

    assert gradcheck(call, floats)
    assert gradgradcheck(call, floats, fast_mode=True)


@pytest.mark.parametrize("wanted", range(4))
def test_derivatives_of_one_argument_alone_and_without_biases(wanted):
    floats, others = arguments(True, True, bias=False)

    def call(tensor):
        inputs = [None if t is None else t.detach() for t in floats]
        inputs[wanted] = tensor
        return gru(*inputs, *others)

    assert gradcheck(call, floats[wanted])
    assert gradgradcheck(call, floats[wanted])


def test_a_third_derivative():
    floats, others = arguments(True, False, time=3)

    def of(function):
        x = floats[0]
        value = function(*floats, *others)[0].sin().sum()
        for _ in range(3):
            value = torch.autograd.grad(value, x, create_graph=True)[0].pow(2).sum()
        return torch.autograd.grad(value, floats)

    for ours, wanted in zip(of(gru), of(gru_reference), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-12)
        assert wanted.abs().max() > 0


def test_a_gradient_penalty_reaches_what_made_the_input():
    """The second derivative goes on through x, and stops nowhere before."""
    source = torch.randn(T, B, 2, dtype=torch.float64, requires_grad=True)
    floats, _ = arguments(False, False)

    def of(function):
        x = source.sin()
        output, _ = function(x, *floats[1:])
        (dx,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
        return torch.autograd.grad(dx.square().sum(), [source, *floats[1:]])

    for ours, wanted in zip(of(gru), of(gru_reference), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("time", "batch"), [(0, 3), (4, 0), (0, 0)])
def test_a_second_derivative_of_nothing(time, batch):
    case = GruCase(time, batch, 2, 3, dtype=torch.float64)
    floats = [t.requires_grad_() for t in case.tensors()[:6]]
    output, final = gru(*floats)
    loss = output.square().sum() + final.pow(3).sum()
    (dh0,) = torch.autograd.grad(loss, floats[1], create_graph=True)
    second = torch.autograd.grad(dh0.sum(), floats, allow_unused=True, materialize_grads=True)
    h0 = floats[1].detach()
    torch.testing.assert_close(dh0.detach(), 3 * h0.square())
    torch.testing.assert_close(second[1], 6 * h0)
    assert not any(t.count_nonzero() for t in (second[0], *second[2:]))


@pytest.mark.filterwarnings("ignore:`torch.jit.script.*` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("bias", [True, False])
def test_a_backward_pass_carries_tangents_of_its_cotangents(bias):
    """A gradient is linear in its cotangent, so its tangent is the gradient of the tangent."""
    floats, others = arguments(True, True, bias=bias)
    inputs = [t for t in floats if t is not None]
    results = gru(*floats, *others)
    cotangents, tangents = random_like(results), random_like(results, seed=2)
    wanted = torch.autograd.grad(results, inputs, tangents, retain_graph=True)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*pair) for pair in zip(cotangents, tangents, strict=True)]
        found = torch.autograd.grad(results, inputs, duals)
        moved = [forward_ad.unpack_dual(gradient).tangent for gradient in found]
    for tangent, gradient in zip(moved, wanted, strict=True):
        torch.testing.assert_close(tangent, gradient)


@pytest.mark.parametrize("create_graph", [True, False])
def test_batched_cotangents(create_graph):
    floats, others = arguments(True, True)
    output, _ = gru(*floats, *others)
    rows = torch.eye(output.numel(), dtype=output.dtype).reshape(-1, *output.shape)
    options = {"retain_graph": True, "create_graph": create_graph}
    batched = torch.autograd.grad(output, floats, rows, is_grads_batched=True, **options)
    for index in (0, 7, len(rows) - 1):
        wanted = torch.autograd.grad(output, floats, rows[index], **options)
        for gradients, gradient in zip(batched, wanted, strict=True):
            torch.testing.assert_close(gradients[index], gradient)


@pytest.mark.parametrize("which", [0, 1])
def test_the_gradient_of_one_result_alone(which):
    floats, others = arguments(True, False)
    ours = torch.autograd.grad(gru(*floats, *others)[which].sum(), floats)
    wanted = torch.autograd.grad(gru_reference(*floats, *others)[which].sum(), floats)
    for a, b in zip(ours, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_nothing_is_kept_for_backward_unless_needed(monkeypatch):
    kept = []
    raw = torch.ops.grukit.gru.default

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            results = func(*args, **(kwargs or {}))
            if func is raw:
                kept.append(results[2].numel())
            return results

    floats, _ = arguments(False, False)
    with Spy():
        with torch.no_grad():
            gru(*floats)
        with torch.inference_mode():
            gru(*floats)
        gru(*(t.detach() for t in floats))
        gru(*floats)
        gru(*(t.detach() for t in floats[:5]), floats[5])
    full = 4 * T * B * 3
    assert kept == [0, 0, 0, full, full]


def test_inference_holds_no_memory_from_one_call_to_the_next():
    """The result alone is alive: nothing hangs on it that a backward pass would need."""
    floats, _ = arguments(False, False)
    with torch.no_grad():
        output, final = gru(*floats)
    assert output.grad_fn is None
    assert final.grad_fn is None
    output, final = gru(*floats)
    saved = output.grad_fn.saved_tensors
    assert sum(t.numel() for t in saved if t is not None) > 4 * T * B * 3
