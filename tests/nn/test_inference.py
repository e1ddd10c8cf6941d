"""The quick way of a forward without a graph: what the usual way gives, bit for bit."""

from __future__ import annotations

import copy
import threading

import pytest
import torch

from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM, RNN, quantize
from grukit.nn.inference import Inference

pytestmark = pytest.mark.needs_core
LAYERS = {
    "gru": (GRU, {}),
    "gru before": (GRU, {"reset_after": False, "num_layers": 2}),
    "gru projected": (GRU, {"proj_size": 3}),
    "gru with options": (GRU, {"zoneout": 0.2, "layer_norm": True, "bias": False}),
    "gru, four layers": (GRU, {"num_layers": 4, "dropout": 0.3}),
    "lstm": (LSTM, {}),
    "lstm with options": (LSTM, {"zoneout": (0.1, 0.3), "layer_norm": True, "learned_state": True}),
    "lstm projected, stacked": (LSTM, {"proj_size": 3, "num_layers": 3}),
    "rnn relu": (RNN, {"nonlinearity": "relu", "num_layers": 2}),
    "gru in bfloat16": (GRU, {"dtype": torch.bfloat16, "num_layers": 2}),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def make(name, **options):
    kind, own = LAYERS[name]
    return kind(4, 17, **own, **options).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The inputs that went the quick way since the test began."""
    inputs = []
    run = Inference.run

    def watched(self, x, state):
        found = run(self, x, state)
        if found is not None:
            inputs.append(x)
        return found

    monkeypatch.setattr(Inference, "run", watched)
    return inputs


def flat(result):
    output, state = result
    return [output, *(state if isinstance(state, tuple) else (state,))]


def check_both_ways(layer, x, state=None):
    """With a graph allowed, but asked for by nobody, a call goes the usual way."""
    wanted = flat(layer(x, state))
    with torch.no_grad():
        found = flat(layer(x, state))
    for got, true in zip(found, wanted, strict=True):
        assert got.shape == true.shape
        assert got.stride() == true.stride()
        assert torch.equal(got, true)
    return found


@each_layer
@pytest.mark.parametrize("shape", [(6, 3), (40, 1), (2, 33), (7,)], ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_it_is_the_usual_way(name, shape, batch_first, quick):
    layer = make(name, batch_first=batch_first)
    steps = shape[::-1] if batch_first and len(shape) == 2 else shape
    state = None
    for _ in range(3):
        x = torch.randn(*steps, 4, dtype=layer.weight_ih_l0.dtype)
        found = check_both_ways(layer, x, state)
        state = found[1] if len(found) == 2 else tuple(found[1:])
    assert len(quick) == (2 if layer.learned_state else 3)


@each_layer
@pytest.mark.parametrize("batch_first", [False, True])
def test_one_step_is_the_usual_way(name, batch_first):
    layer = make(name, batch_first=batch_first)
    for shape in ((3, 1, 4) if batch_first else (1, 3, 4), (1, 4)):
        x = torch.randn(shape, dtype=layer.weight_ih_l0.dtype)
        wanted = flat(layer(x))
        with torch.no_grad():
            found = flat(layer(x))
        assert all(map(torch.equal, found, wanted))
    assert len(layer._sequences) == 2


def test_long_stacks_run_as_waves_do_one_by_one():
    layer, x = make("gru, four layers"), torch.randn(400, 2, 4)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            for _ in range(20):
                check_both_ways(layer, x)
    finally:
        torch.set_num_threads(before)


def test_int8_goes_the_same_way(quick):
    layer, x = quantize(make("gru")), torch.randn(6, 3, 4)
    check_both_ways(layer, x)
    assert len(quick) == 1


@each_layer
def test_a_change_of_a_parameter_is_seen(name):
    layer = make(name)
    x = torch.randn(5, 2, 4, dtype=layer.weight_ih_l0.dtype)
    _, *state = check_both_ways(layer, x)
    state = state[0] if len(state) == 1 else tuple(state)
    for parameter_name, parameter in dict(layer.named_parameters()).items():
        parameter[..., 0] += 0.5
        check_both_ways(layer, x, state)
        parameter.data[-1] += 0.5
        check_both_ways(layer, x, state)
        setattr(layer, parameter_name, torch.nn.Parameter(1.5 * parameter, requires_grad=False))
        check_both_ways(layer, x, state)


def test_a_change_of_a_setting_is_seen():
    layer, x = GRU(4, 4, zoneout=0.2).eval().requires_grad_(False), torch.randn(4, 4, 4)
    for name, value in (("zoneout", 0.7), ("batch_first", True), ("backend", "int8")):
        before = check_both_ways(layer, x)
        setattr(layer, name, value)
        assert not torch.equal(check_both_ways(layer, x)[0], before[0])


def test_results_are_the_callers_own():
    layer, x = make("gru, four layers"), torch.randn(6, 3, 4)
    with torch.no_grad():
        first = layer(x)
        kept = [t.clone() for t in first]
        layer(2 * x, first[1])
        assert all(map(torch.equal, first, kept))
        first[0].zero_()
        first[1].zero_()
        assert torch.equal(layer(x)[0], kept[0])


def test_other_calls_go_the_usual_way(quick, monkeypatch):
    x = torch.randn(6, 2, 4)
    layer = GRU(4, 5, num_layers=2, dropout=0.5)
    with torch.no_grad():
        layer(x)
        layer.eval()
        layer(x, lengths=[6, 3])
        layer(x, resets=torch.zeros(6, 2, dtype=torch.bool))
        layer(torch.nn.utils.rnn.pack_padded_sequence(x, [6, 3]))
        with torch.autocast("cpu", torch.bfloat16):
            layer(x)
        torch.vmap(layer, (0, None))(x[None], torch.zeros(2, 2, 5))
        for other in (
            GRU(4, 5, bidirectional=True),
            GRU(4, 5, residual=True, num_layers=2),
            GRU(4, [5, 6]),
            GRU(4, 5, backend="reference"),
            GRU(4, 5, models=2),
        ):
            other.eval()(x)
        monkeypatch.setenv("GRUKIT_BACKEND", "reference")
        layer(x)
    assert not quick
    monkeypatch.delenv("GRUKIT_BACKEND")
    assert layer(x)[0].requires_grad
    assert not quick
    with torch.inference_mode():
        assert layer(x)[0].is_inference()
    assert len(quick) == 1


def test_wrong_arguments_raise_as_ever():
    layer = make("gru")
    with torch.no_grad():
        for _ in range(2):
            layer(torch.randn(6, 3, 4))
            with pytest.raises(RuntimeError, match=r"input\.size"):
                layer(torch.randn(6, 3, 5))
            with pytest.raises(ValueError, match="dtype"):
                layer(torch.randn(6, 3, 4).double())
            with pytest.raises(RuntimeError, match="Expected hidden size"):
                layer(torch.randn(6, 3, 4), torch.zeros(1, 2, 17))
            with pytest.raises(RuntimeError, match="hx must be a tensor"):
                layer(torch.randn(6, 3, 4), (torch.zeros(1, 3, 17), torch.zeros(1, 3, 17)))


def test_a_parameter_of_another_shape_is_refused():
    layer = make("gru")
    layer.weight_hh_l0 = torch.nn.Parameter(torch.zeros(51, 3))
    with torch.no_grad():
        for call in (lambda: layer(torch.randn(6, 3, 4)), lambda: layer.step(torch.randn(3, 4))):
            with pytest.raises(ParameterError, match="w_hh must be of shape"):
                call()


def test_one_preparation_serves_every_length_and_batch(quick):
    layer = make("lstm", batch_first=True)
    for time, batch in ((2, 1), (9, 1), (5, 7), (2, 3), (70, 40), (3, 2)):
        check_both_ways(layer, torch.randn(batch, time, 4))
    assert len(quick) == 6
    assert len(layer._sequences) == 1


def test_few_preparations_are_kept():
    layer = make("gru")
    with torch.no_grad():
        for batch in range(1, 40):
            layer(torch.randn(1, batch, 4))
    assert len(layer._sequences) <= 8


def test_copies_prepare_their_own():
    layer, x = make("gru"), torch.randn(6, 3, 4)
    wanted = check_both_ways(layer, x)[0]
    other = copy.deepcopy(layer)
    other.weight_hh_l0 += 1
    assert not torch.equal(check_both_ways(other, x)[0], wanted)
    assert torch.equal(check_both_ways(layer, x)[0], wanted)


def test_threads_run_at_once():
    layer, x = make("lstm"), torch.randn(30, 2, 4)
    wanted, results, start = check_both_ways(layer, x), [], threading.Barrier(8)

    def work():
        start.wait()
        with torch.no_grad():
            results.extend(flat(layer(x)) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 160
    assert all(all(map(torch.equal, result, wanted)) for result in results)
