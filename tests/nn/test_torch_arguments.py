"""torch's arguments: their order and errors, and the parameters and repr that follow from them."""

from __future__ import annotations

import copy
import inspect
import typing
import warnings

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import grukit.nn
from grukit.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

pytestmark = pytest.mark.filterwarnings(
    "ignore:LSTM with projections is not supported with oneDNN:UserWarning"
)
LAYERS = ["GRU", "LSTM", "RNN"]
CELLS = ["GRUCell", "LSTMCell", "RNNCell"]
zeros = torch.zeros


def state(kind, *sizes, **options):
    """As hx: for an LSTM a pair."""
    h = zeros(*sizes, **options)
    return (h, h) if issubclass(kind, (LSTM, LSTMCell, torch.nn.LSTM, torch.nn.LSTMCell)) else h


BAD_LAYERS = {
    "dropout above 1": (lambda L: L(3, 4, 2, dropout=1.5), "1.5"),
    "dropout below 0": (lambda L: L(3, 4, 2, dropout=-0.1), "-0.1"),
    "dropout not a number": (lambda L: L(3, 4, 2, dropout=float("nan")), "nan"),
    "dropout True": (lambda L: L(3, 4, 2, dropout=True), "True"),
    "dropout text": (lambda L: L(3, 4, 2, dropout="a"), "a"),
    "dropout a tensor": (lambda L: L(3, 4, 2, dropout=torch.tensor(0.5)), "tensor"),
    "bias 1": (lambda L: L(3, 4, bias=1), "int"),
    "batch_first 1": (lambda L: L(3, 4, batch_first=1), "int"),
    "hidden_size 4.0": (lambda L: L(3, 4.0), "float"),
    "hidden_size of numpy": (lambda L: L(3, np.int64(4)), "int64"),
    "hidden_size text": (lambda L: L(3, "4"), "str"),
    "hidden_size None": (lambda L: L(3, None), "NoneType"),
    "hidden_size a tensor": (lambda L: L(3, torch.tensor(4)), "Tensor"),
    "input_size 3.0": (lambda L: L(3.0, 4), "float"),
    "input_size of numpy": (lambda L: L(np.int64(3), 4), "int64"),
    "hidden_size 0": (lambda L: L(3, 0), "0"),
    "hidden_size -1": (lambda L: L(3, -1), "-1"),
    "input_size 0": (lambda L: L(0, 4), "0"),
    "num_layers 0": (lambda L: L(3, 4, 0), "0"),
    "num_layers -2": (lambda L: L(3, 4, -2), "-2"),
    "num_layers 1.5": (lambda L: L(3, 4, 1.5), "float"),
    "num_layers text": (lambda L: L(3, 4, "1"), "str"),
    "num_layers None": (lambda L: L(3, 4, None), "NoneType"),
    "integers as dtype": (lambda L: L(3, 4, dtype=torch.int64), "floating point"),
    "an unknown device": (lambda L: L(3, 4, device="none"), "none"),
    "an unknown argument": (lambda L: L(3, 4, layers=2), "layers"),
    "no hidden_size": (lambda L: L(3), "hidden_size"),
    "1-D input": (lambda L: L(3, 4)(zeros(3)), "1D"),
    "4-D input": (lambda L: L(3, 4)(zeros(1, 2, 3, 3)), "4D"),
    "no input": (lambda L: L(3, 4)(None), "NoneType"),
    "a list as input": (lambda L: L(3, 4)([[0.0] * 3]), "list"),
    "an array as input": (lambda L: L(3, 4)(np.zeros((5, 3), "f")), "numpy"),
    "input of another size": (lambda L: L(3, 4)(zeros(5, 2, 7)), "7"),
    "unbatched input of another size": (lambda L: L(3, 4)(zeros(5, 7)), "7"),
    "float64 input": (lambda L: L(3, 4)(zeros(5, 2, 3).double()), "float64"),
    "integer input": (lambda L: L(3, 4)(zeros(5, 2, 3).long()), "int64"),
    "hx of another batch": (lambda L: L(3, 4)(zeros(5, 2, 3), state(L, 1, 3, 4)), "[1, 3, 4]"),
    "hx of another depth": (lambda L: L(3, 4)(zeros(5, 2, 3), state(L, 2, 2, 4)), "[2, 2, 4]"),
    "hx of another size": (lambda L: L(3, 4)(zeros(5, 2, 3), state(L, 1, 2, 5)), "[1, 2, 5]"),
    "hx of one direction": (
        lambda L: L(3, 4, bidirectional=True)(zeros(5, 2, 3), state(L, 1, 2, 4)),
        "[1, 2, 4]",
    ),
    "2-D hx": (lambda L: L(3, 4)(zeros(5, 2, 3), state(L, 2, 4)), "2-D"),
    "3-D hx of unbatched": (lambda L: L(3, 4)(zeros(5, 3), state(L, 1, 1, 4)), "3-D"),
    "float64 hx": (
        lambda L: L(3, 4)(zeros(5, 2, 3), state(L, 1, 2, 4, dtype=torch.float64)),
        "float64",
    ),
    "integer hx": (
        lambda L: L(3, 4)(zeros(5, 2, 3), state(L, 1, 2, 4, dtype=torch.int64)),
        "int64",
    ),
}
BAD_PACKED = {
    "packed input of another size": (lambda L: L(3, 4)(pack_sequence([zeros(3, 7)])), "7"),
    "packed float64 input": (
        lambda L: L(3, 4)(pack_sequence([zeros(3, 3).double()])),
        "float64",
    ),
    "packed with hx of another batch": (
        lambda L: L(3, 4)(pack_sequence([zeros(3, 3)]), state(L, 1, 2, 4)),
        "[1, 2, 4]",
    ),
}
BAD_LSTMS = {
    "c of another batch": (
        lambda L: L(3, 4)(zeros(5, 2, 3), (zeros(1, 2, 4), zeros(1, 3, 4))),
        "hidden[1] size (1, 2, 4), got [1, 3, 4]",
    ),
    "c of another size": (
        lambda L: L(3, 4)(zeros(5, 2, 3), (zeros(1, 2, 4), zeros(1, 2, 5))),
        "hidden[1] size (1, 2, 4), got [1, 2, 5]",
    ),
    "h of another size": (
        lambda L: L(3, 4)(zeros(5, 2, 3), (zeros(1, 2, 5), zeros(1, 2, 4))),
        "hidden[0] size (1, 2, 4), got [1, 2, 5]",
    ),
    "2-D c": (lambda L: L(3, 4)(zeros(5, 2, 3), (zeros(1, 2, 4), zeros(2, 4))), "2-D"),
    "3-D c of unbatched": (
        lambda L: L(3, 4)(zeros(5, 3), (zeros(1, 4), zeros(1, 1, 4))),
        "3-D",
    ),
    "float64 c": (
        lambda L: L(3, 4)(zeros(5, 2, 3), (zeros(1, 2, 4), zeros(1, 2, 4).double())),
        "float64",
    ),
    "three states": (
        lambda L: L(3, 4)(zeros(5, 2, 3), (zeros(1, 2, 4),) * 3),
        "a pair (h, c), each a tensor, got (a tensor [1, 2, 4], a tensor",
    ),
    "h alone for two layers": (
        lambda L: L(3, 4, 2)(zeros(5, 2, 3), zeros(2, 2, 4)),
        "a pair (h, c), each a tensor, got a tensor [2, 2, 4]",
    ),
    "h not projected": (
        lambda L: L(3, 4, proj_size=2)(zeros(5, 2, 3), (zeros(1, 2, 4), zeros(1, 2, 4))),
        "hidden[0] size (1, 2, 2), got [1, 2, 4]",
    ),
    "c projected": (
        lambda L: L(3, 4, proj_size=2)(zeros(5, 2, 3), (zeros(1, 2, 2), zeros(1, 2, 2))),
        "hidden[1] size (1, 2, 4), got [1, 2, 2]",
    ),
    "proj_size -1": (lambda L: L(3, 4, proj_size=-1), "-1"),
    "proj_size as hidden_size": (lambda L: L(3, 4, proj_size=4), "4"),
    "proj_size above hidden_size": (lambda L: L(3, 4, proj_size=7), "7"),
    "proj_size 2.0": (lambda L: L(3, 4, proj_size=2.0), "float"),
    "proj_size text": (lambda L: L(3, 4, proj_size="2"), "str"),
    "proj_size True": (lambda L: L(3, 4, proj_size=True), "bool"),
    "proj_size None": (lambda L: L(3, 4, proj_size=None), "NoneType"),
}
BAD_RNNS = {
    "an unknown nonlinearity": (lambda L: L(3, 4, nonlinearity="sigmoid"), "sigmoid"),
    "an unknown nonlinearity by place": (lambda L: L(3, 4, 1, "Tanh"), "Tanh"),
    "bias in the place of nonlinearity": (lambda L: L(3, 4, 1, True), "True"),
    "no nonlinearity": (lambda L: L(3, 4, nonlinearity=None), "None"),
    "hidden_size True": (lambda L: L(3, True), "bool"),
}
BAD_CELLS = {
    "3-D input": (lambda C: C(3, 4)(zeros(1, 2, 3)), "3D"),
    "no input": (lambda C: C(3, 4)(None), "NoneType"),
    "packed input": (lambda C: C(3, 4)(pack_sequence([zeros(3, 3)])), "PackedSequence"),
    "3-D hx": (lambda C: C(3, 4)(zeros(2, 3), state(C, 1, 2, 4)), "3D"),
    "input of another size": (lambda C: C(3, 4)(zeros(2, 7)), "7"),
    "hx of another batch": (lambda C: C(3, 4)(zeros(2, 3), state(C, 5, 4)), "[5, 4]"),
    "hx of another size": (lambda C: C(3, 4)(zeros(2, 3), state(C, 2, 5)), "[2, 5]"),
    "1-D hx": (lambda C: C(3, 4)(zeros(2, 3), state(C, 4)), "[4]"),
    "2-D hx of unbatched": (lambda C: C(3, 4)(zeros(3), state(C, 1, 4)), "[1, 1, 4]"),
    "float64 input": (lambda C: C(3, 4)(zeros(2, 3).double()), "float64"),
    "integer input": (lambda C: C(3, 4)(zeros(2, 3).long()), "int64"),
    "float64 hx": (
        lambda C: C(3, 4)(zeros(2, 3), state(C, 2, 4, dtype=torch.float64)),
        "float64",
    ),
    "negative hidden_size": (lambda C: C(3, -1), "-"),
    "negative input_size": (lambda C: C(-1, 4), "-1"),
    "hidden_size 4.0": (lambda C: C(3, 4.0), "float"),
    "hidden_size None": (lambda C: C(3, None), "NoneType"),
    "sizes per layer": (lambda C: C(3, [4]), "list"),
    "an unknown argument": (lambda C: C(3, 4, num_layers=2), "num_layers"),
}
BAD_LSTM_CELLS = {
    "c of another batch": (lambda C: C(3, 4)(zeros(2, 3), (zeros(2, 4), zeros(3, 4))), "[3, 4]"),
    "c of another size": (lambda C: C(3, 4)(zeros(2, 3), (zeros(2, 4), zeros(2, 5))), "[2, 5]"),
    "3-D c": (lambda C: C(3, 4)(zeros(2, 3), (zeros(2, 4), zeros(1, 2, 4))), "3D"),
    "h in a tuple": (
        lambda C: C(3, 4)(zeros(2, 3), (zeros(2, 4),)),
        "a pair (h, c), each a tensor, got (a tensor [2, 4])",
    ),
    "three states": (lambda C: C(3, 4)(zeros(2, 3), (zeros(2, 4),) * 3), "a pair (h, c)"),
}
BAD_CALLS = [
    *[(kind, name, *case) for kind in LAYERS for name, case in BAD_LAYERS.items()],
    *[(kind, name, *case) for kind in ("GRU", "RNN") for name, case in BAD_PACKED.items()],
    *[("LSTM", name, *case) for name, case in BAD_LSTMS.items()],
    *[("RNN", name, *case) for name, case in BAD_RNNS.items()],
    *[(kind, name, *case) for kind in CELLS for name, case in BAD_CELLS.items()],
    *[("LSTMCell", name, *case) for name, case in BAD_LSTM_CELLS.items()],
]


@pytest.mark.parametrize(
    ("kind", "call", "got"),
    [(kind, call, got) for kind, _, call, got in BAD_CALLS],
    ids=[f"{kind}: {name}" for kind, name, *_ in BAD_CALLS],
)
def test_a_bad_call_raises_what_torch_raises_and_says_what_it_got(kind, call, got):
    with pytest.raises(Exception) as theirs:
        call(getattr(torch.nn, kind))
    with pytest.raises(theirs.type) as ours:
        call(getattr(grukit.nn, kind))
    assert got in str(ours.value)


PACKED = pack_sequence([zeros(2, 3), zeros(3, 3)], enforce_sorted=False)
CLEARER = {
    "a pair for a GRU": (
        lambda m: m.GRU(3, 4)(zeros(5, 2, 3), (zeros(1, 2, 4), zeros(1, 2, 4))),
        "hx must be a tensor, got (a tensor [1, 2, 4], a tensor [1, 2, 4])",
    ),
    "an array as hx": (
        lambda m: m.RNN(3, 4)(zeros(5, 2, 3), np.zeros((1, 2, 4), "f")),
        "hx must be a tensor, got ndarray",
    ),
    "text as hx": (lambda m: m.GRU(3, 4)(zeros(5, 2, 3), "a"), "hx must be a tensor, got str"),
    "h for an LSTM": (
        lambda m: m.LSTM(3, 4)(zeros(5, 2, 3), zeros(1, 2, 4)),
        "hx must be a pair (h, c), each a tensor, got a tensor [1, 2, 4]",
    ),
    "h and None for an LSTM": (
        lambda m: m.LSTM(3, 4)(zeros(5, 2, 3), (zeros(1, 2, 4), None)),
        "hx must be a pair (h, c), each a tensor, got (a tensor [1, 2, 4], NoneType)",
    ),
    "a dictionary for an LSTM": (
        lambda m: m.LSTM(3, 4)(zeros(5, 2, 3), {"h": zeros(1, 2, 4), "c": zeros(1, 2, 4)}),
        "hx must be a pair (h, c), each a tensor, got dict",
    ),
    "one tensor for both states": (
        lambda m: m.LSTM(3, 4)(zeros(5, 2, 3), zeros(2, 1, 2, 4)),
        "hx must be a pair (h, c), each a tensor, got a tensor [2, 1, 2, 4]",
    ),
    "a pair for a GRUCell": (
        lambda m: m.GRUCell(3, 4)(zeros(2, 3), (zeros(2, 4), zeros(2, 4))),
        "hx must be a tensor, got (a tensor [2, 4], a tensor [2, 4])",
    ),
    "one tensor for both states of an LSTMCell": (
        lambda m: m.LSTMCell(3, 4)(zeros(2, 3), zeros(2, 2, 4)),
        "hx must be a pair (h, c), each a tensor, got a tensor [2, 2, 4]",
    ),
}


@pytest.mark.parametrize("name", CLEARER)
def test_a_state_of_another_structure_is_named_where_torchs_error_is_by_chance(name):
    call, message = CLEARER[name]
    with pytest.raises((AttributeError, IndexError, KeyError, TypeError)):
        call(torch.nn)
    with pytest.raises(RuntimeError) as ours:
        call(grukit.nn)
    assert message in str(ours.value)


REFUSED = {
    "a packed batch with too large a state": (
        lambda m: m.GRU(3, 4)(PACKED, zeros(1, 3, 4)),
        "Expected hidden size (1, 2, 4), got [1, 3, 4]",
    ),
    "a packed batch with too large a c": (
        lambda m: m.LSTM(3, 4)(pack_sequence([zeros(3, 3)]), (zeros(1, 1, 4), zeros(1, 2, 4))),
        "Expected hidden[1] size (1, 1, 4), got [1, 2, 4]",
    ),
    "a c of another dtype": (
        lambda m: m.LSTMCell(3, 4)(zeros(2, 3), (zeros(2, 4), zeros(2, 4).double())),
        "hx must be torch.float32, as the weights, got torch.float64",
    ),
    "True as a size": (lambda m: m.GRU(3, True), "hidden_size should be of type int, got: bool"),
    "False as proj_size": (
        lambda m: m.LSTM(3, 4, proj_size=False),
        "proj_size should be of type int, got: bool",
    ),
    "an unknown nonlinearity of a cell": (
        lambda m: m.RNNCell(3, 4, nonlinearity="sigmoid"),
        "Unknown nonlinearity 'sigmoid'",
    ),
}


REFUSED |= {
    f"LSTM: {name}": (lambda m, call=call: call(m.LSTM), got)
    for name, (call, got) in BAD_PACKED.items()
    if name != "packed float64 input"
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_that_torch_takes_is_refused(name):
    call, message = REFUSED[name]
    call(torch.nn)
    with pytest.raises((RuntimeError, TypeError, ValueError)) as ours:
        call(grukit.nn)
    assert message in str(ours.value)


@pytest.mark.parametrize("kind", ["GRU", "RNN"])
def test_proj_size_is_ours_where_torch_has_it_for_lstm_alone(kind):
    with pytest.raises(ValueError, match="only supported for LSTM"):
        getattr(torch.nn, kind)(3, 4, proj_size=2)
    output, _ = getattr(grukit.nn, kind)(3, 4, proj_size=2)(zeros(5, 2, 3))
    assert output.shape == (5, 2, 2)


def signature(function):
    """Names and defaults of what may be given by place."""
    return [
        (parameter.name, parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_arguments_have_torchs_order_and_defaults(kind):
    theirs, ours = getattr(torch.nn, kind), getattr(grukit.nn, kind)
    written = (typing.get_overloads(theirs.__init__) or [theirs.__init__])[0]
    assert signature(ours.__init__) == signature(written)
    call = signature(theirs.forward)
    assert signature(ours.forward)[: len(call)] == call


@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_in_one_layer_warns_as_torch_does(kind):
    for library in (torch.nn, grukit.nn):
        with pytest.warns(UserWarning, match="num_layers greater than 1") as caught:
            getattr(library, kind)(3, 4, dropout=0.5)
        assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(grukit.nn, kind)(3, 4, 2, dropout=0.5)


def test_a_number_of_numpy_is_a_number():
    layer = LSTM(3, 4, np.int64(2), dropout=np.float32(0.5), proj_size=np.int64(2))
    assert repr(layer) == "LSTM(3, 4, proj_size=2, num_layers=2, dropout=0.5)"


ARGUMENTS = [
    ("GRU", {}),
    ("GRU", {"num_layers": 2, "bias": False, "batch_first": True}),
    ("GRU", {"num_layers": 3, "dropout": 0.25, "bidirectional": True}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True, "dropout": 0.5}),
    ("LSTM", {"proj_size": 3, "bias": False, "batch_first": True}),
    ("RNN", {"num_layers": 2, "batch_first": True}),
    ("RNN", {"nonlinearity": "relu", "bias": False, "bidirectional": True}),
    ("GRUCell", {}),
    ("GRUCell", {"bias": False}),
    ("LSTMCell", {}),
    ("LSTMCell", {"bias": False}),
    ("RNNCell", {}),
    ("RNNCell", {"bias": False, "nonlinearity": "relu"}),
]
every_argument = pytest.mark.parametrize(("kind", "arguments"), ARGUMENTS, ids=str)


def both(kind, arguments):
    """Ours and torch's from the same seed."""
    torch.manual_seed(7)
    theirs = getattr(torch.nn, kind)(3, 4, **arguments)
    torch.manual_seed(7)
    return getattr(grukit.nn, kind)(3, 4, **arguments), theirs


@every_argument
def test_the_repr_is_torchs(kind, arguments):
    ours, theirs = both(kind, arguments)
    if "nonlinearity" in arguments and kind == "RNN":
        # torch's layer does not show it; its cell does.
        assert repr(ours) == repr(theirs)[:-1] + ", nonlinearity=relu)"
    else:
        assert repr(ours) == repr(theirs)


@every_argument
def test_parameters_are_torchs_in_name_order_shape_and_value(kind, arguments):
    ours, theirs = both(kind, arguments)
    pairs = zip(ours.named_parameters(), theirs.named_parameters(), strict=True)
    for (name, a), (other, b) in pairs:
        assert name == other
        assert torch.equal(a, b)
    if kind in LAYERS:
        names = {id(parameter): name for name, parameter in ours.named_parameters()}
        torch_names = {id(parameter): name for name, parameter in theirs.named_parameters()}
        assert [[names[id(w)] for w in group] for group in ours.all_weights] == [
            [torch_names[id(w)] for w in group] for group in theirs.all_weights
        ]
        assert ours.flatten_parameters() is None
    else:
        assert (ours.bias_ih is None) == (theirs.bias_ih is None)


@every_argument
def test_the_settings_are_attributes_as_torchs(kind, arguments):
    ours, theirs = both(kind, arguments)
    names = [name for name, _ in signature(type(ours).__init__) if hasattr(theirs, name)]
    assert {"input_size", "hidden_size", "bias"} <= set(names)
    for name in names:
        assert getattr(ours, name) == getattr(theirs, name)


@every_argument
def test_the_state_dict_goes_both_ways(kind, arguments):
    ours, theirs = both(kind, arguments)
    before = copy.deepcopy(ours.state_dict())
    theirs.reset_parameters()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.reset_parameters()
    assert not torch.equal(ours.state_dict()[name := next(iter(before))], before[name])
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert list(ours.state_dict()) == list(before)
    for name, value in ours.state_dict().items():
        assert torch.equal(value, before[name])


@every_argument
def test_resetting_draws_torchs_numbers(kind, arguments):
    for module in (modules := both(kind, arguments)):
        torch.manual_seed(3)
        module.reset_parameters()
    ours, theirs = modules
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kind", [GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell])
def test_device_and_dtype_reach_the_parameters(kind):
    for parameter in kind(3, 4, device="meta", dtype=torch.bfloat16).parameters():
        assert parameter.device.type == "meta"
        assert parameter.dtype == torch.bfloat16
