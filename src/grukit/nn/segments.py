"""A recurrent network that takes a whole segment of time in one step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad, relu

from grukit.nn.branches import branches
from grukit.nn.by_name import LAYER_OF
from grukit.nn.heads import new_head
from grukit.nn.linear import Linear, models_axis
from grukit.nn.series_embedding import SeriesEmbedding

# What the head sees of each step.
_STEP_FEATURES = 8


class SegmentForecaster(nn.Module):
    """A recurrent encoder over segments, decoded in parallel (SegRNN, Lin et al. 2023,
    arXiv:2308.11200).

    >>> network = SegmentForecaster(
    ...     past_size=5,
    ...     known_size=2,
    ...     static_size=1,
    ...     horizon=96,
    ...     levels=(0.1, 0.5, 0.9),
    ...     segment=24,
    ...     hidden_size=32,
    ... )
    >>> past, future, static = torch.randn(8, 72, 5), torch.randn(8, 96, 2), torch.randn(8, 1)
    >>> network(past, future, static).shape
    torch.Size([8, 96, 3])

    The past is cut into segments of W steps, from its end backwards; each enters the recurrent
    layer as one vector, relu(A x + b). So a lookback of 720 takes 30 steps where W is 24, and a
    gradient has a short way. From the last state the same layer takes one step for each segment of
    the horizon, all at once and none after another: what enters is a vector for the place of the
    segment, plus what is known of it, plus what is known of the series. No error is fed back.

    Takes and answers what DirectForecaster does, but in one unit at all steps: as far ahead as this
    is for, forecasts differ little in size.

    segment: W, in steps. The first segment of the past is filled up with zeros, and what the last
        one of the horizon has too many is cut off.
    dropout: between recurrent layers, and of the decoder's states.
    models: K; then every parameter has a leading axis, and K models answer, [K, B, H, P].
    """

    def __init__(
        self,
        past_size: int,
        known_size: int,
        static_size: int,
        horizon: int,
        levels: Sequence[float],
        segment: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        cell: str = "gru",
        series: int = 0,
        series_embedding: int = 0,
        distribution: str = "quantiles",
        models: int | None = None,
    ) -> None:
        super().__init__()
        self.models = models
        self.segment, self.horizon, self.dropout = segment, horizon, dropout
        self.cell = cell
        between = dropout if num_layers > 1 else 0.0
        segments = -(-horizon // segment)
        about_series = static_size + series_embedding
        self.of_past = Linear(segment * past_size, hidden_size, models=models)
        self.encoder = LAYER_OF[cell](
            hidden_size, hidden_size, num_layers, batch_first=True, dropout=between, models=models
        )
        self.of_place = nn.Parameter(torch.randn(*models_axis(models), segments, hidden_size))
        self.of_known = self.of_static = self.of_series = None
        if known_size:
            self.of_known = Linear(segment * known_size, hidden_size, models=models)
        if about_series:
            self.of_static = Linear(about_series, hidden_size, models=models)
        self.of_segment = Linear(hidden_size, segment * _STEP_FEATURES, models=models)
        self.head = new_head(distribution, _STEP_FEATURES, levels, models)
        if series_embedding:
            self.of_series = SeriesEmbedding(series, series_embedding, models)

    def forward(
        self, past: Tensor, future: Tensor, static: Tensor, series: Tensor | None = None
    ) -> Tensor:
        """[B, L, past], [B, H, known], [B, static] and int64 [B] to [B, H, P].

        series: the places of the series among those embedded, -1 for any other.
        """
        axis = models_axis(self.models)
        past, future, static = (part.expand(*axis, *part.shape) for part in (past, future, static))
        if self.of_series is not None:
            static = torch.cat([static, self.of_series(series)], dim=-1)
        before = pad(past, (0, 0, -past.shape[-2] % self.segment, 0))
        _, state = self.encoder(relu(self.of_past(self._cut(before))))
        output = branches(self.encoder, self._asked(future, static), state)
        output = dropout(output, self.dropout, self.training)
        steps = self.of_segment(output).unflatten(-1, (self.segment, _STEP_FEATURES))
        return self.head(steps.flatten(-3, -2)[..., : self.horizon, :])

    def _asked(self, future: Tensor, static: Tensor) -> list[Tensor]:
        """What the decoder is told of each segment ahead, in summands of [B, segments, hidden]."""
        asked = self.of_place.unsqueeze(-3)
        if self.of_known is not None:
            ahead = pad(future, (0, 0, 0, -self.horizon % self.segment))
            asked = asked + self.of_known(self._cut(ahead))
        if self.of_static is None:
            return [asked]
        return [asked, self.of_static(static).unsqueeze(-2)]

    def _cut(self, steps: Tensor) -> Tensor:
        """[B, n * W, columns] to [B, n, W * columns]."""
        return steps.unflatten(-2, (-1, self.segment)).flatten(-2)
