"""The state of a detector's stream: saved whole, copied whole, and changed by nothing else."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grukit import AnomalyDetector, FitConfig
from grukit.core.errors import Interrupted

QUICK = FitConfig(epochs=2)


def noise(rows: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, channels))


def state(detector: AnomalyDetector) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that a stream knows: JSON values, and arrays as lists."""
    config, tensors = detector._stream.to_folder()
    return config, {name: tensor.tolist() for name, tensor in tensors.items()}


@pytest.fixture
def amid_trouble() -> AnomalyDetector:
    """One with an alarm that still keeps it quiet, and a channel that stands still."""
    detector = AnomalyDetector("both", window=16, threshold="spot", quiet=50, training=QUICK)
    detector.fit(noise(400))
    for row in [*noise(20, seed=1), (30.0, 0.0), (0.0, 0.0), (0.0, 0.0)]:
        detector.update(row)
    config, tensors = detector._stream.to_folder()
    assert config["quiet"]["left"] == 48
    assert tensors["idle"].tolist() == [[1, 2], [0, 0]]
    return detector


def test_all_of_the_state_is_saved(amid_trouble, tmp_path):
    amid_trouble.save(tmp_path / "model")
    again = AnomalyDetector.load(tmp_path / "model")
    assert state(again) == state(amid_trouble)
    assert again.quiet_ == amid_trouble.quiet_ == 50


def test_only_update_and_learn_one_change_the_state(amid_trouble):
    before, rows = state(amid_trouble), noise(100, seed=2)
    rows[60:, 1] = 40.0
    assert amid_trouble.detect(rows, goes_on=True).alarms.any()
    assert amid_trouble.predict(rows).any()
    amid_trouble.decision_function(rows)
    amid_trouble.evaluate(rows, np.arange(100) >= 60)
    amid_trouble.score_one(rows[60])
    assert state(amid_trouble) == before
    amid_trouble.learn_one(rows[60])
    assert state(amid_trouble) != before


def test_a_new_stream_does_not_begin_quiet_nor_late(amid_trouble):
    assert not amid_trouble.detect([(30.0, 0.0)], goes_on=True).alarms[0]
    assert amid_trouble.detect([(30.0, 0.0)]).alarms[0]
    times = pd.date_range("2024-01-01", periods=300, freq="h")
    table = pd.DataFrame({"ds": times, "x": noise(300, 1)[:, 0]})
    detector = AnomalyDetector(time="ds", training=QUICK).fit(table)
    assert len(detector.detect(table).scores) == 300


def test_a_learning_threshold_sees_the_training_rows_once():
    detector = AnomalyDetector(threshold="spot", training=QUICK).fit(noise(400))
    assert detector._stream.threshold.rows_ == 400


def test_channels_count_together_in_units_of_their_usual_errors():
    rows = noise(400, 3)
    stream = AnomalyDetector(training=QUICK).fit(rows)._stream
    errors = np.abs(noise(5 * 3, 3, seed=1)).reshape(5, 3, 3)
    errors[2, 1, 0], errors[3, 2] = np.nan, np.nan
    columns = stream._columns(errors)
    np.testing.assert_array_equal(columns[:, :9], errors.reshape(5, 9))
    for row in range(5):
        for horizon, found in enumerate(columns[row, 9:], start=1):
            relative = [
                error / usual
                for error, usual in zip(errors[row, horizon], stream.usual[horizon], strict=True)
                if not np.isnan(error)
            ]
            expected = np.sqrt(np.mean(np.square(relative))) if relative else np.nan
            assert found == pytest.approx(expected, nan_ok=True)
    # The usual errors are the means over the training rows.
    seen = stream.model.errors(stream.model.beginning(), rows)[0]
    np.testing.assert_allclose(stream.usual, np.nanmean(seen, axis=0))


def test_an_interrupted_fit_leaves_a_detector(monkeypatch):
    def interrupted(*args, **kwargs):
        raise Interrupted(signal.SIGINT, "stopped")

    monkeypatch.setattr("grukit.tasks.anomaly.fit", interrupted)
    detector = AnomalyDetector(training=QUICK)
    with pytest.raises(Interrupted):
        detector.fit(noise(300))
    assert detector.update((9.0, 0.0)) > 3
