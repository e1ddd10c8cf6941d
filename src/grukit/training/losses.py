"""Losses as sums, so that means over batches of unequal size are exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import StudentT
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass(frozen=True)
class LossSum:
    """What a loss function gives back for one batch; the loss is `total / count`.

    Sums keep three things exact: the mean over batches with missing targets, the mean over a
    validation set whose last batch is short, and gradient accumulation.

    total: scalar, the sum of the losses.
    count: how many losses were summed; may be 0.
    state: what the next batch starts from when training carries its state; tensors in tuples,
           lists and dicts.
    """

    total: Tensor
    count: Tensor | float
    state: Any = None


def pinball_loss(prediction: Tensor, target: Tensor, levels: Tensor, observed: Tensor) -> LossSum:
    """The quantile loss of Koenker and Bassett (1978), over observed targets and all levels.

    prediction: [..., Q], one quantile for each level.
    target:     [...]; ignored (it may be NaN) where not observed.
    levels:     [Q], between 0 and 1.
    observed:   bool [...].

    >>> prediction = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    >>> target, observed = torch.tensor([2.0, torch.nan]), torch.tensor([True, False])
    >>> loss = pinball_loss(prediction, target, torch.tensor([0.1, 0.9]), observed)
    >>> round(loss.total.item(), 4), loss.count.item()
    (0.1, 2)
    """
    error = target.unsqueeze(-1) - prediction
    loss = torch.maximum(levels * error, (levels - 1) * error)
    loss = torch.where(observed.unsqueeze(-1), loss, 0.0)
    return LossSum(loss.sum(), observed.sum() * len(levels))


def student_t_nll(parameters: Tensor, target: Tensor, observed: Tensor) -> LossSum:
    """The negative log-likelihood of a Student t, over observed targets.

    parameters: [..., 3], location, scale and degrees of freedom.
    target:     [...]; ignored (it may be NaN) where not observed.
    observed:   bool [...].

    >>> loss = student_t_nll(torch.tensor([[0.0, 1.0, 4.0]]), torch.zeros(1), torch.tensor([True]))
    >>> round(loss.total.item(), 4)  # -log(3 / 8), the density at its location
    0.9808
    """
    location, scale, freedom = _exact(parameters).unbind(-1)
    target = torch.where(observed, target, 0.0)
    density = StudentT(freedom, location, scale, validate_args=False).log_prob(target)
    return _over(-density, observed)


def negative_binomial_nll(parameters: Tensor, target: Tensor, observed: Tensor) -> LossSum:
    """The negative log-likelihood of counts of mean m and variance m + a m^2 (Salinas et al. 2020).

    parameters: [..., 2], m and a, both positive.
    target:     [...], whole numbers of at least 0; ignored (it may be NaN) where not observed.
    observed:   bool [...].

    >>> loss = negative_binomial_nll(torch.ones(1, 2), torch.zeros(1), torch.tensor([True]))
    >>> round(loss.total.item(), 4)  # P(0) = 1 / 2
    0.6931
    """
    mean, dispersion = _exact(parameters).unbind(-1)
    target, failures = torch.where(observed, target, 0.0), 1 / dispersion
    ways = (target + failures).lgamma() - failures.lgamma() - (target + 1).lgamma()
    odds = dispersion * mean
    density = ways - (failures + target) * odds.log1p() + target * odds.log()
    return _over(-density, observed)


def mixture_nll(parameters: Tensor, target: Tensor, observed: Tensor) -> LossSum:
    """The negative log-likelihood of a mixture of C normals, over observed targets.

    parameters: [..., 3 C], weights that sum to 1, locations, scales.
    target:     [...]; ignored (it may be NaN) where not observed.
    observed:   bool [...].
    """
    weights, locations, scales = _exact(parameters).chunk(3, dim=-1)
    distance = (torch.where(observed, target, 0.0).unsqueeze(-1) - locations) / scales
    smallest = torch.finfo(weights.dtype).tiny
    densities = weights.clamp(min=smallest).log() - scales.log() - distance**2 / 2
    density = densities.logsumexp(-1) - math.log(2 * math.pi) / 2
    return _over(-density, observed)


def bernoulli_nll(parameters: Tensor, target: Tensor, observed: Tensor) -> LossSum:
    """The negative log-likelihood of events (the log loss), over observed targets.

    parameters: [..., 1], log-odds.
    target:     [...], 0 or 1; ignored (it may be NaN) where not observed.
    observed:   bool [...].
    """
    log_odds = _exact(parameters).squeeze(-1)
    target = torch.where(observed, target, 0.0).expand_as(log_odds)
    return _over(binary_cross_entropy_with_logits(log_odds, target, reduction="none"), observed)


def _exact(parameters: Tensor) -> Tensor:
    """In at least float32: mixed precision ends before a likelihood."""
    return parameters.to(torch.promote_types(parameters.dtype, torch.float32))


def _over(loss: Tensor, observed: Tensor) -> LossSum:
    return LossSum(torch.where(observed, loss, 0.0).sum(), observed.sum())
