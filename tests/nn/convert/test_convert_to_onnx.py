"""Layers as models of ONNX, against ONNX Runtime's own results."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from convert_cases import (
    FORMS,
    INPUT,
    B,
    H,
    T,
    assert_same_weights,
    compare,
    random_layer,
    run,
    states_of,
)
from onnx_cases import run_onnx, runtime

from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM
from grukit.nn.convert import from_onnx, onnx_writer, to_onnx

every_form = pytest.mark.parametrize("form", FORMS)
every_bias = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
every_way = pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
every_depth = pytest.mark.parametrize("num_layers", [1, 2])
LENGTHS = [2, 6, 1]


def by_name(states):
    return {f"{name}_0": state.numpy() for name, state in zip("hc", states, strict=False)}


@every_depth
@every_way
@every_bias
@every_form
class TestToOnnx:
    def test_results(self, form, bias, bidirectional, num_layers):
        layer = random_layer(form, num_layers, bias, bidirectional)
        session = runtime(to_onnx(layer))
        for time, batch in ((T, B), (1, 5)):
            x = torch.randn(time, batch, INPUT)
            compare(run(layer, x), run_onnx(session, input=x))

    def test_with_states_and_lengths(self, form, bias, bidirectional, num_layers):
        layer = random_layer(form, num_layers, bias, bidirectional)
        session = runtime(to_onnx(layer, hx=True, lengths=True))
        x, states = torch.randn(T, B, INPUT), states_of(layer)
        got = run_onnx(session, input=x, lengths=np.array(LENGTHS, np.int32), **by_name(states))
        compare(run(layer, x, states, LENGTHS), got)

    def test_there_and_back_is_exactly_the_same(self, form, bias, bidirectional, num_layers):
        layer = random_layer(form, num_layers, bias, bidirectional, batch_first=True)
        assert_same_weights(from_onnx(to_onnx(layer, hx=True, lengths=True)), layer)
        layer = random_layer(form, num_layers, bias, bidirectional).double()
        assert_same_weights(from_onnx(to_onnx(layer)), layer)


def test_batch_first():
    layer = random_layer("gru reset after", 2, batch_first=True)
    x, states = torch.randn(B, T, INPUT), states_of(layer)
    session = runtime(to_onnx(layer, hx=True))
    compare(run(layer, x, states), run_onnx(session, input=x, **by_name(states)))


def test_sizes_per_layer():
    layer = LSTM(INPUT, [7, 3], bidirectional=True)
    x = torch.randn(T, B, INPUT)
    h, c = ([torch.randn(2, B, size) for size in (7, 3)] for _ in "hc")
    named = {
        f"{name}_0_l{index}": state.numpy()
        for name, states in zip("hc", (h, c), strict=True)
        for index, state in enumerate(states)
    }
    model = to_onnx(layer, hx=True)
    with torch.no_grad():
        output, (h_n, c_n) = layer(x, (tuple(h), tuple(c)))
    got = run_onnx(runtime(model), input=x, **named)
    for own, other in zip((output, *h_n, *c_n), got, strict=True):
        compare([own], [other])
    assert_same_weights(from_onnx(model), layer)


def test_dropout_is_left_out():
    rates = {"recurrent_dropout": 0.5, "candidate_dropout": 0.5, "input_dropout": 0.5}
    layer = random_layer("gru reset after", 2, dropout=0.5, **rates)
    x = torch.randn(T, B, INPUT)
    compare(run(layer, x), run_onnx(runtime(to_onnx(layer)), input=x))


def test_a_model_says_what_it_is():
    layer = random_layer("lstm", 2, bidirectional=True)
    graph = to_onnx(layer, hx=True, lengths=True).graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    state = [4, "B", H]
    assert shapes == {
        "input": ["T", "B", INPUT],
        "lengths": ["B"],
        "output": ["T", "B", 2 * H],
        **dict.fromkeys(["h_0", "c_0", "h_n", "c_n"], state),
    }
    assert [node.op_type for node in graph.node].count("LSTM") == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64], ids=str)
def test_the_dtype_stays(dtype):
    layer = random_layer("lstm").to(dtype)
    assert_same_weights(from_onnx(to_onnx(layer)), layer)


NOT_IN_ONNX = {
    "proj_size": LSTM(5, 4, proj_size=3),
    "layer_norm": GRU(5, 4, layer_norm=True),
    "zoneout": GRU(5, 4, zoneout=0.5),
    "learned_state": GRU(5, 4, learned_state=True),
    "residual": GRU(5, 4, 2, residual=True),
    "models": GRU(5, 4, models=2),
}


@pytest.mark.parametrize("option", NOT_IN_ONNX)
def test_an_option_that_onnx_does_not_have_is_refused(option):
    with pytest.raises(ParameterError, match=f"ONNX has no {option}, so it must be off"):
        to_onnx(NOT_IN_ONNX[option])


def test_what_is_no_layer_or_dtype_of_onnx_is_refused():
    with pytest.raises(ParameterError, match="layer must be a GRU, LSTM or RNN of grukit"):
        to_onnx(torch.nn.GRU(5, 4))
    with pytest.raises(ParameterError, match=r"dtype must be .* got torch\.bfloat16"):
        to_onnx(GRU(5, 4).bfloat16())


def test_without_onnx_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for convert, argument in ((to_onnx, GRU(5, 4)), (from_onnx, "model.onnx")):
        with pytest.raises(ImportError, match=r"pip install 'grukit\[onnx\]'"):
            convert(argument)


def swap_gates(monkeypatch):
    monkeypatch.setitem(onnx_writer.ORDER, "GRU", (0, 1, 2))


def swap_gates_of_lstm(monkeypatch):
    monkeypatch.setitem(onnx_writer.ORDER, "LSTM", (0, 2, 3, 1))


def swap_biases(monkeypatch):
    def swapped(weights, order):
        return reordered(weights._replace(b_ih=weights.b_hh, b_hh=weights.b_ih), order)

    reordered = onnx_writer.reordered
    monkeypatch.setattr(onnx_writer, "reordered", swapped)


SABOTAGE = {
    swap_gates: "gru reset after",
    swap_gates_of_lstm: "lstm",
    swap_biases: "gru reset after",
}


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_the_comparison_sees_a_wrong_conversion(monkeypatch, sabotage):
    sabotage(monkeypatch)
    with pytest.raises(AssertionError, match="output differs"):
        TestToOnnx().test_results(SABOTAGE[sabotage], True, False, 1)


def test_the_comparison_sees_lengths_that_are_forgotten():
    layer, x = random_layer("gru reset after"), torch.randn(T, B, INPUT)
    got = run_onnx(runtime(to_onnx(layer)), input=x)
    with pytest.raises(AssertionError, match="output differs"):
        compare(run(layer, x, lengths=LENGTHS), got)
