"""A GRU-D that reads columns in which markers say what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grukit.nn.gru import GRU
from grukit.nn.gru_d import GRUD, delays


class Gap(NamedTuple):
    """A column with gaps, and the column that marks them with the value `missing`, 0 or 1."""

    column: int
    marker: int
    missing: int


class GapEncoder(nn.Module):
    """A GRU-D below GRU layers, in the place of a GRU that is told of gaps by markers.

    >>> encoder = GapEncoder(4, hidden_size=20, num_layers=2, gaps=[Gap(0, 1, missing=0)])
    >>> output, _ = encoder(torch.randn(8, 72, 4))
    >>> output.shape
    torch.Size([8, 72, 20])

    Delays are counted in steps from the start of what it is given, and the mean of every column is
    taken as 0. A column without a gap is always observed.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        *,
        gaps: Sequence[Gap],
    ) -> None:
        super().__init__()
        markers = {gap.marker for gap in gaps}
        self.columns = [column for column in range(input_size) if column not in markers]
        self.gaps = tuple(gaps)
        self.gru_d = GRUD(len(self.columns), hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.above = None
        if num_layers > 1:
            between = dropout if num_layers > 2 else 0.0
            self.above = GRU(
                hidden_size, hidden_size, num_layers - 1, batch_first=True, dropout=between
            )

    def forward(self, past: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, columns] to the last layer's output [B, T, H], and of its last step [B, H]."""
        past = past.transpose(0, 1)
        mask = torch.ones_like(past)
        for column, marker, missing in self.gaps:
            mask[..., column] = (past[..., marker] - missing).abs() > 0.5
        x, mask = past[..., self.columns], mask[..., self.columns]
        output, _ = self.gru_d(x, mask, delays(mask))
        output = output.transpose(0, 1)
        if self.above is not None:
            output, _ = self.above(self.dropout(output))
        return output, output[:, -1]
