"""Recurrent layers and cells that take the place of torch.nn's."""

from grukit.nn.cells import GRUCell
from grukit.nn.gru import GRU, GRUTrace

__all__ = ["GRU", "GRUCell", "GRUTrace"]
