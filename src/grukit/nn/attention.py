"""Weights over the steps of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AttentionPooling(nn.Module):
    """One vector for a sequence: the mean of its steps, weighted by what each is worth.

    >>> counted = torch.arange(5)[:, None] < torch.tensor([5, 3])
    >>> pooled, weights = AttentionPooling(8)(torch.randn(5, 2, 8), counted)
    >>> pooled.shape, weights[3:, 1].tolist(), round(weights[:, 1].sum().item(), 4)
    (torch.Size([2, 8]), [0.0, 0.0], 1.0)

    The weights are softmax(v tanh(W h + b)) over the steps that count (Yang et al. 2016). A
    sequence without steps gives zeros.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, size)
        self.worth = nn.Linear(size, 1, bias=False)

    def forward(self, steps: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        """[T, B, H] and bool [T, B] to [B, H], and the weights [T, B]."""
        worth = self.worth(torch.tanh(self.hidden(steps))).squeeze(-1)
        lowest = torch.finfo(worth.dtype).min
        weights = torch.where(counted, worth, lowest).softmax(0) * counted
        return (weights.unsqueeze(-1) * steps).sum(0), weights
