"""The range test finds a usable rate and touches nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from toy_runs import KINDS, Rows

from grukit.core.errors import DataError, DivergenceError, ParameterError
from grukit.training.fit import FitConfig, LossSum, fit
from grukit.training.learning_rate import find_learning_rate


def squared(model, batch):
    x, y = batch
    return LossSum((model(x).squeeze(-1) - y).square().sum(), len(y))


@pytest.fixture
def rows():
    x = torch.randn(64, 4)
    return Rows(x, 3 * x.sum(1))


def test_the_suggestion_trains_better_than_rates_far_from_it(rows):
    config = FitConfig(epochs=10, batch_size=16)
    found = find_learning_rate(nn.Linear(4, 1), squared, rows, config, highest=100.0)
    assert 1e-3 < found.suggestion < 10
    losses = []
    for factor in (1e-3, 1, 1e3):
        torch.manual_seed(0)
        tried = replace(config, learning_rate=factor * found.suggestion)
        losses.append(fit(nn.Linear(4, 1), squared, rows, None, tried).best_score)
    assert losses[1] < min(losses[0], losses[2]) / 2


def test_it_stops_where_the_loss_runs_away(rows):
    config = FitConfig(batch_size=16, clip_norm=None)
    found = find_learning_rate(nn.Linear(4, 1), squared, rows, config, highest=1e9)
    assert 10 < len(found.rates) == len(found.losses) < 100
    assert found.rates[0] == pytest.approx(1e-6)
    assert found.losses[-1] <= 4 * min(found.losses) < found.losses[-1] * 4
    assert found.suggestion * 10 in found.rates


@pytest.mark.parametrize("kind", KINDS)
def test_model_and_random_state_stay_as_they_were(kind):
    toy = KINDS[kind]()
    before = {name: value.clone() for name, value in toy.model.state_dict().items()}
    random_state = torch.get_rng_state()
    arguments = {"config": toy.config, "carry_state": toy.carry_state, "steps": 20}
    first = find_learning_rate(toy.model, toy.loss, toy.train, **arguments)
    assert first == find_learning_rate(toy.model, toy.loss, toy.train, **arguments)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(before[name], value) for name, value in toy.model.state_dict().items())
    assert all(parameter.grad is None for parameter in toy.model.parameters())
    assert toy.model.training


def test_bad_input(rows):
    model = nn.Linear(4, 1)
    with pytest.raises(ParameterError, match="highest must be a number above 1"):
        find_learning_rate(model, squared, rows, lowest=1.0)
    with pytest.raises(ParameterError, match="steps must be an integer of at least 5"):
        find_learning_rate(model, squared, rows, steps=4)
    with pytest.raises(DataError, match="at least one item"):
        find_learning_rate(model, squared, Rows(torch.empty(0, 4)))
    with pytest.raises(DivergenceError, match="update 1 of the learning-rate search"):
        find_learning_rate(model, squared, Rows(rows.tensors[0], rows.tensors[1] * torch.nan))
    with pytest.raises(DataError, match="observed targets"):
        find_learning_rate(model, lambda m, b: LossSum(m(b[0]).sum() * 0, 0), rows)
