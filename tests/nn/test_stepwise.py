"""Networks of the anomaly detector."""

from __future__ import annotations

import pytest
import torch

from grukit.nn.autoencoder import SequenceAutoencoder
from grukit.nn.by_name import LAYER_OF
from grukit.nn.stepwise import StepwiseForecaster


@pytest.mark.parametrize("cell", LAYER_OF)
def test_a_state_goes_on_where_the_steps_before_ended(cell):
    network = StepwiseForecaster(3, channels=2, horizons=2, hidden_size=8, cell=cell)
    torch.nn.init.normal_(network.head.weight)
    x = torch.randn(4, 20, 3)
    whole, _ = network(x)
    first, state = network(x[:, :7])
    rest, _ = network(x[:, 7:], state)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole)
    later = x.clone()
    later[:, 10:] += 1
    torch.testing.assert_close(network(later)[0][:, :10], whole[:, :10])


def test_before_training_it_forecasts_the_last_value():
    changes, _ = StepwiseForecaster(3, channels=2, horizons=2, hidden_size=8)(torch.randn(4, 20, 3))
    assert changes.shape == (4, 20, 2, 2)
    assert not changes.any()


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_an_autoencoder_learns_waves_and_cannot_copy(cell):
    torch.manual_seed(0)
    network = SequenceAutoencoder(1, hidden_size=8, cell=cell)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)

    def waves(count):
        return torch.sin(torch.arange(16) / 3 + 6 * torch.rand(count, 1))[..., None]

    for _ in range(150):
        x = waves(32)
        loss = (network(x) - x).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, noise = waves(100), torch.randn(100, 16, 1)
    assert (network(x) - x).abs().mean() < 0.3
    assert (network(noise) - noise).abs().mean() > 2 * (network(x) - x).abs().mean()
