from __future__ import annotations

import pytest
import torch

from grukit.nn.encoder_decoder import DirectForecaster
from grukit.nn.heads import HEADS, in_units

LEVELS = (0.1, 0.5, 0.9)


def network(known: int = 2, static: int = 3, **options) -> DirectForecaster:
    torch.manual_seed(0)
    return DirectForecaster(4, known, static, 6, LEVELS, hidden_size=8, **options)


def inputs(batch: int = 5, known: int = 2, static: int = 3) -> list[torch.Tensor]:
    sizes = ((batch, 10, 4), (batch, 6, known), (batch, static))
    return [torch.randn(size, requires_grad=True) for size in sizes]


@pytest.mark.parametrize("known", [0, 2])
@pytest.mark.parametrize("static", [0, 3])
@pytest.mark.parametrize("layers", [1, 2])
def test_quantiles_for_every_step(known, static, layers):
    model = network(known, static, num_layers=layers)
    assert model(*inputs(5, known, static)).shape == (5, 6, 3)
    assert model(*inputs(0, known, static)).shape == (0, 6, 3)


def test_every_input_and_parameter_counts():
    given = inputs()
    model = network(num_layers=2)
    model(*given).square().sum().backward()
    for tensor in (*given, *model.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.abs().sum() > 0


def test_what_is_known_of_a_step_changes_that_step_alone():
    past, future, static = inputs()
    model = network()
    later = future.detach().clone()
    later[:, 2] += 1
    changed = (model(past, later, static) != model(past, future, static)).any(-1)
    assert changed[:, 2].all()
    assert not changed[:, [0, 1, 3, 4, 5]].any()


def test_windows_of_a_batch_are_independent():
    past, future, static = inputs()
    model = network()
    whole = model(past, future, static)
    torch.testing.assert_close(model(past[1:2], future[1:2], static[1:2]), whole[1:2])


def test_dropout_acts_in_training_only():
    given = inputs()
    model = network(dropout=0.5)
    assert not torch.equal(model(*given), model(*given))
    model.eval()
    assert torch.equal(model(*given), model(*given))


@pytest.mark.parametrize("distribution", HEADS)
def test_each_step_is_answered_in_units_of_its_scale(distribution):
    given = inputs()
    model = network(distribution=distribution)
    before = model(*given)
    scale = torch.arange(1.0, 7.0)
    model.step_scale.copy_(scale)
    after = in_units(before, HEADS[distribution].kinds, scale[:, None])
    torch.testing.assert_close(model(*given), after)
    if distribution == "quantiles":
        torch.testing.assert_close(after, before * scale[:, None])
    assert torch.equal(model.state_dict()["step_scale"], scale)
