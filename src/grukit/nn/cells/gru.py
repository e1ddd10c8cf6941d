"""One step of a GRU."""

from __future__ import annotations

from typing import Any, Unpack

from grukit.nn.arguments import CellOptions, check_flags
from grukit.nn.cells.base import RecurrentCell
from grukit.ops import gru


class GRUCell(RecurrentCell):
    """One step of a GRU; takes the place of torch.nn.GRUCell.

    >>> import torch
    >>> cell = GRUCell(input_size=10, hidden_size=20)
    >>> h = cell(torch.zeros(3, 10))
    >>> h = cell(torch.zeros(3, 10), h)
    >>> h.shape
    torch.Size([3, 20])

    With r the reset gate, z the update gate and n the current memory content,

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
        h' = (1 - z) * n + z * h

    as in torch and cuDNN. With ``reset_after=False``, as in Cho et al. 2014
    (arXiv:1406.1078v3), n = tanh(W_in x + b_in + W_hn (r * h) + b_hn).

    Parameters are named and ordered as torch's: ``weight_ih`` [3H, I], ``weight_hh`` [3H, H],
    ``bias_ih`` and ``bias_hh`` [3H], rows in the order r, z, n. The options beyond torch's are
    those of ``GRU`` that concern one step; with ``proj_size`` the state stays [B, H]. The masks of
    a sequence are drawn once and given to each of its steps:

    >>> cell = GRUCell(10, 20, recurrent_dropout=0.2)
    >>> masks = cell.masks(batch=3)
    >>> h = cell(torch.zeros(3, 10), masks=masks)
    >>> h = cell(torch.zeros(3, 10), h, masks)
    """

    recurrence = gru

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        reset_after: bool = True,
        **options: Unpack[CellOptions],
    ) -> None:
        check_flags(reset_after=reset_after)
        variant = "after" if reset_after else "before"
        super().__init__(input_size, hidden_size, bias, device, dtype, variant=variant, **options)
        self.reset_after = reset_after

    def _own_settings(self) -> dict[str, tuple[Any, Any]]:
        return {"reset_after": (self.reset_after, True)}
