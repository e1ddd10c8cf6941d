"""The network of one step: taught by true values, it sees nothing of what it is to forecast."""

from __future__ import annotations

import pytest
import torch

from grukit.nn.by_name import LAYER_OF
from grukit.nn.heads import HEADS
from grukit.nn.recursive import RecursiveForecaster, filled

LEVELS = (0.1, 0.5, 0.9)
STEPS = 12


def network(lag: int = 1, **options) -> RecursiveForecaster:
    torch.manual_seed(0)
    sizes = {"known_size": 2, "static_size": 3, "levels": LEVELS, "lag": lag, "hidden_size": 8}
    return RecursiveForecaster(**{**sizes, **options}).eval()


def inputs(batch: int = 5):
    torch.manual_seed(1)
    observed = torch.rand(batch, STEPS) < 0.8
    return (
        torch.randn(batch, STEPS),
        observed,
        torch.randn(batch, STEPS, 2),
        torch.randn(batch, 3),
        torch.tensor([0, 1, -1, 1, 0])[:batch],
    )


@pytest.mark.parametrize("lag", [0, 1, 4])
def test_the_base_is_the_value_so_many_steps_before(lag):
    values, observed, known, static, _ = inputs()
    observed[:] = True
    _, base = network(lag)(values, observed, known, static)
    for step in range(1, STEPS):
        before = values[:, step - lag] if step >= lag else values[:, step - 1]
        wanted = before if lag else torch.zeros(5)
        torch.testing.assert_close(base[:, step - 1], wanted)


@pytest.mark.parametrize("lag", [0, 1, 4])
def test_a_step_sees_the_values_before_it_alone(lag):
    values, observed, known, static, _ = inputs()
    observed[:, 7] = True
    model = network(lag)
    answer, base = model(values, observed, known, static)
    changed = values.clone()
    changed[:, 7] += 1
    other, other_base = model(changed, observed, known, static)
    # Row t - 1 is about step t.
    assert torch.equal(answer[:, :7], other[:, :7])
    assert torch.equal(base[:, :7], other_base[:, :7])
    assert (answer[:, 7] != other[:, 7]).any(-1).all()


def test_what_is_known_of_a_step_is_seen_at_that_step():
    values, observed, known, static, _ = inputs()
    model = network()
    answer, _ = model(values, observed, known, static)
    known[:, 7] += 1
    other, _ = model(values, observed, known, static)
    assert torch.equal(answer[:, :6], other[:, :6])
    assert (answer[:, 6] != other[:, 6]).any(-1).all()


@pytest.mark.parametrize("cell", LAYER_OF)
@pytest.mark.parametrize("lag", [0, 1, 4])
def test_step_by_step_it_answers_the_same(cell, lag):
    values, observed, known, static, series = inputs()
    model = network(lag, cell=cell, num_layers=2, series=2, series_embedding=3)
    wanted, _ = model(values, observed, known, static, series)
    about = model.about(static, series)
    x, _ = model.inputs(filled(values, observed), observed, known, about)
    state = None
    for step in range(STEPS - 1):
        answer, state = model.step(x[:, step], state)
        torch.testing.assert_close(answer, wanted[:, step])


@pytest.mark.parametrize("distribution", HEADS)
def test_every_parameter_counts(distribution):
    model = network(2, distribution=distribution, series=2, series_embedding=3, num_layers=2)
    answer, _ = model(*inputs())
    answer.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_what_is_not_observed_does_not_matter():
    values, observed, known, static, _ = inputs()
    model = network(2)
    answer, base = model(values, observed, known, static)
    other, other_base = model(torch.where(observed, values, torch.nan), observed, known, static)
    assert torch.equal(answer, other)
    assert torch.equal(base, other_base)
