"""What knows the future is caught, by name; what is honest is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from grukit.core.errors import DataError, LeakError
from grukit.data.encoding import PanelEncoder
from grukit.data.frames import Columns, to_panel
from grukit.evaluation.leaks import LIMIT, check_answers, check_columns, leads, other_values

SEASON, HORIZON = 24, 6


def table(rows: int = 1500, missing: float = 0.0) -> pd.DataFrame:
    """A day's cycle, an autoregression and columns that know nothing of their future."""
    rng = np.random.default_rng(0)
    noise = np.zeros(rows)
    for t in range(1, rows):
        noise[t] = 0.8 * noise[t - 1] + rng.normal()
    y = pd.Series(10 + 3 * np.sin(np.arange(rows) * 2 * np.pi / SEASON) + noise)
    frame = pd.DataFrame(
        {
            "ds": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "y": y,
            "before": y.shift(1),
            "sensor": y + 0.1 * rng.normal(size=rows),
            "mean": y.rolling(24, min_periods=1).mean(),
            "noise": rng.normal(size=rows),
            "kind": np.where(y > 10, "warm", "cold"),
        }
    )
    frame.loc[rng.random(rows) < missing, "y"] = np.nan
    return frame


HONEST = ("before", "sensor", "mean", "noise", "kind")
LEAKS = {
    "tomorrow": (lambda y: y.shift(-1), 1),
    "in four steps": (lambda y: y.shift(-4), 4),
    "centred": (lambda y: y.rolling(3, center=True).mean(), 1),
    "change": (lambda y: y.shift(-1) - y, 1),
    "noisy": (lambda y: y.shift(-1) + 0.5 * np.random.default_rng(1).normal(size=len(y)), 1),
}


def encoded(frame: pd.DataFrame, past: tuple[str, ...]):
    panel = to_panel(frame, Columns(past=past))
    encoder = PanelEncoder.fit(panel)
    names = [column.name for column in encoder.past for _ in range(column.width)]
    return encoder.encode(panel), names


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_honest_columns_pass(missing):
    found = check_columns(*encoded(table(missing=missing), HONEST), SEASON, HORIZON)
    assert [lead.column for lead in found] == list(HONEST)
    assert max(abs(lead.correlation) for lead in found) < LIMIT / 2


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_caught_by_name_and_step(name, missing):
    make, steps = LEAKS[name]
    frame = table()
    frame["planted"] = make(frame.y)
    frame["y"] = table(missing=missing).y
    wanted = f"got: 'planted' tells the target {steps} steps? later"
    with pytest.raises(LeakError, match=wanted) as caught:
        check_columns(*encoded(frame, (*HONEST, "planted")), SEASON, HORIZON)
    assert not any(repr(honest) in str(caught.value) for honest in HONEST)


def test_a_category_that_leaks_is_caught():
    frame = table()
    change = frame.y.shift(-1) - frame.y
    frame["signal"] = np.where(change > 0, "up", "down")
    data = encoded(frame, ("signal",))
    assert leads(*data, SEASON, HORIZON)[0].steps == 1
    with pytest.raises(LeakError, match="'signal'"):
        check_columns(*data, SEASON, HORIZON)


def test_the_limit_lets_a_true_leader_pass():
    frame = table()
    frame["upstream"] = frame.y.shift(-2)
    data = encoded(frame, ("upstream",))
    with pytest.raises(LeakError, match="raise limit"):
        check_columns(*data, SEASON, HORIZON)
    assert check_columns(*data, SEASON, HORIZON, limit=1.1)[0].steps == 2


def test_columns_that_never_vary_and_exact_cycles_tell_nothing():
    frame = table()
    frame["y"] = np.sin(np.arange(len(frame)) * 2 * np.pi / SEASON)
    frame["flat"], frame["next"] = 1.0, frame.y.shift(-1)
    for lead in leads(*encoded(frame, ("flat", "next")), SEASON, HORIZON):
        assert lead.correlation == 0


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="must have at least"):
        check_columns(*encoded(table(rows=100), HONEST), SEASON, HORIZON)


def last_rows(panel, time):
    return panel.target[panel.times < time][-3:]


SABOTAGED = {
    "the next row": lambda panel, time: panel.target[panel.times <= time][-3:],
    "the overall mean": lambda panel, time: last_rows(panel, time) - np.nanmean(panel.target),
    "the largest": lambda panel, time: np.append(last_rows(panel, time), panel.target.max()),
    "the smallest": lambda panel, time: np.append(last_rows(panel, time), panel.target.min()),
    "a covariate": lambda panel, time: panel.covariates["noise"][panel.times >= time][:2],
    "the count of large values": lambda panel, time: np.zeros((panel.target > 30).sum()),
}


@pytest.fixture(scope="module")
def panel():
    return to_panel(table(), Columns(past=("noise",), future=("before",)))


def test_an_honest_answer_passes(panel):
    times = panel.times[[100, 500, -2]]
    check_answers(last_rows, panel, times)
    check_answers(lambda panel, time: panel.covariates["before"][-3:], panel, times)


@pytest.mark.parametrize("name", SABOTAGED)
def test_an_answer_that_reads_on_is_caught(panel, name):
    blamed = "'noise'" if name == "a covariate" else "'y'"
    with pytest.raises(LeakError, match=f"got another one when {blamed} changed"):
        check_answers(SABOTAGED[name], panel, panel.times[[100, 500]])


def test_other_values_are_other_and_as_many():
    numbers = np.array([1.0, np.nan, 3.0])
    assert (np.abs(other_values(numbers, 10.0) - numbers)[[0, 2]] >= 20).all()
    assert np.isfinite(other_values(numbers, 10.0)).all()
    words = np.array(["a", None, "b"], dtype=object)
    assert (other_values(words, 10.0) != words).all()
    assert other_values(np.array([2.0, 2.0]), -10.0).tolist() == [-8.0, -18.0]


def test_series_of_other_levels_and_sizes_are_judged_together():
    one, two = table(), table()
    two["y"] = 1000 - 50 * two.y
    frame = pd.concat([one.assign(unique_id="a"), two.assign(unique_id="b")])
    frame["next"] = frame.groupby("unique_id").y.shift(-1)
    frame["sensor"] = frame.y
    with pytest.raises(LeakError, match="got: 'next' tells the target 1 step later"):
        check_columns(*encoded(frame, ("sensor", "next")), SEASON, HORIZON)
