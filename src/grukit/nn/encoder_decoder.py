"""An encoder reads the past; a decoder answers for every step of the horizon at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu

from grukit.nn.by_name import LAYER_OF
from grukit.nn.gap_encoder import Gap, GapEncoder
from grukit.nn.heads import in_units, new_head
from grukit.nn.linear import Linear, models_axis
from grukit.nn.series_embedding import SeriesEmbedding


class DirectForecaster(nn.Module):
    """A recurrent encoder, a direct multi-step decoder (Wen et al. 2017, arXiv:1711.11053).

    >>> network = DirectForecaster(
    ...     past_size=5,
    ...     known_size=2,
    ...     static_size=1,
    ...     horizon=24,
    ...     levels=(0.1, 0.5, 0.9),
    ...     hidden_size=32,
    ... )
    >>> past, future, static = torch.randn(8, 72, 5), torch.randn(8, 24, 2), torch.randn(8, 1)
    >>> network(past, future, static).shape
    torch.Size([8, 24, 3])

    The encoder's last output, what is known of each step ahead, and the step itself meet in a small
    network that is shared by all steps, so no error is fed back.

    Each step's answer is in units of its `step_scale` [H], ones until it is set: the size of what
    is to be forecast at that step, so that a small change at the first step is not drowned by the
    large ones at the last.

    past_size, known_size, static_size: columns of the three inputs.
    horizon: H, the steps answered for. levels: Q quantile levels, 0.5 among them.
    cell: a name in `grukit.nn.by_name`, or "gru_d": what the encoder is made of.
    series, series_embedding: of how many series a vector of which size is learned, none by default.
    gaps: the past's columns with gaps, for "gru_d".
    models: K; then every parameter has a leading axis, and K models answer, [K, B, H, P]; not for
        "gru_d".
    """

    step_scale: Tensor

    def __init__(
        self,
        past_size: int,
        known_size: int,
        static_size: int,
        horizon: int,
        levels: Sequence[float],
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        cell: str = "gru",
        series: int = 0,
        series_embedding: int = 0,
        distribution: str = "quantiles",
        gaps: Sequence[Gap] = (),
        models: int | None = None,
    ) -> None:
        super().__init__()
        self.models = models
        self.dropout = dropout
        between = dropout if num_layers > 1 else 0.0
        self.cell = cell
        if cell == "gru_d":
            self.encoder = GapEncoder(past_size, hidden_size, num_layers, dropout, gaps=gaps)
        else:
            self.encoder = LAYER_OF[cell](
                past_size,
                hidden_size,
                num_layers,
                batch_first=True,
                dropout=between,
                models=models,
            )
        about_window = hidden_size + static_size + series_embedding
        self.of_state = Linear(about_window, hidden_size, models=models)
        self.of_known = self.of_series = None
        if known_size:
            self.of_known = Linear(known_size, hidden_size, bias=False, models=models)
        of_step = torch.randn(*models_axis(models), horizon, hidden_size)
        self.of_step = nn.Parameter(of_step / hidden_size**0.5)
        self.mix = Linear(hidden_size, hidden_size, models=models)
        self.head = new_head(distribution, hidden_size, levels, models)
        if series_embedding:
            self.of_series = SeriesEmbedding(series, series_embedding, models)
        self.register_buffer("step_scale", torch.ones(horizon))

    def forward(
        self, past: Tensor, future: Tensor, static: Tensor, series: Tensor | None = None
    ) -> Tensor:
        """[B, L, past], [B, H, known], [B, static] and int64 [B] to [B, H, P].

        What is answered are Q quantiles, or the parameters of another distribution.
        series: the places of the series among those embedded, -1 for any other.
        """
        axis = models_axis(self.models)
        past, future, static = (part.expand(*axis, *part.shape) for part in (past, future, static))
        if self.of_series is not None:
            static = torch.cat([static, self.of_series(series)], dim=-1)
        output, _ = self.encoder(past)
        state = dropout(output[..., -1, :], self.dropout, self.training)
        of_window = self.of_state(torch.cat([state, static], dim=-1))
        features = of_window.unsqueeze(-2) + self.of_step.unsqueeze(-3)
        if self.of_known is not None:
            features = features + self.of_known(future)
        features = gelu(features)
        answer = self.head(features + gelu(self.mix(features)))
        return in_units(answer, self.head.kinds, self.step_scale[:, None])
