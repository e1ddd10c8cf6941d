"""Several models in one run: each is trained as if it were alone."""

from __future__ import annotations

import pytest
import torch
from toy_runs import Rows

from grukit.core.errors import DivergenceError
from grukit.nn.linear import Linear
from grukit.training.fit import FitConfig, LossSum, fit

MODELS = 3
CONFIG = FitConfig(epochs=4, batch_size=4, learning_rate=0.05, clip_norm=0.3)
# The second model's loss is steep, so its gradient alone is above the norm that is clipped.
STEEP = torch.tensor([0.05, 40.0, 0.1])


def rows() -> Rows:
    x = torch.randn(16, 5, generator=torch.Generator().manual_seed(1))
    return Rows(x, x.sum(1))


def together() -> Linear:
    torch.manual_seed(0)
    return Linear(5, 1, models=MODELS)


def joint_loss(model, batch) -> LossSum:
    x, y = batch
    errors = (model(x.expand(MODELS, -1, -1))[..., 0] - y).square() * STEEP[:, None]
    return LossSum(errors.sum() / MODELS, len(y))


def alone(model: int):
    network = torch.nn.Linear(5, 1)
    for name, value in network.named_parameters():
        value.data = together().get_parameter(name)[model].detach()

    def loss(network, batch) -> LossSum:
        x, y = batch
        return LossSum(((network(x)[:, 0] - y).square() * STEEP[model]).sum(), len(y))

    return network, fit(network, loss, rows(), config=CONFIG, seed=3)


def test_each_model_is_trained_as_if_it_were_alone():
    joint = together()
    result = fit(joint, joint_loss, rows(), config=CONFIG, seed=3)
    losses = []
    for model in range(MODELS):
        network, own = alone(model)
        torch.testing.assert_close(joint.weight[model], network.weight)
        torch.testing.assert_close(joint.bias[model], network.bias)
        losses.append(own.history[-1].train_loss)
    assert result.history[-1].train_loss == pytest.approx(sum(losses) / MODELS, rel=1e-5)


def test_a_norm_of_all_models_together_would_be_noticed():
    joint = together()
    joint.models = None
    joint.forward = lambda x: torch.baddbmm(joint.bias[:, None], x, joint.weight.mT)
    fit(joint, joint_loss, rows(), config=CONFIG, seed=3)
    assert not torch.allclose(joint.weight[0], alone(0)[0].weight, rtol=1e-2)


def test_a_gradient_whose_square_overflows_in_one_model_is_clipped_in_this_one():
    def steep(model, batch) -> LossSum:
        loss = joint_loss(model, batch)
        return LossSum(loss.total + 1e30 * model.weight[1].sum(), loss.count)

    joint = together()
    fit(joint, steep, rows(), config=CONFIG, seed=3)
    torch.testing.assert_close(joint.weight[0], alone(0)[0].weight)
    assert joint.weight.isfinite().all()


def test_a_gradient_that_is_not_finite_in_one_model_is_divergence():
    def poisoned(model, batch) -> LossSum:
        loss = joint_loss(model, batch)
        return LossSum(loss.total + (model.weight[1] * 0).sum().sqrt(), loss.count)

    with pytest.raises(DivergenceError, match="the gradient norm must be finite, got nan"):
        fit(together(), poisoned, rows(), config=CONFIG)
