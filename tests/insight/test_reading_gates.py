"""The gates of every kind of model are read, in the order of the input and with its labels."""

from __future__ import annotations

import gzip
import math
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from grukit import (
    AnomalyDetector,
    FitConfig,
    Forecaster,
    SpeechRecognizer,
    TextClassifier,
    TextGenerator,
    Translator,
    nn,
)
from grukit.core.errors import DataError, NotFittedError, ParameterError
from grukit.data.synthetic import seasonal_series
from grukit.data.synthetic_speech import spoken_tones, write_spoken
from grukit.insight import gates
from grukit.insight.gates import inspect_gates, read_gates
from grukit.insight.recording import recorded
from grukit.nn.chunked import ChunkedBidirectional

ONCE = FitConfig(epochs=1, batch_size=16)
TEXT = "a (b c) d. " * 40
KINDS = {"GRU": nn.GRU, "LSTM": nn.LSTM, "RNN": nn.RNN}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_records_of_a_layer_are_what_it_computes(kind, batch_first):
    layer = KINDS[kind](3, 4, 2, batch_first=batch_first, bidirectional=True).double()
    x = torch.randn(7, 3, dtype=torch.float64)
    records = read_gates(layer, x.unsqueeze(0 if batch_first else 1))
    assert [own.reverse for own in records] == [False, True, False, True]
    output, _ = layer(x)
    both = np.concatenate([records[2].hidden, records[3].hidden], axis=1)
    np.testing.assert_allclose(both, output.detach().numpy(), atol=1e-12)
    np.testing.assert_array_equal(read_gates(layer, x)[2].hidden, records[2].hidden)


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_a_layer_of_torch_is_read_where_it_is(kind):
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.below = getattr(torch.nn, kind)(3, 4)
            self.above = torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.above(self.below(x)[0])

    network, x = Network(), torch.randn(6, 1, 3)
    (record,) = read_gates(network, x)
    assert record.layer == "below"
    assert record.cell == kind.lower()
    np.testing.assert_allclose(record.hidden, network.below(x)[0][:, 0].detach().numpy(), atol=1e-6)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, [4])
    (record,) = read_gates(network.below, packed)
    assert len(record) == 4


def test_a_layer_that_reads_a_text_is_told_it():
    layer, text = torch.nn.GRU(3, 4), "a (b) c"
    x = torch.randn(7, 1, 3)
    (record,) = read_gates(layer, x, text=text)
    assert record.steps == tuple(text)
    assert record.step == "character"
    assert record.features["bracket depth"].tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert np.flatnonzero(record.boundaries).tolist() == [1, 5]
    (record,) = read_gates(layer, x[:3], text=["so", " good", "!"])
    assert (record.step, record.steps[1]) == ("token", " good")
    with pytest.raises(ParameterError, match="a sign or token for each step, 7, got 2"):
        read_gates(layer, x, text="ab")
    model = TextGenerator(hidden_size=4, training=ONCE).fit(TEXT)
    with pytest.raises(ParameterError, match="text must be None for an estimator"):
        read_gates(model, "a b", text="a b")


@pytest.mark.parametrize("where", [nn, torch.nn])
@pytest.mark.parametrize("kind", ["GRUCell", "LSTMCell", "RNNCell"])
def test_a_cell_is_read_step_by_step(where, kind):
    class Loop(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = getattr(where, kind)(3, 4)

        def forward(self, x):
            state, states = None, []
            for step in x:
                state = self.cell(step, state)
                states.append(state[0] if isinstance(state, tuple) else state)
            return torch.stack(states)

    network, x = Loop(), torch.randn(6, 1, 3)
    (record,) = read_gates(network, x, inside=True)
    assert record.layer == "cell"
    wanted = network(x)[:, 0].detach().numpy()
    np.testing.assert_allclose(record.hidden, wanted, atol=1e-6)
    np.testing.assert_allclose(record.before[1:], wanted[:-1], atol=1e-6)


def test_a_forecaster_with_gaps_is_read():
    table = pd.DataFrame(seasonal_series(count=1, length=160, missing=0.3))
    model = Forecaster(
        horizon=6, lookback=24, hidden_size=4, num_layers=2, cell="gru_d", training=ONCE
    ).fit(table)
    below, above = read_gates(model)
    assert (below.layer, above.layer) == ("encoder.gru_d.cell.gru", "encoder.above")
    assert len(below) == len(above) == 24
    assert below.step == "row"
    missing = table.y.isna().to_numpy()[-24:]
    assert missing.any()
    np.testing.assert_array_equal(np.isnan(below.features["y"]), missing)
    np.testing.assert_array_equal(np.isnan(below.picture[:, 0]), missing)


def test_a_layer_of_keras_is_read():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    layer = keras.layers.GRU(4, return_sequences=True)
    x = np.random.default_rng(0).normal(size=(1, 6, 3)).astype(np.float32)
    output = layer(x).detach().numpy()
    for given in (x, x[0]):
        (record,) = read_gates(layer, given)
        np.testing.assert_allclose(record.hidden, output[0], atol=1e-6)


def test_chunks_that_are_read_back_are_put_in_order():
    layer = ChunkedBidirectional(nn.GRU(3, 4), nn.GRU(3, 4), chunk=3)
    x = torch.randn(8, 1, 3)
    ahead, back = read_gates(layer, x)
    with torch.no_grad():
        output, _ = layer(x)
    both = np.concatenate([ahead.hidden, back.hidden], axis=1)
    np.testing.assert_allclose(both, output[:, 0].numpy(), atol=1e-6)
    assert (ahead.reverse, back.reverse) == (False, True)


def test_what_a_bidirectional_reads_back_is_put_in_order():
    layer = nn.Bidirectional(nn.GRU(3, 4))
    x = torch.randn(8, 1, 3)
    ahead, back = read_gates(layer, x)
    with torch.no_grad():
        output, _ = layer(x)
    both = np.concatenate([ahead.hidden, back.hidden], axis=1)
    np.testing.assert_allclose(both, output[:, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"zoneout": 0.1}])
def test_what_is_inside_the_gates_gives_the_gates(reset_after, options):
    layer = nn.GRU(3, 4, 2, reset_after=reset_after, **options).double()
    for own in read_gates(layer, torch.randn(6, 3).double(), inside=True):
        assert own.after == reset_after
        for gate in ("reset", "update"):
            total = own.sums[gate].of_input + own.sums[gate].of_past
            np.testing.assert_allclose(1 / (1 + np.exp(-total)), own.gates[gate], atol=1e-12)
        memory = own.sums["memory"]
        past = memory.of_past * (own.gates["reset"] if reset_after else 1)
        np.testing.assert_allclose(np.tanh(memory.of_input + past), own.gates["memory"], atol=1e-12)
        update = own.gates["update"]
        new = (1 - update) * own.gates["memory"] + update * own.before
        keep = options.get("zoneout", 0.0)
        np.testing.assert_allclose(keep * own.before + (1 - keep) * new, own.hidden, atol=1e-12)


def test_a_network_is_read_as_it_predicts_with_what_it_gives_its_layers():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.dropout, self.layer = torch.nn.Dropout(0.5), nn.GRU(3, 4)

        def forward(self, x, **given):
            return self.layer(self.dropout(x), **given)

    network, x = Network().train(), torch.randn(8, 1, 3)
    resets = torch.zeros(8, 1, dtype=torch.bool)
    resets[5] = True
    hx = torch.randn(1, 1, 4)
    given = {"hx": hx, "lengths": torch.tensor([7]), "resets": resets}
    reading = SimpleNamespace(network=network, run=lambda: network(x, **given), about={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gates, "_reading", lambda model, input: reading)
        (record,) = read_gates(network, x, inside=True)
    with torch.no_grad():
        wanted, _ = network.layer(x, **given)
    assert len(record) == 7
    np.testing.assert_allclose(record.hidden, wanted[:7, 0].numpy(), atol=1e-6)
    np.testing.assert_allclose(record.before[[0, 5]], [hx[0, 0].numpy(), np.zeros(4)], atol=1e-6)


def test_reading_leaves_no_trace_in_the_network():
    network = nn.GRU(3, 4).train()
    read_gates(network, torch.randn(5, 1, 3))
    assert network.training
    assert not network._forward_pre_hooks
    with pytest.raises(RuntimeError), recorded(network):
        raise RuntimeError
    assert not network._forward_pre_hooks


def test_members_of_an_ensemble_are_read_one_by_one():
    layer = nn.GRU(3, 4, models=2)
    x = torch.randn(6, 1, 3)
    first, second = read_gates(layer, x)
    assert (first.layer, second.layer) == ("GRU, member 1", "GRU, member 2")
    with torch.no_grad():
        output, _ = layer(x)
    np.testing.assert_allclose(second.hidden, output[1, :, 0].numpy(), atol=1e-6)


def test_several_sequences_and_other_things_are_refused():
    with pytest.raises(ParameterError, match="input must be of a single sequence"):
        read_gates(nn.GRU(3, 4), torch.randn(5, 2, 3))
    with pytest.raises(ParameterError, match="a model in which recurrent layers run"):
        read_gates(torch.nn.Linear(3, 4), torch.randn(5, 3))
    for senseless in (None, "text", ["a", "b"]):
        with pytest.raises(ParameterError, match="input must be a tensor or an array of numbers"):
            read_gates(nn.GRU(3, 4), senseless)
    with pytest.raises(ParameterError, match="model must be an estimator"):
        read_gates("model", "text")
    with pytest.raises(NotFittedError):
        read_gates(TextGenerator(), "text")


def test_a_generator_is_read_character_by_character():
    model = TextGenerator(hidden_size=8, num_layers=2, training=ONCE).fit(TEXT)
    records = read_gates(model, "a (b c)")
    assert [own.layer for own in records] == ["recurrent, layer 1", "recurrent, layer 2"]
    record = records[0]
    assert record.steps == ("", *"a (b c)")
    assert record.step == "character"
    assert record.features["bracket depth"].tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    assert np.flatnonzero(record.boundaries).tolist() == [2, 5]
    # Before the text it reads the end of another.
    np.testing.assert_allclose(read_gates(model, "c")[0].hidden[0], record.hidden[0], atol=1e-6)


def test_a_file_of_text_is_read_as_for_training(tmp_path):
    model = TextGenerator(hidden_size=8, training=ONCE).fit(TEXT)
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(b"a (b c)"))
    assert read_gates(model, tmp_path / "text.txt.gz")[0].steps == ("", *"a (b c)")
    (tmp_path / "other.txt").write_bytes(b"a \xff")
    with pytest.raises(DataError, match="must be UTF-8, got 0xff at byte 2"):
        read_gates(model, tmp_path / "other.txt")
    with pytest.raises(DataError, match="a text that is not empty"):
        read_gates(model, "")


def test_a_classifier_and_a_translator_are_read_in_both_directions():
    texts, labels = ["good film", "bad film", "so good", "so bad"] * 5, [1, 0, 1, 0] * 5
    judge = TextClassifier(embedding_size=4, hidden_size=4, training=ONCE).fit(texts, labels)
    ahead, back = read_gates(judge, "so good film")
    assert ahead.steps == ("so", "good", "film")
    assert ahead.step == "word"
    assert ahead.boundaries is None
    with pytest.raises(DataError, match="at least one token long"):
        read_gates(judge, "   ")
    assert back.layer == f"{ahead.layer}, backwards"
    translator = Translator(
        tokenizer="char", hidden_size=8, embedding_size=4, ensemble=2, training=ONCE
    ).fit(["ab", "ba"] * 5, ["ba", "ab"] * 5)
    records = read_gates(translator, "ab")
    names = [f"{at}.encoder{back}" for at in (0, 1) for back in ("", ", backwards")]
    assert [own.layer for own in records] == names
    assert records[0].steps == (" ", "a", "b", "")


@pytest.mark.parametrize(
    "settings", [{}, {"mode": "recursive"}, {"network": "segments", "segment": 6}]
)
def test_a_forecaster_is_read_over_its_lookback(settings):
    table = pd.DataFrame(seasonal_series(count=2, length=160))
    model = Forecaster(horizon=6, lookback=24, hidden_size=4, training=ONCE, **settings).fit(table)
    (record,) = read_gates(model)
    first = table.unique_id.iloc[0]
    assert record.layer.endswith(f", of {first}")
    (alone,) = read_gates(model, table[table.unique_id == first])
    assert alone.layer == record.layer.removesuffix(f", of {first}")
    np.testing.assert_array_equal(alone.hidden, record.hidden)
    if "network" in settings:
        assert len(record) == 4
        assert record.step == "segment"
        return
    assert record.step == "row"
    assert record.steps[0].startswith(str(pd.Timestamp(table.ds.max()) - pd.Timedelta("23h"))[:10])
    assert len(record) == (23 if settings else 24)
    hours = pd.to_datetime(list(record.steps)).hour
    clock = np.sin(math.tau * hours / 24)
    np.testing.assert_allclose(record.features["calendar hour_of_day_sin"], clock, atol=1e-6)
    assert "y" in record.features
    y = table[table.unique_id == first].y.to_numpy()[-24:][: len(record)]
    known = ~np.isnan(y)
    assert np.corrcoef(record.features["y"][known], y[known])[0, 1] > 0.999


def test_every_column_that_a_forecaster_reads_has_its_name():
    table = pd.DataFrame(seasonal_series(count=1, length=160))
    random = np.random.default_rng(0)
    table["kind"] = random.choice(["a", "b"], 160)
    table["load"] = np.where(random.random(160) < 0.2, np.nan, random.normal(size=160))
    table["wind"] = random.normal(size=160)
    model = Forecaster(
        horizon=6,
        lookback=24,
        hidden_size=4,
        past_covariates=["kind", "load"],
        future_covariates=["wind"],
        training=ONCE,
    ).fit(table)
    known = table[:-6]
    with pytest.raises(DataError, match="'wind' must be given"):
        read_gates(model, known)
    (record,) = read_gates(model, (known, table[-6:].drop(columns="y")))
    last = known[-24:]
    features = record.features
    np.testing.assert_array_equal(features["kind b"], last.kind == "b")
    np.testing.assert_array_equal(features["load missing"], last.load.isna())
    there = last.load.notna().to_numpy()
    for name, values in (("load", last.load[there]), ("wind", last.wind)):
        own = features[name][there] if name == "load" else features[name]
        assert np.corrcoef(own, values)[0, 1] > 0.999


@pytest.mark.parametrize("method", ["forecast", "autoencoder"])
def test_a_detector_is_read_row_by_row(method):
    values = np.sin(np.arange(300) / 5)
    model = AnomalyDetector(method=method, hidden_size=4, window=20, training=ONCE).fit(values)
    given = values[:100].copy()
    given[7] = np.nan
    records = read_gates(model, given)
    if method == "forecast":
        (record,) = records
        assert len(record) == 100
        known = np.arange(100) != 7
        assert np.isnan(record.features["value"]).tolist() == (~known).tolist()
        correlation = np.corrcoef(record.features["value"][known], values[:100][known])[0, 1]
        assert correlation == pytest.approx(1.0)
    else:
        assert [len(own) for own in records] == [20, 20]
        assert records[0].steps[-1] == "99"


@pytest.mark.parametrize("look_ahead", [None, 0.15])
def test_a_recognizer_is_read_by_seconds(look_ahead, tmp_path, monkeypatch):
    pytest.importorskip("soundfile")
    write_spoken(tmp_path / "words", spoken_tones(3, seed=3, words=(1, 1)))
    model = SpeechRecognizer(
        rate=8000, bins=10, look_ahead=look_ahead, hidden_size=6, num_layers=2, training=ONCE
    ).fit(tmp_path / "words", None)
    path = next(iter(sorted((tmp_path / "words").rglob("*.wav"))))
    records = read_gates(model, path)
    assert len(records) == 4
    record = records[0]
    assert len(record) == len(model.log_chances(path))
    assert record.step == "moment"
    assert float(record.steps[1].removesuffix(" s")) == pytest.approx(model.step_, abs=0.005)
    assert record.picture.shape == (len(record), 10)
    loudness, energy = record.features.pop("loudness"), record.picture.max(axis=1)
    assert not record.features
    assert np.corrcoef(loudness, energy)[0, 1] > 0.5
    words = [SimpleNamespace(end=2.5 * model.step_), SimpleNamespace(end=99.0)]
    monkeypatch.setattr(model, "transcribe", lambda source: SimpleNamespace(words=words))
    record = read_gates(model, path)[0]
    assert np.flatnonzero(record.boundaries).tolist() == [2, len(record) - 1]
    assert inspect_gates(records).steps[record.layer] == len(record)
