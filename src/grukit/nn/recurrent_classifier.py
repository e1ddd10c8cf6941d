"""A text to a score for each class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding

from grukit.nn.attention import AttentionPooling
from grukit.nn.by_name import LAYER_OF
from grukit.nn.masks import drop_mask


class RecurrentClassifier(nn.Module):
    """Embedding, bidirectional recurrent layers, pooling, and a score for each class.

    >>> network = RecurrentClassifier(vocabulary=100, classes=3, embedding_size=16, hidden_size=8)
    >>> network(torch.zeros(2, 5, dtype=torch.int64), torch.tensor([5, 3])).shape
    torch.Size([2, 3])

    Pooled are the attention-weighted mean of the states (`AttentionPooling`) and the largest of
    each unit. What lies beyond the length of a text counts for nothing.

    dropout: of the embedded tokens, and of the pooled vector. word_dropout: the share of tokens
        that is left out.
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        cell: str = "gru",
    ) -> None:
        super().__init__()
        self.dropout, self.word_dropout = dropout, word_dropout
        self.embedding = nn.Parameter(
            0.3 * torch.randn(vocabulary, embedding_size) / embedding_size**0.5
        )
        self.recurrent = LAYER_OF[cell](
            embedding_size,
            hidden_size,
            num_layers,
            dropout=dropout if num_layers > 1 else 0.0,
            bidirectional=True,
        )
        self.pooling = AttentionPooling(2 * hidden_size)
        self.head = nn.Linear(4 * hidden_size, classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """int64 [B, T] and [B] to logits [B, C]."""
        return self.of_embedded(embedding(tokens.t(), self.embedding), lengths)[0]

    def of_embedded(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The same from the vectors of the tokens, [T, B, E]; and the attention, [T, B]."""
        if not len(embedded):  # no text of the batch has a token
            embedded = embedded.new_zeros(1, *embedded.shape[1:])
        if self.training and self.word_dropout:
            embedded = embedded * drop_mask(embedded, (*embedded.shape[:2], 1), self.word_dropout)
        embedded = dropout(embedded, self.dropout, self.training)
        steps, _ = self.recurrent(embedded, lengths=lengths)
        counted = torch.arange(len(steps), device=steps.device)[:, None] < lengths
        mean, attention = self.pooling(steps, counted)
        largest = torch.where(counted.unsqueeze(-1), steps, torch.finfo(steps.dtype).min).amax(0)
        largest = torch.where(lengths.unsqueeze(-1) > 0, largest, 0.0)
        pooled = dropout(torch.cat([mean, largest], dim=-1), self.dropout, self.training)
        return self.head(pooled), attention
