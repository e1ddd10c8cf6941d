"""One step of an LSTM."""

from __future__ import annotations

from typing import Any, Unpack

from grukit.nn.arguments import CellOptions
from grukit.nn.cells.base import RecurrentCell
from grukit.ops import lstm


class LSTMCell(RecurrentCell):
    """One step of an LSTM; takes the place of torch.nn.LSTMCell.

    >>> import torch
    >>> cell = LSTMCell(input_size=10, hidden_size=20)
    >>> h, c = cell(torch.zeros(3, 10))
    >>> h, c = cell(torch.zeros(3, 10), (h, c))
    >>> h.shape, c.shape
    (torch.Size([3, 20]), torch.Size([3, 20]))

    With i, f and o the input, forget and output gates and g the memory content,

        i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)
        f = sigmoid(W_if x + b_if + W_hf h + b_hf)
        g = tanh(W_ig x + b_ig + W_hg h + b_hg)
        o = sigmoid(W_io x + b_io + W_ho h + b_ho)
        c' = f * c + i * g
        h' = o * tanh(c')

    Parameters are named and ordered as torch's: ``weight_ih`` [4H, I], ``weight_hh`` [4H, H],
    ``bias_ih`` and ``bias_hh`` [4H], rows in the order i, f, g, o. The options beyond torch's are
    those of ``LSTM`` that concern one step; the masks of a sequence are drawn once with
    ``masks(batch)`` and given to each of its steps.
    """

    recurrence = lstm

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        **options: Unpack[CellOptions],
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype, variant="", **options)
