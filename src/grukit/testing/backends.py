"""Conformance of a backend: it equals the definition of its op, whatever the call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from grukit.core.rules import check, one_of
from grukit.ops.dispatch import Backend
from grukit.ops.gru import reference
from grukit.ops.gru.contract import RESERVED, GruCall, compute_dtype
from grukit.testing.gradients import gradients, random_like
from grukit.testing.parity import compare
from grukit.testing.poison import poisoned_memory
from grukit.testing.running import Check, run

NAMES = ("x", "h0", "w_ih", "w_hh", "b_ih", "b_hh")
Results = dict[str, Tensor]


@dataclass(frozen=True)
class GruCase:
    """A call of the GRU op; its tensors follow from it."""

    time: int = 5
    batch: int = 3
    input_size: int = 4
    hidden_size: int = 6
    reset_after: bool = True
    reverse: bool = False
    lengths: bool = False
    resets: bool = False
    bias: bool = True
    dtype: torch.dtype = torch.float32

    def tensors(self) -> tuple[Tensor | None, ...]:
        """x, h0, w_ih, w_hh, b_ih, b_hh, lengths, resets.

        The lengths are in no order: T, 0, half of T, and any others.
        """
        generator = torch.Generator().manual_seed(0)
        rows, bound = 3 * self.hidden_size, self.hidden_size**-0.5

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(self.dtype)

        def uniform(*shape: int) -> Tensor:
            drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
            return ((2 * drawn - 1) * bound).to(self.dtype)

        lengths = torch.randint(0, self.time + 1, (self.batch,), generator=generator)
        lengths[:3] = torch.tensor([self.time, 0, (self.time + 1) // 2])[: self.batch]
        return (
            normal(self.time, self.batch, self.input_size),
            normal(self.batch, self.hidden_size),
            uniform(rows, self.input_size),
            uniform(rows, self.hidden_size),
            uniform(rows) if self.bias else None,
            uniform(rows) if self.bias else None,
            lengths if self.lengths else None,
            torch.rand((self.time, self.batch), generator=generator) < 0.3 if self.resets else None,
        )


def every_option(dtypes: Iterable[torch.dtype]) -> Iterator[GruCase]:
    """One small case for each way to combine the options."""
    for after, reverse, lengths, resets, bias in itertools.product((True, False), repeat=5):
        for dtype in dtypes:
            yield GruCase(
                reset_after=after,
                reverse=reverse,
                lengths=lengths,
                resets=resets,
                bias=bias,
                dtype=dtype,
            )


def sizes_around_lanes() -> Iterator[GruCase]:
    """Sizes just below, at and above the widths of vector registers and tiles."""
    for hidden, (time, batch, inputs) in itertools.product(
        (1, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 97), ((1, 1, 1), (3, 5, 17), (7, 2, 3))
    ):
        for after, reverse in itertools.product((True, False), repeat=2):
            yield GruCase(time, batch, inputs, hidden, after, reverse, lengths=True, resets=True)


def of_definition(case: GruCase, tensors: tuple[Any, ...], dtype: torch.dtype) -> Results:
    """Output, final state and every gradient of the definition, computed in `dtype`."""
    leaves = {
        name: tensor.to(dtype).detach().requires_grad_()
        for name, tensor in zip(NAMES, tensors, strict=False)
        if tensor is not None
    }
    outputs = reference.gru_reference(
        *(leaves.get(name) for name in NAMES),  # type: ignore[arg-type]
        *tensors[6:],
        reset_after=case.reset_after,
        reverse=case.reverse,
    )
    cotangents = [t.to(dtype) for t in random_like([t.to(tensors[0].dtype) for t in outputs])]
    output, final = (t.detach() for t in outputs)
    return {"output": output, "final": final, **gradients(outputs, leaves, cotangents)}


def forward(
    backend: Backend, case: GruCase, tensors: tuple[Any, ...], save: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, final state and reserve, computed in poisoned memory."""
    with poisoned_memory():
        return backend.forward(*tensors, case.reset_after, case.reverse, save)


def of_backend(
    backend: Backend,
    case: GruCase,
    tensors: tuple[Any, ...],
    backward: Callable[..., Any] | None = None,
    reserve: Tensor | None = None,
) -> Results:
    """The same of a backend, in poisoned memory; `backward` and `reserve` stand in for its own."""
    output, final, own_reserve = forward(backend, case, tensors)
    d_output, d_final = random_like([output, final])
    with poisoned_memory():
        found = (backward or backend.backward)(
            d_output,
            d_final,
            *tensors[:4],
            *tensors[6:],
            output,
            own_reserve if reserve is None else reserve,
            case.reset_after,
            case.reverse,
            True,
        )
    names = [f"d{name}" for name in NAMES]
    return {"output": output, "final": final, **dict(zip(names, found, strict=True))}


def compare_all(case: GruCase, got: Results, clean: tuple[Any, ...] | None = None) -> None:
    """Compare results with the definition on the case's tensors, or on `clean` ones."""
    tensors = case.tensors() if clean is None else clean
    oracle = of_definition(case, tensors, torch.float64)
    plain = of_definition(case, tensors, case.dtype)
    for name, truth in oracle.items():
        compare(got[name], truth, plain[name], what=f"{name} of {case}")


def runnable(backend: Backend, cases: Iterable[GruCase]) -> Iterator[GruCase]:
    """The cases to which the backend has no objection; AssertionError if it has to all."""
    objections: set[str] = set()
    ran = False
    for case in cases:
        x, h0, *_, lengths, resets = case.tensors()
        assert x is not None
        assert h0 is not None
        options = {"reset_after": case.reset_after, "reverse": case.reverse, "save": True}
        reasons = backend.why_not(
            GruCall.of(x, h0, lengths=lengths, resets=resets, **options)  # type: ignore[arg-type]
        )
        objections.update(reasons)
        if not reasons:
            ran = True
            yield case
    if not ran:
        raise AssertionError(f"{backend.name} ran no case: {'; '.join(sorted(objections))}")


def every_option_equals_the_definition(backend: Backend) -> None:
    dtypes = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
    for case in runnable(backend, every_option(dtypes)):
        compare_all(case, of_backend(backend, case, case.tensors()))


def every_size_equals_the_definition(backend: Backend) -> None:
    for case in runnable(backend, sizes_around_lanes()):
        compare_all(case, of_backend(backend, case, case.tensors()))


def empty_sizes_work(backend: Backend) -> None:
    cases = [
        replace(case, time=time, batch=batch)
        for case in every_option([torch.float32])
        for time, batch in ((0, 3), (5, 0), (0, 0))
    ]
    for case in runnable(backend, cases):
        compare_all(case, of_backend(backend, case, case.tensors()))


def padding_does_not_leak(backend: Backend) -> None:
    cases = [case for case in every_option([torch.float32]) if case.lengths]
    for case in runnable(backend, cases):
        x, *others, lengths, resets = case.tensors()
        assert x is not None
        assert lengths is not None
        padding = torch.arange(case.time)[:, None] >= lengths
        if resets is not None:
            resets = resets | padding
        clean = (x, *others, lengths, resets)
        dirty = (x.masked_fill(padding[..., None], torch.nan), *others, lengths, resets)
        got = of_backend(backend, case, dirty)
        compare_all(case, got, clean)
        for name in ("output", "dx"):
            if got[name][padding].count_nonzero():
                raise AssertionError(f"{name} of {case} must be zero in the padding")


def lengths_beyond_the_ends_act_as_the_ends(backend: Backend) -> None:
    for case in runnable(backend, every_option([torch.float32])):
        *others, _, resets = case.tensors()
        beyond = torch.tensor([case.time + 3, -2, 1])
        got = of_backend(backend, case, (*others, beyond, resets))
        compare_all(case, got, (*others, beyond.clamp(0, case.time), resets))


def strides_do_not_matter(backend: Backend) -> None:
    for case in runnable(backend, every_option([torch.float32])):
        strided = tuple(
            tensor if tensor is None else _with_other_strides(tensor) for tensor in case.tensors()
        )
        compare_all(case, of_backend(backend, case, strided))


def the_reserve_is_as_the_contract_says(backend: Backend) -> None:
    """Its shape and dtype; the reference's backward reads it; the backend reads the reference's."""
    for case in runnable(backend, every_option([torch.float32, torch.bfloat16])):
        tensors = case.tensors()
        reserve = forward(backend, case, tensors)[2]
        wanted = (RESERVED, case.time, case.batch, case.hidden_size), compute_dtype(case.dtype)
        if (tuple(reserve.shape), reserve.dtype) != wanted:
            got = tuple(reserve.shape), reserve.dtype
            raise AssertionError(f"the reserve of {case} must be {wanted}, got {got}")
        compare_all(case, of_backend(backend, case, tensors, backward=reference.backward))
        theirs = reference.forward(*tensors, case.reset_after, case.reverse, True)[2]  # type: ignore[arg-type]
        compare_all(case, of_backend(backend, case, tensors, reserve=theirs))


def without_saving_nothing_is_kept(backend: Backend) -> None:
    for case in runnable(backend, every_option([torch.float32])):
        tensors = case.tensors()
        saved = forward(backend, case, tensors)
        output, final, reserve = forward(backend, case, tensors, save=False)
        if reserve.numel():
            raise AssertionError(f"without saving the reserve must be empty, got {reserve.shape}")
        compare(output, saved[0], saved[0], what=f"output of {case} without saving")
        compare(final, saved[1], saved[1], what=f"final of {case} without saving")


def arguments_are_left_alone(backend: Backend) -> None:
    """Arguments keep their values, and no result is one of them."""
    cases = [replace(case, time=time) for case in every_option([torch.float32]) for time in (0, 5)]
    for case in runnable(backend, cases):
        tensors = case.tensors()
        got = of_backend(backend, case, tensors)
        for tensor, fresh in zip(tensors, case.tensors(), strict=True):
            if tensor is None or fresh is None:
                continue
            if not torch.equal(tensor, fresh):
                raise AssertionError(f"an argument of {case} was changed")
            for name, result in got.items():
                if tensor.numel() and result.data_ptr() == tensor.data_ptr():
                    raise AssertionError(f"{name} of {case} is an argument, handed back")


def an_unwanted_dx_is_empty(backend: Backend) -> None:
    for case in runnable(backend, every_option([torch.float32])):

        def without_dx(*arguments: Any) -> tuple[Tensor, ...]:
            dx, *others = backend.backward(*arguments[:-1], False)
            if dx.numel():
                raise AssertionError(f"a dx nobody wants must be empty, got {list(dx.shape)}")
            return (case.tensors()[0], *others)  # type: ignore[return-value]  # noqa: B023

        got = of_backend(backend, case, case.tensors(), backward=without_dx)
        full = of_backend(backend, case, case.tensors())
        compare_all(case, {**got, "dx": full["dx"]})


_CHECKS: dict[str, tuple[Check, ...]] = {
    "gru": (
        every_option_equals_the_definition,
        every_size_equals_the_definition,
        empty_sizes_work,
        padding_does_not_leak,
        lengths_beyond_the_ends_act_as_the_ends,
        strides_do_not_matter,
        the_reserve_is_as_the_contract_says,
        without_saving_nothing_is_kept,
        arguments_are_left_alone,
        an_unwanted_dx_is_empty,
    )
}


def backend_checks(op: str = "gru") -> tuple[Check, ...]:
    """The checks of a backend of `op`, each a function of the backend."""
    check({"op": op}, {"op": one_of(*_CHECKS)})
    return _CHECKS[op]


def check_backend(backend: Backend, op: str = "gru") -> None:
    """Raise AssertionError unless the backend equals the definition of `op`.

    Memory is poisoned with NaN meanwhile. Calls to which the backend objects are left out.
    """
    run(backend_checks(op), backend)


def _with_other_strides(tensor: Tensor) -> Tensor:
    """The same values, laid out in steps of two and with the last axis first."""
    if tensor.dim() == 0:
        return tensor
    wide = torch.stack([tensor, tensor], dim=-1).movedim(-2, 0).contiguous()
    return wide.movedim(0, -2)[..., 0]
