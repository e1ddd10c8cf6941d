"""The likelihoods against scipy's, and blind to what is not observed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from grukit.nn.heads import HEADS, new_head
from grukit.training.losses import (
    bernoulli_nll,
    mixture_nll,
    negative_binomial_nll,
    student_t_nll,
)


def of_mixture(y, p):
    weights, locations, scales = np.split(p, 3, axis=-1)
    return np.log((weights * stats.norm.pdf(y[..., None], locations, scales)).sum(-1))


LIKELIHOODS = {
    "student_t": (student_t_nll, lambda y, p: stats.t.logpdf(y, p[..., 2], p[..., 0], p[..., 1])),
    "negative_binomial": (
        negative_binomial_nll,
        lambda y, p: stats.nbinom.logpmf(y, 1 / p[..., 1], 1 / (1 + p[..., 0] * p[..., 1])),
    ),
    "mixture": (mixture_nll, of_mixture),
    "bernoulli": (
        bernoulli_nll,
        lambda y, p: stats.bernoulli.logpmf(y, 1 / (1 + np.exp(-p[..., 0]))),
    ),
}
every = pytest.mark.parametrize("name", LIKELIHOODS)


def case(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Parameters [6, 5, P] as the head gives them, targets and which are observed."""
    torch.manual_seed(0)
    parameters = new_head(name, 4, ()).double()(2 * torch.randn(6, 5, 4, dtype=torch.float64))
    target = 3 * torch.randn(6, 5, dtype=torch.float64)
    if name == "negative_binomial":
        target = target.abs().round()
    if name == "bernoulli":
        target = (target > 0).double()
    return parameters.detach().requires_grad_(), target, torch.rand(6, 5) < 0.6


def test_every_parametric_head_has_a_likelihood():
    assert LIKELIHOODS.keys() == HEADS.keys() - {"quantiles"}


@every
def test_it_is_scipys(name):
    loss, logpdf = LIKELIHOODS[name]
    parameters, target, observed = case(name)
    found = loss(parameters, target, observed)
    wanted = -logpdf(target.numpy(), parameters.detach().numpy())[observed.numpy()].sum()
    assert found.total.item() == pytest.approx(wanted, rel=1e-9)
    assert int(found.count) == int(observed.sum())


@every
@pytest.mark.parametrize("missing", [torch.nan, torch.inf, -7.5])
def test_missing_targets_add_nothing_and_give_no_gradient(name, missing):
    loss, _ = LIKELIHOODS[name]
    parameters, target, observed = case(name)
    found = loss(parameters, torch.where(observed, target, missing), observed)
    assert torch.equal(found.total, loss(parameters, target, observed).total)
    found.total.backward()
    assert parameters.grad.isfinite().all()
    assert (parameters.grad[~observed] == 0).all()
    assert (parameters.grad[observed] != 0).any(-1).all()


@every
def test_half_precision_ends_before_it(name):
    loss, _ = LIKELIHOODS[name]
    parameters, target, observed = case(name)
    half = parameters.detach().bfloat16()
    assert loss(half, target.float(), observed).total.dtype == torch.float32
    torch.testing.assert_close(
        loss(half, target.float(), observed).total.double(),
        loss(half.double(), target, observed).total,
        rtol=1e-4,
        atol=1e-4,
    )


def test_extreme_counts_and_dispersions_stay_finite():
    parameters = torch.tensor([[1e-3, 1e-3], [1e5, 1e-3], [1e5, 50.0], [1e-3, 50.0]])
    parameters.requires_grad_()
    for count in (0.0, 1.0, 1e5):
        loss = negative_binomial_nll(parameters, torch.full((4,), count), torch.ones(4).bool())
        loss.total.backward()
        assert loss.total.isfinite()
        assert parameters.grad.isfinite().all()
