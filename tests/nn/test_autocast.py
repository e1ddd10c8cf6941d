"""Layers and cells under autocast to bfloat16 on the CPU: they compute as modules of bfloat16."""

from __future__ import annotations

import copy

import pytest
import torch

from grukit.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from grukit.testing import assert_close

LAYERS = [GRU, LSTM, RNN]
CELLS = [GRUCell, LSTMCell, RNNCell]
OPTIONS = {
    "plain": {},
    "projection": {"proj_size": 6},
    "layer norm": {"layer_norm": True},
    "zoneout": {"zoneout": 0.3},
    "recurrent dropout": {"recurrent_dropout": 0.3},
    "candidate dropout": {"candidate_dropout": 0.3},
    "input dropout": {"input_dropout": 0.3},
    "learned state": {"learned_state": True},
    "residual": {"residual": True},
    "sizes": {"hidden_size": [16, 12]},
    "models": {"models": 2},
}


def kinds_with_options(kinds, without=()):
    pairs = [(kind, name) for kind in kinds for name in OPTIONS if name not in without]
    senseless = [(RNN, "candidate dropout"), (RNNCell, "candidate dropout")]
    return pytest.mark.parametrize(
        ("kind", "options"), [pair for pair in pairs if pair not in senseless]
    )


def layer_and_input(kind, options="plain"):
    sizes = {"input_size": 8, "hidden_size": 16, "num_layers": 2, "bidirectional": True}
    return kind(**sizes | OPTIONS[options]), torch.randn(20, 4, 8)


def tensors(results):
    if isinstance(results, torch.Tensor):
        return [results]
    return [tensor for part in results for tensor in tensors(part)]


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


@kinds_with_options(LAYERS)
def test_autocast_computes_as_a_layer_of_bfloat16(kind, options):
    layer, x = layer_and_input(kind, options)
    twin = copy.deepcopy(layer.eval()).bfloat16()
    lengths, resets = [20, 3, 0, 11], torch.rand(20, 4) < 0.1
    with autocast():
        found = layer(x, lengths=lengths, resets=resets)
        carried = layer(x, found[1])
    wanted = twin(x.bfloat16(), lengths=lengths, resets=resets)
    again = twin(x.bfloat16(), wanted[1])
    for got, same in zip(tensors((found, carried)), tensors((wanted, again)), strict=True):
        assert got.dtype == torch.bfloat16
        assert torch.equal(got, same)


@pytest.mark.parametrize("kind", LAYERS)
def test_autocast_is_near_float32(kind):
    layer, x = layer_and_input(kind)
    with autocast():
        rounded = layer(x)
    for got, exact in zip(tensors(rounded), tensors(layer(x)), strict=True):
        assert_close(got, exact, "a result under autocast", within=0.02)


@kinds_with_options(LAYERS)
def test_training_under_autocast_keeps_float32_gradients(kind, options):
    layer, x = layer_and_input(kind, options)
    x.requires_grad_()
    with autocast():
        found = tensors(layer(x, resets=torch.rand(20, 4) < 0.1))
    assert {t.dtype for t in found} == {torch.bfloat16}
    sum(t.float().square().sum() for t in found).backward()
    for parameter in (x, *layer.parameters()):
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0


def gradients(layer, x, inside):
    """Of the parameters, with the backward pass inside autocast or outside."""
    layer.zero_grad()
    with autocast():
        loss = sum(t.float().square().sum() for t in tensors(layer(x)))
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    return [parameter.grad.clone() for parameter in layer.parameters()]


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_under_autocast_are_near_float32(kind):
    layer, x = layer_and_input(kind)
    rounded = gradients(layer, x, inside=False)
    layer.zero_grad()
    sum(t.square().sum() for t in tensors(layer(x))).backward()
    for parameter, gradient in zip(layer.parameters(), rounded, strict=True):
        scale = parameter.grad.abs().max().item()
        assert_close(gradient, parameter.grad, "gradient", within=0.02 * scale)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_backward_pass_inside_autocast_is_as_exact_as_outside(kind):
    layer, x = layer_and_input(kind)
    pairs = zip(gradients(layer, x, True), gradients(layer, x, False), strict=True)
    assert all(torch.equal(inside, outside) for inside, outside in pairs)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_second_backward_pass_inside_autocast_is_as_exact_as_outside(kind):
    layer, x = kind(3, 4), torch.randn(5, 2, 3, requires_grad=True)
    (dx,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
    wanted = torch.autograd.grad(dx.sum(), list(layer.parameters()), retain_graph=True)
    with autocast():
        found = torch.autograd.grad(dx, list(layer.parameters()), torch.ones_like(dx))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("kind", LAYERS)
def test_float64_stays_float64_under_autocast(kind):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    with autocast():
        rounded = tensors(layer(x))
    for got, exact in zip(rounded, tensors(layer(x)), strict=True):
        assert got.dtype == torch.float64
        assert torch.equal(got, exact)


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")], ids=str)
@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_autocast_brings_float64_and_float32_together_no_more_than_in_torch(kind, dtypes):
    of_module, of_input = (getattr(torch, name) for name in dtypes)
    x = torch.randn((5, 2, 3) if kind in LAYERS else (2, 3), dtype=of_input)
    for module in (kind, getattr(torch.nn, kind.__name__)):
        with autocast(), pytest.raises((RuntimeError, ValueError)):
            module(3, 4, dtype=of_module)(x)


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_autocast_makes_no_floats_of_integers(kind):
    x = torch.ones((5, 2, 3) if kind in LAYERS else (2, 3))
    with autocast():
        state = kind(3, 4)(x)[1] if kind in LAYERS else kind(3, 4)(x)
        integers = (
            state.long() if isinstance(state, torch.Tensor) else tuple(t.long() for t in state)
        )
        for module in (kind, getattr(torch.nn, kind.__name__)):
            with pytest.raises((RuntimeError, ValueError)):
                module(3, 4)(x.long())
            with pytest.raises((RuntimeError, ValueError)):
                module(3, 4)(x, integers)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_trace_under_autocast_is_of_the_forward_pass(kind):
    layer, x = kind(8, 16, 2), torch.randn(20, 4, 8)
    with autocast():
        output, trace = layer(x)[0], layer.trace(x, layer=1)
    assert {part.dtype for part in trace} == {torch.bfloat16}
    assert_close(trace.hidden, output, "hidden", within=0.01)


@kinds_with_options(LAYERS, without=["models"])
def test_a_step_under_autocast_is_a_sequence_of_one_step(kind, options):
    layer = kind(**{"input_size": 8, "hidden_size": 16, "num_layers": 2} | OPTIONS[options])
    state = None
    with autocast():
        for x in torch.randn(5, 4, 8):
            output, final = layer.eval()(x[None], state)
            now, state = layer.step(x, state)
            pairs = zip(tensors((now, state)), tensors((output[0], final)), strict=True)
            for got, wanted in pairs:
                assert got.dtype == torch.bfloat16
                torch.testing.assert_close(got, wanted, rtol=0.016, atol=0.002)


@kinds_with_options(CELLS, without=["residual", "sizes", "models"])
def test_a_cell_under_autocast(kind, options):
    cell = kind(8, 16, **OPTIONS[options])
    x, masks = torch.randn(4, 8), cell.masks(4)

    def two_steps(x):
        torch.manual_seed(1)
        return tensors(cell(x, cell(x, None, masks), masks))

    with autocast():
        found = two_steps(x)
    for got, exact in zip(found, two_steps(x), strict=True):
        assert got.dtype == torch.bfloat16
        assert_close(got, exact, "state under autocast", within=0.03)
    sum(t.float().sum() for t in found).backward()
    assert {parameter.grad.dtype for parameter in cell.parameters()} == {torch.float32}
