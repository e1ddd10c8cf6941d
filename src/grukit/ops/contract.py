"""What every recurrence takes and gives: one layer, one direction, a whole sequence.

Sizes: T time, B batch, I input, H hidden, P projected, G the rows of all gates. Each tensor may
have a leading model axis K; then all floating ones have it, and lengths and resets too.

    x        [T, B, I]    float64, float32, bfloat16 or float16
    h0, c0   [B, H]       the states before the first step; c0 only of a cell that has one
    w_ih     [G, I]       the rows gate by gate, in the order that the cell's reference gives
    w_hh     [G, H]       None, as all that goes with it, of a cell without recurrent products
    b_ih     [G]          b_hh [G]; both or neither
    w_hr     [P, H]       projection. An LSTM and a plain RNN project their state: h0 and the
                          columns of w_hh have size P. A GRU carries its state on as it is: what
                          is projected is the output and what enters the recurrent products.
    gain_ih  [G]          gain_hh [G]; both or neither. Layer norm of the products W x and W h,
                          before the biases are added.
    gain_c   [H]          bias_c [H]; both or neither. Layer norm of the cell state before its tanh.
    fresh_h, fresh_c      as h0, c0: the states at a reset; zero if None

    drop_h   [B, H]       factors of what enters the recurrent products, the same for all steps
                          ([B, P] with w_hr)
    drop_n   [B, H]       factors of the candidate, the same for all steps
    keep_h   [T, B, H]    zoneout: how much of the old state is kept, from 0 to 1; or [1, 1, 1].
    keep_c                The same of c. Masks have no gradient.

    lengths  [B] int64    step t of sequence b counts while t < lengths[b]; None: all T steps.
                          A length outside 0..T acts as the nearer end.
    resets   [T, B] bool  a new sequence starts at step t: the states before it are fresh.
                          Ignored at steps that do not count.

    output   [T, B, H]    h after each step ([T, B, P] with w_hr), zero where a step does not count
    h, c     as h0, c0    the states after the last step that counts, h0 and c0 where none does

With `reverse` time runs from the last step that counts to the first; a sequence that starts
at step t then ends there, so the states are fresh before step t - 1.

`reserve` [S, T, B, H] is what the forward keeps for the backward, in the compute dtype. With
`save` SAVE_ALL it is what the cell's step names (`kept`), then c, then h where it has the size H
and the output does not hold it exactly; with SAVE_STATES the states alone, c and h, of which the
backward computes the rest again; with SAVE_NOTHING S is 0. Any backend can read another's.

float16 and bfloat16 calls compute and carry their states in float32 and round their results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from grukit.core.errors import ParameterError, must_be

if TYPE_CHECKING:
    from grukit.ops.cell import Cell

SAVE_NOTHING, SAVE_ALL, SAVE_STATES = 0, 1, 2
"""What the forward keeps for the backward."""

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class Arguments(NamedTuple):
    """The tensors of a call, as this file describes them."""

    x: Tensor
    h0: Tensor
    w_ih: Tensor
    w_hh: Tensor | None = None
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    c0: Tensor | None = None
    w_hr: Tensor | None = None
    gain_ih: Tensor | None = None
    gain_hh: Tensor | None = None
    gain_c: Tensor | None = None
    bias_c: Tensor | None = None
    fresh_h: Tensor | None = None
    fresh_c: Tensor | None = None
    drop_h: Tensor | None = None
    drop_n: Tensor | None = None
    keep_h: Tensor | None = None
    keep_c: Tensor | None = None
    lengths: Tensor | None = None
    resets: Tensor | None = None

    def computed(self) -> Arguments:
        """The same call in the dtype of its arithmetic."""
        dtype = compute_dtype(self.x.dtype)
        return self if dtype == self.x.dtype else self.map_floats(lambda t: t.to(dtype))

    def map_floats(self, change: Callable[[Tensor], Tensor]) -> Arguments:
        """The same call with every floating tensor changed."""
        floats = [None if t is None else change(t) for t in self[:FLOATS]]
        return Arguments(*floats, *self[FLOATS:])  # type: ignore[arg-type]


NAMES = Arguments._fields
DIFFERENTIABLE = NAMES.index("drop_h")
"""The first so many arguments have gradients."""
FLOATS = NAMES.index("lengths")
"""The first so many are floating."""


@dataclass(frozen=True)
class Call:
    """The facts about a call on which the choice of a backend may depend."""

    cell: str
    variant: str
    device: str
    dtype: torch.dtype
    models: int | None
    time: int
    batch: int
    input_size: int
    hidden_size: int
    reverse: bool
    given: frozenset[str]
    """Names of the optional tensors that are there."""
    save: int
    """SAVE_NOTHING, SAVE_ALL or SAVE_STATES."""

    @classmethod
    def of(
        cls, cell: Cell, tensors: Arguments, *, variant: str, reverse: bool = False, save: int
    ) -> Call:
        """The facts about a call with these tensors."""
        x = tensors.x
        return cls(
            cell=cell.name,
            variant=variant,
            device=x.device.type,
            dtype=x.dtype,
            models=x.shape[0] if x.dim() == 4 else None,
            time=x.shape[-3],
            batch=x.shape[-2],
            input_size=x.shape[-1],
            hidden_size=hidden_size(cell, tensors),
            reverse=reverse,
            given=frozenset(
                name for name, t in zip(NAMES[4:], tensors[4:], strict=True) if t is not None
            ),
            save=save,
        )


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the arithmetic, the states and the reserve for inputs of `dtype`."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def hidden_size(cell: Cell, tensors: Arguments) -> int:
    """H."""
    weights = tensors.w_ih if tensors.w_hh is None else tensors.w_hh
    return weights.shape[-2] // cell.gates


def output_size(cell: Cell, tensors: Arguments) -> int:
    """The size of the output: H, or P with a projection."""
    return hidden_size(cell, tensors) if tensors.w_hr is None else tensors.w_hr.shape[-2]


def state_size(cell: Cell, tensors: Arguments) -> int:
    """The size of h: P where the cell projects its state, else H."""
    return output_size(cell, tensors) if cell.projects_state else hidden_size(cell, tensors)


def slots(cell: Cell, tensors: Arguments, save: int = SAVE_ALL) -> tuple[str, ...]:
    """The names of what the reserve holds."""
    if save == SAVE_NOTHING:
        return ()
    kept = cell.kept if save == SAVE_ALL else ()
    projected = tensors.w_hr is not None
    rounded = compute_dtype(tensors.x.dtype) != tensors.x.dtype
    keeps_h = rounded and not projected if cell.projects_state else rounded or projected
    return (*kept, *(("c",) if cell.has_c else ()), *(("h",) if keeps_h else ()))


def reserve_shape(cell: Cell, tensors: Arguments, save: int) -> tuple[int, ...]:
    """[S, T, B, H] or [S, K, T, B, H]."""
    return (len(slots(cell, tensors, save)), *tensors.x.shape[:-1], hidden_size(cell, tensors))


def check_call(cell: Cell, tensors: Arguments, variant: str) -> None:
    """Raise ParameterError unless dtypes and shapes are as this file says."""
    x = tensors.x
    if variant not in cell.variants:
        raise ParameterError(must_be("variant", f"one of {tuple(cell.variants)}", variant))
    if x.dtype not in DTYPES:
        raise ParameterError(must_be("dtype of x", f"one of {DTYPES}", x.dtype))
    if x.dim() not in (3, 4):
        raise ParameterError(must_be("x", "of shape [T, B, I] or [K, T, B, I]", list(x.shape)))
    axes = x.dim() - 1
    if tensors.w_hh is None and cell.recurrent:
        raise ParameterError(f"w_hh must be given for {cell.name}")
    sized = "w_hh" if cell.recurrent else "w_ih"
    for name, tensor in ((sized, getattr(tensors, sized)), ("w_hr", tensors.w_hr)):
        if tensor is not None and tensor.dim() != axes:
            raise ParameterError(f"{name} must have {axes} axes, got {list(tensor.shape)}")
    for one, other in (("b_ih", "b_hh"), ("gain_ih", "gain_hh"), ("gain_c", "bias_c")):
        alone = not cell.recurrent and other.endswith("_hh")
        if not alone and (getattr(tensors, one) is None) != (getattr(tensors, other) is None):
            raise ParameterError(f"{one} and {other} must be given both or neither")
    if (tensors.c0 is None) == cell.has_c:
        raise ParameterError(f"c0 must be {'given' if cell.has_c else 'None'} for {cell.name}")
    for name in cell.refuses(variant):
        if getattr(tensors, name) is not None:
            raise ParameterError(f"{name} must be None for {cell.name} {variant}".rstrip())
    _check_shapes(cell, tensors)


def _check_shapes(cell: Cell, tensors: Arguments) -> None:
    *models, time, batch, inputs = tensors.x.shape
    hidden, state = hidden_size(cell, tensors), state_size(cell, tensors)
    rows, projected = cell.gates * hidden, output_size(cell, tensors)
    wanted = {
        "h0": [batch, state],
        "c0": [batch, hidden],
        "w_ih": [rows, inputs],
        "w_hh": [rows, projected],
        "b_ih": [rows],
        "b_hh": [rows],
        "w_hr": [projected, hidden],
        "gain_ih": [rows],
        "gain_hh": [rows],
        "gain_c": [hidden],
        "bias_c": [hidden],
        "fresh_h": [batch, state],
        "fresh_c": [batch, hidden],
        "drop_h": [batch, projected],
        "drop_n": [batch, hidden],
        "keep_h": [time, batch, state],
        "keep_c": [time, batch, hidden],
        "lengths": [batch],
        "resets": [time, batch],
    }
    dtypes = {"lengths": torch.int64, "resets": torch.bool}
    for name, shape in wanted.items():
        tensor = getattr(tensors, name)
        if tensor is None:
            continue
        if list(tensor.shape) != [*models, *shape] and not (
            name.startswith("keep") and tensor.shape == (1, 1, 1)
        ):
            raise ParameterError(must_be(name, f"of shape {[*models, *shape]}", list(tensor.shape)))
        if tensor.device != tensors.x.device:
            raise ParameterError(must_be(f"device of {name}", f"{tensors.x.device}", tensor.device))
        dtype = dtypes.get(name, tensors.x.dtype)
        if tensor.dtype != dtype:
            raise ParameterError(must_be(f"dtype of {name}", f"{dtype}", tensor.dtype))
