"""Several models in one layer: equal to as many layers, in results, gradients and training."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.parametrizations import weight_norm

from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM, RNN, stack_models, unstack_models

T, B, I, H, K = 7, 3, 4, 5, 3  # noqa: E741
KINDS = [GRU, LSTM, RNN]


class WithMore(GRU):
    def __init__(self, *args):
        super().__init__(*args)
        self.head = torch.nn.Linear(H, 1)


def members(kind, **options):
    return [kind(I, H, 2, bidirectional=True, **options) for _ in range(K)]


def flat(final):
    return final if isinstance(final, tuple) else (final,)


@pytest.mark.parametrize("given", ["one input", "an input each"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_models_equal_a_loop(kind, batch_first, given):
    options = {"layer_norm": True, "learned_state": True, "dtype": torch.float64}
    layers = members(kind, batch_first=batch_first, **options)
    ensemble = stack_models(layers)
    shape = (B, T, I) if batch_first else (T, B, I)
    x = torch.randn(*(() if given == "one input" else (K,)), *shape).double().requires_grad_()
    lengths = torch.tensor([5, 0, 7])
    resets = torch.rand(shape[:2]) < 0.3
    output, final = ensemble(x, lengths=lengths, resets=resets)
    total = output.square().sum() + sum(part.sin().sum() for part in flat(final))
    dx, *found = torch.autograd.grad(total, [x, *ensemble.parameters()])
    expected = torch.zeros_like(dx)
    for k, layer in enumerate(layers):
        own = x if given == "one input" else x[k]
        wanted, ends = layer(own, lengths=lengths, resets=resets)
        torch.testing.assert_close(output[k], wanted, rtol=0, atol=1e-10)
        for part, end in zip(flat(final), flat(ends), strict=True):
            torch.testing.assert_close(part[k], end, rtol=0, atol=1e-10)
        loss = wanted.square().sum() + sum(end.sin().sum() for end in flat(ends))
        d_own, *gradients = torch.autograd.grad(loss, [own, *layer.parameters()])
        for together, gradient in zip(found, gradients, strict=True):
            torch.testing.assert_close(together[k], gradient, rtol=1e-9, atol=1e-10)
        expected = expected + d_own if given == "one input" else expected
        if given != "one input":
            torch.testing.assert_close(dx[k], d_own, rtol=1e-9, atol=1e-10)
    if given == "one input":
        torch.testing.assert_close(dx, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_models_in_float32_equal_a_loop_to_a_millionth(kind):
    layers = members(kind)
    x = torch.randn(T, B, I)
    output, _ = stack_models(layers)(x)
    for k, layer in enumerate(layers):
        torch.testing.assert_close(output[k], layer(x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_training_models_together_is_training_each(kind):
    layers = members(kind, dtype=torch.float64)
    ensemble = stack_models(layers)
    x, target = torch.randn(T, B, I).double(), torch.randn(T, B, 2 * H).double()

    def train(layer):
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            (layer(x)[0] - target).square().sum().backward()
            optimizer.step()

    before = ensemble(x)[0].detach()
    for layer in (*layers, ensemble):
        train(layer)
    assert (ensemble(x)[0] - before).abs().max() > 0.01
    for trained, layer in zip(unstack_models(ensemble), layers, strict=True):
        for (name, a), b in zip(trained.named_parameters(), layer.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_one_stream_is_read_by_all_models(kind):
    layers = [kind(I, H, 2, dtype=torch.float64) for _ in range(K)]
    ensemble = stack_models(layers)
    state, states = None, [None] * K
    for x in torch.randn(T, B, I, dtype=torch.float64):
        output, state = ensemble.step(x, state)
        for k, layer in enumerate(layers):
            own, states[k] = layer.step(x, states[k])
            torch.testing.assert_close(output[k], own, rtol=0, atol=1e-10)


def test_models_draw_masks_of_their_own():
    same = GRU(I, H, recurrent_dropout=0.5)
    output, _ = stack_models([same, same])(torch.randn(T, B, I))
    assert not torch.allclose(output[0], output[1])


def test_a_layer_can_be_made_of_several_models_at_once():
    layer = GRU(I, H, models=K, learned_state=True)
    assert layer.weight_ih_l0.shape == (K, 3 * H, I)
    assert layer.h0_l0.shape == (K, H)
    assert not torch.equal(layer.weight_ih_l0[0], layer.weight_ih_l0[1])
    output, h_n = layer(torch.randn(T, B, I), torch.randn(K, 1, B, H))
    assert output.shape == (K, T, B, H)
    assert h_n.shape == (K, 1, B, H)


def test_stacking_copies():
    layers = members(GRU)
    before = layers[0].weight_hh_l0.detach().clone()
    ensemble = stack_models(layers)
    with torch.no_grad():
        ensemble.weight_hh_l0.zero_()
        unstack_models(ensemble)[1].weight_ih_l0.zero_()
    assert torch.equal(layers[0].weight_hh_l0, before)
    assert layers[0].models is None
    assert ensemble.weight_ih_l0[1].abs().max() > 0


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "layers must be at least one, got 0"),
        ([GRU(I, H), GRU(I, H + 1)], r"layers must be alike, as GRU\(4, 5\), got GRU\(4, 6\)"),
        ([GRU(I, H), LSTM(I, H)], r"layers must be alike, as GRU\(4, 5\), got LSTM\(4, 5\)"),
        ([GRU(I, H), GRU(I, H, zoneout=0.1)], "layers must be alike.*zoneout=0.1"),
        ([GRU(I, H, models=2)] * 2, "layers must be of one model each"),
        (
            [torch.nn.GRU(I, H)] * 2,
            r"layers must be a GRU, LSTM or RNN of grukit.nn, got <class 'torch",
        ),
        ([weight_norm(GRU(I, H), "weight_hh_l0")] * 2, "layers must be .* none of them parametr"),
        ([WithMore(I, H)] * 2, "layers must be with the parameters of a new layer"),
    ],
)
def test_layers_that_do_not_go_together_are_refused(layers, message):
    with pytest.raises(ParameterError, match=message):
        stack_models(layers)


def test_what_is_frozen_stays_frozen():
    layers = [GRU(I, H) for _ in range(2)]
    for layer in layers:
        layer.weight_ih_l0.requires_grad_(False)
    ensemble = stack_models(layers)
    for layer in (ensemble, *unstack_models(ensemble)):
        assert not layer.weight_ih_l0.requires_grad
        assert layer.weight_hh_l0.requires_grad
    with pytest.raises(ParameterError, match="weight_ih_l0 of the layers must be alike in dtype"):
        stack_models([layers[0], GRU(I, H)])
    with pytest.raises(ParameterError, match="float64"):
        stack_models([GRU(I, H), GRU(I, H).double()])


def test_rates_in_a_list_or_a_tuple_are_alike():
    rates = [0.1, 0.2]
    stack_models([GRU(I, [H, H], input_dropout=given) for given in (rates, tuple(rates))])


def test_what_is_parametrized_is_not_unstacked():
    layer = weight_norm(GRU(I, H, models=2), "weight_hh_l0")
    with pytest.raises(ParameterError, match=r"layers must be .* none of them parametrized"):
        unstack_models(layer)


def test_one_model_has_nothing_to_unstack():
    with pytest.raises(ParameterError, match=r"layer must be of several models, got GRU\(4, 5\)"):
        unstack_models(GRU(I, H))
