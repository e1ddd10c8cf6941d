from __future__ import annotations

import pytest
import torch

from grukit.nn.by_name import LAYER_OF
from grukit.nn.speech_network import LEFT, LookAhead, SpeechNetwork, pooled

LIVE = [LookAhead(0, 1), LookAhead(2, 3), LookAhead(5, 8)]


def network(stride=2, look_ahead=None, cell="gru"):
    torch.manual_seed(0)
    return SpeechNetwork(5, 9, 16, 2, stride=stride, look_ahead=look_ahead, cell=cell).eval()


@pytest.mark.parametrize("cell", LAYER_OF)
@pytest.mark.parametrize("look_ahead", [None, *LIVE])
@torch.no_grad()
def test_a_recording_does_not_depend_on_its_batch_or_padding(look_ahead, cell):
    model, lengths = network(look_ahead=look_ahead, cell=cell), torch.tensor([40, 7, 0, 23])
    frames = torch.randn(4, 40, 5)
    together, steps = model(frames, lengths)
    assert steps.tolist() == [20, 4, 0, 12]
    for row, length in enumerate(lengths.tolist()):
        alone, _ = model(frames[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row, : steps[row]], alone[0], rtol=0, atol=5e-6)


@torch.no_grad()
def test_a_pooled_network_answers_once_whatever_the_padding():
    torch.manual_seed(0)
    model, lengths = SpeechNetwork(5, 9, 16, 2, pooled=True).eval(), torch.tensor([40, 7, 0, 23])
    frames = torch.randn(4, 40, 5)
    together, steps = model(frames, lengths)
    assert together.shape == (4, 1, 9)
    assert steps.tolist() == [1, 1, 0, 1]
    for row, length in enumerate(lengths.tolist()):
        alone, _ = model(frames[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row, : steps[row]], alone[0], rtol=0, atol=5e-6)


@torch.no_grad()
def test_pooling_is_the_mean_and_the_maximum_of_what_counts():
    x = torch.tensor([[[1.0, -4.0]], [[3.0, -2.0]], [[9.0, 9.0]]])
    assert pooled(x, torch.tensor([2])).tolist() == [[[2.0, -3.0, 3.0, -2.0]]]
    assert pooled(x, torch.tensor([0])).tolist() == [[[0.0] * 4]]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("look_ahead", LIVE)
@torch.no_grad()
def test_a_stream_gives_what_the_whole_gives(look_ahead, stride):
    model = network(stride, look_ahead)
    for length in (0, 1, 2, 5, 6, 7, 30, 101):
        frames = torch.randn(length, 5)
        whole, steps = model(frames[None], torch.tensor([length]))
        for size in (1, 4, 50):
            stream = model.stream()
            parts = [stream.push(part) for part in frames.split(size) if len(part)]
            logits = torch.cat([*parts, stream.finish()])
            assert len(logits) == steps.item() == -(-length // stride)
            torch.testing.assert_close(logits, whole[0, : len(logits)], rtol=0, atol=5e-6)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("frames", [0, 5, 17, 45])
@torch.no_grad()
def test_a_stream_looks_ahead_as_far_as_it_says_and_no_farther(frames, stride):
    look_ahead = LookAhead.within(frames, stride)
    model, sound = network(stride, look_ahead), torch.randn(1, 200, 5)
    before, _ = model(sound, torch.tensor([200]))
    first = look_ahead.chunk  # of all steps of its chunk the one that waits longest
    last = first * stride + (look_ahead.chunk - 1) * stride + look_ahead.right
    assert frames - stride < last - first * stride <= frames
    for changed, same in ((last + 1, True), (last, False)):
        other = sound.clone()
        other[:, changed] += 10
        after, _ = model(other, torch.tensor([200]))
        assert torch.equal(before[:, : first + 1], after[:, : first + 1]) is same


@torch.no_grad()
def test_the_memory_of_a_stream_does_not_grow():
    model = network(look_ahead=LookAhead(2, 8))
    stream = model.stream()
    for _ in range(50):
        stream.push(torch.randn(10, 5))
        assert stream.frames.shape[1] < LEFT + 1 + model.right + model.stride
        assert stream.waiting.shape[1] < 8


def test_a_network_of_both_directions_cannot_stream():
    with pytest.raises(ValueError, match="both directions"):
        network().stream()
