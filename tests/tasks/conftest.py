"""Small forecasters on planted series, and the tables they learn from."""

from __future__ import annotations

import pandas as pd
import pytest

from grukit import FitConfig, Forecaster
from grukit.data.synthetic import seasonal_series

HORIZON, LOOKBACK = 6, 24
QUICK = FitConfig(epochs=2, batch_size=64, learning_rate=1e-2)


def planted(count: int = 2, length: int = 160, **options) -> pd.DataFrame:
    return pd.DataFrame(seasonal_series(count=count, length=length, **options))


def small(**options) -> Forecaster:
    """A forecaster that trains in a blink."""
    wanted = {"horizon": HORIZON, "lookback": LOOKBACK, "hidden_size": 4, "training": QUICK}
    return Forecaster(**{**wanted, **options})


@pytest.fixture(scope="session", name="small")
def small_forecaster():
    return small


@pytest.fixture(scope="session", name="planted")
def planted_table():
    return planted


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """Two series of 160 hours with some values missing."""
    return planted(missing=0.05)


@pytest.fixture(scope="session")
def fitted(frame) -> Forecaster:
    """Trained on the first 140 hours of `frame` without covariates; tests must not change it."""
    return small().fit(frame[frame.ds < "2024-01-06 20:00"])


@pytest.fixture(scope="session")
def rich_table() -> pd.DataFrame:
    """`planted` with a past covariate; its last day is for the future."""
    table = planted(length=184)
    table["wind"] = table.y.shift(1).fillna(0.0)
    return table


@pytest.fixture(scope="session")
def rich(rich_table) -> Forecaster:
    """Trained with covariates of every role; tests must not change it."""
    return small(
        past_covariates=("wind",), future_covariates=("promo",), static_covariates=("kind",)
    ).fit(past_of(rich_table))


def past_of(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.ds < "2024-01-07 16:00"]


def future_of(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.ds >= "2024-01-07 16:00"][["unique_id", "ds", "promo"]]


@pytest.fixture(scope="session")
def rich_past(rich_table) -> pd.DataFrame:
    return past_of(rich_table)


@pytest.fixture(scope="session")
def rich_future(rich_table) -> pd.DataFrame:
    return future_of(rich_table)
