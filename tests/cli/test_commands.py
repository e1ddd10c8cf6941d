"""Each command: what it takes, prints and writes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grukit.cli import doctor
from grukit.core import clib
from grukit.core.errors import BackendError
from grukit.data import catalog
from grukit.data.calendar import Calendar


@pytest.fixture
def catalog_file(monkeypatch, tmp_path, hours):
    """A catalog of one set, `hours`, that lies in the local folder."""
    content = hours.read_bytes()
    dataset = dataclasses.replace(
        catalog.find("etth1"),
        name="hours",
        path="some/hours.csv",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        loader=lambda path: pd.read_csv(path, parse_dates=["ds"]),
    )
    monkeypatch.setattr(catalog, "_DATA_SETS", (dataset,))
    monkeypatch.setenv("GRUKIT_DATA", str(tmp_path / "local"))
    monkeypatch.setenv("GRUKIT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "local" / "some" / "hours.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def folder_of(path):
    return sorted(file.name for file in path.iterdir())


def test_data_list_says_where_each_set_is(grukit, catalog_file):
    outcome = grukit("data", "list")
    header, row = outcome.out.splitlines()
    assert header.split() == ["NAME", "WHERE", "LICENCE", "WHAT"]
    assert row.startswith("hours  local folder  CC BY-ND 4.0")
    (record,) = json.loads(grukit("data", "list", "--json").out)
    assert record["path"] == str(catalog_file)
    assert record["source"] == "local folder"
    catalog_file.unlink()
    assert "to download" in grukit("data", "list").out
    assert json.loads(grukit("data", "list", "--json").out)[0]["path"] is None


def test_data_path_prints_the_path_alone(grukit, catalog_file):
    outcome = grukit("data", "path", "hours")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{catalog_file}\n", "")
    catalog_file.write_text("damaged")
    outcome = grukit("data", "path", "hours")
    assert (outcome.code, outcome.out) == (1, "")
    assert "its size in bytes must be" in outcome.err


def test_data_fetch_prints_the_path_on_stdout_and_the_licence_on_stderr(
    grukit, catalog_file, tmp_path
):
    assert grukit("data", "fetch", "hours").out == f"{catalog_file}\n"
    (tmp_path / "mine").mkdir()
    outcome = grukit("data", "fetch", "hours", "--folder", tmp_path / "mine")
    copy = tmp_path / "mine" / "some" / "hours.csv"
    assert outcome.out == f"{copy}\n"
    assert "CC BY-ND 4.0" in outcome.err
    assert copy.read_bytes() == catalog_file.read_bytes()
    outcome = grukit("data", "fetch", "hours", "--folder", tmp_path / "nowhere")
    assert outcome.code == 2
    assert not (tmp_path / "nowhere").exists()


def test_doctor_reports_every_section(grukit):
    outcome = grukit("doctor")
    assert outcome.code == 0
    report = json.loads(grukit("doctor", "--json").out)
    assert set(report) == {
        "versions",
        "extras",
        "hardware",
        "native core",
        "backends",
        "settings",
        "data sets",
    }
    for section in report:
        assert f"{section}\n  " in outcome.out
    assert report["backends"], "no backend is listed"
    assert "all" not in report["extras"]
    assert "pandas" in report["extras"]["forecast"]


def test_doctor_names_the_cure_of_a_missing_extra(monkeypatch, grukit):
    monkeypatch.setattr(doctor, "_installed", lambda package: None)
    out = grukit("doctor").out
    assert "matplotlib missing, plotly missing: pip install 'grukit[plots]'" in out


def test_doctor_says_what_the_native_core_runs(monkeypatch, grukit):
    monkeypatch.setattr(clib, "why_missing", lambda: None)
    monkeypatch.setattr(clib, "folder", lambda: Path("/there"))
    monkeypatch.setattr(clib, "isa", lambda: "avx2")
    monkeypatch.setattr(clib, "isas", lambda: ("avx512", "avx2", "scalar", "bf16", "vnni"))
    assert json.loads(grukit("doctor", "--json").out)["native core"] == {
        "instructions": "avx2",
        "possible": ["avx512", "avx2", "scalar"],
        "extensions": ["bf16", "vnni"],
        "folder": "/there",
    }


def test_doctor_says_why_the_native_core_is_missing(monkeypatch, grukit):
    monkeypatch.setattr(clib, "why_missing", lambda: "no compiler")
    assert "missing  no compiler; GRUKIT_REQUIRE_NATIVE=1 pip install . shows more" in (
        grukit("doctor").out
    )


def test_doctor_survives_an_instruction_set_that_cannot_run(monkeypatch, grukit):
    def why_missing():
        raise BackendError("GRUKIT_ISA must be one of 'scalar'")

    monkeypatch.setattr(clib, "why_missing", why_missing)
    report = json.loads(grukit("doctor", "--json").out)
    assert report["native core"] == {"missing": "GRUKIT_ISA must be one of 'scalar'"}


def test_train_writes_a_model_and_the_table(grukit, model, tmp_path, hours, tiny):
    assert folder_of(model.parent) == ["tiny"]
    path = tmp_path / "model"
    outcome = grukit("train", "forecast", hours, "-o", path, *tiny)
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].split()[:2] == ["MAE", "RMSE"]
    assert "seasonal naive" in outcome.out
    assert "data: 300 rows, no gaps; missing values: none" in outcome.err
    assert f"trained for 2 epochs; wrote {path}" in outcome.err
    same_seed = (path / "model.safetensors").read_bytes()
    assert same_seed == (model / "model.safetensors").read_bytes()


def test_train_json_is_nothing_but_json(grukit, tmp_path, hours, tiny):
    outcome = grukit("train", "forecast", hours, "-o", tmp_path / "model", *tiny, "--json")
    result = json.loads(outcome.out)
    assert len(result["validation_losses"]) == 2
    assert len(result["evaluation"]["scores"]) == 4


def test_train_takes_the_name_of_a_data_set(grukit, catalog_file, tmp_path, tiny):
    outcome = grukit("train", "forecast", "hours", "-o", tmp_path / "model", *tiny)
    assert outcome.code == 0, outcome.err
    assert "300 rows" in outcome.err


def test_train_refuses_before_any_work(monkeypatch, grukit, model, tmp_path, hours):
    monkeypatch.setattr("grukit.tasks.forecasting.Forecaster", None)
    outcome = grukit("train", "forecast", hours, "-o", model)
    assert outcome.code == 1
    assert "exists already; to replace it, add --overwrite" in outcome.err
    outcome = grukit("train", "forecast", hours, "-o", tmp_path / "nowhere" / "model")
    assert outcome.code == 1
    assert "the folder of the output must exist" in outcome.err
    (tmp_path / "model.training").mkdir()
    (tmp_path / "model.training" / "latest").touch()
    outcome = grukit("train", "forecast", hours, "-o", tmp_path / "model")
    assert outcome.code == 1
    assert "an interrupted training of model lies in" in outcome.err
    assert "--resume" in outcome.err


def test_overwrite_never_replaces_what_is_no_model(monkeypatch, grukit, tmp_path, hours):
    monkeypatch.setattr("grukit.tasks.forecasting.Forecaster", None)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes").write_text("mine")
    for name, message in (("file", "the existing file"), ("folder", "with other files")):
        outcome = grukit("train", "forecast", hours, "-o", tmp_path / name, "--overwrite")
        assert outcome.code == 1
        assert message in outcome.err


@pytest.mark.parametrize("output", ["", ".", "/"])
def test_a_model_has_a_name(grukit, hours, output):
    outcome = grukit("train", "forecast", hours, "-o", output)
    assert outcome.code == 2
    assert "must be a folder with a name" in outcome.err


def test_overwrite_replaces_model_and_interrupted_training(grukit, tmp_path, hours, tiny):
    path, training = tmp_path / "model", tmp_path / "model.training"
    assert grukit("train", "forecast", hours, "-o", path, *tiny).code == 0
    before = (path / "model.safetensors").read_bytes()
    training.mkdir()
    (training / "latest").write_text("of another run")
    more = ("--overwrite", "--seed", "1")
    assert grukit("train", "forecast", hours, "-o", path, *tiny, *more).code == 0
    assert (path / "model.safetensors").read_bytes() != before
    assert folder_of(tmp_path) == ["model"]


def test_a_full_disk_at_the_end_costs_no_training(monkeypatch, grukit, tmp_path, hours, tiny):
    def full(self, path):
        raise OSError(28, "No space left on device", str(path))

    command = ("train", "forecast", hours, "-o", tmp_path / "model", *tiny)
    with monkeypatch.context() as patch:
        patch.setattr("grukit.tasks.forecasting.Forecaster.save", full)
        outcome = grukit(*command)
    assert outcome.code == 1
    assert outcome.out == ""
    first, last = outcome.err.splitlines()
    assert first.endswith("model.training: make room, then run again with --resume")
    assert last == f"grukit: error: No space left on device: {tmp_path / 'model'}"
    monkeypatch.setattr("grukit.training.optimization.Optimization.update", None)
    assert grukit(*command, "--resume").code == 0
    assert folder_of(tmp_path) == ["model"]


def test_strange_files_beside_the_training_state_stay(grukit, tmp_path, hours, tiny):
    (tmp_path / "model.training").mkdir()
    (tmp_path / "model.training" / "thesis").write_text("precious")
    assert grukit("train", "forecast", hours, "-o", tmp_path / "model", *tiny).code == 0
    assert folder_of(tmp_path / "model.training") == ["thesis"]


def test_a_training_that_fails_before_it_saved_leaves_nothing(grukit, tmp_path, hours, tiny):
    more = ("--learning-rate", "1e30")
    outcome = grukit("train", "forecast", hours, "-o", tmp_path / "model", *tiny, *more)
    assert outcome.code == 1
    assert "training diverged" in outcome.err
    assert folder_of(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--horizon", "0"), 2, "--horizon"),
        (("--horizon", "soon"), 2, "--horizon"),
        (("--precision", "float8"), 2, "--precision"),
        (("--level", "0.2"), 2, "levels must be"),
        (("--learning-rate", "0"), 2, "learning_rate must be a number above 0, got 0.0"),
        (("--validation", "2"), 2, "validation must be"),
        (("--target", "temperature"), 1, "The data must have a column 'temperature'"),
        (("--lookback", "1000"), 1, "lookback + horizon"),
    ],
)
def test_bad_options_of_train(grukit, hours, tmp_path, arguments, code, message):
    outcome = grukit("train", "forecast", hours, "-o", tmp_path / "model", *arguments)
    assert outcome.code == code
    assert message in outcome.err
    assert outcome.out == ""
    assert folder_of(tmp_path) == []


def test_predict_prints_csv(grukit, model, hours):
    outcome = grukit("predict", model)
    lines = outcome.out.splitlines()
    assert lines[0] == "ds,y,q0.025,q0.1,q0.25,q0.5,q0.75,q0.9,q0.975"
    assert len(lines) == 7
    assert lines[1].startswith("2024-01-13 12:00:00,")
    assert outcome.err == ""
    assert grukit("predict", model, hours).out == outcome.out


def test_predict_writes_each_kind_of_file(grukit, model, tmp_path):
    printed = grukit("predict", model).out
    for suffix in (".csv", ".parquet", ".json"):
        path = tmp_path / f"forecast{suffix}"
        outcome = grukit("predict", model, "-o", path)
        assert (outcome.code, outcome.out, outcome.err) == (0, "", f"wrote {path}\n")
    assert (tmp_path / "forecast.csv").read_text() == printed
    frame = pd.read_parquet(tmp_path / "forecast.parquet")
    assert frame.to_csv(index=False) == printed
    assert json.loads((tmp_path / "forecast.json").read_text()) == json.loads(
        grukit("predict", model, "--json").out
    )


def test_predict_draws(grukit, model, tmp_path):
    outcome = grukit("predict", model, "--plot", tmp_path / "forecast.png")
    assert outcome.code == 0
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert grukit("predict", model, "--plot", tmp_path / "forecast.html").code == 0
    assert "Plotly.newPlot" in (tmp_path / "forecast.html").read_text(encoding="utf-8")
    assert len(outcome.out.splitlines()) == 7


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("-o", "x.xls"), 2, "x.xls must end in .csv or .parquet or .json"),
        (("--plot", "x.gif"), 2, "x.gif must end in .png or .svg or .pdf or .html"),
        (("-o", "nowhere/x.csv"), 1, "the folder of the output must exist"),
        (("nowhere.csv",), 1, "The data file must exist"),
        (("--future", "nowhere.csv"), 1, "The data file must exist"),
    ],
)
def test_bad_options_of_predict(grukit, model, arguments, code, message):
    outcome = grukit("predict", model, *arguments)
    assert outcome.code == code
    assert message in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_what_is_no_model_is_said(grukit, tmp_path, hours, command):
    outcome = grukit(command, tmp_path / "none", hours)
    assert outcome.code == 1
    assert "there is no model folder at" in outcome.err
    outcome = grukit(command, tmp_path, hours)
    assert outcome.code == 1
    assert "is not a grukit model" in outcome.err


def test_evaluate_prints_the_table(grukit, model, hours):
    outcome = grukit("evaluate", model, hours, "--start", "2024-01-10", "--stride", "3")
    assert outcome.code == 0
    assert [line.split("  ")[0] for line in outcome.out.splitlines()[1:]] == [
        "grukit GRU",
        "last value",
        "seasonal naive",
        "window mean",
    ]
    assert "27 forecasts of 6 steps, made from 2024-01-09 23:00:00" in outcome.err
    as_json = grukit("evaluate", model, hours, "--start", "2024-01-10", "--stride", "3", "--json")
    assert json.loads(as_json.out)["windows"] == 27


def test_evaluate_adapts_intervals(grukit, model, hours):
    asked = ("evaluate", model, hours, "--start", "2024-01-05", "--json")
    fixed, adaptive = (json.loads(grukit(*asked, *more).out) for more in ((), ("--adaptive",)))
    assert adaptive["windows"] == fixed["windows"]
    assert adaptive["scores"][0] != fixed["scores"][0]
    assert adaptive["scores"][1:] == fixed["scores"][1:]


def test_evaluate_without_later_data_says_so(grukit, model, hours):
    outcome = grukit("evaluate", model, hours)
    assert outcome.code == 1
    assert "earlier start" in outcome.err


def test_demo_writes_everything_it_names(monkeypatch, grukit, tmp_path):
    times = pd.date_range("2013-11-01", periods=24 * 45, freq="h")
    wave = [math.sin(hour * math.tau / 24) for hour in range(len(times))]
    names = ("temperature", "dew_point", "humidity", "pressure", "wind_speed", "precipitation")
    frame = pd.DataFrame({"unique_id": "JFK", "ds": times} | dict.fromkeys(names, wave))
    frame.loc[frame.index % 7 == 0, "precipitation"] = math.nan
    monkeypatch.setattr(catalog, "load", lambda name, progress=None: frame)
    folder = tmp_path / "demo" / "weather"
    outcome = grukit("demo", "--folder", tmp_path / "demo")
    assert outcome.code == 0, outcome.err
    assert "grukit GRU" in outcome.out
    for line in ("temperature", "wind_speed", "rain", "climatology"):
        assert line in outcome.out
    targets = ("rain", "temperature", "wind_speed")
    written = [f"{target}{suffix}" for target in targets for suffix in ("", ".csv", ".png")]
    assert folder_of(folder) == sorted([*written, "weather.csv"])
    for name in ("temperature.png", "temperature.csv", "temperature", "weather.csv"):
        assert f"{folder / name}" in outcome.err
    rain = pd.read_csv(folder / "weather.csv")["rain"]
    assert rain.isna().sum() == (frame.index % 7 == 0).sum()
    following = outcome.err.strip().splitlines()[-1].split()
    assert following[:2] == ["grukit", "predict"]
    assert grukit(*following[1:-1], tmp_path / "next.html").code == 0


def test_demo_of_stocks_writes_everything_it_names(monkeypatch, grukit, tmp_path):
    random = np.random.default_rng(0)
    days = pd.bdate_range("2016-06-01", "2017-06-30")
    days = days[Calendar("NYSE").locate(days.to_numpy(), days[0])[1]]
    parts = []
    for name in ("AAPL", "MSFT"):
        close = 100 * np.exp(0.01 * random.standard_normal(len(days)).cumsum())
        wide = np.exp(random.uniform(0.001, 0.02, len(days)))
        prices = {"close": close, "high": close * wide, "low": close / wide, "volume": wide}
        parts.append(pd.DataFrame({"unique_id": name, "ds": days} | prices))
    monkeypatch.setattr(catalog, "load", lambda name, progress=None: pd.concat(parts))
    folder = tmp_path / "demo" / "stocks"
    outcome = grukit("demo", "stocks", "--folder", tmp_path / "demo")
    assert outcome.code == 0, outcome.err
    for words in ("log HAR + market + GRU", "momentum"):
        assert words in outcome.out
    assert folder_of(folder) == ["volatility.csv", "volatility.png"]
    for name in folder_of(folder):
        assert f"{folder / name}" in outcome.err
    table = pd.read_csv(folder / "volatility.csv")
    assert list(table) == ["unique_id", "ds", "measured", "forecast"]
    assert table["ds"].min() == "2017-03-01"
    assert table["forecast"].between(1, 100).all()


def test_demo_has_a_name_of_a_demo(grukit, tmp_path):
    outcome = grukit("demo", "lottery", "--folder", tmp_path)
    assert outcome.code == 2
    assert "must be weather or stocks or generate, got 'lottery'" in outcome.err


def test_sigterm_keeps_the_training_and_resume_ends_as_if_it_never_was(
    grukit, tmp_path, hours, tiny
):
    options = (*tiny, "--epochs", "8", "--batch-size", "32")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    arguments = [str(word) for word in ("train", "forecast", hours, "-o", cut, *options)]
    code = f"from grukit.cli.main import main; main({arguments!r})"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not any(tmp_path.glob("cut.training/latest")):
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=60)
    assert process.returncode == 143, error
    assert out == ""
    assert error.startswith("grukit: training stopped after update")
    assert not cut.exists()
    assert (tmp_path / "cut.training").is_dir()

    assert grukit(*arguments, "--resume").code == 0
    assert grukit("train", "forecast", hours, "-o", whole, *options).code == 0
    weights = [(path / "model.safetensors").read_bytes() for path in (whole, cut)]
    assert weights[0] == weights[1]
    assert folder_of(tmp_path) == ["cut", "whole"]


def test_a_missing_writer_is_said_before_any_work(monkeypatch, grukit, model):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("grukit.tasks.base.load_model", None)
    outcome = grukit("predict", model, "-o", "x.parquet")
    assert outcome.code == 1
    assert "pip install 'grukit[parquet]'" in outcome.err
