"""One step of a plain RNN."""

from __future__ import annotations

from typing import Any, Unpack

from grukit.nn.arguments import CellOptions, check_nonlinearity
from grukit.nn.cells.base import RecurrentCell
from grukit.ops import rnn


class RNNCell(RecurrentCell):
    """One step of a plain RNN; takes the place of torch.nn.RNNCell.

    >>> import torch
    >>> cell = RNNCell(input_size=10, hidden_size=20)
    >>> h = cell(torch.zeros(3, 10))
    >>> h.shape
    torch.Size([3, 20])

    The new state is

        h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    or relu in the place of tanh.

    Parameters are named as torch's: ``weight_ih`` [H, I], ``weight_hh`` [H, H], ``bias_ih`` and
    ``bias_hh`` [H]. The options beyond torch's are those of ``RNN`` that concern one step; the
    masks of a sequence are drawn once with ``masks(batch)`` and given to each of its steps.
    """

    recurrence = rnn

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
        **options: Unpack[CellOptions],
    ) -> None:
        check_nonlinearity(nonlinearity)
        super().__init__(
            input_size, hidden_size, bias, device, dtype, variant=nonlinearity, **options
        )
        self.nonlinearity = nonlinearity

    def _own_settings(self) -> dict[str, tuple[Any, Any]]:
        return {"nonlinearity": (self.nonlinearity, "tanh")}
