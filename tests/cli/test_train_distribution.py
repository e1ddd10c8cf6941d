"""A distribution other than quantiles, from training to a forecast, on the command line."""

from __future__ import annotations

import io

import pandas as pd


def test_events_are_trained_and_forecast(grukit, tmp_path):
    table = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=240, freq="h")})
    table["y"] = (table.ds.dt.hour < 6).astype(int)
    table.to_csv(tmp_path / "rain.csv", index=False)
    options = ("--distribution", "bernoulli", "--horizon", "6", "--lookback", "24", "--epochs", "1")
    trained = grukit("train", "forecast", tmp_path / "rain.csv", "-o", tmp_path / "m", *options)
    assert "climatology" in trained.out
    predicted = grukit("predict", tmp_path / "m").out
    assert list(pd.read_csv(io.StringIO(predicted))) == ["ds", "y", "probability"]
    paths = pd.read_csv(io.StringIO(grukit("predict", tmp_path / "m", "--paths", "3").out))
    assert list(paths) == ["path", "ds", "y"]
    assert len(paths) == 3 * 6
    drawn = grukit("predict", tmp_path / "m", "--paths", "3", "--plot", tmp_path / "picture.png")
    assert drawn.code == 2
    assert "--plot draws quantiles, not --paths" in drawn.err


def test_a_recursive_forecaster_is_trained(grukit, tmp_path):
    table = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=240, freq="h")})
    table["y"] = table.ds.dt.hour % 5
    table.to_csv(tmp_path / "sold.csv", index=False)
    options = ("--distribution", "negative_binomial", "--mode", "recursive", "--horizon", "6")
    more = ("--lookback", "24", "--hidden-size", "4", "--epochs", "1")
    trained = grukit(
        "train", "forecast", tmp_path / "sold.csv", "-o", tmp_path / "m", *options, *more
    )
    assert trained.code == 0
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert "step by step from samples" in card
