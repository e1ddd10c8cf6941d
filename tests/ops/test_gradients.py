"""Derivatives of every order, against finite differences."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from grukit.ops import gru, gru_reference
from grukit.testing.backends import GruCase

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
