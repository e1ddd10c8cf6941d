"""Covariates that change by issue: read as of the origin, in fit, evaluate and predict."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from grukit import FitConfig, Forecaster
from grukit.core.errors import DataError, LeakError, ParameterError
from grukit.data import issues as module
from grukit.data.windows import Windows

HOURS, START = 400, pd.Timestamp("2024-01-01")
HORIZON, LOOKBACK, EVERY, REACH = 6, 12, 6, 18
QUICK = FitConfig(epochs=3, batch_size=32, learning_rate=1e-2)


def observations(seed: int = 0) -> pd.DataFrame:
    """Two series of noise that nothing but the archive can foretell."""
    random = np.random.default_rng(seed)
    hours = pd.date_range(START, periods=HOURS, freq="h")
    frames = [
        pd.DataFrame({"unique_id": name, "ds": hours, "y": random.standard_normal(HOURS)})
        for name in ("a", "b")
    ]
    return pd.concat(frames, ignore_index=True)


def archive(table: pd.DataFrame, last: int = HOURS) -> pd.DataFrame:
    """Every six hours a forecast of the next 18, worse the further; and at each hour the truth."""
    random = np.random.default_rng(1)
    parts = []
    for name, own in table.groupby("unique_id"):
        y = own.y.to_numpy()
        for issued in range(0, last, EVERY):
            steps = np.arange(issued + 1, min(issued + REACH + 1, HOURS))
            wind = y[steps] + 0.05 * (steps - issued) * random.standard_normal(len(steps))
            parts.append(pd.DataFrame({"step": steps, "issued": issued, "wind": wind}))
            parts[-1]["unique_id"] = name
        steps = np.arange(last)
        parts.append(pd.DataFrame({"step": steps, "issued": steps, "wind": y[:last]}))
        parts[-1]["unique_id"] = name
    found = pd.concat(parts, ignore_index=True)
    found["ds"] = START + pd.to_timedelta(found.pop("step"), unit="h")
    found["issued_at"] = START + pd.to_timedelta(found.pop("issued"), unit="h")
    return found


def forecaster(**options) -> Forecaster:
    wanted = {"horizon": HORIZON, "lookback": LOOKBACK, "hidden_size": 8, "training": QUICK}
    wanted |= {"future_covariates": ["wind"], "issued_at": "issued_at", "scaling": "series"}
    return Forecaster(**{**wanted, "differencing": 0, **options})


def time(hour: int) -> pd.Timestamp:
    return START + pd.Timedelta(hours=hour)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rows = observations()
    return pd.concat([rows, archive(rows)], ignore_index=True)


@pytest.fixture(scope="module")
def fitted(table) -> Forecaster:
    return forecaster().fit(table[table.ds < time(320)])


def newest(table: pd.DataFrame, name: str, hour: int, now: int) -> float:
    rows = table[(table.unique_id == name) & (table.ds == time(hour))]
    rows = rows[rows.issued_at <= time(now)].sort_values("issued_at")
    return rows.wind.iloc[-1] if len(rows) else np.nan


def test_every_step_of_a_window_reads_its_newest_issue(fitted, table):
    encoder = fitted._model.encoder
    encoded = encoder.encode(fitted._read(table))
    (column,) = encoder.issued
    for origin in (LOOKBACK, 100, 101, 105, HOURS + 50):
        batch = Windows(encoded, np.array([origin]), fitted._model.shape).batch(torch.tensor([0]))
        name, step = ("a", origin) if origin < HOURS else ("b", origin - HOURS)
        hours = np.arange(step - LOOKBACK, step + HORIZON)
        by_hand = np.array([newest(table, name, hour, step - 1) for hour in hours])
        expected = column.encode(by_hand)
        np.testing.assert_allclose(batch.past[0, :, -2:], expected[:LOOKBACK], rtol=1e-6)
        np.testing.assert_allclose(batch.future[0, :, -2:], expected[LOOKBACK:], rtol=1e-6)


def test_what_is_issued_later_changes_nothing(fitted, table):
    origin = time(350)
    at_once = table[(table.ds >= origin - pd.Timedelta(hours=40)) & (table.ds < time(357))]
    later = at_once.issued_at >= origin
    changed = at_once.assign(wind=np.where(later, 99.0, at_once.wind))
    earlier = at_once.assign(wind=np.where(at_once.issued_at == time(348), 2.0, at_once.wind))
    scores = [
        fitted.backtest(rows, start=origin).filter(regex="^q").to_numpy()[:HORIZON]
        for rows in (at_once, changed, at_once[~later], earlier)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])
    assert not np.allclose(scores[0], scores[3])


def newest_of_all(self, rows, origins):
    """A leak, in the place of RowIssues.known."""
    return self.as_of.known(self._slots[rows], np.array(len(self.as_of.issued)))[0]


def test_the_check_of_leaks_sees_a_later_issue(fitted, table, monkeypatch):
    fitted.check_leaks(table)
    monkeypatch.setattr(module.RowIssues, "known", newest_of_all)
    with pytest.raises(LeakError, match="got another one when 'wind' changed from there on"):
        fitted.check_leaks(table)


def test_it_learns_from_issues_and_not_from_the_truth_issued_later(fitted, table, monkeypatch):
    later = table[table.ds >= time(320 - LOOKBACK)]
    honest = fitted.evaluate(later).scores[0].metrics["mae"]
    without = Forecaster(
        horizon=HORIZON, lookback=LOOKBACK, hidden_size=8, training=QUICK, scaling="series"
    ).fit(table[table.issued_at.isna() & (table.ds < time(320))])
    blind = without.evaluate(later[later.issued_at.isna()]).scores[0].metrics["mae"]

    monkeypatch.setattr(module.RowIssues, "known", newest_of_all)
    leaky = forecaster().fit(table[table.ds < time(320)]).evaluate(later).scores[0].metrics["mae"]
    assert leaky < 0.6 * honest < honest < 0.8 * blind


def test_predict_takes_issues_with_the_data_or_as_the_future(fitted, table, tmp_path):
    known = table[table.issued_at.isna() & (table.ds < time(320)) | (table.issued_at < time(320))]
    now = known[known.ds < time(340)]
    is_issue = now.issued_at.notna()
    ahead = is_issue & (now.ds >= time(320))
    forecasts = [
        fitted.predict(now),
        fitted.predict(now[~ahead], future=now[ahead]),
        fitted.predict(now[~is_issue], future=now[is_issue]),
        fitted.predict(pl.from_pandas(now)),
        fitted.predict(pa.Table.from_pandas(now, preserve_index=False)),
        fitted.predict(future=now[ahead]),
    ]
    now.to_csv(tmp_path / "now.csv", index=False)
    now.to_parquet(tmp_path / "now.parquet", index=False)
    forecasts += [fitted.predict(tmp_path / name) for name in ("now.csv", "now.parquet")]
    fitted.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    forecasts += [loaded.predict(now), loaded.predict(future=now[ahead])]
    for forecast in forecasts:
        np.testing.assert_allclose(forecast.values, forecasts[0].values, rtol=1e-6, atol=1e-7)
    backtested = fitted.backtest(table, start=time(320)).filter(regex="^q").to_numpy()
    np.testing.assert_allclose(forecasts[0].values[0], backtested[:HORIZON], rtol=1e-4, atol=1e-5)
    assert "rows of issues" in forecasts[0].report


def test_beside_covariates_that_do_not_change_and_of_every_kind(table):
    rich = table.assign(
        holiday=np.where(table.issued_at.isna(), (table.ds.dt.day % 5 == 0) * 1.0, np.nan),
        sky=np.where(table.issued_at.notna(), np.where(table.wind > 0, "sun", "rain"), None),
    )
    model = forecaster(future_covariates=["holiday", "wind", "sky"], cell="gru_d")
    model.fit(rich[rich.ds < time(320)])
    encoder = model._model.encoder
    assert [column.name for column in encoder.future] == ["holiday"]
    assert [column.name for column in encoder.issued] == ["wind", "sky"]
    assert encoder.known_width == model._model.context.known.shape[1]
    assert model.evaluate(rich, start=time(330)).windows > 0
    ahead = rich[(rich.ds >= time(320)) & (rich.ds < time(326))]
    known = ahead[~(ahead.issued_at >= time(320))]
    assert np.isfinite(model.predict(future=known).values).all()
    explained = model.explain(future=known)
    holidays = ahead[ahead.issued_at.isna()][["unique_id", "ds", "holiday"]]
    until = rich[(rich.ds < time(320)) | (rich.issued_at < time(320)) & (rich.ds < time(326))]
    np.testing.assert_allclose(
        model.predict(until, future=holidays).values, model.predict(future=known).values, rtol=1e-6
    )
    with pytest.raises(DataError, match="covariates 'holiday' must be given for the 6 steps"):
        model.predict(future=known.drop(columns="holiday"))
    with pytest.raises(DataError, match="'wind', 'sky', which change by issue, must be given"):
        model.predict(future=holidays)
    assert set(explained.future) == {"holiday", "calendar", "wind", "sky"}
    assert np.abs(explained.future["wind"]).max() > np.abs(explained.future["calendar"]).max()


def test_a_step_that_nothing_is_issued_about_is_masked(fitted, table):
    short = table[~((table.ds - table.issued_at) > pd.Timedelta(hours=2))]
    short = short[short.ds < time(360)]
    encoded = fitted._model.encoder.encode(fitted._read(short))
    batch = Windows(encoded, np.array([319]), fitted._model.shape).batch(torch.tensor([0]))
    assert batch.future[0, :, -1].tolist() == [0.0] * 2 + [1.0] * 4  # issued at 318, told to 320
    assert np.isfinite(fitted.evaluate(short).scores[0].metrics["mae"])


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda t: t.drop(columns="issued_at"), DataError, "must have a column 'issued_at'"),
        (lambda t: t[t.issued_at.isna()], DataError, "has rows with 'issued_at' in training"),
        (lambda t: t[t.issued_at.notna()], DataError, "one row without 'issued_at', got none"),
        (
            lambda t: t.assign(issued_at=t.issued_at.dt.tz_localize("UTC")),
            DataError,
            "the times in 'ds' and 'issued_at' must both have a time zone or neither, got one",
        ),
        (lambda t: t.assign(wind=t.wind.fillna(1.0)), DataError, "in rows without, got both"),
        (lambda t: t.assign(wind=t.wind.replace(t.wind.max(), np.inf)), DataError, "finite"),
        (
            lambda t: pd.concat([t, t.tail(1)]),
            DataError,
            "each time of series 'b' must be issued once at a time, got 2024-01-14",
        ),
    ],
)
def test_tables_that_are_refused(table, spoil, error, message):
    with pytest.raises(error, match=message):
        forecaster().fit(spoil(table[table.ds < time(320)]))


def test_what_predict_lacks(fitted, table):
    rows = table[table.ds < time(340)]
    plain = rows[rows.issued_at.isna() & (rows.ds < time(320))]
    with pytest.raises(DataError, match="'wind', which change by issue, must be given"):
        fitted.predict()
    with pytest.raises(DataError, match="'wind' must be given with a time of issue, as in train"):
        fitted.predict(plain)
    late = rows[(rows.issued_at >= time(320)) & (rows.ds >= time(320))]
    with pytest.raises(DataError, match=r"'wind' of series 'a' must be issued by 2024-01-14 07:00"):
        fitted.predict(future=late)
    with pytest.raises(ParameterError, match="the role of column 'wind' must be one only"):
        forecaster(issued_at="wind").fit(table)
