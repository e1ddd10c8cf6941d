"""The native way of a layer's step; what a step must give is in check_layer."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
import torch

from grukit.core import clib
from grukit.nn import GRU, LSTM, RNN
from grukit.testing.parity import assert_close

pytestmark = pytest.mark.needs_core
LAYERS = {
    "gru": (GRU, {}),
    "gru before": (GRU, {"reset_after": False}),
    "gru projected": (GRU, {"proj_size": 3}),
    "gru with options": (GRU, {"zoneout": 0.2, "layer_norm": True, "bias": False}),
    "lstm": (LSTM, {}),
    "lstm with options": (LSTM, {"zoneout": (0.1, 0.3), "layer_norm": True, "learned_state": True}),
    "lstm projected, stacked": (LSTM, {"proj_size": 3, "num_layers": 3}),
    "rnn relu": (RNN, {"nonlinearity": "relu", "num_layers": 2}),
    "gru in bfloat16": (GRU, {"dtype": torch.bfloat16}),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def make(name, **options):
    kind, own = LAYERS[name]
    return kind(4, 17, **own, **options).eval()


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """The streams that have been opened since the test began."""
    streams = []
    start = clib.Stream.__init__

    def watched(self, *arguments):
        streams.append(self)
        start(self, *arguments)

    monkeypatch.setattr(clib.Stream, "__init__", watched)
    return streams


def flat(result):
    output, state = result
    return [output, *(state if isinstance(state, tuple) else (state,))]


@each_layer
@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4)], ids=str)
def test_a_step_is_a_sequence_of_one(name, shape, opened):
    layer = make(name)
    state = layer.step(torch.randn(shape, dtype=layer.weight_ih_l0.dtype))[1]
    for _ in range(3):
        x = torch.randn(shape, dtype=layer.weight_ih_l0.dtype)
        output, *final = flat(layer(x[None], state))
        found = flat(layer.step(x, state))
        for got, wanted in zip(found, [output[0], *final], strict=True):
            assert got.shape == wanted.shape
            assert torch.equal(got, wanted)
            assert not got.requires_grad
        state = found[1] if len(found) == 2 else tuple(found[1:])
    assert len(opened) == layer.num_layers


@each_layer
def test_a_step_leaves_what_it_was_given(name):
    layer = make(name)
    x = torch.randn(2, 4, dtype=layer.weight_ih_l0.dtype)
    first = layer.step(x)
    kept = [t.clone() for t in flat(first)]
    layer.step(x, first[1])
    assert all(map(torch.equal, flat(first), kept))
    first[0].zero_()
    assert all(map(torch.equal, flat(first)[1:], kept[1:]))


@each_layer
def test_a_change_of_a_parameter_is_seen(name, opened):
    layer = make(name)
    x = torch.randn(2, 4, dtype=layer.weight_ih_l0.dtype)
    for parameter_name in dict(layer.named_parameters()):
        if parameter_name.startswith(("h0", "c0")):
            continue
        for change in (in_place, through_data, replaced):
            _, state = layer.step(x)
            before, count = layer.step(x, state)[0], len(opened)
            change(layer, parameter_name)
            found = layer.step(x, state)[0]
            assert len(opened) == count + layer.num_layers
            wanted = layer._step(x, state)[0]
            within = 1e-5 if found.dtype == torch.float32 else 1e-2
            assert_close(found, wanted, parameter_name, within=within)
            if found.dtype == torch.float32 and "relu" not in name:
                assert not torch.equal(found, before)


def in_place(layer, name):
    with torch.no_grad():
        getattr(layer, name)[..., 0] += 0.5


def through_data(layer, name):
    getattr(layer, name).data[-1] += 0.5


def replaced(layer, name):
    setattr(layer, name, torch.nn.Parameter(getattr(layer, name).detach() * 1.5 + 0.1))


def test_a_change_of_single_elements_through_data_is_seen_after_flatten_parameters():
    layer, x = make("gru"), torch.randn(2, 4)
    for index in torch.cartesian_prod(torch.arange(51), torch.arange(4)).tolist():
        layer.step(x)
        layer.weight_ih_l0.data[tuple(index)] += 1
        layer.flatten_parameters()
        assert_close(layer.step(x)[0], layer._step(x, None)[0], "output", within=1e-5)


def test_a_change_of_zoneout_or_of_the_instruction_set_is_seen(opened):
    layer, x = make("gru with options"), torch.randn(2, 4)
    _, state = layer.step(x)
    layer.zoneout = 0.7
    assert_close(layer.step(x, state)[0], layer._step(x, state)[0], "output", within=1e-5)
    before = clib.isa()
    try:
        clib.set_isa("scalar")
        layer.step(x, state)
    finally:
        clib.set_isa(before)
    assert len(opened) == 2 + (before != "scalar")


def test_other_calls_take_the_definition(opened, monkeypatch):
    x = torch.randn(2, 4)
    refused = [
        GRU(4, 5, residual=True, num_layers=2),
        GRU(4, [5, 6]),
        GRU(4, 5, backend="reference"),
        GRU(4, 5, models=2),
        GRU(4, 5, proj_size=2, num_layers=2),
        torch.nn.utils.parametrizations.weight_norm(GRU(4, 5), "weight_hh_l0"),
    ]
    for layer in refused:
        layer.step(x)
    layer = GRU(4, 5)
    with torch.autocast("cpu", torch.bfloat16):
        layer.step(x)
    torch.vmap(layer.step)(x[:, None])
    assert torch.equal(layer.step(torch.complex(x, -x).conj().imag)[0], layer._step(x, None)[0])
    monkeypatch.setenv("GRUKIT_BACKEND", "reference")
    layer.step(x)
    layer.double().step(x.double())
    assert not opened
    monkeypatch.delenv("GRUKIT_BACKEND")
    layer.float().step(x)
    assert len(opened) == 1


def test_states_of_another_form_take_the_definition():
    layer, x = GRU(4, 5), torch.randn(2, 4)
    _, state = layer(x[None])
    assert state.requires_grad
    strided = torch.stack([state, state], -1)[..., 0]
    for other in (state, strided, state.detach().double().float()):
        assert_close(layer.step(x, other)[0], layer._step(x, other)[0], "output", within=1e-6)
    with pytest.raises(RuntimeError, match="Expected hidden size"):
        layer.step(x, torch.zeros(1, 3, 5))
    for wrong in ((state,), (state, state), 5):
        with pytest.raises(RuntimeError, match="hx must be a tensor"):
            layer.step(x, wrong)
    lstm = LSTM(4, 5)
    pair = lstm.step(x)[1]
    assert_close(lstm.step(x, [*pair])[0], lstm.step(x, pair)[0], "output", within=1e-6)
    for wrong in (state, (state,), 5):
        with pytest.raises(RuntimeError, match=r"hx must be a pair \(h, c\)"):
            lstm.step(x, wrong)


def test_copies_open_their_own(opened):
    layer, x = make("lstm"), torch.randn(2, 4)
    wanted = layer.step(x)[0]
    unpickled = pickle.loads(pickle.dumps(layer))  # noqa: S301
    for other in (copy.deepcopy(layer), unpickled, copy.copy(layer)):
        assert torch.equal(other.step(x)[0], wanted)
    # A shallow copy shares its parameters, and so its streams.
    assert len(opened) == 3


def test_few_streams_stay_open(opened):
    layer = make("gru")
    for batch in range(1, 40):
        layer.step(torch.randn(batch, 4))
    assert len(layer._steps) <= 8


def test_threads_step_at_once():
    layer, x = make("lstm"), torch.randn(50, 1, 4)

    def stream():
        state, found = None, []
        for step in x:
            output, state = layer.step(step, state)
            found.append(output)
        return torch.cat(found)

    wanted, results, start = stream(), [], threading.Barrier(8)

    def work():
        start.wait()
        results.append(stream())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(torch.equal(result, wanted) for result in results)
