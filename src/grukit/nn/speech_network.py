"""Features of speech to the logits of tokens, whole or as a stream."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, pad

from grukit.nn.by_name import LAYER_OF
from grukit.nn.chunked import ChunkedBidirectional
from grukit.nn.stack import Stack

LEFT, RIGHT = 5, 5
"""Frames before and after a step that the convolution sees; of a stream it may see up to
`MOST_RIGHT` after it."""
MOST_RIGHT = 13


class LookAhead(NamedTuple):
    """How a stream looks ahead: by `right` frames in the convolution, and in the recurrent layers
    to the end of a chunk of so many steps."""

    right: int
    chunk: int

    @classmethod
    def within(cls, frames: int, stride: int) -> LookAhead:
        """The best use of so many frames: no output depends on more after its own frame."""
        right = min(MOST_RIGHT, frames // 3)
        return cls(right, (frames - right) // stride + 1)


class SpeechNetwork(nn.Module):
    """A convolution, recurrent layers with layer norm, and logits for CTC (Amodei et al. 2016).

    >>> network = SpeechNetwork(features=40, outputs=30, hidden_size=16, num_layers=2)
    >>> logits, lengths = network(torch.zeros(2, 100, 40), torch.tensor([100, 60]))
    >>> logits.shape, lengths.tolist()
    (torch.Size([2, 50, 30]), [50, 30])

    Step k of the T' = ceil(T / stride) is about frame k * stride. The layers read in both
    directions.

    look_ahead: None for the whole of a recording; else the direction that reads back does so within
        chunks, and the network can `stream`.
    pooled: one answer for the whole of a recording, T' = 1, from the mean and the maximum over its
        steps. To CTC that is a choice among the tokens, and none.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        hidden_size: int = 256,
        num_layers: int = 3,
        stride: int = 2,
        look_ahead: LookAhead | None = None,
        dropout: float = 0.0,
        cell: str = "gru",
        pooled: bool = False,
    ) -> None:
        super().__init__()
        self.features, self.stride, self.look_ahead = features, stride, look_ahead
        self.pooled = pooled
        self.dropout = dropout
        self.right = RIGHT if look_ahead is None else look_ahead.right
        width = LEFT + 1 + self.right
        self.convolution = nn.Conv1d(features, hidden_size, width, stride=stride)
        self.norm = nn.LayerNorm(hidden_size)
        layer = LAYER_OF[cell]
        if look_ahead is None:
            self.recurrent: nn.Module = layer(
                hidden_size,
                hidden_size,
                num_layers,
                dropout=dropout if num_layers > 1 else 0.0,
                bidirectional=True,
                layer_norm=True,
            )
        else:
            sizes = [hidden_size, *[2 * hidden_size] * (num_layers - 1)]
            self.recurrent = Stack(
                *(
                    ChunkedBidirectional(
                        layer(size, hidden_size, layer_norm=True),
                        layer(size, hidden_size, layer_norm=True),
                        look_ahead.chunk,
                    )
                    for size in sizes
                ),
                dropout=dropout,
            )
        self.head = nn.Linear((4 if pooled else 2) * hidden_size, outputs)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """float [B, T, F] and int64 [B] to logits [B, T', V] and how many of them count, [B].

        What stands past a length may be anything.
        """
        if not frames.shape[1]:
            return frames.new_zeros(len(frames), 0, self.head.out_features), lengths
        inside = torch.arange(frames.shape[1], device=frames.device) < lengths[:, None]
        frames = torch.where(inside[..., None], frames, 0.0)
        # Frames added so that the last step has its context.
        steps = -(-frames.shape[1] // self.stride)
        needed = (steps - 1) * self.stride + self.right + 1
        x = self.convolved(pad(frames, (0, 0, LEFT, max(0, needed - frames.shape[1]))))[:, :steps]
        lengths = -(-lengths // self.stride)
        x, _ = self.recurrent(x.transpose(0, 1), lengths=lengths)
        if self.pooled:
            x, lengths = pooled(x, lengths), lengths.clamp(max=1)
        return self.logits(x), lengths

    def convolved(self, frames: Tensor) -> Tensor:
        """[B, T, F] to [B, T', H], of those steps whose context is there."""
        x = self.convolution(frames.transpose(1, 2)).transpose(1, 2)
        return dropout(gelu(self.norm(x)), self.dropout, self.training)

    def logits(self, x: Tensor) -> Tensor:
        """The output of the recurrent layers, [T', B, 2 H], to logits [B, T', V]."""
        return self.head(dropout(x, self.dropout, self.training)).transpose(0, 1)

    def stream(self) -> NetworkStream:
        """A stream of one utterance; ValueError for a network without `look_ahead`."""
        return NetworkStream(self)


def pooled(x: Tensor, lengths: Tensor) -> Tensor:
    """The mean and the maximum over the steps that count, [T, B, F] to [1, B, 2 F]; 0 of none."""
    inside = (torch.arange(len(x), device=x.device)[:, None] < lengths)[..., None]
    mean = (x * inside).sum(0) / lengths.clamp(min=1)[:, None]
    highest = x.masked_fill(~inside, -torch.inf).amax(0).where(lengths[:, None] > 0, 0.0)
    return torch.cat([mean, highest], dim=-1)[None]


class NetworkStream:
    """One utterance as its frames come; together the logits are those of the network at once.

    Logits come by whole chunks. Memory does not grow.
    """

    def __init__(self, network: SpeechNetwork) -> None:
        if network.look_ahead is None:
            raise ValueError("a network that reads in both directions cannot stream")
        self.network, self.chunk = network, network.look_ahead.chunk
        zeros = network.head.weight.new_zeros
        self.frames = zeros(1, LEFT, network.features)
        self.waiting = zeros(1, 0, network.convolution.out_channels)
        self.state: Any = None

    @torch.no_grad()
    def push(self, frames: Tensor) -> Tensor:
        """The next frames, float32 [t, F], to the logits [t', V] that are now known."""
        network = self.network
        self.frames = torch.cat([self.frames, frames[None]], dim=1)
        steps = (self.frames.shape[1] - LEFT - 1 - network.right) // network.stride + 1
        if steps > 0:
            self.waiting = torch.cat([self.waiting, network.convolved(self.frames)], dim=1)
            self.frames = self.frames[:, steps * network.stride :]
        return self._answer(self.waiting.shape[1] // self.chunk * self.chunk)

    @torch.no_grad()
    def finish(self) -> Tensor:
        """The last logits: what lies after the last frame is as nothing."""
        network = self.network
        # Of the frames held, LEFT lie before the first whose step is to come.
        steps = -(-(self.frames.shape[1] - LEFT) // network.stride)
        if steps > 0:
            needed = LEFT + 1 + network.right + (steps - 1) * network.stride
            frames = pad(self.frames, (0, 0, 0, max(0, needed - self.frames.shape[1])))
            self.waiting = torch.cat([self.waiting, network.convolved(frames)[:, :steps]], dim=1)
        return self._answer(self.waiting.shape[1])

    def _answer(self, steps: int) -> Tensor:
        """The logits of the first steps that wait."""
        if steps == 0:
            return self.waiting.new_zeros(0, self.network.head.out_features)
        x, self.waiting = self.waiting[:, :steps], self.waiting[:, steps:]
        x, self.state = self.network.recurrent(x.transpose(0, 1), self.state)
        return self.network.logits(x)[0]
