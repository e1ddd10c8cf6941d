"""The pinball loss against its formula, and blind to what is not observed."""

from __future__ import annotations

import pytest
import torch

from grukit.training.losses import pinball_loss

LEVELS = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)


def test_it_is_the_formula():
    prediction = torch.randn(4, 5, 3, dtype=torch.float64)
    target = torch.randn(4, 5, dtype=torch.float64)
    observed = torch.rand(4, 5) < 0.6
    total = sum(
        (level if target[i] > prediction[i][q] else level - 1) * (target[i] - prediction[i][q])
        for i in map(tuple, observed.nonzero().tolist())
        for q, level in enumerate(LEVELS)
    )
    loss = pinball_loss(prediction, target, LEVELS, observed)
    assert float(loss.total) == pytest.approx(float(total))
    assert int(loss.count) == 3 * int(observed.sum())


def test_its_minimum_is_the_quantile():
    target = torch.arange(1001, dtype=torch.float64) / 1000
    prediction = torch.stack([LEVELS + shift for shift in (-0.02, 0.0, 0.02)])
    observed = torch.ones(1001, dtype=torch.bool)
    for q in range(3):
        below, at, above = (
            float(
                pinball_loss(p[q : q + 1].expand(1001, 1), target, LEVELS[q:][:1], observed).total
            )
            for p in prediction
        )
        assert at < min(below, above)


@pytest.mark.parametrize("missing", [torch.nan, torch.inf, 1e30])
def test_missing_targets_add_nothing_and_give_no_gradient(missing):
    prediction = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    observed = torch.tensor([True, False, True, False, False, True])
    target = torch.where(observed, torch.randn(6, dtype=torch.float64), missing)
    loss = pinball_loss(prediction, target, LEVELS, observed)
    seen = pinball_loss(prediction[observed], target[observed], LEVELS, observed[observed])
    assert torch.equal(loss.total, seen.total)
    assert int(loss.count) == int(seen.count) == 9
    loss.total.backward()
    assert prediction.grad.isfinite().all()
    assert (prediction.grad[~observed] == 0).all()
    assert (prediction.grad[observed] != 0).all()


def test_nothing_observed():
    prediction = torch.randn(2, 3, requires_grad=True)
    loss = pinball_loss(prediction, torch.full((2,), torch.nan), LEVELS, torch.zeros(2).bool())
    loss.total.backward()
    assert (loss.total.item(), loss.count.item()) == (0, 0)
    assert (prediction.grad == 0).all()
