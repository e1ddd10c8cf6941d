"""One step of a GRU."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from grukit.ops import gru
from grukit.ops.transforms import autocast_dtype


class GRUCell(nn.Module):
    """One step of a GRU; takes the place of torch.nn.GRUCell.

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
    ``bias_ih`` and ``bias_hh`` [3H], rows in the order r, z, n.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        reset_after: bool = True,
    ) -> None:
        super().__init__()
        check_flags(reset_after=reset_after)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self.reset_after = reset_after
        made = {"device": device, "dtype": dtype}
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size, **made))
        self.weight_hh = nn.Parameter(torch.empty(3 * hidden_size, hidden_size, **made))
        if bias:
            self.bias_ih = nn.Parameter(torch.empty(3 * hidden_size, **made))
            self.bias_hh = nn.Parameter(torch.empty(3 * hidden_size, **made))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter from U(-1/sqrt(H), 1/sqrt(H)), as torch does."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state [B, H] or [H] from an input [B, I] or [I] and a state (zero if None).

        Raises ValueError for a wrong number of dimensions, RuntimeError for wrong sizes or
        dtypes.
        """
        if input.dim() not in (1, 2):
            raise ValueError(f"GRUCell: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if hx is not None and hx.dim() not in (1, 2):
            raise ValueError(f"GRUCell: Expected hidden to be 1D or 2D, got {hx.dim()}D instead")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {input.shape[-1]} "
                f"expected {self.input_size}"
            )
        batched = input.dim() == 2
        x = input if batched else input[None]
        if hx is None:
            h = x.new_zeros((x.shape[0], self.hidden_size))
        else:
            h = hx if batched else hx[None]
        if h.dim() != 2 or h.shape[0] != x.shape[0] or h.shape[1] != self.hidden_size:
            raise RuntimeError(
                f"Expected hidden size {(x.shape[0], self.hidden_size)}, got {list(h.shape)}"
            )
        for name, tensor in {"input": x, "hx": h}.items():
            if tensor.dtype != self.weight_ih.dtype and autocast_dtype(x) is None:
                raise RuntimeError(
                    f"{name} must be {self.weight_ih.dtype}, as the weights, got {tensor.dtype}"
                )
        _, h = gru(
            x[None],
            h,
            self.weight_ih,
            self.weight_hh,
            self.bias_ih,
            self.bias_hh,
            reset_after=self.reset_after,
        )
        return h if batched else h[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + describe(
            bias=(self.bias, True), reset_after=(self.reset_after, True)
        )


def check_flags(**flags: Any) -> None:
    """Raise TypeError, as torch does, for a flag that is not a bool."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")


def describe(**settings: tuple[Any, Any]) -> str:
    """The settings (value, default) that are not at their default, for a repr."""
    return "".join(
        f", {name}={value}" for name, (value, default) in settings.items() if value != default
    )
