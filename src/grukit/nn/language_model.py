"""A recurrent language model: the chances of the next token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, linear

from grukit.nn.adaptive_softmax import AdaptiveSoftmax
from grukit.nn.by_name import LAYER_OF
from grukit.nn.masks import drop_mask

# So many tokens of a long prompt are read at a time, which bounds the memory.
_READ_AT_ONCE = 4096


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, and logits for each token.

    >>> model = LanguageModel(vocabulary=80, embedding_size=32, hidden_size=64)
    >>> logits, state = model(torch.zeros(2, 5, dtype=torch.int64))
    >>> logits.shape
    torch.Size([2, 5, 80])

    Where the sizes differ, a linear map takes the output of the last layer to that of the
    embedding, whose vectors are the weights of the logits as well (Press and Wolf 2017,
    arXiv:1608.05859). Dropout is variational, the same for all steps of a chunk (Gal and
    Ghahramani 2016, arXiv:1512.05287).

    vocabulary: V tokens.
    dropout: of what enters each layer, and of the last one's output.
    recurrent_dropout: of the state that enters the recurrent products; not of a minGRU.
    embedding_dropout: the share of tokens whose vector is zero for a chunk.
    softmax: "full", or "adaptive" (see `grukit.nn.adaptive_softmax`), much less work for tens of
        thousands of tokens, whose logits are the log of their chances, by weights of their own.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        cell: str = "gru",
        softmax: str = "full",
    ) -> None:
        super().__init__()
        self.dropout, self.embedding_dropout = dropout, embedding_dropout
        self.embedding = nn.Parameter(torch.randn(vocabulary, embedding_size) / embedding_size**0.5)
        self.recurrent = LAYER_OF[cell](
            embedding_size,
            hidden_size,
            num_layers,
            input_dropout=dropout,
            recurrent_dropout=recurrent_dropout,
        )
        self.narrowed = None
        if hidden_size != embedding_size:
            self.narrowed = nn.Linear(hidden_size, embedding_size)
        if softmax == "adaptive":
            self.adaptive, self.bias = AdaptiveSoftmax(embedding_size, vocabulary), None
        else:
            self.adaptive, self.bias = None, nn.Parameter(torch.zeros(vocabulary))

    @torch.no_grad()
    def set_counts(self, counts: Tensor) -> None:
        """Begin with the chances that single tokens have by their counts [V]."""
        if self.adaptive is not None:
            self.adaptive.set_counts(counts)
        if self.bias is not None:
            chances = (counts.double() + 1) / (counts.sum() + len(counts))
            self.bias.copy_(chances.log())

    def forward(
        self, tokens: Tensor, state: Any = None, resets: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """int64 [B, T] to logits [B, T, V], and the state after the last.

        resets: bool [B, T], the steps before which a new text begins.
        """
        features, state = self._features(tokens, state, resets)
        return self._logits(features).transpose(0, 1), state

    def surprise(
        self, tokens: Tensor, targets: Tensor, state: Any = None, resets: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """-log of the chance of each target, in nats: [B, T], and the state after the last.

        targets: int64 [B, T], the tokens that follow; where it is -1 the surprise is 0.
        """
        features, state = self._features(tokens, state, resets)
        targets = targets.t()
        if self.adaptive is not None:
            nats = self.adaptive.surprise(self._narrow(features).flatten(0, 1), targets.flatten())
        else:
            logits = self._logits(features).flatten(0, 1).float()
            nats = cross_entropy(logits, targets.flatten(), ignore_index=-1, reduction="none")
        return nats.view(targets.shape).t(), state

    @torch.no_grad()
    def read(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """int64 [B, T] to logits [B, V] of what follows, and the state, as in eval mode."""
        for part in tokens.split(_READ_AT_ONCE, dim=1):
            output, state = self.recurrent(embedding(part.t(), self.embedding), state)
        return self._logits(output[-1]), state

    @torch.no_grad()
    def step(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """int64 [B] to logits [B, V], one step of a stream, as in eval mode.

        A row does not depend on the others, not in its last bit.
        """
        output, state = self.recurrent.step(self.embedding[tokens], state)
        # A product of several rows may sum in another order than that of one.
        return torch.cat([self._logits(row) for row in output.split(1)]), state

    def _features(self, tokens: Tensor, state: Any, resets: Tensor | None) -> tuple[Tensor, Any]:
        """Time first, as in the layers, so that nothing is copied into another order."""
        weight = self.embedding
        if self.training and self.embedding_dropout:
            weight = weight * drop_mask(weight, (len(weight), 1), self.embedding_dropout)
        resets = None if resets is None else resets.t()
        output, state = self.recurrent(embedding(tokens.t(), weight), state, resets=resets)
        if self.training and self.dropout:
            output = output * drop_mask(output, (1, *output.shape[1:]), self.dropout)
        return output, state

    def _logits(self, output: Tensor) -> Tensor:
        output = self._narrow(output)
        if self.adaptive is not None:
            return self.adaptive(output.flatten(0, -2)).unflatten(0, output.shape[:-1])
        return linear(output, self.embedding, self.bias)

    def _narrow(self, output: Tensor) -> Tensor:
        return output if self.narrowed is None else self.narrowed(output)
