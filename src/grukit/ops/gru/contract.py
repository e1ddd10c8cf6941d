"""What every backend of the GRU op takes and gives.

Sizes: T time, B batch, I input, H hidden. The rows of weights and biases come in the order
reset, update, candidate, as in torch.nn.GRU.

    x        [T, B, I]   float64, float32, bfloat16 or float16
    h0       [B, H]      the state before the first step
    w_ih     [3H, I]     w_hh [3H, H]
    b_ih     [3H]        b_hh [3H]; both or neither
    lengths  [B] int64   step t of sequence b counts while t < lengths[b]; None: all T steps.
                         A length outside 0..T acts as the nearer end.
    resets   [T, B] bool a new sequence starts at step t: the state before it is zero.
                         Ignored at steps that do not count.

    output   [T, B, H]   the state after each step, zero where a step does not count
    final    [B, H]      the state after the last step that counts, h0 where none does

With `reverse` time runs from the last step that counts to the first; a sequence that starts
at step t then ends there, so the state is zero before step t - 1.

`reserve` [4, T, B, H] is what the forward keeps for the backward, in the compute dtype:
the reset gate, the update gate, the candidate, and the candidate's recurrent term, which is
W_hn h + b_hn with `reset_after` and r * h without. Any backend can read another's reserve.

float16 and bfloat16 calls compute and carry their state in float32 and round their results.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grukit.core.errors import ParameterError, must_be

RESERVED = 4
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class GruCall:
    """The facts about a call on which the choice of a backend may depend."""

    device: str
    dtype: torch.dtype
    time: int
    batch: int
    input_size: int
    hidden_size: int
    reset_after: bool
    reverse: bool
    has_lengths: bool
    has_resets: bool
    saves_for_backward: bool

    @classmethod
    def of(
        cls,
        x: Tensor,
        h0: Tensor,
        *,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        reset_after: bool = True,
        reverse: bool = False,
        save: bool = False,
    ) -> GruCall:
        """The facts about a call with these tensors."""
        return cls(
            device=x.device.type,
            dtype=x.dtype,
            time=x.shape[0],
            batch=x.shape[1],
            input_size=x.shape[2],
            hidden_size=h0.shape[-1],
            reset_after=reset_after,
            reverse=reverse,
            has_lengths=lengths is not None,
            has_resets=resets is not None,
            saves_for_backward=save,
        )


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the arithmetic, the state and the reserve for inputs of `dtype`."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def check_call(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
) -> None:
    """Raise ParameterError unless dtypes and shapes are as this file says."""
    if x.dtype not in DTYPES:
        raise ParameterError(must_be("dtype of x", f"one of {DTYPES}", x.dtype))
    if x.dim() != 3:
        raise ParameterError(must_be("x", "of shape [T, B, I]", list(x.shape)))
    if (b_ih is None) != (b_hh is None):
        raise ParameterError("b_ih and b_hh must be given both or neither")
    hidden = w_hh.shape[-1]
    _, batch, inputs = x.shape
    wanted = {
        "h0": (h0, [batch, hidden]),
        "w_ih": (w_ih, [3 * hidden, inputs]),
        "w_hh": (w_hh, [3 * hidden, hidden]),
        "b_ih": (b_ih, [3 * hidden]),
        "b_hh": (b_hh, [3 * hidden]),
    }
    for name, (tensor, shape) in wanted.items():
        if tensor is None:
            continue
        if list(tensor.shape) != shape:
            raise ParameterError(must_be(name, f"of shape {shape}", list(tensor.shape)))
        if tensor.dtype != x.dtype:
            raise ParameterError(must_be(f"dtype of {name}", f"{x.dtype}, as x", tensor.dtype))
    if lengths is not None and (list(lengths.shape) != [batch] or lengths.dtype != torch.int64):
        got = (list(lengths.shape), lengths.dtype)
        raise ParameterError(must_be("lengths", f"int64 of shape [{batch}]", got))
    if resets is not None and (
        list(resets.shape) != list(x.shape[:2]) or resets.dtype != torch.bool
    ):
        got = (list(resets.shape), resets.dtype)
        raise ParameterError(must_be("resets", f"bool of shape {list(x.shape[:2])}", got))
