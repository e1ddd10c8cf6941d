"""What a call that breaks the contract is told."""

from __future__ import annotations

import re

import pytest
import torch
from op_calls import each_op, each_variant, each_whole_op, everything, run

from grukit.core.errors import ParameterError
from grukit.ops import RECURRENCES
from grukit.ops.contract import NAMES
from grukit.testing.backends import Case


def refused(case, match=None, **changes):
    """The message for a call of `case` with some tensors changed."""
    with pytest.raises(ParameterError, match=match) as error:
        run(case, case.tensors()._replace(**changes))
    return str(error.value)


@each_op
def test_an_unknown_variant(op):
    variants = re.escape(str(tuple(RECURRENCES[op].cell.variants)))
    tensors = everything(op).tensors()
    with pytest.raises(ParameterError, match=f"^variant must be one of {variants}, got 'sideways'"):
        RECURRENCES[op](*tensors, variant="sideways")


@each_op
def test_a_dtype_that_no_layer_has(op):
    tensors = everything(op).tensors()
    message = (
        r"^dtype of x must be one of \(torch.float64, torch.float32, torch.bfloat16, "
        r"torch.float16\), got torch.int32$"
    )
    refused(everything(op), message, x=tensors.x.int())


@each_op
@pytest.mark.parametrize("shape", [[], [5], [5, 3], [1, 1, 5, 3, 4]], ids=str)
def test_an_input_with_too_many_axes_or_too_few(op, shape):
    message = rf"^x must be of shape \[T, B, I\] or \[K, T, B, I\], got {re.escape(str(shape))}$"
    refused(everything(op), message, x=torch.zeros(shape))


@pytest.mark.parametrize(("one", "other"), [("b_ih", "b_hh"), ("gain_ih", "gain_hh")])
@each_whole_op
def test_tensors_that_go_together(op, one, other):
    for missing in (one, other):
        message = f"^{one} and {other} must be given both or neither$"
        refused(everything(op), message, **{missing: None})


@pytest.mark.parametrize("missing", ["gain_c", "bias_c"])
def test_a_norm_of_the_cell_goes_with_its_bias(missing):
    message = "^gain_c and bias_c must be given both or neither$"
    refused(everything("lstm"), message, **{missing: None})


def test_c0_is_for_the_cell_that_has_c():
    refused(everything("lstm"), "^c0 must be given for lstm$", c0=None)
    for op in ("gru", "rnn"):
        refused(everything(op), f"^c0 must be None for {op}$", c0=torch.zeros(3, 6))


@pytest.mark.parametrize(
    ("op", "variant", "name"),
    [
        ("gru", "after", "fresh_c"),
        ("gru", "after", "keep_c"),
        ("gru", "before", "w_hr"),
        ("rnn", "tanh", "fresh_c"),
        ("rnn", "tanh", "drop_n"),
        ("rnn", "relu", "drop_n"),
    ],
)
def test_what_makes_no_sense_for_a_cell(op, variant, name):
    message = f"^{name} must be None for {op} {variant}$"
    refused(Case(op, variant), message, **{name: torch.zeros(3, 6)})


def test_a_norm_of_a_cell_that_is_not_there():
    norm = {"gain_c": torch.zeros(6), "bias_c": torch.zeros(6)}
    refused(Case("gru", "after"), "^gain_c must be None for gru after$", **norm)


@each_variant
@pytest.mark.parametrize("models", [None, 2])
def test_every_shape_and_dtype(op, variant, models):
    case = everything(op, variant, models=models)
    tensors = case.tensors()
    for name in NAMES[1:]:
        tensor = getattr(tensors, name)
        if tensor is None:
            continue
        wanted = re.escape(str(list(tensor.shape)))
        for axis in range(tensor.dim()):
            wrong = torch.cat([tensor, tensor.narrow(axis, 0, 1)], dim=axis)
            got = re.escape(str(list(wrong.shape)))
            told = refused(case, **{name: wrong})
            # Those of w_hh and w_hr are what the others are told to follow.
            if name not in ("w_hh", "w_hr"):
                assert re.fullmatch(f"{name} must be of shape {wanted}, got {got}", told)
        for axes in (tensor[None], tensor[0]):
            assert name in refused(case, **{name: axes})
        other = torch.float16 if name in ("lengths", "resets") else torch.float64
        message = rf"^dtype of {name} must be {tensor.dtype}, got {other}$"
        refused(case, message, **{name: tensor.to(other)})


def test_w_hh_and_w_hr_set_the_sizes():
    case = Case("lstm", "", proj_size=2)
    refused(case, r"^h0 must be of shape \[3, 3\], got \[3, 2\]$", w_hr=torch.zeros(3, 6))
    refused(case, r"^c0 must be of shape \[3, 7\], got \[3, 6\]$", w_hh=torch.zeros(28, 2))
    refused(case, r"^w_hh must be of shape \[24, 2\], got \[26, 2\]$", w_hh=torch.zeros(26, 2))
    refused(case, r"^w_hh must have 2 axes, got \[24\]$", w_hh=torch.zeros(24))
    refused(case, r"^w_hr must have 2 axes, got \[6\]$", w_hr=torch.zeros(6))


def test_one_number_stands_for_a_mask_of_zoneout():
    case = everything("lstm", zoneout="rate")
    assert case.tensors().keep_c.shape == (1, 1, 1)
    run(case, case.tensors())
    shape = r"\[2, 5, 3, 4\], got \[2, 1, 1\]"
    refused(case, f"^keep_h must be of shape {shape}$", keep_h=torch.zeros(2, 1, 1))
