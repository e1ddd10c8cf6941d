"""The encoder finds gaps by their markers and reads nothing in them."""

from __future__ import annotations

import pytest
import torch

from grukit.nn import delays
from grukit.nn.encoder_decoder import DirectForecaster
from grukit.nn.gap_encoder import Gap, GapEncoder

GAPS = [Gap(0, 1, missing=0), Gap(3, 4, missing=1)]


def past(seed: int = 0) -> torch.Tensor:
    """Target, its marker, another column, a covariate, its marker."""
    random = torch.Generator().manual_seed(seed)
    columns = torch.randn(6, 9, 5, generator=random)
    columns[..., [1, 4]] = (torch.rand(6, 9, 2, generator=random) < 0.5).float()
    return columns


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_what_a_marker_says_is_missing_is_not_read(layers):
    torch.manual_seed(0)
    encoder = GapEncoder(5, 8, layers, gaps=GAPS)
    given, changed = past(), past()
    changed[..., 0] += 7 * (changed[..., 1] == 0)
    changed[..., 3] += 7 * (changed[..., 4] == 1)
    output, last = encoder(given)
    assert output.shape == (6, 9, 8)
    assert torch.equal(last, output[:, -1])
    assert torch.equal(encoder(changed)[0], output)
    for column in (0, 2, 3):
        changed = past()
        changed[..., column] += 7
        assert not torch.equal(encoder(changed)[0], output)


def test_it_is_a_gru_d_over_the_columns_that_are_no_markers():
    encoder, given = GapEncoder(5, 8, gaps=GAPS), past()
    mask = torch.stack([given[..., 1], torch.ones(6, 9), 1 - given[..., 4]], -1).transpose(0, 1)
    output, _ = encoder.gru_d(given[..., [0, 2, 3]].transpose(0, 1), mask, delays(mask))
    assert torch.equal(encoder(given)[0], output.transpose(0, 1))


def test_a_forecaster_of_it_learns_by_all_parameters():
    torch.manual_seed(0)
    levels = (0.1, 0.5, 0.9)
    network = DirectForecaster(5, 2, 3, 4, levels, 8, 2, cell="gru_d", gaps=GAPS)
    answer = network(past(), torch.randn(6, 4, 2), torch.randn(6, 3))
    assert answer.shape == (6, 4, 3)
    answer.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_dropout_acts_between_its_layers_in_training_only():
    encoder, given = GapEncoder(5, 8, 2, dropout=0.5, gaps=GAPS), past()
    assert not torch.equal(encoder(given)[0], encoder(given)[0])
    encoder.eval()
    assert torch.equal(encoder(given)[0], encoder(given)[0])
