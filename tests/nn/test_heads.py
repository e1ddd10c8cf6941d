from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import ParameterError
from grukit.nn.heads import (
    HEADS,
    LEAST_FREEDOM,
    SMALLEST_SCALE,
    QuantileHead,
    in_units,
    new_head,
)

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


def head_of(raw: torch.Tensor, levels: tuple[float, ...]) -> torch.Tensor:
    """What the head makes of these raw outputs of its linear map [N, Q]."""
    head = QuantileHead(raw.shape[-1], levels).double()
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(raw.shape[-1]))
        head.linear.bias.zero_()
        return head(raw)


@given(st.lists(st.floats(-1e30, 1e30), min_size=7, max_size=7))
def test_quantiles_never_cross(raw):
    quantiles = head_of(torch.tensor([raw], dtype=torch.float64), LEVELS)
    assert torch.isfinite(quantiles).all()
    assert (quantiles.diff() >= 0).all()
    assert quantiles[0, 3] == raw[3]


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e4, 1e18])
def test_quantiles_never_cross_in_float32(scale):
    torch.manual_seed(1)
    head = QuantileHead(16, LEVELS)
    quantiles = head(torch.randn(500, 3, 16) * scale)
    assert quantiles.shape == (500, 3, 7)
    assert (quantiles.diff() >= 0).all()


def test_quantiles_are_steps_away_from_the_median():
    raw = torch.tensor([[0.3, -1.0, 2.0, 0.5]], dtype=torch.float64)
    step = torch.nn.functional.softplus(raw[0])
    median = raw[0, 2]
    wanted = [median - step[1] - step[0], median - step[1], median, median + step[3]]
    torch.testing.assert_close(head_of(raw, (0.1, 0.3, 0.5, 0.7))[0], torch.stack(wanted))


@pytest.mark.parametrize("levels", [(0.5,), (0.5, 0.9), (0.1, 0.5)])
def test_levels_may_lie_on_one_side(levels):
    quantiles = QuantileHead(4, levels)(torch.randn(5, 4))
    assert quantiles.shape == (5, len(levels))
    assert (quantiles.diff() >= 0).all()


@pytest.mark.parametrize("levels", [(), (0.1, 0.9), (0.9, 0.5), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0)])
def test_levels_must_rise_around_the_median(levels):
    with pytest.raises(ParameterError, match="levels must be numbers rising strictly between 0"):
        QuantileHead(4, levels)


def test_parameters_of_every_distribution_lie_where_they_must():
    features = 30 * torch.randn(200, 4)
    location, scale, freedom = new_head("student_t", 4, ())(features).unbind(-1)
    assert location.min() < 0 < SMALLEST_SCALE <= scale.min()
    assert freedom.min() >= LEAST_FREEDOM
    assert new_head("negative_binomial", 4, ())(features).min() > 0
    weights, locations, scales = new_head("mixture", 4, ())(features).chunk(3, dim=-1)
    torch.testing.assert_close(weights.sum(-1), torch.ones(200))
    assert weights.min() >= 0
    assert locations.min() < 0 < SMALLEST_SCALE <= scales.min()
    assert new_head("bernoulli", 4, ())(features).shape == (200, 1)


@pytest.mark.parametrize("name", HEADS)
def test_each_kind_of_parameter_moves_with_the_unit(name):
    head = new_head(name, 4, (0.25, 0.5, 0.75))
    before = head(torch.randn(5, 4))
    after = in_units(before, head.kinds, torch.tensor([10.0]), shift=100.0)
    size = before.shape[-1] // len(head.kinds)
    for block, kind in enumerate(head.kinds):
        own = slice(block * size, (block + 1) * size)
        wanted = {"location": 10 * before + 100, "scale": 10 * before, "shape": before}[kind]
        torch.testing.assert_close(after[:, own], wanted[:, own])
