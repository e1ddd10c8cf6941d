"""The norms are those of autograd, and gates keep a gradient where a plain network loses it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from grukit import nn
from grukit.core.errors import ParameterError
from grukit.data.problems import problem
from grukit.insight import gradient_flow as module
from grukit.insight.gradient_flow import GradientFlowCallback, gradient_flow
from grukit.results.gradient_flow import GradientFlow
from grukit.training.fit import FitConfig, LossSum, fit

KINDS = {"GRU": nn.GRU, "LSTM": nn.LSTM, "RNN": nn.RNN}
STEPS, WIDTH = 100, 32


def by_autograd(layer, x, hx=None) -> np.ndarray:
    """The log of the norm for every lag, [B, T + 1], a step and a unit at a time."""
    time, batch, _ = x.shape
    logs = np.zeros((batch, time + 1))
    for sequence in range(batch):
        own = x[:, sequence : sequence + 1]
        state, states = hx, []
        if state is None:
            zeros = torch.zeros(1, 1, layer.hidden_size, dtype=x.dtype)
            state = (zeros, zeros.clone()) if isinstance(layer, nn.LSTM) else zeros
        for t in range(time):
            parts = tuple(
                part.detach().clone().requires_grad_() if t == 0 else part
                for part in (state if isinstance(state, tuple) else (state,))
            )
            states.append(parts)
            _, state = layer(own[t : t + 1], parts if len(parts) > 1 else parts[0])
        h = (state[0] if isinstance(state, tuple) else state).flatten()
        leaves = [part for parts in states for part in parts]
        square = np.zeros(len(leaves))
        for unit in h:
            grads = torch.autograd.grad(unit, leaves, retain_graph=True)
            square += [float(grad.square().sum()) for grad in grads]
        square = square.reshape(time, -1).sum(axis=1)
        logs[sequence, 1:] = 0.5 * np.log(square[::-1] / len(h))
    return logs


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, own) for kind in KINDS for own in ({}, {"layer_norm": True}, {"zoneout": 0.2})),
        ("GRU", {"reset_after": False}),
        ("RNN", {"nonlinearity": "relu"}),
    ],
)
def test_the_norms_are_those_of_autograd(kind, options):
    layer = KINDS[kind](3, 5, **options).double().eval()
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    flow = gradient_flow(layer, x)
    np.testing.assert_allclose(flow.log_norms, by_autograd(layer, x), atol=1e-10)
    assert flow.lags.tolist() == list(range(8))
    assert flow.cell == kind.lower()


def test_a_bound_on_memory_changes_nothing(monkeypatch):
    layer, x = nn.LSTM(3, 5), torch.randn(23, 2, 3)
    whole = gradient_flow(layer, x)
    monkeypatch.setattr(module, "_AT_ONCE", 2 * 100 * 4)
    parts = gradient_flow(layer, x)
    np.testing.assert_allclose(parts.log_norms, whole.log_norms, atol=1e-12)
    np.testing.assert_allclose(parts.step_singular, whole.step_singular, atol=1e-12)


def test_singular_values_are_those_of_the_product():
    layer, x = nn.RNN(3, 4).double(), torch.randn(6, 1, 3, dtype=torch.float64)
    flow = gradient_flow(layer, x)
    for lag, logs in flow.singular.items():
        norm = 0.5 * math.log(np.exp(2 * logs).sum() / 4)
        assert norm == pytest.approx(flow.log_norms[0, lag])
        assert (np.diff(logs) <= 0).all()
    jacobian = torch.diag(1 - layer(x)[0][-1, 0] ** 2) @ layer.weight_hh_l0
    first = torch.linalg.svdvals(jacobian).log().detach().numpy()
    np.testing.assert_allclose(flow.singular[1], first, atol=1e-10)


def test_a_layer_of_a_stack_and_a_direction_is_looked_at_alone():
    stack = nn.GRU(3, 4, 2, bidirectional=True).double().eval()
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    below, _ = nn_first(stack)(x)
    alone = nn.GRU(8, 4).double()
    with torch.no_grad():
        for name, parameter in alone.named_parameters():
            parameter.copy_(stack.get_parameter(name.replace("_l0", "_l1_reverse")))
    wanted = gradient_flow(alone, below.flip(0))
    found = gradient_flow(stack, x, index=1, reverse=True)
    np.testing.assert_allclose(found.log_norms, wanted.log_norms, atol=1e-10)


def nn_first(stack) -> nn.GRU:
    """The first layer of a stack of two, both directions."""
    first = nn.GRU(3, 4, bidirectional=True).double()
    with torch.no_grad():
        for name, parameter in first.named_parameters():
            parameter.copy_(stack.get_parameter(name))
    return first


def test_layers_of_torch_and_batch_first_are_taken():
    theirs = torch.nn.GRU(3, 4, batch_first=True)
    x = torch.randn(2, 6, 3)
    flow = gradient_flow(theirs, x)
    ours = gradient_flow(nn.convert.from_torch(theirs), x)
    np.testing.assert_array_equal(flow.log_norms, ours.log_norms)
    assert flow.log_norms.shape == (2, 7)


def test_the_layer_itself_is_left_as_it_was():
    layer = nn.GRU(3, 4).train()
    gradient_flow(layer, torch.randn(6, 2, 3))
    assert layer.training
    assert layer.weight_ih_l0.dtype == torch.float32
    assert layer.weight_ih_l0.grad is None


def test_a_state_that_nothing_passes_has_no_gradient():
    layer = nn.RNN(3, 4, nonlinearity="relu")
    with torch.no_grad():
        layer.bias_ih_l0.fill_(-100.0)
    flow = gradient_flow(layer, torch.zeros(5, 1, 3))
    assert flow.log_norms[0, 1:].tolist() == [-math.inf] * 5
    assert flow.norms[1] == 0
    assert flow.verdict == "vanishing"
    again = GradientFlow.from_dict(json.loads(json.dumps(flow.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.log_norms, flow.log_norms)


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.5, "vanishing"), (1.0, "steady"), (2.0, "exploding")]
)
def test_the_verdict_of_a_known_rate(gain, verdict):
    """h_t = gain * h_{t-1}: every norm is a power of the gain."""
    layer = nn.RNN(1, 3, nonlinearity="relu")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight_hh_l0.copy_(gain * torch.eye(3))
    flow = gradient_flow(layer, torch.zeros(40, 2, 1), torch.ones(1, 2, 3))
    assert flow.rate == pytest.approx(gain)
    assert flow.r_squared == pytest.approx(1.0)
    assert flow.verdict == verdict
    assert bool(flow.advice()) == (verdict != "steady")
    np.testing.assert_allclose(flow.step_singular, gain)
    assert verdict in flow.words()
    assert flow.reach == {"vanishing": 9}.get(verdict, 40)


def test_what_cannot_be_looked_at_is_refused():
    with pytest.raises(ParameterError, match="layer must be a GRU, LSTM, RNN"):
        gradient_flow(torch.nn.Linear(3, 4), torch.randn(5, 3))
    with pytest.raises(ParameterError, match="models must be None"):
        gradient_flow(nn.GRU(3, 4, models=2), torch.randn(5, 1, 3))
    with pytest.raises(ParameterError, match="inputs must be a tensor"):
        gradient_flow(nn.GRU(3, 4), [[1.0, 2.0, 3.0]])
    for step in (4, 8):
        x = torch.randn(9, 2, 3)
        x[step, 1] = math.nan
        with pytest.raises(ParameterError, match=f"numbers, got 'others from step {step + 1} on'"):
            gradient_flow(nn.GRU(3, 4), x)
    with pytest.raises(ParameterError, match="one step and one sequence"):
        gradient_flow(nn.GRU(3, 4), torch.randn(0, 1, 3))


def test_a_callback_starts_where_the_network_does():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.state = nn.GRU(3, 4, 2), torch.nn.Parameter(torch.randn(2, 2, 4))

        def forward(self, x):
            return self.layer(x, self.state)

    network, x = Network(), torch.randn(6, 2, 3)
    (flows,) = GradientFlowCallback(network, lambda: network(x)).flows.values()
    assert list(flows) == ["layer, layer 1", "layer, layer 2"]
    for index, flow in enumerate(flows.values()):
        wanted = gradient_flow(network.layer, x, network.state, index=index)
        np.testing.assert_array_equal(flow.log_norms, wanted.log_norms)


@pytest.mark.parametrize(
    ("gain", "steps", "said"),
    [
        (0.5, 5, "0.031 of it after 5 steps; going on by 0.5 a step, 1/1,000 is left after 10."),
        (1.5, 5, "7.6 of it after 5 steps; going on by 1.5 a step, 1,000 times as much is left"),
        (0.999, 50, "0.95 of it after 50 steps."),
        (1.0, 5, "1 of it after 5 steps."),
    ],
)
def test_of_a_few_steps_it_is_told_where_they_lead(gain, steps, said):
    lags = np.arange(steps + 1)
    flow = GradientFlow("gru", lags, math.log(gain) * lags[None], {}, np.ones(2))
    assert flow.verdict == "steady"
    assert said in flow.words()


class Adder(torch.nn.Module):
    """A recurrent layer and its sum, for the adding problem."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.recurrent = KINDS[kind](2, WIDTH)
        if kind != "RNN":
            nn.init.chrono_(self.recurrent, STEPS)
        self.head = torch.nn.Linear(WIDTH, 1)

    def forward(self, x):
        return self.head(self.recurrent(x)[0][-1])[:, 0]


def loss(network, batch) -> LossSum:
    wrong = (network(batch.inputs) - batch.targets).square()
    return LossSum(wrong.sum(), torch.tensor(len(wrong)))


def test_on_the_adding_problem_a_plain_network_loses_the_gradient_and_gates_keep_it():
    """At equal width, before and after a short training; measured, see docs/benchmarks."""
    adding = problem("adding", length=STEPS, train=640, test=8)
    x = adding.test.batch(torch.arange(8)).inputs
    config = FitConfig(epochs=4, batch_size=32, learning_rate=5e-3)
    for kind in KINDS:
        network = Adder(kind)
        callback = GradientFlowCallback(network, lambda x=x, own=network: own(x), every=4)
        fit(network, loss, adding.train, config=config, after_epoch=callback)
        assert sorted(callback.flows) == [0, 4]
        for flows in callback.flows.values():
            flow = flows["recurrent"]
            if kind == "RNN":
                assert flow.verdict == "vanishing"
                assert flow.rate < 0.75  # 0.636 before, 0.67 after
                assert flow.r_squared > 0.99  # 1.000
                assert flow.reach < 25  # 13 to 14
                assert flow.norms[-1] < 1e-12
            else:
                assert flow.verdict == "steady"
                assert flow.norms[-1] > 0.03  # 0.09 to 0.21
                assert flow.reach == STEPS
        assert bool(callback.warnings()) == (kind == "RNN")


def test_a_new_gru_with_biases_around_zero_loses_it_as_well():
    """Gates alone are not enough: half of the past is gone at every step."""
    torch.manual_seed(0)
    flow = gradient_flow(nn.GRU(2, WIDTH), torch.rand(STEPS, 4, 2))
    assert flow.verdict == "vanishing"
    assert flow.r_squared > 0.99
    assert any("chrono_" in advice for advice in flow.advice())
