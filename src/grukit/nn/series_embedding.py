"""What a network learns about each series by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grukit.nn.linear import models_axis


class SeriesEmbedding(nn.Module):
    """A learned vector for each of S series, and for any other series the mean of them.

    models: K; then every model has vectors of its own, [K, S, size].

    >>> embedding = SeriesEmbedding(series=3, size=4)
    >>> of_known, of_new = embedding(torch.tensor([2, -1]))
    >>> torch.equal(of_known, embedding.weight[2]), torch.equal(of_new, embedding.weight.mean(0))
    (True, True)
    """

    def __init__(self, series: int, size: int, models: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*models_axis(models), series, size))

    def forward(self, series: Tensor) -> Tensor:
        """int64 [B], -1 for a series without a vector of its own, to [B, size] ([K, B, size])."""
        mean = self.weight.mean(dim=-2, keepdim=True)
        return torch.cat([self.weight, mean], dim=-2)[..., series, :]
