"""Bad input: each kind has its clear error, and loses nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from grukit import FitConfig, Forecaster
from grukit.core.errors import DataError, GrukitError, ParameterError

HORIZON, LOOKBACK = 6, 24


def spoiled(table: pd.DataFrame, how: str) -> pd.DataFrame:
    table = table.copy()
    second = table.index[table.unique_id == "series_1"]
    match how:
        case "missing column":
            return table.drop(columns="y")
        case "duplicate column":
            return pd.concat([table, table[["y"]]], axis=1)
        case "duplicate time":
            return pd.concat([table, table.iloc[[5]]])
        case "no dates":
            return table.assign(ds=["2024-01-01"] * 7 + ["soon"] * (len(table) - 7))
        case "irregular":
            table.loc[second[10], "ds"] += pd.Timedelta(minutes=17)
        case "all missing":
            table.loc[second, "y"] = np.nan
        case "short":
            return table.drop(second[20:])
        case "infinite":
            table.loc[second[3], "y"] = np.inf
        case "huge":
            table.loc[second[3], "y"] = 1e300
        case "text":
            return table.assign(y=table.y.astype(object).where(table.index != 3, "lots"))
        case "empty":
            return table.iloc[:0]
    return table


BAD_TABLES = {
    "missing column": r"must have a column 'y', got 'unique_id', 'ds', 'promo', 'kind'",
    "duplicate column": "twice|duplicate|once",
    "duplicate time": r"Each time of series 'series_0' must appear once, got 2024-01-01 05:00:00",
    "no dates": r"must be dates such as .* got 'soon' in row 8",
    "irregular": "regular",
    "all missing": r"'y' of series 'series_1' must have at least one value",
    "short": r"every series must have at least 30 rows .*lower them.* got 20 of series 'series_1'",
    "infinite": r"'y' must be finite or missing, got inf at 2024-01-01 03:00:00 of series",
    "huge": r"the target 'y' must be at most 1e\+100 in size, got 1e\+300; choose another unit",
    "text": r"'y' must be numbers.* got 'lots' in row 4",
    "empty": "must have at least one row, got none",
}


@pytest.mark.parametrize("how", BAD_TABLES)
def test_bad_tables_are_refused_and_nothing_is_lost(planted, small, how):
    table = planted()
    model = small().fit(table)
    before = model.predict().values
    with pytest.raises(DataError, match=BAD_TABLES[how]):
        model.fit(spoiled(table, how))
    if how not in ("short",):
        with pytest.raises(DataError):
            model.predict(spoiled(table, how))
    np.testing.assert_array_equal(model.predict().values, before)


@pytest.mark.parametrize("use", ["fit", "predict", "evaluate"])
@pytest.mark.parametrize("data", ["nowhere.csv", 5, None, {"y": [1]}])
def test_what_is_no_table_is_refused(fitted, small, tmp_path, use, data):
    if use == "predict" and data is None:
        return  # goes on from the training data
    model = fitted if use != "fit" else small()
    with pytest.raises(DataError, match=r"must (exist|be a CSV or Parquet file)"):
        getattr(model, use)(tmp_path / data if data == "nowhere.csv" else data)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"horizon": 0}, "horizon must be an integer of at least 1, got 0"),
        ({"horizon": 2.5}, "horizon must be an integer"),
        ({"lookback": 0}, "lookback must be None or an integer of at least 1"),
        ({"levels": (0.1, 0.9)}, "levels must be a list with 0.5 in it"),
        ({"levels": (0.9, 0.5)}, "levels must be numbers rising"),
        ({"levels": (0.5, 1.0)}, "levels must be"),
        ({"levels": ()}, "levels must be"),
        ({"scaling": "log"}, "scaling must be one of"),
        ({"differencing": -1}, "differencing must be None or an integer of at least 0"),
        ({"differencing": 25}, "differencing must be at most the lookback, 24, got 25"),
        ({"dropout": 1.0}, "dropout must be a number"),
        ({"hidden_size": True}, "hidden_size must be an integer"),
        ({"past_covariates": "wind"}, "past_covariates must be a list or tuple"),
        ({"past_covariates": ("y",)}, "role of column 'y' must be one only"),
        ({"training": {"epochs": 3}}, "training must be None or a FitConfig"),
        ({"freq": "sometimes"}, "freq must be"),
        ({"seed": -1}, "seed must be an integer"),
        ({"seed": 2**64}, "seed must be an integer"),
        ({"time": ""}, "time must be a non-empty string"),
    ],
)
def test_parameters_outside_their_rules(planted, small, params, message):
    with pytest.raises(ParameterError, match=message):
        small(**params).fit(planted())


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        (0, ParameterError, "validation must be a number above 0 and below 1, got 0"),
        (1, ParameterError, "validation must be a number above 0 and below 1, got 1"),
        (2.0, ParameterError, "validation must be a number above 0 and below 1, got 2.0"),
        (float("nan"), ParameterError, "validation must be"),
        (True, ParameterError, "validation must be"),
        ("nonsense", ParameterError, "validation must be a time such as .* got 'nonsense'"),
        (0.99, DataError, "the training part of the data must hold at least one window"),
        ("2023-01-01", DataError, "validation must leave earlier rows .* got 2023-01-01"),
        ("2024-01-01", DataError, "validation must leave earlier rows"),
        ("2024-01-01 20:00", DataError, "the training part of the data must hold"),
        ("2025-01-01", DataError, "the validation part of the data must hold at least one"),
        ("2024-01-07 15:00", DataError, "the validation part of the data must hold"),
    ],
)
def test_splits_that_cannot_be(planted, small, validation, error, message):
    with pytest.raises(error, match=message):
        small().fit(planted(), validation=validation)


@pytest.mark.parametrize("share", [1e-17, 0.01, np.float32(0.25)])
def test_a_share_leaves_at_least_one_horizon(planted, small, share):
    model = small().fit(planted(), validation=share)
    assert model.validation_.windows >= 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"start": "2025-01-01"}, DataError, "must have rows at 2025-01-01 or later, got rows up"),
        ({"start": 5}, ParameterError, "start must be a time such as .*, got 5"),
        ({"start": "nonsense"}, ParameterError, "start must be a time"),
        ({"start": "2024-01-07 14:00"}, DataError, "the evaluation part of the data must hold"),
        ({"stride": 0}, ParameterError, "stride must be an integer of at least 1"),
    ],
)
def test_backtests_that_cannot_be(fitted, frame, options, error, message):
    with pytest.raises(error, match=message):
        fitted.evaluate(frame, **options)


def test_a_backtest_needs_data_after_the_training(fitted, frame):
    with pytest.raises(DataError, match="must have rows at 2024-01-06 20:00"):
        fitted.evaluate(frame[frame.ds < "2024-01-06 20:00"])


def test_too_short_a_past_is_refused(fitted, frame):
    recent = frame[frame.ds > "2024-01-07"]
    with pytest.raises(DataError, match="at least 24 rows to look back on; give a longer past, go"):
        fitted.predict(recent)


def test_a_lookback_without_a_value_is_refused(planted, small):
    table = planted()
    table.loc[(table.unique_id == "series_1") & (table.ds > "2024-01-06"), "y"] = np.nan
    model = small().fit(table, validation="2024-01-05")
    for data in (None, table):
        with pytest.raises(
            DataError, match=r"'y' of series 'series_1' must have a value among its last 24 rows"
        ):
            model.predict(data)
    one = model.predict(table[table.unique_id == "series_0"])
    assert np.isfinite(one.values).all()


def test_a_past_covariate_without_a_value_is_refused(rich, rich_past, rich_future, small):
    last = rich_past.ds > "2024-01-06"
    some = rich_past.assign(wind=rich_past.wind.where(rich_past.ds != rich_past.ds.max()))
    assert np.isfinite(rich.predict(some, rich_future).values).all()
    none = rich_past.assign(wind=rich_past.wind.where(~last))
    with pytest.raises(DataError, match="past covariate 'wind' of series 'series_0' must have a"):
        rich.predict(none, rich_future)
    used_to_it = small(past_covariates=("wind",)).fit(
        some.assign(wind=some.wind.where(some.ds.dt.hour > 3))
    )
    assert np.isfinite(used_to_it.predict(none).values).all()


def test_covariates_of_another_kind_are_refused(rich, rich_past, rich_future):
    with pytest.raises(DataError, match=r"'kind' must be text, as in training, got 1\.0"):
        rich.predict(rich_past.assign(kind=1.0), rich_future)
    with pytest.raises(DataError, match="'wind' must be numbers, as in training, got 'strong'"):
        rich.predict(rich_past.assign(wind="strong"), rich_future)
    with pytest.raises(DataError, match="must have a column 'wind'"):
        rich.predict(rich_past.drop(columns="wind"), rich_future)


def test_a_category_unknown_to_training_is_none_of_them(rich, rich_past, rich_future):
    forecast = rich.predict(rich_past.assign(kind="wild"), rich_future)
    assert np.isfinite(forecast.values).all()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("none", "known-future covariates 'promo' must be given for the 6 steps after the data"),
        ("late", "'promo' of series 'series_0' must be given for every step .* no row for"),
        ("column", "must have a column 'promo'"),
        ("empty", "at least one row"),
        ("nan", "'promo' of series 'series_1' must have a value at every step .* got none at"),
        ("infinite", "'promo' must be finite or missing"),
        ("file", "must exist"),
    ],
)
def test_a_bad_future_is_refused(rich, rich_future, tmp_path, how, message):
    table = rich_future.copy()
    if how == "nan":
        table.loc[table.index[-23], "promo"] = np.nan
    if how == "infinite":
        table.loc[table.index[-23], "promo"] = np.inf
    future = {
        "none": None,
        "late": table[table.ds > table.ds.min()],
        "column": table.drop(columns="promo"),
        "empty": table.iloc[:0],
        "nan": table,
        "infinite": table,
        "file": tmp_path / "future.csv",
    }[how]
    with pytest.raises(DataError, match=message):
        rich.predict(future=future)


@pytest.mark.parametrize("scaling", ["series", "window"])
@pytest.mark.parametrize("differencing", [0, 1])
@pytest.mark.parametrize("value", [0.0, 7.5, -1e9, 1e-12])
def test_a_constant_series_works(planted, small, scaling, differencing, value):
    table = planted(count=1).assign(y=value)
    model = small(scaling=scaling, differencing=differencing).fit(table)
    forecast = model.predict()
    assert np.isfinite(forecast.values).all()
    assert (np.abs(forecast.median - value) < 2).all()
    assert model.validation_.scores[1].metrics["mae"] == 0


@pytest.mark.parametrize("unit", [1e-90, 1e-30, 1e30, 1e90])
def test_units_do_not_matter(planted, small, unit):
    table = planted()
    usual = small().fit(table).predict().values
    other = small().fit(table.assign(y=table.y * unit)).predict().values
    np.testing.assert_allclose(other / unit, usual, rtol=1e-3)


def test_data_far_from_training_gives_no_silent_nonsense(fitted, frame):
    far = frame.assign(y=frame.y.where(frame.index % 9 != 0, 1e60))
    with pytest.raises(DataError, match="the forecast must be finite"):
        fitted.predict(far)


def test_another_frequency_is_refused(fitted, frame):
    with pytest.raises(DataError, match="regular grid of frequency 'h'"):
        fitted.predict(frame.assign(ds=frame.ds.min() + (frame.ds - frame.ds.min()) / 4))


def test_series_that_begin_in_the_validation_part_work(planted, small):
    table = planted(count=3)
    late = (table.unique_id != "series_2") | (table.ds >= "2024-01-06")
    for data in (table[late], table.assign(y=table.y.where(late))):
        model = small().fit(data, validation="2024-01-05")
        assert "series_2" not in model._model.scales
        assert model.predict().series == ("series_0", "series_1", "series_2")


def test_every_error_is_one_of_ours(planted, small):
    for how in BAD_TABLES:
        with pytest.raises(GrukitError) as caught:
            small().fit(spoiled(planted(), how))
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("rows", [1, 5, 24, 30])
def test_too_little_data_is_refused(rows):
    times = pd.date_range("2024-01-01", periods=rows, freq="D")
    table = pd.DataFrame({"ds": times, "y": np.arange(rows) * 1.0})
    for validation in (0.15, None):
        with pytest.raises(DataError, match=r"more data|at least \d+ rows"):
            Forecaster(freq="D").fit(table, validation)


def test_defaults_work_on_a_short_daily_table():
    times = pd.date_range("2024-01-01", periods=60, freq="D")
    table = pd.DataFrame({"ds": times, "y": np.arange(60.0) % 7})
    model = Forecaster(hidden_size=4, training=FitConfig(epochs=1)).fit(table)
    assert model.predict().values.shape == (1, 24, 7)
