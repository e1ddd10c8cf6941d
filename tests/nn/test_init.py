"""Initializers: what they promise of every matrix and bias, and what they leave alone."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from grukit.nn.bidirectional import Bidirectional
from grukit.nn.init import chrono_, forget_bias_, orthogonal_, uniform_
from grukit.nn.stack import Stack

INPUTS, HIDDEN, LONGEST = 7, 64, 200.0
GATES = {GRU: 3, LSTM: 4, RNN: 1, GRUCell: 3, LSTMCell: 4, RNNCell: 1}
CARRY = 1
"""The gate that carries the past: z of r, z, n, and f of i, f, g, o."""
DOUBLE = {"dtype": torch.float64}

each_kind = pytest.mark.parametrize("kind", GATES, ids=lambda kind: kind.__name__)
each_layer = pytest.mark.parametrize("kind", [GRU, LSTM, RNN], ids=lambda kind: kind.__name__)
each_gated = pytest.mark.parametrize(
    "kind", [GRU, LSTM, GRUCell, LSTMCell], ids=lambda kind: kind.__name__
)


def named(layer, name):
    """The parameters of that name, of every layer and direction, each [rows, ...] or more."""
    return [weight.detach() for key, weight in layer.named_parameters() if key.startswith(name)]


def gates_of(layer, name):
    """What each gate has of them, [H, ...] each."""
    count, axis = GATES[type(layer)], -1 if name.startswith("bias") else -2
    return [gate for weight in named(layer, name) for gate in weight.chunk(count, axis)]


def assert_orthonormal(matrix, scale=1.0):
    """The shorter of rows and columns are orthonormal, times the scale."""
    tall = matrix if matrix.shape[-2] >= matrix.shape[-1] else matrix.mT
    error = tall.mT @ tall - scale**2 * torch.eye(tall.shape[-1])
    assert error.abs().max() < 1e-12


def assert_uniform(values, low, high):
    """Ends within the bounds and near them, and the statistic of Kolmogorov and Smirnov.

    A fair draw fails at odds of a thousand to one.
    """
    share = (values.flatten().double().sort().values - low) / (high - low)
    count = len(share)
    assert 0 <= share[0] < 10 / count
    assert 1 - 10 / count < share[-1] <= 1
    steps = torch.arange(count + 1) / count
    distance = torch.maximum((share - steps[:-1]).abs(), (share - steps[1:]).abs()).max()
    assert distance < 1.95 / math.sqrt(count)


def test_the_assertions_can_fail():
    square = torch.linalg.qr(torch.randn(9, 9, **DOUBLE)).Q
    assert_orthonormal(square)
    assert_orthonormal(2 * square[:, :4], 2.0)
    assert_orthonormal(square[:4].expand(3, 4, 9))
    for wrong in (2 * square, square + 1e-6, torch.ones(9, 9, **DOUBLE) / 3):
        with pytest.raises(AssertionError):
            assert_orthonormal(wrong)
    values = torch.rand(500)
    assert_uniform(2 - 3 * values, -1, 2)
    for wrong in (0.95 * values, 1.01 * values, values - 0.01, values.square()):
        with pytest.raises(AssertionError):
            assert_uniform(wrong, 0, 1)


def test_uniform_is_what_torch_draws():
    options = {"num_layers": 2, "bidirectional": True}
    for ours, theirs in (
        (GRU(3, 4, **options), lambda: nn.GRU(3, 4, **options)),
        (LSTM(3, 4, **options, proj_size=2), lambda: nn.LSTM(3, 4, **options, proj_size=2)),
        (RNN(3, 4, **options, bias=False), lambda: nn.RNN(3, 4, **options, bias=False)),
        (LSTMCell(3, 4), lambda: nn.LSTMCell(3, 4)),
    ):
        torch.manual_seed(5)
        uniform_(ours)
        torch.manual_seed(5)
        wanted = theirs().state_dict()
        assert all(torch.equal(weight, wanted[name]) for name, weight in ours.named_parameters())


def test_uniform_goes_by_the_hidden_size_of_each_layer():
    layer = uniform_(GRU(INPUTS, [16, 100]))
    for weight in named(layer, "weight"):
        bound = 1 / math.sqrt(weight.shape[0] / 3)
        assert_uniform(weight, -bound, bound)


@each_kind
def test_orthogonal(kind):
    layer = orthogonal_(kind(INPUTS, HIDDEN, **DOUBLE), gain=1.5)
    for gate in gates_of(layer, "weight_hh"):
        assert gate.shape == (HIDDEN, HIDDEN)
        assert_orthonormal(gate, 1.5)
    bound = math.sqrt(6 / (INPUTS + HIDDEN))
    for gate in gates_of(layer, "weight_ih"):
        assert_uniform(gate, -bound, bound)
    assert not torch.cat(named(layer, "bias")).any()


@each_layer
def test_orthogonal_in_every_layer_and_direction_with_a_projection(kind):
    layer = orthogonal_(kind(INPUTS, 9, 2, bidirectional=True, proj_size=4, **DOUBLE), gain=2.0)
    blocks = gates_of(layer, "weight_hh")
    assert len(blocks) == 4 * GATES[kind]
    for gate in blocks:
        assert gate.shape == (9, 4)
        assert_orthonormal(gate, 2.0)
    for projection in named(layer, "weight_hr"):
        assert projection.shape == (4, 9)
        assert_orthonormal(projection)
    for index, gate in enumerate(blocks):
        assert not any(torch.allclose(gate, other) for other in blocks[:index])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_orthogonal_in_half_precision(dtype):
    layer = orthogonal_(GRU(INPUTS, HIDDEN, dtype=dtype))
    for gate in gates_of(layer, "weight_hh"):
        error = gate.double() @ gate.double().T - torch.eye(HIDDEN)
        assert error.abs().max() < 2 * torch.finfo(dtype).eps


@each_gated
def test_chrono_spreads_the_times_to_forget_evenly(kind):
    layer = chrono_(kind(INPUTS, 500), LONGEST)
    (bias_ih,), (bias_hh,) = named(layer, "bias_ih"), named(layer, "bias_hh")
    bias = (bias_ih + bias_hh).unflatten(-1, (GATES[kind], -1))
    assert_uniform(bias[CARRY].exp(), 1.0, LONGEST - 1)
    if kind in (LSTM, LSTMCell):
        assert torch.equal(bias[0], -bias[CARRY])


@each_gated
def test_chrono_leaves_the_rest_alone(kind):
    layer = kind(INPUTS, HIDDEN)
    before = copy.deepcopy(layer)
    chrono_(layer, LONGEST)
    drawn = {CARRY} | ({0} if GATES[kind] == 4 else set())
    for name, weight in layer.named_parameters():
        old = before.get_parameter(name)
        if name.startswith("weight"):
            assert torch.equal(weight, old)
            continue
        pairs = zip(weight.chunk(GATES[kind]), old.chunk(GATES[kind]), strict=True)
        assert [torch.equal(*pair) for pair in pairs] == [
            gate not in drawn for gate in range(GATES[kind])
        ]


@pytest.mark.parametrize("kind", [GRU, LSTM], ids=lambda kind: kind.__name__)
def test_chrono_sets_the_time_scale_of_the_state(kind):
    """With no weights the state decays by 1 - 1/time a step: measured on the layer itself."""
    layer = kind(INPUTS, 500, **DOUBLE)
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    chrono_(layer, LONGEST)
    ones = torch.ones(1, 1, 500, **DOUBLE)
    _, state = layer(torch.zeros(1, 1, INPUTS, **DOUBLE), ones if kind is GRU else (ones, ones))
    kept = state if kind is GRU else state[1]
    assert_uniform(1 / (1 - kept.detach()), 2.0, LONGEST)


@pytest.mark.parametrize("kind", [GRU, LSTM], ids=lambda kind: kind.__name__)
def test_chrono_lets_gradients_reach_far_back(kind):
    def reach(layer):
        x = torch.randn(100, 1, INPUTS).requires_grad_()
        (gradient,) = torch.autograd.grad(layer(x)[0][-1].sum(), x)
        return gradient[0].norm() / gradient[-1].norm()

    layer = kind(INPUTS, HIDDEN)
    assert reach(layer) < 1e-6
    assert reach(chrono_(layer, LONGEST)) > 1e-2


@pytest.mark.parametrize("kind", [LSTM, LSTMCell], ids=lambda kind: kind.__name__)
def test_forget_bias(kind):
    layer = kind(INPUTS, HIDDEN)
    before = copy.deepcopy(layer)
    forget_bias_(layer, 1.5)
    bias, old = gates_of(layer, "bias_ih"), gates_of(before, "bias_ih")
    assert (bias[CARRY] + gates_of(layer, "bias_hh")[CARRY] == 1.5).all()
    assert all(torch.equal(bias[gate], old[gate]) for gate in (0, 2, 3))


@each_layer
def test_every_model_has_draws_of_its_own(kind):
    layer = orthogonal_(kind(INPUTS, HIDDEN, models=3, **DOUBLE))
    for gate in gates_of(layer, "weight_hh"):
        assert gate.shape == (3, HIDDEN, HIDDEN)
        assert_orthonormal(gate)
    if kind is not RNN:
        chrono_(layer, LONGEST)
        for bias in gates_of(layer, "bias_ih")[CARRY]:
            assert_uniform(bias.exp(), 1.0, LONGEST - 1)
    for weight in named(layer, "weight"):
        assert not torch.equal(weight[0], weight[1])
        assert not torch.equal(weight[1], weight[2])
    bound = 1 / math.sqrt(HIDDEN)
    for weight in named(uniform_(layer), "weight"):
        assert_uniform(weight, -bound, bound)


def test_what_is_no_weight_or_bias_is_left_alone():
    layer = LSTM(INPUTS, HIDDEN, layer_norm=True, learned_state=True)
    others = ("gain_ih", "gain_hh", "gain_c", "bias_c", "h0", "c0")
    for name in others:
        nn.init.constant_(layer.get_parameter(f"{name}_l0"), 7.0)
    for draw in (uniform_, orthogonal_, lambda layer: chrono_(layer, LONGEST), forget_bias_):
        draw(layer)
        for name in others:
            assert (layer.get_parameter(f"{name}_l0") == 7).all()


def test_every_layer_of_a_network_is_reached_and_nothing_else():
    network = nn.Sequential(
        Stack(Bidirectional(GRU(3, 8)), LSTM(16, 8, 2)), nn.Linear(8, 8), GRUCell(8, 8)
    )
    before = copy.deepcopy(network.state_dict())
    assert chrono_(orthogonal_(network), LONGEST) is network
    for name, weight in network.state_dict().items():
        changes = not name.startswith("1.")
        assert torch.equal(weight, before[name]) != changes, name
    for name, weight in network.named_parameters():
        assert weight.requires_grad
        assert weight.is_leaf
        if "bias_ih" in name:
            assert weight.any()


def test_a_seed_says_it_all():
    def drawn(seed):
        torch.manual_seed(seed)
        return list(chrono_(orthogonal_(LSTM(3, 4)), LONGEST).parameters())

    for one, same, other in zip(drawn(1), drawn(1), drawn(2), strict=True):
        assert torch.equal(one, same)
        assert not one.any() or not torch.equal(one, other)


def test_meta():
    layer = chrono_(orthogonal_(uniform_(LSTM(3, 4, proj_size=2, device="meta"))), LONGEST)
    assert layer.weight_hh_l0.is_meta


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda layer: chrono_(Stack(layer, RNN(4, 4)), 9), r"layer must be a GRU or LSTM, .* RNN"),
        (
            lambda layer: chrono_(Stack(layer, GRU(4, 4, bias=False)), 9),
            r"one with bias, got GRU\(4, 4",
        ),
        (lambda layer: forget_bias_(layer), "layer must be an LSTM, which has a forget .* GRU"),
        (lambda layer: forget_bias_(LSTMCell(3, 4, bias=False)), "one with bias, got LSTMCell"),
        (lambda layer: uniform_(nn.Linear(3, 4)), r"layer must be a recurrent .*, got Linear"),
        (lambda layer: orthogonal_(nn.GRU(3, 4)), r"layer must be a recurrent .*, got GRU"),
        (lambda layer: chrono_(layer, 1.5), "longest must be a number of at least 2"),
        (lambda layer: chrono_(layer, math.nan), "longest must be a number of at least 2"),
        (lambda layer: orthogonal_(layer, gain=0.0), "gain must be a number above 0"),
        (lambda layer: forget_bias_(LSTM(3, 4), "high"), "value must be a number, got 'high'"),
        (
            lambda layer: orthogonal_(Stack(layer, weight_norm(GRU(4, 4), "weight_ih_l0"))),
            "weight_ih_l0 must be drawn before it is parametrized",
        ),
    ],
)
def test_a_refusal_changes_nothing(draw, message):
    layer = GRU(3, 4)
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(ParameterError, match=message):
        draw(layer)
    for name, weight in layer.state_dict().items():
        assert torch.equal(weight, before[name])


def test_a_star_import_brings_the_initializers_alone():
    names: dict = {}
    exec("from grukit.nn.init import *", names)
    assert names.keys() - {"__builtins__"} == {"chrono_", "forget_bias_", "orthogonal_", "uniform_"}
