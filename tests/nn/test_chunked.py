from __future__ import annotations

import pytest
import torch

from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM
from grukit.nn.bidirectional import Bidirectional
from grukit.nn.chunked import ChunkedBidirectional


def layer(chunk, cell=GRU, seed=0):
    torch.manual_seed(seed)
    return ChunkedBidirectional(cell(3, 4), cell(3, 4), chunk)


@pytest.mark.parametrize("cell", [GRU, LSTM])
def test_a_chunk_as_long_as_the_input_is_both_directions(cell):
    chunked, lengths = layer(20, cell), [20, 0, 7]
    both = Bidirectional(chunked.forward_layer, chunked.backward_layer)
    x = torch.randn(20, 3, 3)
    expected, _ = both(x, lengths=lengths)
    torch.testing.assert_close(chunked(x, lengths=lengths)[0], expected)


@pytest.mark.parametrize("chunk", [1, 4, 7])
def test_chunks_are_read_back_one_by_one(chunk):
    chunked, x = layer(chunk), torch.randn(18, 2, 3)
    output, state = chunked(x)
    ahead, final = chunked.forward_layer(x)
    back = torch.cat([chunked.backward_layer(part.flip(0))[0].flip(0) for part in x.split(chunk)])
    torch.testing.assert_close(output, torch.cat([ahead, back], -1))
    torch.testing.assert_close(state, final)


def test_a_sequence_does_not_depend_on_what_lies_past_it():
    chunked, x, lengths = layer(4), torch.randn(18, 4, 3), [18, 5, 0, 12]
    output, _ = chunked(x, lengths=lengths)
    for row, length in enumerate(lengths):
        assert not output[length:, row].any()
        if length:
            alone, _ = chunked(x[:length, row : row + 1])
            torch.testing.assert_close(output[:length, row], alone[:, 0])


def test_it_goes_on_from_whole_chunks():
    chunked, x = layer(4), torch.randn(18, 2, 3)
    whole, end = chunked(x)
    first, state = chunked(x[:8])
    rest, final = chunked(x[8:], state)
    torch.testing.assert_close(torch.cat([first, rest]), whole)
    torch.testing.assert_close(final, end)


def test_gradients_reach_both_directions():
    chunked, x = layer(4), torch.randn(18, 2, 3, requires_grad=True)
    chunked(x, lengths=[18, 9])[0].square().sum().backward()
    assert x.grad is not None
    assert not x.grad[9:, 1].any()
    assert all(parameter.grad.abs().sum() > 0 for parameter in chunked.parameters())


def test_what_it_cannot_do_is_told():
    for chunk in (0, 1.5):
        with pytest.raises(ParameterError, match="chunk must be an integer of at least 1"):
            layer(chunk)
    with pytest.raises(ParameterError, match="batch_first"):
        ChunkedBidirectional(GRU(3, 4, batch_first=True), GRU(3, 4), 4)
    with pytest.raises(ParameterError, match="resets"):
        layer(4)(torch.zeros(8, 1, 3), resets=torch.zeros(8, 1, dtype=torch.bool))
