"""A recurrent network that forecasts one step, and goes on from what it forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu

from grukit.nn.by_name import LAYER_OF
from grukit.nn.heads import in_units, new_head
from grukit.nn.series_embedding import SeriesEmbedding

# The last value, whether it was observed, its change, and from what the next one is counted.
STEP_COLUMNS = 4


class RecursiveForecaster(nn.Module):
    """One step ahead from all steps before (DeepAR, Salinas et al. 2020, arXiv:1704.04110).

    >>> network = RecursiveForecaster(
    ...     known_size=2,
    ...     static_size=1,
    ...     levels=(0.1, 0.5, 0.9),
    ...     lag=1,
    ...     hidden_size=32,
    ... )
    >>> values, known, static = torch.randn(8, 96), torch.randn(8, 96, 2), torch.randn(8, 1)
    >>> answer, base = network(values, torch.ones(8, 96).bool(), known, static)
    >>> answer.shape, base.shape  # for each step but the first
    (torch.Size([8, 95, 3]), torch.Size([8, 95]))

    At step t the recurrent layer reads the value of step t - 1, what is known of step t and of the
    series, and answers with the distribution of the value of step t. Training tells it the true
    values (teacher forcing); to forecast, values are sampled and fed back, step by step.

    An answer is in units of `step_scale` [1], the size of what is forecast; 1 until it is set.

    known_size, static_size: columns of what is known of a step and of a series.
    levels: Q quantile levels, 0.5 among them.
    lag: what is forecast is the change from the value so many steps before, the base; 0: the value.
    cell, series, series_embedding, distribution: as in DirectForecaster.
    """

    step_scale: Tensor

    def __init__(
        self,
        known_size: int,
        static_size: int,
        levels: Sequence[float],
        lag: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        cell: str = "gru",
        series: int = 0,
        series_embedding: int = 0,
        distribution: str = "quantiles",
    ) -> None:
        super().__init__()
        self.lag, self.dropout, self.cell = lag, dropout, cell
        self.models = None
        between = dropout if num_layers > 1 else 0.0
        size = STEP_COLUMNS + known_size + static_size + series_embedding
        self.decoder = LAYER_OF[cell](
            size, hidden_size, num_layers, batch_first=True, dropout=between
        )
        self.mix = nn.Linear(hidden_size, hidden_size)
        self.head = new_head(distribution, hidden_size, levels)
        self.of_series = SeriesEmbedding(series, series_embedding) if series_embedding else None
        self.register_buffer("step_scale", torch.ones(1))

    def forward(
        self,
        values: Tensor,
        observed: Tensor,
        known: Tensor,
        static: Tensor,
        series: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Every step from all true values before it: [B, T - 1, P] around the base [B, T - 1].

        values: [B, T], anything where not observed; observed: bool [B, T].
        known: [B, T, known]; static: [B, static].
        series: int64 [B], the places of the series among those embedded, -1 for any other.
        """
        about = self.about(static, series)
        x, base = self.inputs(filled(values, observed), observed, known, about)
        output, _ = self.decoder(x)
        return self.answer(output), base

    def about(self, static: Tensor, series: Tensor | None) -> Tensor:
        """All that is known of a series, [B, static + embedding]."""
        if self.of_series is None:
            return static
        return torch.cat([static, self.of_series(series)], dim=-1)

    def inputs(
        self, values: Tensor, observed: Tensor, known: Tensor, about: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the layer reads at each step but the first, [B, T - 1, columns]; and the base.

        values: [B, T] without gaps.
        """
        last = values[:, :-1]
        change = torch.cat([torch.zeros_like(last[:, :1]), last.diff(dim=1)], dim=1)
        base = torch.zeros_like(last)
        if self.lag:
            base = torch.cat([last[:, : self.lag - 1], values[:, : -self.lag]], dim=1)
        told = torch.stack([last, observed[:, :-1].to(last.dtype), change, base - last], dim=-1)
        steps = last.shape[1]
        x = torch.cat([told, known[:, 1:], about[:, None].expand(-1, steps, -1)], dim=-1)
        return x, base

    def answer(self, output: Tensor) -> Tensor:
        """What the layer gave, [..., hidden], as parameters [..., P]."""
        output = dropout(output, self.dropout, self.training)
        return in_units(
            self.head(output + gelu(self.mix(output))), self.head.kinds, self.step_scale
        )

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step of `inputs` [B, columns] after a state: parameters [B, P], and the new state."""
        output, state = self.decoder.step(x, state)
        return self.answer(output), state


def filled(values: Tensor, observed: Tensor) -> Tensor:
    """Each gap of [B, T] by the last value before it, and by 0 where there is none.

    >>> filled(torch.tensor([[9.0, 1.0, 9.0, 2.0]]), torch.tensor([[False, True, False, True]]))
    tensor([[0., 1., 1., 2.]])
    """
    place = torch.where(observed, torch.arange(values.shape[1], device=values.device), -1)
    newest = place.cummax(dim=1).values
    return torch.where(newest >= 0, values.gather(1, newest.clamp(min=0)), 0.0)
