"""What a forecast rests on, going on with training, and a search among settings."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from grukit import Forecaster


@pytest.fixture
def later(hours, tmp_path):
    """The last 200 rows of the table, and 100 more."""
    rows = pd.read_csv(hours, parse_dates=["ds"])[-200:]
    more = rows[-100:].assign(ds=lambda table: table.ds + pd.Timedelta(hours=100))
    path = tmp_path / "later.csv"
    pd.concat([rows, more]).to_csv(path, index=False)
    return path


def test_inspect_prints_the_summands_of_the_forecast(grukit, model, hours, tmp_path):
    picture, rows = tmp_path / "why.png", tmp_path / "why.csv"
    outcome = grukit("inspect", model, hours, "--step", 3)
    assert outcome.code == 0, outcome.err
    header, *lines = outcome.out.splitlines()
    assert header.split() == ["series", "column", "added"]
    parts = [line.rsplit(maxsplit=1) for line in lines]
    added = {column.strip(): float(number) for column, number in parts}
    forecast = added.pop("(forecast)")
    assert sum(added.values()) == pytest.approx(forecast, rel=0.01)
    assert next(iter(added)) == "(start)"
    assert "y" in added
    outcome = grukit("inspect", model, "--step", 3, "--plot", picture, "-o", rows, "--json")
    answer = json.loads(outcome.out)
    (summands,) = answer["series"].values()
    assert answer["step"] == 3
    assert summands["(forecast)"] == pytest.approx(forecast, rel=1e-3)
    assert picture.read_bytes().startswith(b"\x89PNG")
    columns = set(summands) - {"(start)", "(forecast)"}
    assert set(pd.read_csv(rows).column) == columns


def test_inspect_finds_a_column_that_knows_the_future(grukit, hours, tmp_path, tiny):
    table = pd.read_csv(hours)
    table["y"] += np.random.default_rng(0).normal(size=len(table))
    table["honest"], table["leaky"] = table.y * 2, table.y.shift(-3).bfill()
    table[:-3].to_csv(tmp_path / "table.csv", index=False)
    for column, code in (("honest", 0), ("leaky", 1)):
        model = tmp_path / column
        trained = grukit(
            *("train", "forecast", tmp_path / "table.csv", "-o", model, *tiny),
            *("--past-covariate", column),
        )
        assert trained.code == 0, trained.err
        outcome = grukit("inspect", model, tmp_path / "table.csv", "--leaks")
        assert outcome.code == code, outcome.err
        assert column in (outcome.err if code else outcome.out)
    assert grukit("inspect", tmp_path / "honest", "--leaks").code == 2


def test_refit_writes_the_better_of_both(grukit, model, later, tmp_path):
    command = ("refit", model, later, "-o", tmp_path / "newer", "--epochs", 1)
    outcome = grukit(*command)
    assert outcome.code == 0, outcome.err
    assert "on new validation windows was" in outcome.err
    assert "grukit GRU" in outcome.out
    assert grukit(*command).code == 1
    answer = json.loads(grukit(*command, "--overwrite", "--json").out)
    assert answer["refit"]["improved"] == (
        answer["refit"]["loss_after"] < answer["refit"]["loss_before"]
    )
    forecast = Forecaster.load(tmp_path / "newer").predict()
    assert forecast.times.min() > pd.read_csv(later, parse_dates=["ds"]).ds.max().to_numpy()


def test_a_search_keeps_its_trials_and_its_best(grukit, hours, tmp_path, tiny):
    path = tmp_path / "best"
    command = ("train", "forecast", hours, "-o", path, *tiny, "--tune", 2)
    outcome = grukit(*command)
    assert outcome.code == 0, outcome.err
    assert "hidden_size" in outcome.err
    assert (tmp_path / "best.trials.db").exists()
    assert Forecaster.load(path).horizon == 6
    assert grukit(*command, "--resume", "--overwrite").code == 2


def test_detectors_are_no_forecasters(grukit, later, tmp_path):
    detector = tmp_path / "detector"
    trained = grukit(
        *("train", "anomaly", later, "-o", detector, "--time", "ds", "--epochs", 1),
        *("--window", 16, "--horizon", 1, "--horizon", 4),
    )
    assert trained.code == 0, trained.err
    for command, said in (
        (("inspect", detector), "add --gates"),
        (("refit", detector, later, "-o", tmp_path / "new"), "must be a forecaster"),
    ):
        outcome = grukit(*command)
        assert outcome.code == 2
        assert said in outcome.err
