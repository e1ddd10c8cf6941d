"""Several translation models that write one text together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax


class Ensemble:
    """Models that write one text together: the chance of a token is the mean of theirs."""

    def __init__(self, networks: Iterable[Any]) -> None:
        self.networks = tuple(networks)

    def start(self, source: Tensor, lengths: Tensor) -> Any:
        return tuple(network.start(source, lengths) for network in self.networks)

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """int64 [N] to the log of the chances [N, V] of the next token, and the state after."""
        pairs = zip(self.networks, state, strict=True)
        logits, states = zip(*(network.step(tokens, own) for network, own in pairs), strict=True)
        chances = log_softmax(torch.stack(logits), -1)
        return chances.logsumexp(0) - math.log(len(chances)), states

    def select(self, state: Any, rows: Tensor) -> Any:
        return tuple(
            network.select(own, rows) for network, own in zip(self.networks, state, strict=True)
        )

    def attention(self, source: Tensor, lengths: Tensor, written: Tensor) -> Tensor:
        """Where they look in the sources [B, S] after each token that is written, [B, T, S]."""
        looks = [network(source, lengths, written)[1] for network in self.networks]
        return torch.stack(looks).mean(0)
