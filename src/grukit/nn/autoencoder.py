"""A window through the eye of a needle and back."""

from __future__ import annotations

from torch import Tensor, nn

from grukit.nn.by_name import LAYER_OF


class SequenceAutoencoder(nn.Module):
    """An encoder's last state, from which a decoder writes the whole window again.

    What such windows have in common is all that fits through the state, so that one of another
    kind comes back with errors (Malhotra et al. 2016, arXiv:1607.00148). The decoder sees nothing
    but the state: it cannot copy.

    >>> import torch
    >>> network = SequenceAutoencoder(input_size=2, hidden_size=16)
    >>> network(torch.randn(4, 32, 2)).shape
    torch.Size([4, 32, 2])

    cell: a name in `grukit.nn.by_name`; the state of a minGRU can only fade, and writes no waves.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, cell: str = "gru"
    ) -> None:
        super().__init__()
        self.encoder = LAYER_OF[cell](input_size, hidden_size, num_layers, batch_first=True)
        self.decoder = LAYER_OF[cell](1, hidden_size, num_layers, batch_first=True)
        self.head = nn.Linear(hidden_size, input_size)

    def forward(self, x: Tensor) -> Tensor:
        """[B, W, I] to the same shape."""
        _, state = self.encoder(x)
        output, _ = self.decoder(x.new_zeros(*x.shape[:2], 1), state)
        return self.head(output)
