"""One step of a minGRU."""

from __future__ import annotations

from typing import Any, Unpack

from grukit.nn.arguments import CellOptions, check_flags
from grukit.nn.cells.base import RecurrentCell
from grukit.ops import mingru


class MinGRUCell(RecurrentCell):
    """One step of a minGRU (Feng et al. 2024, arXiv:2410.01201).

    >>> import torch
    >>> cell = MinGRUCell(input_size=10, hidden_size=20)
    >>> h = cell(torch.zeros(3, 10))
    >>> h = cell(torch.zeros(3, 10), h)
    >>> h.shape
    torch.Size([3, 20])

    With z the update gate, which carries the past on, and n the memory content,

        z = sigmoid(W_iz x + b_iz)
        n = W_in x + b_in
        h' = (1 - z) * n + z * h

    and with ``positive`` n = g(W_in x + b_in), see ``MinGRU``. Parameters are ``weight_ih`` [2H, I]
    and ``bias_ih`` [2H], rows in the order z, n. The options are those of ``MinGRU`` that concern
    one step.
    """

    recurrence = mingru

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        positive: bool = False,
        **options: Unpack[CellOptions],
    ) -> None:
        check_flags(positive=positive)
        variant = "positive" if positive else "plain"
        super().__init__(input_size, hidden_size, bias, device, dtype, variant=variant, **options)
        self.positive = positive

    def _own_settings(self) -> dict[str, tuple[Any, Any]]:
        return {"positive": (self.positive, False)}
