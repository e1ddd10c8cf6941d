"""Features of speech to the logits of tokens, whole or as a stream."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, dropout, gelu, pad

from grukit.nn.encoder_decoder import ENCODERS


class SpeechNetwork(nn.Module):
    """A convolution, recurrent layers with layer norm, and logits for CTC (Amodei et al. 2016).

    >>> network = SpeechNetwork(features=40, outputs=30, hidden_size=16, num_layers=2)
    >>> logits, lengths = network(torch.zeros(2, 100, 40), torch.tensor([100, 60]))
    >>> logits.shape, lengths.tolist()
    (torch.Size([2, 50, 30]), [50, 30])

    Step k of the T' = ceil(T / stride) sees the `CONTEXT` frames before and after frame
    k * stride, and through the recurrent layers the whole past.

    look_ahead: None for layers that read in both directions; else these read forward, and each
        output sees so many steps after its own, each unit with weights of its own. Such a network
        can `stream`.
    """

    CONTEXT = 5
    """Frames on either side of a step that the convolution sees."""

    def __init__(
        self,
        features: int,
        outputs: int,
        hidden_size: int = 256,
        num_layers: int = 3,
        stride: int = 2,
        look_ahead: int | None = None,
        dropout: float = 0.0,
        cell: str = "gru",
    ) -> None:
        super().__init__()
        self.features, self.stride, self.look_ahead = features, stride, look_ahead
        self.dropout = dropout
        width = 2 * self.CONTEXT + 1
        self.convolution = nn.Conv1d(features, hidden_size, width, stride=stride)
        self.norm = nn.LayerNorm(hidden_size)
        both = look_ahead is None
        self.recurrent = ENCODERS[cell](
            hidden_size,
            hidden_size,
            num_layers,
            dropout=dropout if num_layers > 1 else 0.0,
            bidirectional=both,
            layer_norm=True,
        )
        size = hidden_size * (2 if both else 1)
        if look_ahead:
            self.ahead = nn.Parameter(torch.zeros(size, 1, look_ahead + 1))
            nn.init.constant_(self.ahead[:, :, 0], 1.0)
        self.head = nn.Linear(size, outputs)

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
        needed = (steps - 1) * self.stride + self.CONTEXT + 1
        frames = pad(frames, (0, 0, self.CONTEXT, needed - frames.shape[1]))
        x = self._front(frames)[:, :steps]
        lengths = -(-lengths // self.stride)
        x, _ = self.recurrent(x.transpose(0, 1), lengths=lengths)
        if self.look_ahead:
            x = self._ahead(pad(x, (0, 0, 0, 0, 0, self.look_ahead)))
        x = dropout(x, self.dropout, self.training)
        return self.head(x).transpose(0, 1), lengths

    def stream(self) -> SpeechStream:
        """A stream of one utterance; for a network with `look_ahead`."""
        return SpeechStream(self)

    def _front(self, frames: Tensor) -> Tensor:
        """[B, T, F] to [B, T', H], of those steps whose context is there."""
        x = self.convolution(frames.transpose(1, 2)).transpose(1, 2)
        return dropout(gelu(self.norm(x)), self.dropout, self.training)

    def _ahead(self, x: Tensor) -> Tensor:
        """[T + look_ahead, B, H] to [T, B, H]."""
        x = conv1d(x.permute(1, 2, 0), self.ahead, groups=x.shape[-1])
        return x.permute(2, 0, 1)


class SpeechStream:
    """One utterance as its frames come; together the logits are those of the network at once.

    Its memory does not grow.
    """

    def __init__(self, network: SpeechNetwork) -> None:
        if network.look_ahead is None:
            raise ValueError("a network that reads in both directions cannot stream")
        self.network = network
        weight = network.head.weight
        self.frames = weight.new_zeros(1, network.CONTEXT, network.features)
        self.state: Any = None
        self.outputs = weight.new_zeros(0, 1, network.recurrent.hidden_size)

    @torch.no_grad()
    def push(self, frames: Tensor) -> Tensor:
        """The next frames, float32 [t, F], to the logits [t', V] that are now known."""
        network = self.network
        self.frames = torch.cat([self.frames, frames[None]], dim=1)
        steps = (self.frames.shape[1] - 2 * network.CONTEXT - 1) // network.stride + 1
        if steps <= 0:
            return network.head.weight.new_zeros(0, network.head.out_features)
        x = network._front(self.frames)
        self.frames = self.frames[:, steps * network.stride :]
        return self._recur(x)

    @torch.no_grad()
    def finish(self) -> Tensor:
        """The last logits: what lies after the last frame is as nothing."""
        network = self.network
        # Of the frames held, CONTEXT lie before the first whose step is to come.
        coming = self.frames.shape[1] - network.CONTEXT
        steps = -(-coming // network.stride)
        logits = [network.head.weight.new_zeros(0, network.head.out_features)]
        if steps > 0:
            needed = 2 * network.CONTEXT + 1 + (steps - 1) * network.stride
            missing = needed - self.frames.shape[1]
            frames = self.frames if missing <= 0 else pad(self.frames, (0, 0, 0, missing))
            logits.append(self._recur(network._front(frames)[:, :steps]))
        if network.look_ahead and len(self.outputs):
            rest = pad(self.outputs, (0, 0, 0, 0, 0, network.look_ahead))
            logits.append(network.head(network._ahead(rest)[: len(self.outputs)])[:, 0])
        return torch.cat(logits)

    def _recur(self, x: Tensor) -> Tensor:
        """Convolved [1, t, H] to the logits [t', V] that follow."""
        network = self.network
        x, self.state = network.recurrent(x.transpose(0, 1), self.state)
        ahead = network.look_ahead
        if ahead:
            self.outputs = torch.cat([self.outputs, x])
            if len(self.outputs) <= ahead:
                return network.head.weight.new_zeros(0, network.head.out_features)
            x, self.outputs = network._ahead(self.outputs), self.outputs[-ahead:]
        return network.head(x)[:, 0]
