"""The short form of the comparison with other libraries, its refusal of wrong ones, its page."""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import memory  # noqa: E402
import native_page  # noqa: E402
import native_speed  # noqa: E402
import native_targets  # noqa: E402
import roofline  # noqa: E402
import weather_int8  # noqa: E402
import weather_speed  # noqa: E402
from peers import Refused, grukit_layer, of_layer, torch_int8, torch_layer  # noqa: E402
from problems import Problem, RedParity, deviation  # noqa: E402

from grukit.data.synthetic import seasonal_series  # noqa: E402
from grukit.tasks.forecasting import Forecaster  # noqa: E402
from grukit.training.fit import FitConfig  # noqa: E402

MILLISECONDS = {"grukit": 2.0, "torch": 10.0, "JAX": 4.0, "Keras": 20.0, "ONNX Runtime": 3.0}
PROBED = {
    "flops": {"1": 1e9, "2": 2e9},
    "reads": {
        "1": {str(2**power): 2e9 / power for power in range(14, 27)},
        "2": {str(2**power): 3e9 / power for power in range(14, 27)},
    },
}


@pytest.fixture(autouse=True)
def threads():
    """What runs in this process sets the threads for all."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Fake:
    """A worker that runs no library: it answers with torch's results, and a set time."""

    def __init__(self, library, spoil):
        self.library, self.spoil = library, spoil

    def prepare(self, problem):
        if self.library == "OpenVINO":
            raise Refused("not installed")
        ready = of_layer(torch_layer(problem), problem)
        found = ready.arrays(ready.call())
        return (self.spoil(found) if self.library == "grukit" else found), {}

    def block(self, span):
        return MILLISECONDS.get(self.library, 1.0)


class Fakes(dict):
    def __init__(self, threads=1, spoil=lambda found: found):
        super().__init__()
        self.spoil = spoil

    def __missing__(self, library):
        return Fake(library, self.spoil)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def results(monkeypatch, tmp_path):
    """A whole run over small sizes with no library in it."""
    monkeypatch.setattr(native_speed, "TRAINING", ((5, 1, 128), (5, 2, 6)))
    monkeypatch.setattr(native_speed, "INFERENCE", ((5, 1, 128), (1, 1, 6)))
    monkeypatch.setattr(native_speed, "BFLOAT16", ((5, 2, 6),))
    monkeypatch.setattr(native_speed, "LONG", ((9, 1, 6),))
    monkeypatch.setattr(native_speed, "STEP", (1, 1, 6))
    monkeypatch.setattr(native_speed, "Workers", Fakes)
    monkeypatch.setattr(native_speed, "UNFINISHED", tmp_path / "unfinished.json")
    monkeypatch.setattr(roofline, "probe", lambda *_: PROBED)
    monkeypatch.setattr(memory, "peak", lambda name, *_: 100 if name == "torch" else 50)
    monkeypatch.setattr(weather_speed, "seconds", lambda name, _: 3.0 + len(name))
    scores = {"float32": {"mae": 2.0}, "int8": {"mae": 1.99}, "change": {"mae": 0.005}}
    monkeypatch.setattr(weather_int8, "row", lambda: scores)

    def through_c(problem, quantized, threads, span):
        if quantized:
            raise Refused("no int8 here")
        return native_speed.oracle(problem), 0.5

    monkeypatch.setattr(native_speed, "through_c", through_c)
    return native_speed.run()


def test_the_short_form_measures_every_time():
    rows = native_speed.short()
    assert rows.keys() == {"training", "inference"}
    for row in rows.values():
        assert row["times"].keys() == {"grukit", "torch", "torch again"}
        assert all(time > 0 for time in row["times"].values())


def swapped(found):
    reset, update, memory = np.split(found["dw_hh"], 3)
    return found | {"dw_hh": np.concatenate([update, reset, memory])}


@pytest.mark.parametrize(
    "spoil",
    [
        swapped,
        lambda found: found | {"output": found["output"] * (1 + 1e-4)},
        lambda found: found | {"dx": np.full_like(found["dx"], np.nan)},
        lambda found: found | {"db_ih": found["db_ih"][:-1]},
        lambda found: {name: array for name, array in found.items() if name != "db_hh"},
    ],
    ids=["gates swapped", "a little off", "nan", "too short", "missing"],
)
def test_what_a_wrong_library_takes_is_not_reported(spoil):
    problem = Problem("GRU", "training", (4, 3, 5))
    native_speed.compare(problem, ["grukit", "torch"], Fakes())
    with pytest.raises(RedParity):
        native_speed.compare(problem, ["grukit", "torch"], Fakes(spoil=spoil))


def test_a_red_run_writes_no_results_and_no_page(results, monkeypatch, tmp_path):
    monkeypatch.setattr(native_speed, "UNFINISHED", tmp_path / "another.json")
    monkeypatch.setattr(native_speed, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(native_speed, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(sys, "argv", ["native_speed.py"])
    monkeypatch.setattr(native_speed, "Workers", lambda threads: Fakes(threads, swapped))
    with pytest.raises(RedParity, match="grukit on GRU training 5, 1, 128: dw_hh"):
        native_speed.main()
    assert not list(tmp_path.glob("results.json")) + list(tmp_path.glob("page.md"))
    monkeypatch.setattr(native_speed, "Workers", Fakes)
    native_speed.main()
    saved = json.loads((tmp_path / "results.json").read_text())
    assert saved["rows"].keys() == results["rows"].keys()
    assert (tmp_path / "page.md").read_text() == native_page.page(saved)


def test_named_rows_are_measured_again_and_no_others(results, monkeypatch, tmp_path):
    measured, compare = [], native_speed.compare
    monkeypatch.setattr(native_speed, "RESULTS", tmp_path / "results.json")
    native_speed.records.write(native_speed.RESULTS, results)
    monkeypatch.setattr(
        native_speed,
        "compare",
        lambda p, *rest, **own: measured.append(p) or compare(p, *rest, **own),
    )
    found = native_speed.run(again="LSTM training")
    assert {(p.kind, p.use) for p in measured} == {("LSTM", "training")}
    assert found["rows"].keys() == results["rows"].keys()


def test_a_run_goes_on_where_it_was(results, monkeypatch):
    def fails(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(native_speed, "compare", fails)
    assert native_speed.run() == results
    monkeypatch.setattr(native_speed, "about", lambda: results["about"] | {"torch": "newer"})
    with pytest.raises(AssertionError, match="measured again"):
        native_speed.run()


def test_targets_follow_from_the_rows(results):
    found = {target.what: target for target in native_targets.targets(results["rows"])}
    ratio = found["training, geometric mean beside torch"]
    assert ratio.found == pytest.approx(5)
    assert ratio.verdict == "met"
    best = found["training, worst size beside the best"]
    assert best.found == pytest.approx(2)
    worst = found["inference, worst size beside the best"]
    assert worst.found == pytest.approx(1.5)
    in_c = found["a step in C beside ONNX Runtime"]
    assert in_c.found == pytest.approx(6)
    bfloat16 = found["bfloat16 training beside our float32, worst size"]
    assert bfloat16.found == pytest.approx(2)
    memory_share = found["training memory with recompute beside torch's"]
    assert memory_share.found == pytest.approx(0.5)
    assert memory_share.verdict == "**missed**"
    assert found["training at 100, 1, 64 beside torch"].verdict == "not measured"
    demo = found["the weather demo's training beside the reference"]
    assert demo.found == pytest.approx(12 / 9)
    int8 = found["int8, largest change of the weather demo's metrics"]
    assert int8.found == pytest.approx(0.5)
    assert int8.verdict == "met"


def test_the_page_shows_every_figure_and_who_was_not_there(results):
    page = native_page.page(results)
    assert "| 5, 1, 128 | 2.00 | 10.0 | 4.00 | 20.0 | 5.00 | 2.00 | JAX |" in page
    assert "| OpenVINO | - | not installed |" in page
    assert "| mae | 2 | 1.99 | 0.50 % |" in page
    other = copy.deepcopy(results)
    other["rows"]["LSTM inference 1, 1, 6"]["times"]["grukit"] *= 1.1
    assert native_page.page(other) != page


@pytest.mark.needs_core
def test_int8_barely_changes_the_metrics_of_a_trained_model(monkeypatch):
    data = pd.DataFrame(seasonal_series(count=2, length=400))
    training = FitConfig(epochs=3, batch_size=32)
    forecaster = Forecaster(horizon=12, lookback=48, hidden_size=16, training=training)
    forecaster.fit(data[data["ds"] < data["ds"][300]])
    row = weather_int8.compare(forecaster, data)
    assert row["change"].keys() == row["float32"].keys()
    assert 0 < row["change"]["mae"] < max(row["change"].values()) < 0.01

    def forgets(encoder):
        for weight in encoder.parameters():
            weight.zero_()
        return encoder

    monkeypatch.setattr(weather_int8, "quantize", forgets)
    assert weather_int8.compare(forecaster, data)["change"]["mae"] > 0.01


def test_the_page_holds_the_saved_rows():
    saved = json.loads(native_speed.RESULTS.read_text())
    assert native_speed.PAGE.read_text() == native_page.page(saved)


def test_the_bound_is_the_slower_of_arithmetic_and_reads():
    size = steps, _, hidden = (10, 1, 256)
    product = 2 * steps * 3 * hidden * hidden / 1e9
    reads = steps * 12 * hidden**2 / (2e9 / 20)  # 768 KiB: the rate of 1 MiB
    assert reads > product
    inference = roofline.bound(Problem("GRU", "inference", size), PROBED, 1)
    assert inference == pytest.approx(1000 * (product + reads))
    training = roofline.bound(Problem("GRU", "training", size), PROBED, 1)
    assert training == pytest.approx(1000 * (4 * product + 2 * reads))
    two = roofline.bound(Problem("GRU", "inference", size), PROBED, 2)
    halves = steps * 12 * hidden**2 / (3e9 / 19)
    assert two == pytest.approx(1000 * (product / 2 + halves))
    large = roofline.bound(Problem("GRU", "inference", (10, 4096, 256)), PROBED, 1)
    assert large == pytest.approx(1000 * 2 * 4096 * product)


def test_a_smaller_buffer_is_never_taken_for_slower():
    rates = copy.deepcopy(PROBED)
    rates["reads"]["1"][str(2**16)] = 1.0
    assert roofline.read_rate(rates, 1, 2**16) == 2e9 / 17
    assert roofline.read_rate(rates, 1, 2**40) == 2e9 / 26


def test_a_library_that_is_not_installed_is_a_reason_and_no_error(monkeypatch, tmp_path):
    Path(tmp_path, "jax.py").write_text("raise ImportError('no jax')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with native_speed.Workers(1) as workers:
        problem = Problem("GRU", "training", (2, 1, 3))
        row = native_speed.compare(problem, ["JAX"], workers, rounds=1)
    assert row["refused"] == {"JAX": "not installed: no jax"}
    assert not row["times"]


def test_the_probe_measures_every_rate():
    probed = roofline.probe(1, seconds=0.0005)
    if probed is None:
        pytest.skip("there is no C compiler")
    assert probed["flops"]["1"] > 0
    assert len(probed["reads"]["1"]) == 14
    assert all(rate > 0 for rate in probed["reads"]["1"].values())


def test_int8_of_torch_is_int8():
    problem = Problem("GRU", "inference", (6, 2, 32))
    ready = torch_int8(problem, 1)
    worst = deviation(ready.arrays(ready.call()), native_speed.oracle(problem))
    assert 1e-4 < worst.share < native_speed.tolerance("torch int8")


@pytest.mark.parametrize("use", ["training", "inference", "step"])
def test_grukit_and_torch_answer_the_same_problem(use):
    problem = Problem("LSTM" if use == "training" else "GRU", use, (4, 2, 6))
    ready = of_layer(grukit_layer(problem), problem)
    worst = deviation(ready.arrays(ready.call()), native_speed.oracle(problem))
    assert worst.share < native_speed.tolerance("grukit")
