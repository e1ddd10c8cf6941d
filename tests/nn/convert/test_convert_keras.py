"""Layers from and to Keras against Keras' own results."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from convert_cases import FORMS, INPUT, B, H, T, assert_same_weights, compare, run, states_of

from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM, RNN
from grukit.nn.convert import from_keras, keras_layers, to_keras

keras = pytest.importorskip("keras", reason="Keras is not installed")

THEIRS = {
    "gru reset after": (keras.layers.GRU, {"reset_after": True}),
    "gru reset before": (keras.layers.GRU, {"reset_after": False}),
    "lstm": (keras.layers.LSTM, {}),
    "rnn tanh": (keras.layers.SimpleRNN, {"activation": "tanh"}),
    "rnn relu": (keras.layers.SimpleRNN, {"activation": "relu"}),
}
GATES = {GRU: 3, LSTM: 4, RNN: 1}
every_form = pytest.mark.parametrize("form", FORMS)
every_bias = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
every_way = pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
every_depth = pytest.mark.parametrize("num_layers", [1, 2])


def made(form, num_layers=1, bidirectional=False, inputs=INPUT, units=H, **options):
    """A stack of Keras with random weights, biases among them."""
    kind, own = THEIRS[form]
    stack = []
    for index in range(num_layers):
        layer = kind(units, return_sequences=True, **own, **options)
        if bidirectional:
            layer = keras.layers.Bidirectional(layer)
        width = inputs if index == 0 else units * (1 + bidirectional)
        layer.build((None, None, width))
        layer.set_weights(
            [np.random.uniform(-0.6, 0.6, array.shape) for array in layer.get_weights()]
        )
        stack.append(layer)
    return stack


def run_keras(stack, x, states=None):
    """Output and states as those of our layer in batch_first; states one after another."""
    finals = []
    for layer in stack:
        parts = [layer]
        if isinstance(layer, keras.layers.Bidirectional):
            parts += [layer.forward_layer, layer.backward_layer]
        for part in parts:
            part.return_state = True
        ways = max(1, len(parts) - 1)
        initial = None
        if states is not None:
            at = len(finals)
            initial = [state[at + way] for way in range(ways) for state in states]
        x, *ends = layer(x, initial_state=initial)
        per_way = len(ends) // ways
        finals += [ends[way * per_way : (way + 1) * per_way] for way in range(ways)]
    return (x.detach(), *(torch.stack(state).detach() for state in zip(*finals, strict=True)))


def compare_with_keras(layer, stack, with_states):
    x = torch.randn(B, T, layer.input_size)
    states = states_of(layer) if with_states else None
    compare(run(layer, x, states), run_keras(stack, x, states))


@pytest.mark.parametrize("with_states", [False, True], ids=["zero state", "given state"])
@every_depth
@every_way
@every_bias
@every_form
class TestParity:
    def test_from_keras(self, form, bias, bidirectional, num_layers, with_states):
        stack = made(form, num_layers, bidirectional, use_bias=bias)
        layer = from_keras(stack)
        assert layer.batch_first
        compare_with_keras(layer, stack, with_states)

    def test_to_keras(self, form, bias, bidirectional, num_layers, with_states):
        kind, own = FORMS[form]
        layer = kind(
            INPUT, H, num_layers, bias=bias, batch_first=True, bidirectional=bidirectional, **own
        )
        compare_with_keras(layer, to_keras(layer), with_states)


@every_depth
@every_way
@every_bias
@every_form
def test_there_and_back_is_exactly_the_same(form, bias, bidirectional, num_layers):
    stack = made(form, num_layers, bidirectional, use_bias=bias)
    layer = from_keras(stack)
    again = to_keras(layer)
    for one, other in zip(stack, again, strict=True):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert_same_weights(from_keras(again), layer)


@every_way
@every_form
def test_a_mask_is_lengths(form, bidirectional):
    stack, lengths = made(form, bidirectional=bidirectional), torch.tensor([2, 6, 1])
    layer, x = from_keras(stack), torch.randn(B, T, INPUT)
    mask = torch.arange(T) < lengths[:, None]
    (theirs,) = stack
    wanted = theirs(x, mask=mask).detach() * mask[..., None]
    compare(run(layer, x, lengths=lengths)[:1], [wanted])
    with pytest.raises(AssertionError, match="output differs"):
        compare(run(layer, x)[:1], [wanted])


def test_sizes_of_layers_may_differ():
    stack = [*made("lstm", units=7), *made("lstm", inputs=7, units=3)]
    layer = from_keras(stack)
    assert list(layer.hidden_size) == [7, 3]
    x = torch.randn(B, T, INPUT)
    output, (h_n, c_n) = layer(x)
    wanted = run_keras(stack[1:], run_keras(stack[:1], x)[0])
    compare((output, h_n[1], c_n[1]), wanted)
    assert [again.units for again in to_keras(layer)] == [7, 3]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_stays(dtype):
    stack = made("gru reset after", dtype=dtype)
    layer = from_keras(stack)
    assert str(layer.weight_ih_l0.dtype) == f"torch.{dtype}"
    assert to_keras(layer)[0].dtype_policy.name == dtype


def test_dropout_comes_along():
    below, above = made("gru reset after", 2, inputs=H, dropout=0.25, recurrent_dropout=0.5)
    layer = from_keras([below, keras.layers.Dropout(0.125), above])
    rates = (layer.input_dropout, layer.recurrent_dropout, layer.dropout)
    assert rates == (0.25, 0.5, 0.125)
    again = to_keras(layer)
    assert [type(part).__name__ for part in again] == ["GRU", "Dropout", "GRU"]
    assert again[1].rate == 0.125
    assert [(part.dropout, part.recurrent_dropout) for part in again[::2]] == [(0.25, 0.5)] * 2
    assert_same_weights(from_keras(again), layer)


@every_form
def test_dropout_acts_where_keras_has_it(form, monkeypatch):
    (theirs,) = made(form, dropout=0.25, recurrent_dropout=0.5)
    ours, x = from_keras(theirs).train(), torch.randn(B, T, INPUT)
    masks = [torch.randint(2, (B, size)) * 2.0 for size in (INPUT, H)]
    gates = GATES[FORMS[form][0]]
    for name, mask in zip(("_dropout_mask", "_recurrent_dropout_mask"), masks, strict=True):
        setattr(theirs.cell, name, [mask] * gates if gates > 1 else mask)
    wanted = theirs(x, training=True).detach()
    given = iter([masks[0][None], masks[1]])
    monkeypatch.setattr(
        "grukit.nn.layer.drop_mask", lambda like, shape, rate: next(given).view(shape)
    )
    compare([ours(x)[0].detach()], [wanted])
    assert not torch.allclose(run(ours, x)[0], wanted, atol=1e-2)


def test_input_dropout_may_differ_from_layer_to_layer():
    stack = [*made("lstm", inputs=H, dropout=0.5), *made("lstm", inputs=H)]
    assert [part.dropout for part in to_keras(from_keras(stack))] == [0.5, 0.0]


def test_reading_needs_no_keras(monkeypatch):
    (layer,) = made("gru reset after")
    monkeypatch.setitem(sys.modules, "keras", None)
    compare_with_keras(from_keras(layer), [layer], with_states=True)
    with pytest.raises(ImportError, match=r"pip install 'grukit\[keras\]'"):
        to_keras(GRU(INPUT, H))


def swap_gates(monkeypatch):
    monkeypatch.setitem(keras_layers.ORDER, "GRU", (0, 1, 2))


def swap_reset_and_candidate(monkeypatch):
    monkeypatch.setitem(keras_layers.ORDER, "GRU", (0, 2, 1))


def drop_a_bias(monkeypatch):
    fill = keras_layers.reordered
    drop = {"b_hh": torch.zeros(3 * H)}
    monkeypatch.setattr(
        keras_layers, "reordered", lambda weights, order: fill(weights._replace(**drop), order)
    )


def forget_to_transpose(monkeypatch):
    def transposed(weights, order):
        w_hh = weights.w_hh.unflatten(0, (3, H)).transpose(1, 2).flatten(0, 1)
        return reordered(weights._replace(w_hh=w_hh), order)

    reordered = keras_layers.reordered
    monkeypatch.setattr(keras_layers, "reordered", transposed)


SABOTAGE = [swap_gates, swap_reset_and_candidate, drop_a_bias, forget_to_transpose]


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_the_comparison_sees_a_wrong_conversion(monkeypatch, sabotage):
    stack, ours = made("gru reset after", inputs=H), GRU(H, H, batch_first=True)
    sabotage(monkeypatch)
    with pytest.raises(AssertionError, match="output differs"):
        compare_with_keras(from_keras(stack), stack, with_states=False)
    with pytest.raises(AssertionError, match="output differs"):
        compare_with_keras(ours, to_keras(ours), with_states=False)


def built(layer, inputs=INPUT):
    layer.build((None, None, inputs))
    return layer


layers = keras.layers
REFUSED = {
    "hard sigmoid": (
        lambda: built(layers.GRU(H, recurrent_activation="hard_sigmoid")),
        "recurrent_activation must be 'sigmoid', got 'hard_sigmoid'",
    ),
    "relu in a GRU": (
        lambda: built(layers.GRU(H, activation="relu")),
        "activation must be 'tanh', got 'relu'",
    ),
    "backwards": (
        lambda: built(layers.LSTM(H, go_backwards=True)),
        "go_backwards must be False, got True",
    ),
    "stateful": (
        lambda: layers.SimpleRNN(H, stateful=True),
        "stateful must be False, got True",
    ),
    "not built": (lambda: layers.GRU(H), "weights must be 3 arrays; build the layer"),
    "merged by sum": (
        lambda: built(layers.Bidirectional(layers.GRU(H), merge_mode="sum")),
        "merge_mode must be 'concat', got 'sum'",
    ),
    "two ways that differ": (
        lambda: built(
            layers.Bidirectional(
                layers.GRU(H), backward_layer=layers.GRU(H, go_backwards=True, reset_after=False)
            )
        ),
        "form must be the same",
    ),
    "first backwards": (
        lambda: built(
            layers.Bidirectional(layers.GRU(H, go_backwards=True), backward_layer=layers.GRU(H))
        ),
        "go_backwards must be False, got True",
    ),
    "no recurrent layer": (lambda: layers.Dense(3), "layer must be .* got 'Dense'"),
    "a cell": (lambda: layers.RNN(layers.GRUCell(H)), "layer must be .* got 'RNN'"),
    "no layer": (
        lambda: torch.nn.GRU(INPUT, H),
        "layer must be a layer of Keras, got <class 'torch",
    ),
    "nothing": (list, "layers must be one layer or more"),
    "two kinds": (
        lambda: made("lstm", inputs=H) + made("rnn tanh", inputs=H),
        "kind of layer must be the same",
    ),
    "two forms": (
        lambda: made("gru reset after", inputs=H) + made("gru reset before", inputs=H),
        "form of the equations must be the same",
    ),
    "with and without bias": (
        lambda: made("lstm", inputs=H) + made("lstm", inputs=H, use_bias=False),
        "bias must be the same",
    ),
    "one way upon two": (
        lambda: made("lstm", bidirectional=True) + made("lstm", inputs=2 * H),
        "directions must be the same",
    ),
    "widths that do not fit": (
        lambda: made("lstm", units=7) + made("lstm", inputs=H),
        r"w_ih of layer 1 must be of shape \[16, 7\], got \[16, 4\]",
    ),
    "the last state alone": (
        lambda: [built(layers.GRU(H), H), built(layers.GRU(H), H)],
        "return_sequences must be True",
    ),
    "other recurrent dropout": (
        lambda: made("lstm", inputs=H) + made("lstm", inputs=H, recurrent_dropout=0.5),
        "recurrent_dropout must be the same",
    ),
    "dropout at the end": (
        lambda: [*made("lstm"), layers.Dropout(0.5)],
        "Dropout must stand between",
    ),
    "dropout of whole steps": (
        lambda: [
            *made("lstm", inputs=H),
            layers.Dropout(0.5, noise_shape=(None, None, 1)),
            *made("lstm", inputs=H),
        ],
        "noise_shape must be None",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_layer_of_ours_does_is_refused(what):
    make, message = REFUSED[what]
    with pytest.raises(ParameterError, match=message):
        from_keras(make())


def pretend(arrays, **changes):
    """What claims to be a GRU of Keras."""
    (layer,) = made("gru reset after")
    config = layer.get_config() | changes
    return type("GRU", (), {"get_config": lambda _: config, "get_weights": lambda _: arrays})()


W, R, BIAS = np.zeros((INPUT, 3 * H)), np.zeros((H, 3 * H)), np.zeros((2, 3 * H))
WRONG = {
    "a missing bias": ([W, R], {}, "weights must be 3 arrays"),
    "another kernel": (
        [W[:, 1:], R, BIAS],
        {},
        r"kernel must be of shape \[5, 12\], got \[5, 11\]",
    ),
    "a kernel of no axes": ([np.zeros(()), R, BIAS], {}, "kernel must be of shape"),
    "another recurrent kernel": ([W, R[1:], BIAS], {}, "recurrent_kernel must be of shape"),
    "another bias": ([W, R, BIAS[0]], {}, r"bias must be of shape \[2, 12\], got \[12\]"),
    "the other bias": ([W, R, BIAS], {"reset_after": False}, r"bias must be of shape \[12\]"),
    "other units": ([W, R, BIAS], {"units": 2**40}, "kernel must be of shape"),
    "integers": ([W.astype(int), R, BIAS], {}, "dtype must be one of float16, float32, float64"),
    "objects": ([W, R.astype(object), BIAS], {}, "dtype must be .* got 'object'"),
    "two dtypes": ([W, R.astype("float32"), BIAS], {}, "dtype must be the same"),
}


@pytest.mark.parametrize("what", WRONG)
def test_weights_that_do_not_fit_are_refused(what):
    arrays, changes, message = WRONG[what]
    with pytest.raises(ParameterError, match=message):
        from_keras(pretend(arrays, **changes))
