"""Where a decoder looks while it answers: weights over the steps of another sequence."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from grukit.core.errors import ParameterError, must_be


class CrossAttention(nn.Module):
    """For each query the mean of a memory's steps, weighted by how well each fits.

    >>> attention = CrossAttention(query_size=8, memory_size=6, size=4)
    >>> memory, counts = torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool)
    >>> found, weights = attention(torch.randn(2, 3, 8), attention.keys(memory), memory, counts)
    >>> found.shape, weights.shape, round(weights[0, 0].sum().item(), 4)
    (torch.Size([2, 3, 6]), torch.Size([2, 3, 5]), 1.0)

    kind: "additive", softmax(v tanh(W q + U m)) (Bahdanau et al. 2015, arXiv:1409.0473); or
        "multiplicative", softmax(W q · U m / sqrt(size)) (Luong et al. 2015, arXiv:1508.04025).
    coverage: with it, how much each step was looked at so far enters its score (Tu et al. 2016,
        arXiv:1601.04811); additive alone.

    Additive attention computes a vector for each pair of steps, which takes several times as long.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        size: int,
        kind: str = "additive",
        coverage: bool = False,
    ) -> None:
        super().__init__()
        if coverage and kind != "additive":
            raise ParameterError(must_be("attention", "'additive' with coverage", kind))
        self.kind = kind
        self.of_query = nn.Linear(query_size, size)
        self.of_memory = nn.Linear(memory_size, size, bias=False)
        self.worth = self.of_coverage = None
        if kind == "additive":
            self.worth = nn.Linear(size, 1, bias=False)
        if coverage:
            self.of_coverage = nn.Linear(1, size, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """What of a memory [B, S, M] is compared with queries, [B, S, A]: once for all of them."""
        return self.of_memory(memory)

    def forward(
        self,
        query: Tensor,
        keys: Tensor,
        memory: Tensor,
        counts: Tensor,
        coverage: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[B, T, Q] to what was found, [B, T, M], and the weights [B, T, S].

        counts: bool [B, S], the steps of the memory that there are, at least one in each row.
        coverage: [B, S], the sum of the weights of earlier steps; then T must be 1.
        """
        query = self.of_query(query)
        if self.worth is None:
            scores = query @ keys.transpose(1, 2) / math.sqrt(keys.shape[-1])
        else:
            if self.of_coverage is not None and coverage is not None:
                keys = keys + self.of_coverage(coverage.unsqueeze(-1))
            scores = self.worth(torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1))).squeeze(-1)
        weights = scores.masked_fill(~counts.unsqueeze(1), -torch.inf).softmax(-1)
        return weights @ memory, weights
