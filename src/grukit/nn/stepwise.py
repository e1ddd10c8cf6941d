"""A forecast of the next values from every step on, for streams."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from grukit.nn.by_name import LAYER_OF


class StepwiseForecaster(nn.Module):
    """At every step, how much each channel will have changed after each of K horizons.

    >>> import torch
    >>> network = StepwiseForecaster(input_size=6, channels=2, horizons=2, hidden_size=16)
    >>> changes, state = network(torch.randn(4, 50, 6))
    >>> changes.shape  # sequences, steps, horizons, channels
    torch.Size([4, 50, 2, 2])

    Before training every change is 0: the forecast is the last value. `state` is what the next
    steps of the same sequences go on from.

    cell: a name in `grukit.nn.by_name`.
    """

    def __init__(
        self,
        input_size: int,
        channels: int,
        horizons: int,
        hidden_size: int,
        num_layers: int = 1,
        cell: str = "gru",
    ) -> None:
        super().__init__()
        self.shape = (horizons, channels)
        self.encoder = LAYER_OF[cell](input_size, hidden_size, num_layers, batch_first=True)
        self.head = nn.Linear(hidden_size, horizons * channels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """[B, T, I] to changes [B, T, K, C], and the state after the last step."""
        output, state = self.encoder(x, state)
        return self.head(output).unflatten(-1, self.shape), state
