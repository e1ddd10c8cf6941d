"""Calls that the tests of ops share: every recurrence and variant, every option."""

from __future__ import annotations

import pytest

from grukit.ops import RECURRENCES
from grukit.ops.contract import DIFFERENTIABLE, NAMES
from grukit.testing.backends import Case, options

VARIANTS = [
    (op, variant) for op, recurrence in RECURRENCES.items() for variant in recurrence.cell.variants
]
each_variant = pytest.mark.parametrize(
    ("op", "variant"), VARIANTS, ids=["-".join(names).strip("-") for names in VARIANTS]
)
each_op = pytest.mark.parametrize("op", RECURRENCES)
WHOLE = [op for op, recurrence in RECURRENCES.items() if recurrence.cell.recurrent]
"""Those of which the core runs everything, products too."""
each_whole_op = pytest.mark.parametrize("op", WHOLE)
each_whole_variant = pytest.mark.parametrize(
    ("op", "variant"), [names for names in VARIANTS if names[0] in WHOLE], ids="-".join
)


def weight_of(op):
    """The name of the recurrent weight, where there is one, else of the input's."""
    return "w_hh" if RECURRENCES[op].cell.recurrent else "w_ih"


def everything(op, variant=None, **fields):
    """A call with every option that makes sense, lengths and resets; fields win."""
    cell = RECURRENCES[op].cell
    variant = next(iter(cell.variants)) if variant is None else variant
    named = options(cell, variant)
    changes = {k: v for name in named if name != "zoneout rate" for k, v in named[name].items()}
    return Case(op, variant, **{"lengths": True, "resets": True, **changes, **fields})


def one_by_one(op, variant, **fields):
    """Calls by name: with lengths and resets alone, with each option besides, with all of them."""
    named = {"nothing": {}, **options(RECURRENCES[op].cell, variant)}
    calls = {
        name: Case(op, variant, **{"lengths": True, "resets": True, **change, **fields})
        for name, change in named.items()
    }
    return {**calls, "everything": everything(op, variant, **fields)}


def with_leaves(case):
    """The tensors of a call, of which those that have gradients require them."""
    tensors = case.tensors()
    return tensors._replace(**{name: t.requires_grad_() for name, t in leaves(tensors).items()})


def leaves(tensors):
    """The tensors that have gradients, by name."""
    pairs = zip(NAMES[:DIFFERENTIABLE], tensors, strict=False)
    return {name: tensor for name, tensor in pairs if tensor is not None}


def run(case, tensors, **options):
    """The op on these tensors."""
    recurrence = RECURRENCES[case.op]
    return recurrence(*tensors, variant=case.variant, reverse=case.reverse, **options)
