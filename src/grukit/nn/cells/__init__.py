"""Cells know one step."""

from grukit.nn.cells.gru import GRUCell

__all__ = ["GRUCell"]
