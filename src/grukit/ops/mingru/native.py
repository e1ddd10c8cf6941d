"""The backend "native" of the minGRU: its gates through time by the C++ core.

The product of the input is torch's, for all steps at once; the core does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from grukit.core import clib
from grukit.ops.backward import of_inputs
from grukit.ops.cell import Cell, States
from grukit.ops.contract import Arguments, Call, compute_dtype, hidden_size, reserve_shape, slots
from grukit.ops.dispatch import Backend
from grukit.ops.mingru.scan import share_of_x
from grukit.ops.native import addresses, contiguous
from grukit.ops.sequence import counting, masked


def native(cell: Cell) -> Backend:
    """The native backend of the minGRU."""

    def run_forward(
        tensors: Arguments, variant: str, reverse: bool, save: int
    ) -> tuple[Tensor, ...]:
        return forward(cell, tensors, variant, reverse, save)

    def run_backward(tensors: Arguments, *rest: object) -> dict[str, Tensor]:
        return backward(cell, tensors, *rest)  # type: ignore[arg-type]

    return Backend("native", why_not, run_forward, run_backward)


def why_not(call: Call) -> tuple[str, ...]:
    """The reasons why the core cannot run the call."""
    reasons = []
    if missing := clib.why_missing():
        reasons.append(missing)
    if call.device != "cpu":
        reasons.append(f"it runs on a CPU, not on {call.device}")
    if call.hidden_size < 1:
        reasons.append("it needs at least one unit")
    if compute_dtype(call.dtype) != torch.float32:
        reasons.append(f"it computes in float32, not in {call.dtype}")
    return tuple(reasons)


def forward(
    cell: Cell, given: Arguments, variant: str, reverse: bool, save: int
) -> tuple[Tensor, ...]:
    """Output, final state and reserve."""
    tensors, dtype = given.computed(), given.x.dtype
    gates = share_of_x(cell, tensors, masked(tensors.x, counting(tensors)))
    reserve = gates.new_empty(reserve_shape(cell, given, save))
    held = dict(zip(slots(cell, given, save), reserve, strict=True))
    states = (*tensors.x.shape[:-1], hidden_size(cell, tensors))
    output = held["h"] if "h" in held else gates.new_empty(states)
    final = torch.empty_like(tensors.h0, memory_format=torch.contiguous_format)
    parts = {"gates": gates, "output": output, "h": final}
    parts |= {name: held[name] for name in cell.kept if name in held}
    _run(clib.scan_forward, cell, tensors, variant, reverse, parts)
    # The output is none of the reserve, which is kept.
    copies = "h" in held
    return output.to(dtype, copy=copies), final.to(dtype), reserve


def backward(
    cell: Cell,
    given: Arguments,
    d_output: Tensor,
    d_final: States,
    output: Tensor,
    reserve: Tensor,
    variant: str,
    reverse: bool,
    save: int,
    wants: Sequence[str],
) -> dict[str, Tensor]:
    """The gradients of the arguments in `wants`, by name."""
    tensors = given.computed()
    dtype = tensors.x.dtype
    x = masked(tensors.x, counting(tensors))
    held = dict(zip(slots(cell, given, save), reserve, strict=True))
    parts = {name: held[name] for name in cell.kept if name in held}
    if not parts:
        parts["gates"] = share_of_x(cell, tensors, x)
    d_gates = x.new_empty((*x.shape[:-1], 2 * hidden_size(cell, tensors)))
    dh0 = torch.empty_like(tensors.h0, memory_format=torch.contiguous_format)
    found = {"h0": dh0}
    if "fresh_h" in wants:
        found["fresh_h"] = torch.empty_like(dh0)
    parts |= {
        "output": held.get("h", output.to(dtype)),
        "d_output": d_output.to(dtype),
        "d_h": d_final[0].to(dtype),
        "d_gates": d_gates,
        "dh0": dh0,
    }
    if "fresh_h" in found:
        parts["dfresh_h"] = found["fresh_h"]
    _run(clib.scan_backward, cell, tensors, variant, reverse, parts)
    found |= of_inputs(cell, tensors, x, (d_gates,), wants)
    copies = x.shape[-3] == 0  # An op must not hand back its own input.
    return {name: found[name].to(given.x.dtype, copy=copies).contiguous() for name in wants}


def _run(
    function: Callable[[bytes], None],
    cell: Cell,
    tensors: Arguments,
    variant: str,
    reverse: bool,
    parts: Mapping[str, Tensor],
) -> None:
    """Call the core with the tensors of a call and its results, by the fields of clib.scan."""
    *models, time, batch, _ = tensors.x.shape
    names = ("h0", "fresh_h", "drop_n", "keep_h", "lengths", "resets")
    buffers = {name: getattr(tensors, name) for name in names} | dict(parts)
    laid_out = contiguous([buffers.get(name) for name in clib.SCAN_BUFFERS])
    numbers = (
        models[0] if models else 1,
        time,
        batch,
        hidden_size(cell, tensors),
        variant == "positive",
        reverse,
        torch.get_num_threads(),
        tensors.keep_h is not None and tensors.keep_h.numel() == 1,
    )
    function(clib.scan(*numbers, *addresses(laid_out)))
