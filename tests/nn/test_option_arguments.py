"""The errors of what we have beyond torch: options, lengths, resets, traces, steps, masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from grukit.core.errors import BackendError, ParameterError
from grukit.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

LAYERS = [GRU, LSTM, RNN]
CELLS = [GRUCell, LSTMCell, RNNCell]
zeros = torch.zeros
X = zeros(5, 2, 3)


def state(kind, *sizes):
    """As hx: for an LSTM a pair."""
    return pair(kind, zeros(*sizes))


def pair(kind, h):
    return (h, h) if issubclass(kind, (LSTM, LSTMCell)) else h


RATE = "{} must be a number from 0 to 1, got {}"
RATES = {
    "above 1": (1.5, "1.5"),
    "below 0": (-0.1, "-0.1"),
    "not a number": (float("nan"), "nan"),
    "infinite": (float("inf"), "inf"),
    "True": (True, "True"),
    "text": ("0.1", "'0.1'"),
    "None": (None, "None"),
    "a tensor": (torch.tensor(0.5), "tensor(0.5000)"),
    "an array": (np.array([0.1, 0.2]), "array([0.1, 0.2])"),
    "a dictionary": ({"h": 0.1}, "{'h': 0.1}"),
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize(
    "option", ["zoneout", "recurrent_dropout", "candidate_dropout", "input_dropout"]
)
@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_a_rate_is_a_probability(kind, option, name):
    rate, got = RATES[name]
    with pytest.raises(ParameterError) as error:
        kind(3, 4, **{option: rate})
    assert str(error.value) == RATE.format(option, got)


RATE_LISTS = {
    "zoneout of three": (LSTM, {"zoneout": (0.1, 0.2, 0.3)}, "a pair (hidden, cell), got (0.1, 0."),
    "zoneout of one": (LSTMCell, {"zoneout": [0.1]}, "a pair (hidden, cell), got [0.1]"),
    "zoneout of none": (LSTM, {"zoneout": ()}, "a pair (hidden, cell), got ()"),
    "zoneout with one above 1": (LSTM, {"zoneout": (0.1, 1.2)}, RATE.format("zoneout", "1.2")),
    "zoneout with a bool": (LSTM, {"zoneout": (True, 0.1)}, RATE.format("zoneout", "True")),
    "zoneout pair of a GRU": (GRU, {"zoneout": (0.1, 0.2)}, RATE.format("zoneout", "(0.1, 0.2)")),
    "zoneout pair of an RNN": (RNN, {"zoneout": [0.1, 0.2]}, RATE.format("zoneout", "[0.1, 0.2]")),
    "zoneout pair of a GRUCell": (
        GRUCell,
        {"zoneout": (0.1, 0.2)},
        RATE.format("zoneout", "(0.1, 0.2)"),
    ),
    "zoneout of one for a GRU": (GRU, {"zoneout": (0.1,)}, RATE.format("zoneout", "(0.1,)")),
    "input_dropout of a layer too few": (
        GRU,
        {"num_layers": 3, "input_dropout": (0.1, 0.2)},
        "input_dropout must be a number, or one for each of 3 layers, got (0.1, 0.2)",
    ),
    "input_dropout of a layer too many": (
        LSTM,
        {"hidden_size": [4, 5], "input_dropout": [0.1] * 3},
        "input_dropout must be a number, or one for each of 2 layers, got [0.1, 0.1, 0.1]",
    ),
    "input_dropout of no layer": (
        RNN,
        {"input_dropout": ()},
        "input_dropout must be a number, or one for each of 1 layers, got ()",
    ),
    "input_dropout with one above 1": (
        RNN,
        {"num_layers": 2, "input_dropout": (0.1, 1.2)},
        RATE.format("input_dropout", "1.2"),
    ),
    "input_dropout for each layer of a cell": (
        GRUCell,
        {"input_dropout": (0.1,)},
        RATE.format("input_dropout", "(0.1,)"),
    ),
    "recurrent_dropout for each layer": (
        GRU,
        {"num_layers": 2, "recurrent_dropout": (0.1, 0.2)},
        RATE.format("recurrent_dropout", "(0.1, 0.2)"),
    ),
}


@pytest.mark.parametrize("name", RATE_LISTS)
def test_several_rates(name):
    kind, options, message = RATE_LISTS[name]
    with pytest.raises(ParameterError) as error:
        kind(**{"input_size": 3, "hidden_size": 4, **options})
    assert message in str(error.value)


SENSELESS = {
    "candidate_dropout of an RNN": (
        lambda: RNN(3, 4, candidate_dropout=0.1),
        "candidate_dropout must be off for RNN, got 0.1",
    ),
    "candidate_dropout of an RNNCell": (
        lambda: RNNCell(3, 4, nonlinearity="relu", candidate_dropout=0.1),
        "candidate_dropout must be off for RNN, got 0.1",
    ),
    "proj_size of the GRU before": (
        lambda: GRU(3, 4, reset_after=False, proj_size=2),
        "proj_size must be off for GRU with reset_after=False, got 2",
    ),
    "proj_size of the GRUCell before": (
        lambda: GRUCell(3, 4, reset_after=False, proj_size=2),
        "proj_size must be off for GRU with reset_after=False, got 2",
    ),
    "residual between sizes": (
        lambda: LSTM(3, [4, 5], residual=True),
        "residual must be off for hidden sizes that differ, got (4, 5)",
    ),
}


@pytest.mark.parametrize("name", SENSELESS)
def test_an_option_that_makes_no_sense(name):
    make, message = SENSELESS[name]
    with pytest.raises(ParameterError) as error:
        make()
    assert str(error.value) == message


FLAGS = ["layer_norm", "learned_state", "residual", "recompute", "reset_after"]


@pytest.mark.parametrize("value", [1, 0, "False", None, np.True_], ids=repr)
@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_is_true_or_false(flag, value):
    kinds = [GRU, GRUCell] if flag == "reset_after" else [*LAYERS, *CELLS]
    for kind in kinds[:3] if flag in ("residual", "recompute") else kinds:
        with pytest.raises(TypeError, match=f"{flag} should be of type bool, got: "):
            kind(3, 4, **{flag: value})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *[(kind, {"variant": "before"}) for kind in (*LAYERS, *CELLS)],
        *[(kind, {"zone_out": 0.1}) for kind in (*LAYERS, *CELLS)],
        *[(kind, {"reset_after": True}) for kind in (LSTM, RNN, LSTMCell, RNNCell)],
        *[(kind, {"nonlinearity": "relu"}) for kind in (GRU, LSTM, GRUCell, LSTMCell)],
        *[
            (kind, {option: None})
            for kind in CELLS
            for option in ("models", "residual", "recompute", "backend", "num_layers")
        ],
    ],
    ids=str,
)
def test_an_unknown_option(kind, options):
    with pytest.raises(TypeError, match=next(iter(options))):
        kind(3, 4, **options)


@pytest.mark.parametrize("models", [0, -1, 2.5, 2.0, True, False, "2", torch.tensor(2)], ids=repr)
@pytest.mark.parametrize("kind", LAYERS)
def test_models_is_a_count(kind, models):
    with pytest.raises(ParameterError) as error:
        kind(3, 4, models=models)
    assert str(error.value) == f"models must be None or an integer of at least 1, got {models!r}"


PROJECTIONS = {
    -1: (ValueError, "got -1"),
    4: (ValueError, "smaller than hidden_size, got 4"),
    9: (ValueError, "smaller than hidden_size, got 9"),
    2.0: (TypeError, "got: float"),
    "2": (TypeError, "got: str"),
    None: (TypeError, "got: NoneType"),
    True: (TypeError, "got: bool"),
    False: (TypeError, "got: bool"),
    (2, 3): (TypeError, "got: tuple"),
}


@pytest.mark.parametrize(("size", "error"), PROJECTIONS.items(), ids=repr)
@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_proj_size_is_zero_or_below_hidden_size(kind, size, error):
    with pytest.raises(error[0], match=error[1]):
        kind(3, 4, proj_size=size)


def test_proj_size_is_below_every_hidden_size():
    with pytest.raises(ValueError, match="smaller than hidden_size, got 4"):
        LSTM(3, [7, 4], proj_size=4)


SIZES = {
    "none": ([], ParameterError, "hidden_size must be one size for each layer, got []"),
    "zero": ([0], ValueError, "hidden_size must be greater than zero, got 0"),
    "negative": ((3, -1), ValueError, "hidden_size must be greater than zero, got -1"),
    "text": ([3, "a"], TypeError, "hidden_size should be of type int, got: str"),
    "float": ([3, 4.0], TypeError, "hidden_size should be of type int, got: float"),
    "numpy": ([3, np.int64(4)], TypeError, "hidden_size should be of type int, got: int64"),
    "bool": ([3, True], TypeError, "hidden_size should be of type int, got: bool"),
    "nested": ([[3], 4], TypeError, "hidden_size should be of type int, got: list"),
    "array": (np.array([3, 4]), TypeError, "hidden_size should be of type int, got: ndarray"),
    "tensor": (torch.tensor([3, 4]), TypeError, "hidden_size should be of type int, got: Tensor"),
    "set": ({3, 4}, TypeError, "hidden_size should be of type int, got: set"),
    "range": (range(3, 5), TypeError, "hidden_size should be of type int, got: range"),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("kind", LAYERS)
def test_hidden_sizes_are_integers_above_zero(kind, name):
    sizes, error, message = SIZES[name]
    with pytest.raises(error) as raised:
        kind(3, sizes)
    assert str(raised.value) == message


@pytest.mark.parametrize("num_layers", [3, 0, -1, None, "2", [2]], ids=repr)
@pytest.mark.parametrize("kind", LAYERS)
def test_the_number_of_layers_is_that_of_the_sizes(kind, num_layers):
    with pytest.raises(ParameterError) as error:
        kind(3, [4, 5], num_layers)
    wanted = "num_layers must be 2, the number of hidden sizes"
    assert str(error.value) == f"{wanted}, got {num_layers!r}"


def test_hidden_sizes_may_be_any_list_or_tuple():
    for sizes in ([4, 5], (4, 5), torch.Size([4, 5])):
        assert repr(GRU(3, sizes, 2)) == "GRU(3, (4, 5))"


@pytest.mark.parametrize("kind", LAYERS)
def test_an_unknown_backend_is_named_when_used(kind):
    with pytest.raises(
        BackendError, match="backend must be one of 'native', 'int8', 'reference', got 'cuda'"
    ):
        kind(3, 4, backend="cuda")(X)


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_a_dtype_that_has_no_arithmetic_here_is_named_when_used(kind):
    x = X[0] if kind in CELLS else X
    with pytest.raises(ParameterError, match=r"must be one of .* got torch.complex64"):
        kind(3, 4, dtype=torch.complex64)(x.to(torch.complex64))


def two_sizes(h, other):
    return lambda kind: kind(3, [4, 5])(X, pair(kind, (zeros(*h), zeros(*other))))


BAD_STATES = {
    "one tensor for several sizes": (
        lambda kind: kind(3, [4, 4])(X, state(kind, 2, 2, 4)),
        "a tuple of 2 tensors, got",
    ),
    "a tensor of a tensor for each": (
        lambda kind: kind(3, [4, 4])(X, state(kind, 2, 1, 2, 4)),
        "a tuple of 2 tensors, got",
    ),
    "three for two sizes": (
        lambda kind: kind(3, [4, 4])(X, pair(kind, (zeros(1, 2, 4),) * 3)),
        "a tuple of 2 tensors, got",
    ),
    "None among them": (
        lambda kind: kind(3, [4, 4])(X, pair(kind, (zeros(1, 2, 4), None))),
        "(a tensor [1, 2, 4], NoneType)",
    ),
    "a tuple for one size": (
        lambda kind: kind(3, 4, 2)(X, pair(kind, (zeros(1, 2, 4), zeros(1, 2, 4)))),
        "a tensor, got (",
    ),
    "in another order": (two_sizes((1, 2, 5), (1, 2, 4)), "size (1, 2, 4), got [1, 2, 5]"),
    "of another batch": (two_sizes((1, 2, 4), (1, 3, 5)), "size (1, 2, 5), got [1, 3, 5]"),
    "of two directions": (two_sizes((2, 2, 4), (2, 2, 5)), "size (1, 2, 4), got [2, 2, 4]"),
    "without a batch": (two_sizes((1, 4), (1, 5)), "hx should also be 3-D but got 2-D"),
    "of another dtype": (
        lambda kind: kind(3, [4, 5])(
            X, pair(kind, (zeros(1, 2, 4), zeros(1, 2, 5, dtype=torch.float64)))
        ),
        "hx must be torch.float32, as the input, got torch.float64",
    ),
    "of a step, in a tuple": (
        lambda kind: kind(3, 4).step(X[0], ("a", "b", "c")),
        "a tensor, got (str, str, str)",
    ),
    "of an unbatched step with a batch": (
        lambda kind: kind(3, 4).step(X[0, 0], state(kind, 1, 1, 4)),
        "For unbatched 1-D input, hx should also be 2-D but got 3-D",
    ),
    "of a trace, text": (lambda kind: kind(3, 4).trace(X, "ab"), "a tensor, got str"),
    "of one model for three": (
        lambda kind: kind(3, 4, models=3)(X, state(kind, 1, 2, 4)),
        "For several models, hx should also be 4-D but got 3-D",
    ),
    "of two models for three": (
        lambda kind: kind(3, 4, models=3)(X, state(kind, 2, 1, 2, 4)),
        "size (3, 1, 2, 4), got [2, 1, 2, 4]",
    ),
    "of one model to be spread": (
        lambda kind: kind(3, 4, models=3)(X, state(kind, 1, 1, 2, 4)),
        "size (3, 1, 2, 4), got [1, 1, 2, 4]",
    ),
    "of a step of two models for three": (
        lambda kind: kind(3, 4, models=3).step(zeros(3, 2, 3), state(kind, 2, 1, 2, 4)),
        "size (3, 1, 2, 4), got [2, 1, 2, 4]",
    ),
}


@pytest.mark.parametrize("name", BAD_STATES)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_state_that_does_not_fit(kind, name):
    call, message = BAD_STATES[name]
    with pytest.raises(RuntimeError) as error:
        call(kind)
    assert message in str(error.value)


BAD_INPUTS = {
    "another number of models": (
        lambda layer: layer(zeros(2, 5, 2, 3)),
        RuntimeError,
        "input must have 3 models, got [2, 5, 2, 3]",
    ),
    "one model to be spread": (
        lambda layer: layer(zeros(1, 5, 2, 3)),
        RuntimeError,
        "input must have 3 models, got [1, 5, 2, 3]",
    ),
    "unbatched": (lambda layer: layer(X[:, 0]), ValueError, "to be 3D or 4D, got 2D instead"),
    "5-D": (lambda layer: layer(zeros(1, 3, 5, 2, 3)), ValueError, "3D or 4D, got 5D"),
    "packed": (
        lambda layer: layer(pack_sequence([zeros(3, 3)])),
        ParameterError,
        "input must be padded, with lengths=, for several models",
    ),
    "a trace of another number": (
        lambda layer: layer.trace(zeros(2, 5, 2, 3)),
        RuntimeError,
        "input must have 3 models, got [2, 5, 2, 3]",
    ),
    "a step of another number": (
        lambda layer: layer.step(zeros(2, 2, 3)),
        RuntimeError,
        "input must have 3 models, got [2, 2, 3]",
    ),
    "a step of a single stream": (
        lambda layer: layer.step(X[0, 0]),
        ValueError,
        "to be 2D or 3D, got 1D",
    ),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
@pytest.mark.parametrize("kind", LAYERS)
def test_an_input_that_does_not_fit_three_models(kind, name):
    call, error, message = BAD_INPUTS[name]
    with pytest.raises(error) as raised:
        call(kind(3, 4, models=3))
    assert message in str(raised.value)


BAD_STEPS = {
    "a sequence": (lambda layer: layer.step(X), ValueError, "to be 1D or 2D, got 3D"),
    "a number": (lambda layer: layer.step(zeros(())), ValueError, "to be 1D or 2D, got 0D"),
    "another size": (lambda layer: layer.step(zeros(2, 7)), RuntimeError, "Expected 3, got 7"),
    "another dtype": (lambda layer: layer.step(zeros(2, 3).double()), ValueError, "float64"),
    "a packed sequence": (
        lambda layer: layer.step(pack_sequence([zeros(3, 3)])),
        AttributeError,
        "PackedSequence",
    ),
}


@pytest.mark.parametrize("name", BAD_STEPS)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_step_of_what_is_no_step(kind, name):
    call, error, message = BAD_STEPS[name]
    with pytest.raises(error, match=message):
        call(kind(3, 4))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_step_in_both_directions(kind):
    with pytest.raises(ParameterError, match="of a layer in one direction, got a bidirectional"):
        kind(3, 4, bidirectional=True).step(X[0])


LENGTHS_AND_RESETS = {
    "a length too many": ({"lengths": [1, 2, 3]}, "integers of shape [2], got ([3], torch.int64)"),
    "one length": ({"lengths": 5}, "integers of shape [2], got ([], torch.int64)"),
    "a row of lengths": ({"lengths": [[5, 2]]}, "integers of shape [2], got ([1, 2], torch.int64)"),
    "lengths of floats": ({"lengths": [5.0, 2.0]}, "integers of shape [2], got ([2], torch.float3"),
    "lengths of bools": ({"lengths": [True, False]}, "integers of shape [2], got ([2], torch.bool"),
    "a length above T": ({"lengths": [1, 6]}, "lengths must be from 0 to T = 5, got [1, 6]"),
    "a length below 0": ({"lengths": [-1, 5]}, "lengths must be from 0 to T = 5, got [-1, 5]"),
    "resets of floats": ({"resets": zeros(5, 2)}, "bool of shape [5, 2], got ([5, 2], torch.float"),
    "resets of integers": (
        {"resets": np.zeros((5, 2), int)},
        "bool of shape [5, 2], got ([5, 2], torch.int64)",
    ),
    "resets transposed": ({"resets": zeros(2, 5).bool()}, "bool of shape [5, 2], got ([2, 5], tor"),
    "resets of one row": ({"resets": zeros(5).bool()}, "bool of shape [5, 2], got ([5], torch.bo"),
    "resets to be spread": ({"resets": zeros(5, 1).bool()}, "bool of shape [5, 2], got ([5, 1], "),
    "one reset": ({"resets": True}, "bool of shape [5, 2], got ([], torch.bool)"),
}


@pytest.mark.parametrize("name", LENGTHS_AND_RESETS)
@pytest.mark.parametrize("kind", LAYERS)
def test_bad_lengths_and_resets(kind, name):
    arguments, message = LENGTHS_AND_RESETS[name]
    for models in (None, 3):
        layer = kind(3, 4, models=models)
        for call in (layer, layer.trace):
            with pytest.raises(ParameterError) as error:
                call(X, **arguments)
            assert message in str(error.value)


def test_lengths_and_resets_of_an_unbatched_input_are_of_one_sequence():
    for arguments, message in (
        ({"lengths": 3}, r"lengths must be integers of shape \[1\], got \(\[\]"),
        ({"resets": zeros(5, 1).bool()}, r"resets must be bool of shape \[5\], got \(\[5, 1\]"),
    ):
        with pytest.raises(ParameterError, match=message):
            GRU(3, 4)(X[:, 0], **arguments)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_packed_sequence_has_its_own_lengths(kind):
    packed = pack_sequence([zeros(2, 3)])
    for options in ({"lengths": [2]}, {"resets": zeros(2, 1).bool()}):
        with pytest.raises(ParameterError, match="must be None for a PackedSequence"):
            kind(3, 4)(packed, **options)
    with pytest.raises(ParameterError, match=r"input must be padded, .* got a PackedSequence"):
        kind(3, 4).trace(packed)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 2}, "layer must be from 0 to 1, got 2"),
        ({"layer": -1}, "layer must be from 0 to 1, got -1"),
        ({"layer": "0"}, "layer must be from 0 to 1, got '0'"),
        ({"layer": None}, "layer must be from 0 to 1, got None"),
        ({"reverse": True}, "reverse must be False for one direction, got True"),
        ({"reverse": None}, "reverse must be False for one direction, got None"),
    ],
    ids=str,
)
def test_a_trace_of_what_is_not_there(kind, arguments, message):
    with pytest.raises(ParameterError, match=message):
        kind(3, 4, 2).trace(X, **arguments)


RATES_OF_MASKS = {
    "input": {"input_dropout": 0.5},
    "recurrent": {"recurrent_dropout": 0.5},
    "candidate": {"candidate_dropout": 0.5},
}
MASKED = [
    (kind, name)
    for kind in CELLS
    for name in RATES_OF_MASKS
    if (kind, name) != (RNNCell, "candidate")
]


@pytest.mark.parametrize(("kind", "name"), MASKED)
def test_a_cell_in_training_wants_the_masks_of_the_sequence(kind, name):
    cell = kind(3, 4, **RATES_OF_MASKS[name])
    of_eval_mode = cell.eval().masks(2)
    cell(X[0])
    cell.train()
    for masks in (None, of_eval_mode, kind(3, 4).masks(2)):
        with pytest.raises(ParameterError, match=f"the {name} mask must be given in training"):
            cell(X[0], None, masks)
    cell(X[0], None, cell.masks(2))
    cell(X[0, 0], None, cell.masks(1))


@pytest.mark.parametrize(("kind", "name"), MASKED)
def test_masks_of_another_batch_or_cell(kind, name):
    cell, width = kind(3, 4, **RATES_OF_MASKS[name]), 3 if name == "input" else 4
    for batch in (0, 1, 3):
        with pytest.raises(ParameterError) as error:
            cell(X[0], None, cell.masks(batch))
        wanted = f"the {name} mask must be of shape [2, {width}], got [{batch}, {width}]"
        assert str(error.value) == wanted
    with pytest.raises(ParameterError, match=r"must be of shape \[2, .\], got \[2, .\]"):
        cell(X[0], None, kind(7, 8, **RATES_OF_MASKS[name]).masks(2))
    for masks in (tuple(cell.masks(2)), zeros(2, 4)):
        with pytest.raises(ParameterError, match=r"masks must be from masks\(batch\), got"):
            cell(X[0], None, masks)


def test_the_repr_names_every_option_that_is_set():
    layer = LSTM(
        3,
        [4, 5],
        proj_size=2,
        layer_norm=True,
        zoneout=(0.1, 0.2),
        recurrent_dropout=0.3,
        candidate_dropout=0.4,
        input_dropout=[0.5, 0.6],
        learned_state=True,
        residual=True,
        models=2,
        backend="reference",
    )
    assert repr(layer) == (
        "LSTM(3, (4, 5), proj_size=2, layer_norm=True, zoneout=(0.1, 0.2), recurrent_dropout=0.3, "
        "candidate_dropout=0.4, input_dropout=(0.5, 0.6), learned_state=True, residual=True, "
        "models=2, backend=reference)"
    )
    assert repr(GRU(3, 4, reset_after=False)) == "GRU(3, 4, reset_after=False)"
    assert repr(RNNCell(3, 4, nonlinearity="relu", zoneout=0.1, proj_size=2)) == (
        "RNNCell(3, 4, nonlinearity=relu, proj_size=2, zoneout=0.1)"
    )
