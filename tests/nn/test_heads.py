from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import ParameterError
from grukit.nn.heads import QuantileHead

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
