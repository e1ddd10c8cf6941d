"""check_features passes features of the past and goes red for those of the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from grukit.data.synthetic import seasonal_series
from grukit.testing import check_features

TABLE = pd.DataFrame(seasonal_series(count=2, length=60, missing=0.1))


def by_series(rows: pd.DataFrame):
    return rows.groupby("unique_id").y


HONEST = {
    "lag": lambda rows: by_series(rows).shift(1),
    "rolling": lambda rows: by_series(rows).transform(lambda y: y.rolling(5).mean()),
    "expanding": lambda rows: by_series(rows).transform(lambda y: y.expanding().max()),
    "calendar": lambda rows: pd.DataFrame({"hour": rows.ds.dt.hour}),
    "array": lambda rows: rows[["y", "promo"]].to_numpy(),
    "text": lambda rows: rows.kind.str.upper(),
}
SABOTAGED = {
    "lead": lambda rows: by_series(rows).shift(-1),
    "centred": lambda rows: by_series(rows).transform(lambda y: y.rolling(5, center=True).mean()),
    "standardized": lambda rows: (rows.y - rows.y.mean()) / rows.y.std(),
    "largest": lambda rows: by_series(rows).transform("max"),
    "smallest": lambda rows: by_series(rows).transform("min"),
    "filled backwards": lambda rows: by_series(rows).bfill(),
    "rank": lambda rows: by_series(rows).rank(),
    "text": lambda rows: rows.groupby("unique_id").kind.shift(-1),
    "second column": lambda rows: rows[["y"]].assign(next=rows.y.shift(-1)),
}


@pytest.mark.parametrize("name", HONEST)
def test_features_of_the_past_pass(name):
    check_features(HONEST[name], TABLE)


@pytest.mark.parametrize("name", SABOTAGED)
def test_features_of_the_future_are_caught(name):
    with pytest.raises(AssertionError, match="must not depend on later rows"):
        check_features(SABOTAGED[name], TABLE)


def test_columns_known_ahead_may_be_looked_up():
    def promo_tomorrow(rows):
        return rows.groupby("unique_id").promo.shift(-1)

    check_features(promo_tomorrow, TABLE, known=("promo",))
    with pytest.raises(AssertionError, match=r"'promo' must not depend on later rows.*'promo'"):
        check_features(promo_tomorrow, TABLE)


def test_other_names_and_a_single_series():
    one = TABLE[TABLE.unique_id == "series_0"].rename(columns={"ds": "hour"})
    one = one.drop(columns="unique_id")
    check_features(lambda rows: rows.y.shift(1), one, time="hour", series=None)
    with pytest.raises(AssertionError):
        check_features(lambda rows: rows.y.shift(-1), one, time="hour", series=None)


def test_a_feature_of_another_length_is_refused():
    with pytest.raises(AssertionError, match="one value for each of 120 rows"):
        check_features(lambda rows: rows.y[:5], TABLE)


def test_the_table_is_left_alone():
    before = TABLE.copy()

    def careless(rows):
        rows["y"] = 0.0
        return rows.y

    check_features(careless, TABLE)
    pd.testing.assert_frame_equal(TABLE, before)
    assert np.isfinite(TABLE.promo).all()
