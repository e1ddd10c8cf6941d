"""Closeness, with a tolerance that is measured instead of guessed."""

from __future__ import annotations

import torch
from torch import Tensor

from grukit.ops.contract import compute_dtype

FACTOR = 3.0
"""By how much the error may exceed that of the plain version."""
ORDER_EPSILONS = 16
"""Rounding errors by which a sum of a few hundred terms may differ in another order."""


def compare(output: Tensor, oracle: Tensor, plain: Tensor, *, what: str = "output") -> None:
    """Raise AssertionError unless `output` is nearly as close to the oracle as `plain` is.

    oracle: the result in float64. plain: the result of the plain version in the dtype of
    `output`. The largest error of `output` may be three times that of `plain`, plus, at the
    scale of the result, one rounding to its dtype and what another order of summation makes
    in the dtype of the arithmetic.
    """
    if output.dtype != plain.dtype:
        raise AssertionError(f"{what} must be {plain.dtype}, got {output.dtype}")
    _same_shape(output, oracle, what)
    error, own = _distance(output, oracle), _distance(plain, oracle)
    order = ORDER_EPSILONS * torch.finfo(compute_dtype(output.dtype)).eps
    floor = (torch.finfo(output.dtype).eps + order) * max(1.0, _largest(oracle.abs()))
    if not error <= FACTOR * own + floor:
        raise AssertionError(
            f"{what} is {error:.3g} from the float64 oracle, allowed are {FACTOR:g} times the "
            f"plain version's {own:.3g} and {floor:.3g}"
        )


def assert_close(got: Tensor, wanted: Tensor, what: str, within: float = 1e-10) -> None:
    """Raise AssertionError unless no element of `got` is further than `within` from `wanted`."""
    _same_shape(got, wanted, what)
    distance = _distance(got, wanted)
    if not distance <= within:
        raise AssertionError(f"{what} differs by {distance:.3g}, allowed is {within:.3g}")


def _same_shape(got: Tensor, wanted: Tensor, what: str) -> None:
    if got.shape != wanted.shape:
        raise AssertionError(f"{what} must be of shape {list(wanted.shape)}, got {list(got.shape)}")


def _distance(a: Tensor, b: Tensor) -> float:
    return _largest((a.double() - b.double()).abs())


def _largest(values: Tensor) -> float:
    """The maximum, NaN if there is one."""
    return values.max().item() if values.numel() else 0.0
