"""Arguments, their errors, and what else torch.nn.GRU and GRUCell promise."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import grukit.nn
from grukit.core.errors import BackendError, ParameterError
from grukit.nn import GRU, GRUCell

zeros = torch.zeros

BAD_CALLS = {
    "dropout above 1": (lambda m: m.GRU(3, 4, 2, dropout=1.5), "1.5"),
    "dropout below 0": (lambda m: m.GRU(3, 4, 2, dropout=-0.1), "-0.1"),
    "dropout True": (lambda m: m.GRU(3, 4, 2, dropout=True), "True"),
    "dropout text": (lambda m: m.GRU(3, 4, 2, dropout="a"), "a"),
    "bias 1": (lambda m: m.GRU(3, 4, bias=1), "int"),
    "batch_first 1": (lambda m: m.GRU(3, 4, batch_first=1), "int"),
    "hidden_size 4.0": (lambda m: m.GRU(3, 4.0), "float"),
    "input_size 3.0": (lambda m: m.GRU(3.0, 4), "float"),
    "hidden_size 0": (lambda m: m.GRU(3, 0), "0"),
    "hidden_size -1": (lambda m: m.GRU(3, -1), "-1"),
    "input_size 0": (lambda m: m.GRU(0, 4), "0"),
    "num_layers 0": (lambda m: m.GRU(3, 4, 0), "0"),
    "num_layers 1.5": (lambda m: m.GRU(3, 4, 1.5), "float"),
    "num_layers text": (lambda m: m.GRU(3, 4, "1"), "str"),
    "an unknown argument": (lambda m: m.GRU(3, 4, layers=2), "layers"),
    "no hidden_size": (lambda m: m.GRU(3), "hidden_size"),
    "1-D input": (lambda m: m.GRU(3, 4)(zeros(3)), "1D"),
    "4-D input": (lambda m: m.GRU(3, 4)(zeros(1, 2, 3, 3)), "4D"),
    "no input": (lambda m: m.GRU(3, 4)(None), "NoneType"),
    "input of another size": (lambda m: m.GRU(3, 4)(zeros(5, 2, 7)), "7"),
    "unbatched input of another size": (lambda m: m.GRU(3, 4)(zeros(5, 7)), "7"),
    "float64 input": (lambda m: m.GRU(3, 4)(zeros(5, 2, 3).double()), "float64"),
    "integer input": (lambda m: m.GRU(3, 4)(zeros(5, 2, 3).long()), "int64"),
    "hx of another batch": (lambda m: m.GRU(3, 4)(zeros(5, 2, 3), zeros(1, 3, 4)), "[1, 3, 4]"),
    "hx of another depth": (lambda m: m.GRU(3, 4)(zeros(5, 2, 3), zeros(2, 2, 4)), "[2, 2, 4]"),
    "hx of another size": (lambda m: m.GRU(3, 4)(zeros(5, 2, 3), zeros(1, 2, 5)), "[1, 2, 5]"),
    "2-D hx": (lambda m: m.GRU(3, 4)(zeros(5, 2, 3), zeros(2, 4)), "2-D"),
    "3-D hx of unbatched": (lambda m: m.GRU(3, 4)(zeros(5, 3), zeros(1, 1, 4)), "3-D"),
    "float64 hx": (
        lambda m: m.GRU(3, 4)(zeros(5, 2, 3), zeros(1, 2, 4).double()),
        ("float64", "Double"),
    ),
    "packed input of another size": (lambda m: m.GRU(3, 4)(pack_sequence([zeros(3, 7)])), "7"),
    "packed float64 input": (
        lambda m: m.GRU(3, 4)(pack_sequence([zeros(3, 3).double()])),
        "float64",
    ),
    "packed with hx of another batch": (
        lambda m: m.GRU(3, 4)(pack_sequence([zeros(3, 3)]), zeros(1, 2, 4)),
        "[1, 2, 4]",
    ),
    "cell: 3-D input": (lambda m: m.GRUCell(3, 4)(zeros(1, 2, 3)), "3D"),
    "cell: 3-D hx": (lambda m: m.GRUCell(3, 4)(zeros(2, 3), zeros(1, 2, 4)), "3D"),
    "cell: input of another size": (lambda m: m.GRUCell(3, 4)(zeros(2, 7)), "7"),
    "cell: hx of another batch": (lambda m: m.GRUCell(3, 4)(zeros(2, 3), zeros(5, 4)), "5"),
    "cell: hx of another size": (lambda m: m.GRUCell(3, 4)(zeros(2, 3), zeros(2, 5)), "5"),
    "cell: 1-D hx": (lambda m: m.GRUCell(3, 4)(zeros(2, 3), zeros(4)), "4"),
    "cell: 2-D hx of unbatched": (lambda m: m.GRUCell(3, 4)(zeros(3), zeros(1, 4)), "1"),
    "cell: float64 input": (
        lambda m: m.GRUCell(3, 4)(zeros(2, 3).double()),
        ("float64", "Double"),
    ),
    "cell: float64 hx": (
        lambda m: m.GRUCell(3, 4)(zeros(2, 3), zeros(2, 4).double()),
        ("float64", "Double"),
    ),
    "cell: negative size": (lambda m: m.GRUCell(3, -1), "-3"),
    "cell: size 4.0": (lambda m: m.GRUCell(3, 4.0), ""),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_call_raises_what_torch_raises_and_says_what_it_got(name):
    call, got = BAD_CALLS[name]
    with pytest.raises(Exception) as theirs:
        call(torch.nn)
    with pytest.raises(theirs.type) as ours:
        call(grukit.nn)
    assert any(word in str(ours.value) for word in ([got] if isinstance(got, str) else got))


def test_a_packed_batch_with_too_large_a_state_is_refused_where_torch_takes_the_wrong_rows():
    packed = pack_sequence([zeros(2, 3), zeros(3, 3)], enforce_sorted=False)
    torch.nn.GRU(3, 4)(packed, zeros(1, 3, 4))
    with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 2, 4\), got \[1, 3, 4\]"):
        GRU(3, 4)(packed, zeros(1, 3, 4))


def test_proj_size_is_refused_as_torch_refuses_it():
    with pytest.raises(ValueError, match="proj_size"):
        torch.nn.GRU(3, 4, proj_size=2)
    with pytest.raises(TypeError, match="proj_size"):
        GRU(3, 4, proj_size=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": [1, 2, 3]}, r"lengths must be integers of shape \[2\], got \(\[3\]"),
        ({"lengths": torch.ones(2)}, "lengths must be integers .* got .*float32"),
        ({"lengths": torch.ones(2, dtype=torch.bool)}, "lengths must be integers .* got .*bool"),
        ({"lengths": [1, 6]}, r"lengths must be from 0 to T = 5, got \[1, 6\]"),
        ({"lengths": [-1, 5]}, r"lengths must be from 0 to T = 5, got \[-1, 5\]"),
        ({"resets": zeros(5, 2)}, r"resets must be bool of shape \[5, 2\], got .*float32"),
        ({"resets": zeros(2, 5).bool()}, r"resets must be bool of shape \[5, 2\], got \(\[2, 5\]"),
    ],
)
def test_bad_lengths_and_resets(arguments, message):
    for call in (GRU(3, 4), GRU(3, 4).trace):
        with pytest.raises(ParameterError, match=message):
            call(zeros(5, 2, 3), **arguments)


def test_a_packed_sequence_has_its_own_lengths():
    packed = pack_sequence([zeros(2, 3)])
    for options in ({"lengths": [2]}, {"resets": zeros(2, 1).bool()}):
        with pytest.raises(ParameterError, match="must be None for a PackedSequence"):
            GRU(3, 4)(packed, **options)
    with pytest.raises(ParameterError, match="got a PackedSequence"):
        GRU(3, 4).trace(packed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 2}, "layer must be from 0 to 1, got 2"),
        ({"layer": -1}, "layer must be from 0 to 1, got -1"),
        ({"reverse": True}, "reverse must be False for one direction, got True"),
    ],
)
def test_a_trace_of_what_is_not_there(arguments, message):
    with pytest.raises(ParameterError, match=message):
        GRU(3, 4, 2).trace(zeros(5, 2, 3), **arguments)


def test_reset_after_must_be_true_or_false():
    with pytest.raises(TypeError, match="reset_after should be of type bool, got: str"):
        GRU(3, 4, reset_after="False")
    with pytest.raises(TypeError, match="reset_after should be of type bool, got: str"):
        GRUCell(3, 4, reset_after="False")


def test_an_unknown_backend_is_named_when_used():
    with pytest.raises(BackendError, match="the backend must be one of 'reference', got 'cuda'"):
        GRU(3, 4, backend="cuda")(zeros(5, 2, 3))


def test_a_meta_layer_refuses_another_dtype_too():
    layer = GRU(3, 4, device="meta")
    with pytest.raises(ValueError, match="RNN input dtype"):
        layer(torch.empty(5, 2, 3, device="meta", dtype=torch.float64))


def test_dropout_in_one_layer_warns_as_torch_does():
    for library in (torch.nn, grukit.nn):
        with pytest.warns(UserWarning, match="num_layers greater than 1") as caught:
            library.GRU(3, 4, dropout=0.5)
        assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GRU(3, 4, 2, dropout=0.5)


def test_dropout_may_be_a_numpy_number():
    assert GRU(3, 4, 2, dropout=np.float32(0.5)).dropout == 0.5


ARGUMENTS = [
    {},
    {"num_layers": 2, "bias": False, "batch_first": True},
    {"num_layers": 3, "dropout": 0.25, "bidirectional": True},
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_the_repr_is_torchs(arguments):
    assert repr(GRU(3, 4, **arguments)) == repr(torch.nn.GRU(3, 4, **arguments))


def test_the_repr_names_what_torch_has_not():
    assert "reset_after=False, backend=reference" in repr(
        GRU(3, 4, reset_after=False, backend="reference")
    )
    assert repr(GRUCell(3, 4, bias=False)) == repr(torch.nn.GRUCell(3, 4, bias=False))
    assert repr(GRUCell(3, 4, reset_after=False)) == "GRUCell(3, 4, reset_after=False)"


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_parameters_are_torchs_in_name_order_and_value(arguments):
    torch.manual_seed(7)
    theirs = torch.nn.GRU(3, 4, **arguments)
    torch.manual_seed(7)
    ours = GRU(3, 4, **arguments)
    assert [name for name, _ in ours.named_parameters()] == [
        name for name, _ in theirs.named_parameters()
    ]
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
    names = {id(parameter): name for name, parameter in ours.named_parameters()}
    torch_names = {id(parameter): name for name, parameter in theirs.named_parameters()}
    assert [[names[id(w)] for w in group] for group in ours.all_weights] == [
        [torch_names[id(w)] for w in group] for group in theirs.all_weights
    ]
    assert ours.flatten_parameters() is None
    for name in ("input_size", "hidden_size", *inspect.signature(GRU).parameters):
        if hasattr(theirs, name):
            assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize("bias", [True, False])
def test_a_cells_parameters_are_torchs(bias):
    torch.manual_seed(7)
    theirs = torch.nn.GRUCell(3, 4, bias)
    torch.manual_seed(7)
    ours = GRUCell(3, 4, bias)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    torch.manual_seed(7)
    ours.reset_parameters()
    for (name, a), (other, b) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == other
        assert torch.equal(a, b)


def test_device_and_dtype_reach_the_parameters():
    for module in (GRU(3, 4, device="meta", dtype=torch.bfloat16), GRUCell(3, 4, True, "meta")):
        assert all(parameter.device.type == "meta" for parameter in module.parameters())
    assert GRU(3, 4, dtype=torch.bfloat16).weight_hh_l0.dtype == torch.bfloat16


def test_dropout_acts_between_layers_in_training_alone():
    layer = GRU(3, 64, 2, dropout=0.4)
    x = torch.randn(50, 8, 3)
    with torch.no_grad():
        first = GRU(3, 64)
        first.load_state_dict({k: v for k, v in layer.state_dict().items() if "_l0" in k})
        # A second layer that hands on its input: h_t = tanh(x_t), near x_t for a small one.
        for name in ("weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"):
            getattr(layer, name).zero_()
        layer.weight_ih_l1[128:].copy_(torch.eye(64))
        layer.bias_ih_l1[64:128].fill_(-1e9)
        below = first(x)[0]
        dropped = torch.atanh(layer(x)[0].double()).float()
        kept = dropped != 0
        assert abs(kept.float().mean().item() - 0.6) < 0.01
        torch.testing.assert_close(dropped[kept], below[kept] / 0.6, rtol=1e-3, atol=1e-5)
        assert not torch.equal(layer(x)[0], layer(x)[0])
        layer.eval()
        torch.testing.assert_close(layer(x)[0], below.tanh(), rtol=1e-4, atol=1e-6)


def test_all_of_dropout_leaves_nothing_of_the_layers_below():
    layer = GRU(3, 4, 2, dropout=1.0)
    assert torch.equal(layer(torch.randn(5, 2, 3))[0], layer(torch.randn(5, 2, 3))[0])
