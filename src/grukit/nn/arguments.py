"""The arguments of layers and cells: their checks, with torch's types of error, and their repr."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer, number, optional
from grukit.ops.cell import Cell
from grukit.ops.transforms import autocast_dtype

Rates = float | tuple[float, ...]


class Options(TypedDict, total=False):
    """What every layer and cell takes beyond torch's arguments."""

    layer_norm: bool
    zoneout: float | tuple[float, float]
    recurrent_dropout: float
    candidate_dropout: float
    learned_state: bool


class CellOptions(Options, total=False):
    """What every cell takes."""

    proj_size: int
    input_dropout: float


class LayerOptions(Options, total=False):
    """What every layer takes."""

    input_dropout: float | Sequence[float]
    residual: bool
    models: int | None
    recompute: bool
    backend: str | None


def check_flags(**flags: Any) -> None:
    """Raise TypeError, as torch does, for a flag that is not a bool."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")


def check_size(name: str, value: Any) -> None:
    """Raise, as torch does, unless the value is an integer above zero; a bool is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
    if value <= 0:
        raise ValueError(f"{name} must be greater than zero, got {value}")


def check_proj_size(proj_size: Any, hidden_size: int) -> None:
    """Raise, as torch does, unless it is zero or an integer from 1 to below hidden_size."""
    if not isinstance(proj_size, numbers.Integral) or isinstance(proj_size, bool):
        raise TypeError(f"proj_size should be of type int, got: {type(proj_size).__name__}")
    if proj_size < 0:
        raise ValueError(
            "proj_size should be a positive integer or zero to disable projections, "
            f"got {proj_size}"
        )
    if proj_size and not proj_size < hidden_size:
        raise ValueError(f"proj_size has to be smaller than hidden_size, got {proj_size}")


def hidden_sizes(hidden_size: Any, num_layers: Any) -> tuple[int, ...]:
    """One size for each layer."""
    if isinstance(hidden_size, (list, tuple)):
        if not hidden_size:
            raise ParameterError(must_be("hidden_size", "one size for each layer", hidden_size))
        for size in hidden_size:
            check_size("hidden_size", size)
        if num_layers not in (1, len(hidden_size)):
            wanted = f"{len(hidden_size)}, the number of hidden sizes"
            raise ParameterError(must_be("num_layers", wanted, num_layers))
        return tuple(hidden_size)
    check_size("hidden_size", hidden_size)
    if num_layers <= 0:
        raise ValueError(f"num_layers must be greater than zero, got {num_layers}")
    return (hidden_size,) * num_layers


def check_dropout(dropout: Any, num_layers: int) -> None:
    """The checks and the warning of torch."""
    is_number = isinstance(dropout, numbers.Real) and not isinstance(dropout, bool)
    if not is_number or not 0 <= float(dropout) <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an "
            f"element being zeroed, got {dropout!r}"
        )
    if dropout and num_layers == 1:
        warnings.warn(
            "dropout acts between layers, so a non-zero dropout expects num_layers greater "
            f"than 1, but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,
        )


def check_rates(**rates: Any) -> None:
    """Raise ParameterError unless each is a probability."""
    for name, rate in rates.items():
        if not number().holds(rate) or not 0 <= rate <= 1:
            raise ParameterError(must_be(name, "a number from 0 to 1", rate))


def checked_zoneout(cell: Cell, zoneout: Any) -> Rates:
    """One rate, or with a cell state a pair, as floats."""
    if not cell.has_c:
        check_rates(zoneout=zoneout)
    return _checked_rates("zoneout", zoneout, 2, "a pair (hidden, cell)")


def checked_input_dropout(input_dropout: Any, num_layers: int) -> Rates:
    """One rate, or one for each layer, as floats."""
    wanted = f"one for each of {num_layers} layers"
    return _checked_rates("input_dropout", input_dropout, num_layers, wanted)


def _checked_rates(name: str, rates: Any, count: int, wanted: str) -> Rates:
    several = isinstance(rates, (list, tuple))
    if several and len(rates) != count:
        raise ParameterError(must_be(name, f"a number, or {wanted}", rates))
    for rate in rates if several else (rates,):
        check_rates(**{name: rate})
    return tuple(map(float, rates)) if several else float(rates)


def each(rates: Rates, count: int) -> tuple[float, ...]:
    """A rate for each of so many: one stands for all."""
    return tuple(rates) if isinstance(rates, (list, tuple)) else (rates,) * count


def check_models(models: Any) -> None:
    """Raise ParameterError unless it is None or a count."""
    check({"models": models}, {"models": optional(integer(at_least=1))})


def check_sense(cell: Cell, variant: str, **options: tuple[Any, str]) -> None:
    """Raise ParameterError for no such variant, or an option whose tensor makes no sense for it."""
    if variant not in cell.variants:
        raise ParameterError(must_be("variant", f"one of {tuple(cell.variants)}", variant))
    for name, (value, tensor) in options.items():
        if value and tensor in cell.refuses(variant):
            before = " with reset_after=False" if variant == "before" else ""
            raise ParameterError(must_be(name, f"off for {cell.name.upper()}{before}", value))


def goes_with(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether it has the dtype, or both are such that autocast casts them to one."""
    if tensor.dtype == dtype:
        return True
    cast = tensor.is_floating_point() and torch.float64 not in (tensor.dtype, dtype)
    return cast and autocast_dtype(tensor) is not None


def has_shape(tensor: Tensor, *shapes: Sequence[int]) -> bool:
    """Whether the shape of the tensor is one of these.

    The number of axes comes first: torch.export takes (2, T, B) == (T, B) for a bound on T.
    """
    return any(tensor.dim() == len(shape) and tensor.shape == shape for shape in shapes)


def checked_lengths(lengths: Tensor | Sequence[int], x: Tensor) -> Tensor:
    """Lengths as int64 on the device of x; values are checked where that costs no wait."""
    time, batch = x.shape[-3:-1]
    lengths = torch.as_tensor(lengths)
    fits = has_shape(lengths, (batch,), (*x.shape[:-3], batch))
    if not fits or lengths.is_floating_point() or lengths.dtype == torch.bool:
        got = (list(lengths.shape), lengths.dtype)
        raise ParameterError(must_be("lengths", f"integers of shape [{batch}]", got))
    readable = (
        type(lengths) is Tensor
        and lengths.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
    )
    if readable and batch and not (int(lengths.min()) >= 0 and int(lengths.max()) <= time):
        raise ParameterError(must_be("lengths", f"from 0 to T = {time}", lengths.tolist()))
    lengths = lengths.to(device=x.device, dtype=torch.int64)
    return lengths.expand(*x.shape[:-3], batch)


def describe(**settings: tuple[Any, Any]) -> str:
    """The settings (value, default) that are not at their default, for a repr."""
    return "".join(
        f", {name}={value}" for name, (value, default) in settings.items() if value != default
    )


def check_nonlinearity(nonlinearity: Any) -> None:
    """Raise ValueError, as torch does, for another than tanh and relu."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"Unknown nonlinearity {nonlinearity!r}. Select from 'tanh' or 'relu'.")
