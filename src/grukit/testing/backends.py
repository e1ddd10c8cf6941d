"""Conformance of a backend: it equals the definition of its op, whatever the call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from grukit.core.rules import check, one_of
from grukit.ops import RECURRENCES
from grukit.ops.cell import Cell
from grukit.ops.contract import (
    DIFFERENTIABLE,
    NAMES,
    SAVE_ALL,
    SAVE_NOTHING,
    SAVE_STATES,
    Arguments,
    Call,
    compute_dtype,
    reserve_shape,
)
from grukit.ops.dispatch import Backend
from grukit.ops.sequence import definition
from grukit.testing.gradients import gradients, random_like
from grukit.testing.parity import compare
from grukit.testing.poison import poisoned_memory
from grukit.testing.running import Check, run

Results = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A call of a recurrence; its tensors follow from it.

    zoneout: "mask" as in training, "rate" as in eval mode, or "".
    recompute: whether the states alone are saved for the backward.
    """

    op: str = "gru"
    variant: str = "after"
    time: int = 5
    batch: int = 3
    input_size: int = 4
    hidden_size: int = 6
    models: int | None = None
    reverse: bool = False
    lengths: bool = False
    resets: bool = False
    bias: bool = True
    proj_size: int = 0
    layer_norm: bool = False
    drop_h: bool = False
    drop_n: bool = False
    zoneout: str = ""
    fresh: bool = False
    dtype: torch.dtype = torch.float32
    recompute: bool = False

    @property
    def cell(self) -> Cell:
        return RECURRENCES[self.op].cell

    @property
    def save(self) -> int:
        return SAVE_STATES if self.recompute else SAVE_ALL

    def tensors(self) -> Arguments:
        """The tensors of the call.

        The lengths are in no order: T, 0, half of T, and any others. The first sequence starts
        anew at step 1.
        """
        generator = torch.Generator().manual_seed(0)
        cell, hidden, batch = self.cell, self.hidden_size, self.batch
        leading = () if self.models is None else (self.models,)
        rows, bound = cell.gates * hidden, hidden**-0.5
        projected = self.proj_size or hidden
        state = projected if cell.projects_state else hidden

        def drawn(draw: Callable[..., Tensor], *shape: int) -> Tensor:
            return draw((*leading, *shape), generator=generator, dtype=torch.float64)

        def normal(*shape: int) -> Tensor:
            return drawn(torch.randn, *shape).to(self.dtype)

        def uniform(*shape: int) -> Tensor:
            return ((2 * drawn(torch.rand, *shape) - 1) * bound).to(self.dtype)

        def mask(rate: float, *shape: int) -> Tensor:
            return (drawn(torch.rand, *shape) < rate).to(self.dtype)

        found = {
            "x": normal(self.time, batch, self.input_size),
            "h0": normal(batch, state),
            "w_ih": uniform(rows, self.input_size),
        }
        # The biases and gains of one side alone, where there is no other.
        sides = ("ih", "hh") if cell.recurrent else ("ih",)
        if cell.recurrent:
            found["w_hh"] = uniform(rows, projected)
        if self.bias:
            found |= {f"b_{side}": uniform(rows) for side in sides}
        if cell.has_c:
            found["c0"] = normal(batch, hidden)
        if self.proj_size:
            found["w_hr"] = uniform(self.proj_size, hidden)
        if self.layer_norm:
            found |= {f"gain_{side}": 1 + uniform(rows) for side in sides}
            if cell.has_c:
                found |= {"gain_c": 1 + uniform(hidden), "bias_c": uniform(hidden)}
        if self.fresh:
            found["fresh_h"] = normal(batch, state)
            if cell.has_c:
                found["fresh_c"] = normal(batch, hidden)
        if self.drop_h:
            found["drop_h"] = mask(0.5, batch, projected) / 0.5
        if self.drop_n:
            found["drop_n"] = mask(0.5, batch, hidden) / 0.5
        sizes = {"keep_h": state, "keep_c": hidden} if cell.has_c else {"keep_h": state}
        for name, size in sizes.items():
            if self.zoneout == "mask":
                found[name] = mask(0.4, self.time, batch, size)
            elif self.zoneout == "rate":
                found[name] = torch.full((1, 1, 1), 0.25, dtype=self.dtype)
        if self.lengths:
            shape = (*leading, batch)
            lengths = torch.randint(0, self.time + 1, shape, generator=generator)
            some = torch.tensor([self.time, 0, (self.time + 1) // 2])
            lengths[..., :3] = some[:batch]
            found["lengths"] = lengths
        if self.resets:
            resets = drawn(torch.rand, self.time, batch) < 0.3
            resets[..., 1:2, :1] = True
            found["resets"] = resets
        return Arguments(**found)


def every_option(op: str, dtypes: Iterable[torch.dtype]) -> Iterator[Case]:
    """Small cases: every way to combine what is plain, and the options alone, in pairs, all."""
    plain = ("reverse", "lengths", "resets", "bias")
    cell = RECURRENCES[op].cell
    for variant, dtype in itertools.product(cell.variants, dtypes):
        case = Case(op, variant, dtype=dtype)
        for values in itertools.product((True, False), repeat=len(plain)):
            yield replace(case, **dict(zip(plain, values, strict=True)))
        named = options(cell, variant)
        all_of_them = [named[name] for name in named if name != "zoneout rate"]
        alone = [[option] for option in named.values()]
        ways = [*itertools.product([*alone, all_of_them], (False, True))]
        pairs = itertools.combinations(named.values(), 2)
        for chosen, reverse in [*ways, *zip(pairs, itertools.cycle((False, True)))]:
            changes = {name: value for option in chosen for name, value in option.items()}
            yield replace(case, reverse=reverse, lengths=True, resets=True, **changes)


def options(cell: Cell, variant: str) -> dict[str, dict[str, Any]]:
    """The options that make sense, as changes of a case."""
    changes: dict[str, tuple[str, dict[str, Any]]] = {
        "models": ("", {"models": 2}),
        "projection": ("w_hr", {"proj_size": 4}),
        "layer norm": ("gain_ih", {"layer_norm": True}),
        "recurrent dropout": ("drop_h", {"drop_h": True}),
        "candidate dropout": ("drop_n", {"drop_n": True}),
        "zoneout mask": ("keep_h", {"zoneout": "mask"}),
        "zoneout rate": ("keep_h", {"zoneout": "rate"}),
        "fresh state": ("fresh_h", {"fresh": True}),
    }
    refused = cell.refuses(variant)
    return {name: change for name, (tensor, change) in changes.items() if tensor not in refused}


def sizes_around_lanes(op: str) -> Iterator[Case]:
    """Sizes just below, at and above the widths of vector registers and tiles."""
    for hidden, (time, batch, inputs) in itertools.product(
        (1, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 97), ((1, 1, 1), (3, 5, 17), (7, 2, 3))
    ):
        for variant, reverse in itertools.product(RECURRENCES[op].cell.variants, (True, False)):
            case = Case(op, variant, time, batch, inputs, hidden, reverse=reverse)
            yield replace(case, lengths=True, resets=True)


def of_definition(case: Case, tensors: Arguments, dtype: torch.dtype) -> Results:
    """Output, final states and every gradient of the definition, computed in `dtype`."""
    tensors = tensors.map_floats(lambda t: t.to(dtype))
    leaves = {
        name: tensor.detach().requires_grad_()
        for name, tensor in zip(NAMES[:DIFFERENTIABLE], tensors, strict=False)
        if tensor is not None
    }
    outputs = definition(case.cell, tensors._replace(**leaves), case.variant, case.reverse)
    cotangents = [t.to(dtype) for t in random_like([t.to(case.dtype) for t in outputs])]
    names = ("output", "h", "c")
    values = {name: t.detach() for name, t in zip(names, outputs, strict=False)}
    return {**values, **gradients(outputs, leaves, cotangents)}


def of_plain(case: Case, tensors: Arguments, oracle: Results) -> Results:
    """The same in the dtype of the case, with the error that rounding makes there.

    The oracle has the error of float64 itself, so that one is told from that of float32.
    """
    if case.dtype != torch.float64:
        return of_definition(case, tensors, case.dtype)
    finer = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
    rounded = of_definition(case, tensors, torch.float32)
    return {name: truth + (rounded[name] - truth) * finer for name, truth in oracle.items()}


def of_moved(case: Case, tensors: Arguments) -> Results:
    """The same in float64, with every argument moved by a rounding of the arithmetic."""
    generator = torch.Generator().manual_seed(0)
    epsilon = torch.finfo(compute_dtype(case.dtype)).eps

    def moved(tensor: Tensor) -> Tensor:
        signs = torch.randint(0, 2, tensor.shape, generator=generator) * 2 - 1
        return tensor.double() * (1 + signs * epsilon)

    return of_definition(case, tensors.map_floats(moved), torch.float64)


def forward(
    backend: Backend, case: Case, tensors: Arguments, save: int | None = None
) -> tuple[Tensor, ...]:
    """Output, final states and reserve, computed in poisoned memory."""
    save = case.save if save is None else save
    with poisoned_memory():
        return backend.forward(tensors, case.variant, case.reverse, save)


def differentiable(tensors: Arguments) -> tuple[str, ...]:
    """The names of the arguments that are there and have gradients."""
    pairs = zip(NAMES[:DIFFERENTIABLE], tensors, strict=False)
    return tuple(name for name, tensor in pairs if tensor is not None)


def of_backend(
    backend: Backend,
    case: Case,
    tensors: Arguments,
    backward: Callable[..., dict[str, Tensor]] | None = None,
    reserve: Tensor | None = None,
    wants: tuple[str, ...] | None = None,
) -> Results:
    """The same of a backend, in poisoned memory; `backward` and `reserve` stand in for its own.

    wants: the names of the arguments whose gradients are asked for, all if None.
    """
    output, *final, own_reserve = forward(backend, case, tensors)
    d_output, *d_final = random_like([output, *final])
    with poisoned_memory():
        found = (backward or backend.backward)(
            tensors,
            d_output,
            tuple(d_final),
            output,
            own_reserve if reserve is None else reserve,
            case.variant,
            case.reverse,
            case.save,
            differentiable(tensors) if wants is None else wants,
        )
    values = dict(zip(("output", "h", "c"), (output, *final), strict=False))
    return {**values, **{f"d{name}": gradient for name, gradient in found.items()}}


def compare_all(case: Case, tensors: Arguments, *found: Results) -> None:
    """Compare results for a case with those of the definition on these tensors."""
    oracle = of_definition(case, tensors, torch.float64)
    plain = of_plain(case, tensors, oracle)
    # Layer norm magnifies every rounding where what it acts on is small. The plain version may be
    # lucky with its own; how far any may lead is seen from arguments that differ by one.
    moved = of_moved(case, tensors) if case.layer_norm else oracle
    for got in found:
        if got.keys() != oracle.keys():
            raise AssertionError(f"{case} must give {sorted(oracle)}, got {sorted(got)}")
        for name, truth in oracle.items():
            lucky = (moved[name] - truth).abs().sum() > (plain[name] - truth).abs().sum()
            own = moved[name].to(plain[name].dtype) if lucky else plain[name]
            compare(got[name], truth, own, what=f"{name} of {case}")


class Subject(NamedTuple):
    """A backend and the op that it is of."""

    backend: Backend
    op: str


def runnable(backend: Backend, cases: Iterable[Case]) -> Iterator[Case]:
    """The cases to which the backend has no objection; AssertionError if it has to all."""
    objections: set[str] = set()
    ran = False
    for case in cases:
        facts = {"variant": case.variant, "reverse": case.reverse, "save": case.save}
        call = Call.of(case.cell, case.tensors(), **facts)
        reasons = backend.why_not(call)
        objections.update(reasons)
        if not reasons:
            ran = True
            yield case
    if not ran:
        raise AssertionError(f"{backend.name} ran no case: {'; '.join(sorted(objections))}")


def every_option_equals_the_definition(subject: Subject) -> None:
    dtypes = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
    backend, op = subject
    for case in runnable(backend, every_option(op, dtypes)):
        tensors = case.tensors()
        compare_all(case, tensors, of_backend(backend, case, tensors))


def recomputing_changes_nothing(subject: Subject) -> None:
    """Gradients are the same with the states alone in the reserve."""
    backend, op = subject
    cases = every_option(op, [torch.float32, torch.bfloat16])
    for case in runnable(backend, (replace(case, recompute=True) for case in cases)):
        tensors = case.tensors()
        compare_all(case, tensors, of_backend(backend, case, tensors))


def every_size_equals_the_definition(subject: Subject) -> None:
    backend, op = subject
    for case in runnable(backend, sizes_around_lanes(op)):
        tensors = case.tensors()
        compare_all(case, tensors, of_backend(backend, case, tensors))


def empty_sizes_work(subject: Subject) -> None:
    backend, op = subject
    cases = [
        replace(case, time=time, batch=batch)
        for case in every_option(op, [torch.float32])
        for time, batch in ((0, 3), (5, 0), (0, 0))
    ]
    for case in runnable(backend, cases):
        tensors = case.tensors()
        compare_all(case, tensors, of_backend(backend, case, tensors))


def padding_does_not_leak(subject: Subject) -> None:
    backend, op = subject
    cases = [case for case in every_option(op, [torch.float32]) if case.lengths]
    for case in runnable(backend, cases):
        clean = case.tensors()
        assert clean.lengths is not None
        padding = torch.arange(case.time)[:, None] >= clean.lengths.unsqueeze(-2)
        if clean.resets is not None:
            clean = clean._replace(resets=clean.resets | padding)
        fillings = [
            clean._replace(x=clean.x.masked_fill(padding[..., None], filling))
            for filling in (torch.nan, torch.inf)
        ]
        found = [of_backend(backend, case, tensors) for tensors in fillings]
        compare_all(case, clean, *found)
        for got, name in itertools.product(found, ("output", "dx")):
            if got[name][padding].count_nonzero():
                raise AssertionError(f"{name} of {case} must be zero in the padding")


def lengths_beyond_the_ends_act_as_the_ends(subject: Subject) -> None:
    backend, op = subject
    for case in runnable(backend, every_option(op, [torch.float32])):
        tensors = case.tensors()
        beyond = torch.tensor([case.time + 3, -2, 1]).expand((*tensors.x.shape[:-3], 3))
        got = of_backend(backend, case, tensors._replace(lengths=beyond))
        compare_all(case, tensors._replace(lengths=beyond.clamp(0, case.time)), got)


def strides_do_not_matter(subject: Subject) -> None:
    backend, op = subject
    for case in runnable(backend, every_option(op, [torch.float32])):
        tensors = case.tensors()
        strided = Arguments(*(None if t is None else _with_other_strides(t) for t in tensors))  # type: ignore[arg-type]
        compare_all(case, tensors, of_backend(backend, case, strided))


def the_reserve_is_as_the_contract_says(subject: Subject) -> None:
    """Its shape and dtype; the reference's backward reads it; the backend reads the reference's."""
    backend, op = subject
    reference = RECURRENCES[op].backends[-1]
    cases = [
        replace(case, recompute=recompute)
        for case in every_option(op, [torch.float32, torch.bfloat16])
        for recompute in (False, True)
    ]
    for case in runnable(backend, cases):
        tensors = case.tensors()
        reserve = forward(backend, case, tensors)[-1]
        wanted = reserve_shape(case.cell, tensors, case.save), compute_dtype(case.dtype)
        if (tuple(reserve.shape), reserve.dtype) != wanted:
            got = tuple(reserve.shape), reserve.dtype
            raise AssertionError(f"the reserve of {case} must be {wanted}, got {got}")
        read = of_backend(backend, case, tensors, backward=reference.backward)
        theirs = reference.forward(tensors, case.variant, case.reverse, case.save)[-1]
        compare_all(case, tensors, read, of_backend(backend, case, tensors, reserve=theirs))


def without_saving_nothing_is_kept(subject: Subject) -> None:
    backend, op = subject
    for case in runnable(backend, every_option(op, [torch.float32])):
        tensors = case.tensors()
        *saved, _ = forward(backend, case, tensors)
        *results, reserve = forward(backend, case, tensors, save=SAVE_NOTHING)
        if reserve.numel():
            raise AssertionError(f"without saving the reserve must be empty, got {reserve.shape}")
        for index, (result, wanted) in enumerate(zip(results, saved, strict=True)):
            compare(result, wanted, wanted, what=f"result {index} of {case} without saving")


def arguments_are_left_alone(subject: Subject) -> None:
    """Arguments keep their values, and no result is one of them."""
    backend, op = subject
    cases = [
        replace(case, time=time) for case in every_option(op, [torch.float32]) for time in (0, 5)
    ]
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


def gradients_nobody_wants_are_left_out(subject: Subject) -> None:
    """Each gradient is right alone, and with all others but x."""
    backend, op = subject
    for case in runnable(backend, every_option(op, [torch.float32])):
        tensors = case.tensors()
        names = differentiable(tensors)
        full = of_backend(backend, case, tensors)
        for wants in (*((name,) for name in names), names[1:]):
            got = of_backend(backend, case, tensors, wants=wants)
            unwanted = [name for name in names if f"d{name}" in got and name not in wants]
            if unwanted:
                raise AssertionError(f"gradients of {case} must be of {wants}, got {unwanted}")
            for name in wants:
                gradient, whole = got[f"d{name}"], full[f"d{name}"]
                compare(gradient, whole, whole, what=f"d{name} of {case}, wanting {wants}")


_CHECKS: tuple[Check, ...] = (
    every_option_equals_the_definition,
    recomputing_changes_nothing,
    every_size_equals_the_definition,
    empty_sizes_work,
    padding_does_not_leak,
    lengths_beyond_the_ends_act_as_the_ends,
    strides_do_not_matter,
    the_reserve_is_as_the_contract_says,
    without_saving_nothing_is_kept,
    arguments_are_left_alone,
    gradients_nobody_wants_are_left_out,
)


def backend_checks() -> tuple[Check, ...]:
    """The checks of a backend, each a function of a Subject: the backend and the name of its op."""
    return _CHECKS


def check_backend(backend: Backend, op: str = "gru") -> None:
    """Raise AssertionError unless the backend equals the definition of `op`.

    Memory is poisoned with NaN meanwhile. Calls to which the backend objects are left out.
    """
    check({"op": op}, {"op": one_of(*RECURRENCES)})
    run(backend_checks(), Subject(backend, op))


def _with_other_strides(tensor: Tensor) -> Tensor:
    """The same values, laid out in steps of two and with the last axis first."""
    if tensor.dim() == 0:
        return tensor
    wide = torch.stack([tensor, tensor], dim=-1).movedim(-2, 0).contiguous()
    return wide.movedim(0, -2)[..., 0]
