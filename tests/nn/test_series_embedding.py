from __future__ import annotations

import pytest
import torch

from grukit.nn.encoder_decoder import DirectForecaster
from grukit.nn.segments import SegmentForecaster

SIZES = {"past_size": 4, "known_size": 0, "static_size": 1, "horizon": 6, "levels": (0.5,)}
NETWORKS = {
    "steps": lambda **sizes: DirectForecaster(**SIZES, hidden_size=8, **sizes),
    "segments": lambda **sizes: SegmentForecaster(**SIZES, segment=3, hidden_size=8, **sizes),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_series_is_answered_by_its_own_vector_and_a_new_one_by_their_mean(kind):
    torch.manual_seed(0)
    network = NETWORKS[kind](series=3, series_embedding=2)
    window = [torch.randn(1, *size) for size in ((9, 4), (6, 0), (1,))]

    def answer(series: int) -> torch.Tensor:
        return network(*window, torch.tensor([series]))

    of_new = answer(-1)
    assert not torch.allclose(answer(0), answer(2))
    assert not torch.allclose(answer(0), of_new)
    with torch.no_grad():
        network.of_series.weight[0] = network.of_series.weight.mean(dim=0)
        network.of_series.weight[1:] = network.of_series.weight[0]
    torch.testing.assert_close(answer(0), of_new)
    torch.testing.assert_close(answer(2), of_new)


@pytest.mark.parametrize("kind", NETWORKS)
def test_an_embedding_leaves_the_other_first_weights_as_they_were(kind):
    weights = []
    for embedding in (0, 2):
        torch.manual_seed(0)
        weights.append(NETWORKS[kind](series=3, series_embedding=embedding).state_dict())
    plain, embedded = weights
    assert set(embedded) - set(plain) == {"of_series.weight"}
    torch.testing.assert_close(
        embedded["head.linear.weight"].shape, plain["head.linear.weight"].shape
    )
