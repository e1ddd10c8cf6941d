"""Weights as int8: near to float32, for every kind, and nothing but inference."""

import pytest
import torch

from grukit import nn
from grukit.core.errors import BackendError, ParameterError

pytestmark = pytest.mark.needs_core


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("hidden", [30, 128, 256])
def test_a_thousand_steps_stay_near_float32(kind, hidden):
    torch.manual_seed(0)
    layer = kind(hidden, hidden)
    x = torch.randn(1000, 1, hidden)
    with torch.no_grad():
        difference = (nn.quantize(layer)(x)[0] - layer(x)[0]).abs().max().item()
    assert 0 < difference < 0.01


@pytest.mark.parametrize(
    "options",
    [
        {"reset_after": False},
        {"proj_size": 7},
        {"layer_norm": True},
        {"bidirectional": True, "num_layers": 2},
        {"models": 3},
        {"bias": False},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_form_of_a_layer_can_be_quantized(options):
    torch.manual_seed(0)
    layer = nn.GRU(9, 20, **options)
    x, lengths = torch.randn(30, 5, 9), torch.tensor([30, 0, 7, 12, 1])
    exact, small = layer(x, lengths=lengths)[0], nn.quantize(layer)(x, lengths=lengths)[0]
    assert (small - exact).abs().max() < 0.05
    assert not small[12:, 3].any() if small.dim() == 3 else not small[:, 12:, 3].any()


def test_one_wrong_weight_is_seen():
    """The bound above would not hold for other weights."""
    torch.manual_seed(0)
    layer = nn.GRU(128, 128)
    small, x = nn.quantize(layer), torch.randn(1000, 1, 128)
    with torch.no_grad():
        small.weight_hh_l0[5] *= -1
    assert (small(x)[0] - layer(x)[0]).abs().max() > 0.01


def test_a_step_is_that_of_the_sequence():
    layer = nn.quantize(nn.GRU(8, 40, num_layers=2))
    x, state, steps = torch.randn(6, 3, 8), None, []
    for row in x:
        output, state = layer.step(row, state)
        steps.append(output)
    assert torch.equal(torch.stack(steps), layer(x)[0])


def test_the_module_stays_as_it_was_and_its_weights_are_those_of_the_copy():
    layer = torch.nn.Sequential(torch.nn.Linear(4, 6), nn.GRU(6, 8)).train()
    small = nn.quantize(layer)
    assert layer.training
    assert layer[1].backend is None
    assert all(p.requires_grad for p in layer.parameters())
    for name, weight in layer.state_dict().items():
        assert torch.equal(small.state_dict()[name], weight)


def test_gradients_are_refused():
    layer = nn.quantize(nn.GRU(4, 8))
    with pytest.raises(BackendError, match="it is for inference"):
        layer(torch.randn(3, 2, 4, requires_grad=True))


def test_what_is_not_a_number_stays_visible():
    layer = nn.quantize(nn.GRU(4, 40))
    x = torch.randn(5, 2, 4)
    x[2, 0, 1] = float("nan")
    output, _ = layer(x)
    assert output[2:, 0].isnan().all()
    assert output[:, 1].isfinite().all()


def test_a_module_without_a_recurrent_layer_is_refused():
    with pytest.raises(ParameterError, match="module must be one with a GRU"):
        nn.quantize(torch.nn.Linear(3, 4))


def test_it_runs_by_name_alone(monkeypatch):
    layer, x = nn.GRU(4, 8), torch.randn(3, 2, 4)
    with torch.no_grad():
        exact = layer(x)[0]
        monkeypatch.setenv("GRUKIT_BACKEND", "int8")
        assert not torch.equal(layer(x)[0], exact)
