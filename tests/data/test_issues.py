"""As-of lookups against a plain loop, and the issues of two tables together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.data.columns import ColumnEncoder
from grukit.data.encoding import PanelEncoder
from grukit.data.frames import Columns, to_panel
from grukit.data.issues import AsOf, Issues, RowIssues, together

DAY = np.datetime64("2024-01-01", "us")
WIND, SKY = ColumnEncoder("wind", can_be_missing=True), ColumnEncoder("sky", categories=("a", "b"))


def days(numbers) -> np.ndarray:
    return DAY + np.asarray(numbers, np.int64).astype("timedelta64[D]")


def issues_of(rows) -> Issues:
    """Rows of (series, day told of, day of issue, wind or None, sky or None)."""
    series, times, issued, wind, sky = zip(*rows, strict=True)
    values = {"wind": np.array(wind, np.float64), "sky": np.array(sky, object)}
    return Issues(("x", "y", "z"), np.array(series), days(times), days(issued), values)


def newest(rows, series: int, day: int, now: int, column: int):
    found = [row for row in rows if row[:2] == (series, day) and row[2] <= now]
    found = [row for row in found if row[column] is not None]
    return max(found, key=lambda row: row[2])[column] if found else None


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 5),
        st.integers(0, 5),
        st.sampled_from([None, 0.5, 1.5, 2.5]),
        st.sampled_from([None, "a", "b"]),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[:3],
)


@settings(max_examples=60)
@given(ROWS)
def test_the_newest_issue_of_each_column_answers(rows):
    as_of = AsOf(issues_of(rows), (WIND, SKY), ids=("y", "x"))
    for at, name in enumerate("yx"):
        series = "xyz".index(name)
        for now in range(-1, 7):
            slots, passed = as_of.slots(np.array(at), days(np.arange(7))), as_of.passed(days(now))
            known, found = as_of.known(slots, passed)
            winds = [newest(rows, series, day, now, 3) for day in range(7)]
            skies = [newest(rows, series, day, now, 4) for day in range(7)]
            expected = [
                WIND.encode(np.array(winds, np.float64)),
                SKY.encode(np.array(skies, object)),
            ]
            np.testing.assert_array_equal(known, np.concatenate(expected, axis=1))
            assert found.tolist() == [
                [a is not None, b is not None] for a, b in zip(winds, skies, strict=True)
            ]


def test_issues_of_two_tables_together():
    one = issues_of([(0, 1, 0, 1.5, "a"), (1, 1, 0, 2.5, None)])
    other = Issues(
        ("y", "w"), np.array([0, 1]), days([2, 2]), days([1, 1]), {"rain": np.array([0.1, 0.2])}
    )
    both = together(one, other)
    assert [both.ids[at] for at in both.series] == ["x", "y", "y", "w"]
    np.testing.assert_array_equal(both.values["rain"], [np.nan, np.nan, 0.1, 0.2])
    assert both.values["sky"].tolist() == ["a", None, None, None]
    assert together(one, None) is one
    assert together(None, other) is other
    assert together(None, None) is None


def test_of_two_that_say_the_same_the_later_table_wins():
    one, other = issues_of([(0, 1, 0, 1.5, "a")]), issues_of([(0, 1, 0, 2.5, "b")])
    as_of = AsOf(together(one, other), (WIND,), ("x",))
    known, _ = as_of.known(as_of.slots(np.array(0), days([1])), as_of.passed(days(0)))
    np.testing.assert_array_equal(known, WIND.encode(np.array([2.5])))


def table() -> pd.DataFrame:
    """Eight days of two shops, and each day's forecasts of the next three."""
    rows = pd.DataFrame(
        {"unique_id": np.repeat(["p", "q"], 8), "ds": np.tile(days(np.arange(8)), 2), "y": 1.0}
    )
    told = [
        {
            "unique_id": name,
            "ds": days(day + ahead),
            "issued_at": days(day),
            "wind": day + ahead / 10,
        }
        for name in ("p", "q", "elsewhere")
        for day in range(8)
        for ahead in (1, 2, 3)
    ]
    return pd.concat([rows, pd.DataFrame(told)], ignore_index=True)


def test_a_panel_holds_rows_and_issues_apart():
    panel = to_panel(table(), Columns(future=("wind",), issued="issued_at"))
    assert panel.ids == ("p", "q")
    assert panel.covariates == {}
    assert len(panel.issues.times) == 72
    assert str(panel.report) == "16 rows, no gaps; missing values: none; 72 rows of issues"
    before = panel.before(days(4))
    assert before.issues.issued.max() == days(3)
    assert len(before.issues.times) == 36


def test_the_end_of_a_panel_has_what_was_known_at_its_end():
    panel = to_panel(table(), Columns(future=("wind",), issued="issued_at"))
    encoder = PanelEncoder.fit(panel)
    encoded = encoder.encode(panel)
    (wind,) = encoder.issued
    assert wind.can_be_missing
    end = encoded.tail(2)
    assert end.issues is None
    by_hand = wind.encode(np.array([5.1, 6.1] * 2))  # days 6 and 7, told the day before
    np.testing.assert_array_equal(end.known[:, -2:], by_hand)
    ahead = encoder.encode_issued(panel.issues, end, 4).reshape(2, 4, 2)
    np.testing.assert_array_equal(ahead[1], wind.encode(np.array([7.1, 7.2, 7.3, np.nan])))
    again = PanelEncoder.from_config(encoder.to_config())
    assert again == encoder
    old = {name: part for name, part in encoder.to_config().items() if name != "issued"}
    assert PanelEncoder.from_config(old).issued == ()


def test_a_digest_sees_what_was_issued_when():
    panel = to_panel(table(), Columns(future=("wind",), issued="issued_at"))
    encoder = PanelEncoder.fit(panel)
    digests = {encoder.encode(panel).digest()}
    for change in (
        {"issued": panel.issues.issued + np.timedelta64(1, "D")},
        {"values": {"wind": panel.issues.values["wind"] + 1}},
    ):
        other = replace(panel, issues=replace(panel.issues, **change))
        digests.add(encoder.encode(other).digest())
    assert len(digests) == 3


def test_an_issue_counts_from_the_last_time_known_that_is_not_earlier():
    """Told at noon of day 1, it is known to the forecast whose last day is 2."""
    told = Issues(("x",), np.zeros(1, int), days([3]), days([1]), {"wind": np.array([5.0])})
    noon = replace(told, issued=told.issued + np.timedelta64(12, "h"))
    for issues, first_origin in ((told, 2), (noon, 3)):
        as_of = AsOf(issues, (WIND,), ("x",))
        rows = RowIssues(as_of, np.array([0, 6]), days(np.arange(6)))
        known = [rows.known(np.array([3]), np.array([origin]))[0, 1] == 0 for origin in range(1, 6)]
        assert known == [origin >= first_origin for origin in range(1, 6)]
