import numpy as np
import pandas as pd
import pytest

from grukit.core.errors import ParameterError
from grukit.data.frames import Columns, to_panel
from grukit.data.synthetic import (
    AMPLITUDE_OF_KIND,
    ANOMALY_KINDS,
    PROMO_EFFECT,
    planted_anomalies,
    seasonal_series,
)
from grukit.results import runs


def test_is_a_panel_with_every_role():
    columns = Columns(future=("promo",), static=("kind",))
    panel = to_panel(pd.DataFrame(seasonal_series(count=3, length=50)), columns)
    assert panel.ids == ("series_0", "series_1", "series_2")
    assert panel.calendar.freq == "h"
    assert panel.lengths.tolist() == [50, 50, 50]
    assert panel.static["kind"].tolist() == ["calm", "lively", "calm"]
    assert set(panel.covariates["promo"]) == {0.0, 1.0}
    assert panel.report.added == 0


def test_holds_the_planted_effects():
    """Least squares on level, sine, cosine and promo finds what the docstring promises."""
    columns = seasonal_series(count=2, length=2000, period=12, noise=0.05, seed=4)
    angle = 2 * np.pi * np.arange(2000) / 12
    for series, amplitude in enumerate(AMPLITUDE_OF_KIND.values()):
        rows = slice(2000 * series, 2000 * (series + 1))
        causes = [np.ones(2000), np.sin(angle), np.cos(angle), columns["promo"][rows]]
        found, residuals, *_ = np.linalg.lstsq(np.stack(causes, 1), columns["y"][rows], rcond=None)
        assert np.hypot(found[1], found[2]) == pytest.approx(amplitude, abs=0.01)
        assert found[3] == pytest.approx(PROMO_EFFECT, abs=0.02)
        assert np.sqrt(residuals[0] / 2000) == pytest.approx(0.05, rel=0.1)


def test_seed_and_missing_share():
    first, again = seasonal_series(missing=0.2), seasonal_series(missing=0.2)
    np.testing.assert_array_equal(first["y"], again["y"])
    assert not np.array_equal(first["y"], seasonal_series(missing=0.2, seed=1)["y"], equal_nan=True)
    assert np.isnan(first["y"]).mean() == pytest.approx(0.2, abs=0.03)
    assert not np.isnan(seasonal_series()["y"]).any()


@pytest.mark.parametrize("wrong", [{"count": 0}, {"missing": 1.0}, {"noise": -1}, {"period": 0}])
def test_refuses(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        seasonal_series(**wrong)


def plant(kind, **options):
    """One event of a kind in otherwise equal rows, and the same rows without it."""
    columns = planted_anomalies([kind], events=1, length=800, seed=3, **options)
    inside = columns["label"]
    ordinary = np.sin(2 * np.pi * (np.arange(800) / 48 + _phase(columns)))
    return columns["channel_0"], ordinary, inside


def _phase(columns):
    """The phase of the cycle, from the ordinary rows at the beginning, whole periods of them."""
    rows = np.arange(6 * 48)
    wave = np.exp(-2j * np.pi * rows / 48) @ columns["channel_0"][: len(rows)]
    return np.angle(wave) / (2 * np.pi) + 0.25


def test_a_spike_is_one_row_off():
    values, ordinary, inside = plant("spike", noise=0.0)
    assert inside.sum() == 1
    assert np.abs(values - ordinary)[inside] == pytest.approx(1.5)
    np.testing.assert_allclose(values[~inside], ordinary[~inside], atol=1e-9)


def test_a_shift_is_off_by_one():
    values, ordinary, inside = plant("shift", noise=0.0)
    assert inside.sum() == 48
    np.testing.assert_allclose(np.abs(values - ordinary), inside, atol=1e-9)


def test_a_change_of_variance_is_in_the_noise():
    values, ordinary, inside = plant("variance", noise=0.1)
    assert np.std((values - ordinary)[inside]) == pytest.approx(0.6, rel=0.3)
    assert np.std((values - ordinary)[~inside]) == pytest.approx(0.1, rel=0.1)


def test_a_change_of_frequency_doubles_the_cycle():
    values, ordinary, inside = plant("frequency", noise=0.0)
    np.testing.assert_allclose(values[~inside], ordinary[~inside], atol=1e-9)
    assert np.abs(np.fft.rfft(values[inside])).argmax() == 2
    assert np.abs(np.diff(values)).max() < 0.3


def test_a_frozen_channel_repeats_its_last_value():
    values, _, inside = plant("freeze", noise=0.1)
    before = np.flatnonzero(inside)[0] - 1
    assert (values[inside] == values[before]).all()
    assert (np.diff(values[~inside]) != 0).all()


def test_events_are_apart_and_after_the_ordinary_rows():
    columns = planted_anomalies(events=10, length=4000, channels=4)
    rows = np.flatnonzero(columns["label"])
    assert rows[0] >= 0.4 * 4000
    kinds = [columns["kind"][first] for first, _ in runs(columns["label"])]
    assert kinds == [*ANOMALY_KINDS, *ANOMALY_KINDS]
    assert set(columns["culprit"]) - {""} <= {f"channel_{index}" for index in range(4)}
    assert ((columns["kind"] != "") == columns["label"]).all()


def test_planted_anomalies_follow_their_seed():
    first, same, other = (planted_anomalies(seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first["channel_0"], same["channel_0"])
    assert (first["channel_0"] != other["channel_0"]).any()


def test_events_must_fit():
    with pytest.raises(ParameterError, match="length must be at least 1120, with 5 events"):
        planted_anomalies(length=1000)
    with pytest.raises(ParameterError, match="'freeze'"):
        planted_anomalies(["freez"])
    assert not planted_anomalies(events=0)["label"].any()
