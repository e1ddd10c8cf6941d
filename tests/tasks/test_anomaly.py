"""AnomalyDetector: what it finds, and that a stream gets the scores of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from grukit import AnomalyDetector, FitConfig
from grukit.core.errors import CheckpointError, DataError, NotFittedError, ParameterError
from grukit.nn.by_name import LAYER_OF

QUICK = FitConfig(epochs=4)
METHODS = ("forecast", "autoencoder", "both")


def waves(rows: int, seed: int = 0) -> np.ndarray:
    """Three channels [rows, 3]: two waves and noise."""
    random, time = np.random.default_rng(seed), np.arange(rows) / 7
    clean = np.stack([np.sin(time), np.cos(time), np.zeros(rows)], axis=1)
    return clean + random.normal(scale=(0.1, 0.1, 1.0), size=(rows, 3))


@pytest.fixture(scope="module")
def fitted() -> AnomalyDetector:
    return AnomalyDetector(training=QUICK).fit(waves(1000))


@pytest.mark.parametrize("cell", LAYER_OF)
@pytest.mark.parametrize("method", METHODS)
def test_a_stream_gets_the_scores_of_a_table(method, cell):
    rows = waves(900)
    rows[100:103, 1] = np.nan
    rows[620:625] = np.nan
    rows[700] += (0, 5, 0)
    detector = AnomalyDetector(method, cell=cell, window=32, training=QUICK).fit(rows[:600])
    report = detector.detect(rows[600:], goes_on=True)
    parts = [detector.detect(rows[600:], goes_on=True) for _ in range(2)]
    np.testing.assert_array_equal(parts[0].scores, parts[1].scores)
    scores, alarms, blame = [], [], []
    for row in rows[600:]:
        assert detector.score_one(row) == pytest.approx(detector.update(row), abs=1e-9)
        scores.append(detector.latest_.score)
        alarms.append(detector.latest_.alarm)
        blame.append(list(detector.latest_.shares.values()))
    np.testing.assert_allclose(scores, report.scores, atol=1e-5)
    np.testing.assert_array_equal(alarms, report.alarms)
    np.testing.assert_allclose(blame, report.contributions, atol=1e-5)
    assert report.contributions[100].argmax() == 1
    assert report.alarms[100]


def test_equal_errors_of_a_stream_are_equal_in_a_table():
    """Square waves err by the same few numbers again and again, which rounding must not part."""
    square = np.sign(np.sin(np.arange(1200)[:, None] / 7 + np.arange(3)))
    for rows in (square[:, :1], square):
        detector = AnomalyDetector(window=32, training=QUICK).fit(rows[:600])
        scores = detector.detect(rows[600:], goes_on=True).scores
        np.testing.assert_allclose([detector.update(row) for row in rows[600:]], scores, atol=1e-5)


@pytest.mark.parametrize("unit", [1e-300, 1e-150, 1e-12, 1e99])
def test_the_unit_may_be_tiny_or_huge(unit):
    rows = unit * waves(600)
    detector = AnomalyDetector("both", training=QUICK).fit(rows[:400])
    assert np.isfinite(detector.detect(rows[400:], goes_on=True).scores).all()
    assert detector.update(np.full(3, 1e100)) > 3
    assert np.isfinite(detector.update(rows[0]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("threshold", ["surprise", "spot"])
def test_a_restart_in_the_stream_goes_on_as_if_nothing_had_happened(method, threshold, tmp_path):
    rows = waves(900)
    rows[700] += 4
    detector = AnomalyDetector(
        method, window=16, threshold=threshold, risk=1e-2, memory=1000, training=QUICK
    ).fit(rows[:500])
    whole = detector.detect(rows[500:], goes_on=True)
    first = [detector.update(row) for row in rows[500:710]]
    detector.save(tmp_path / "model")
    again = AnomalyDetector.load(tmp_path / "model")
    rest = []
    for row in rows[710:]:
        rest.append(again.update(row))
        assert again.latest_.alarm == whole.alarms[500 - 290 + len(rest) - 1]
    np.testing.assert_allclose([*first, *rest], whole.scores, atol=1e-5)


def test_the_memory_of_a_stream_is_bounded(fitted):
    detector = AnomalyDetector(memory=1000, training=QUICK).fit(waves(600))
    for row in waves(1500, seed=1):
        detector.update(row)
    assert {len(tail.latest) for tail in detector._stream.tails} == {1000}


@pytest.mark.parametrize("method", METHODS)
def test_spikes_are_found_in_the_channel_that_has_them(method):
    rows, planted = waves(2000), (1200, 1500, 1800)
    for channel, row in enumerate(planted):
        rows[row, channel] += (2.0, -2.0, 9.0)[channel]
    detector = AnomalyDetector(method, quiet=20, training=FitConfig(epochs=10)).fit(rows[:1000])
    report = detector.detect(rows[1000:], goes_on=True)
    events = {int(event.start) + 1000: event.channel for event in report.events()}
    assert {row: events.get(row) for row in planted} == {1200: "0", 1500: "1", 1800: "2"}
    assert len(events) <= 3 + 4  # of 2,000 rows of 3 channels


def test_a_channel_that_stands_still_or_dies_is_found():
    for dead in (True, False):
        rows = waves(1200)
        rows[800:, 2] = np.nan if dead else rows[800, 2]
        detector = AnomalyDetector(training=QUICK).fit(rows[:600])
        report = detector.detect(rows[600:], goes_on=True)
        assert any(200 < event.start < 300 and event.channel == "2" for event in report.events())
    # A channel that never moved may go on so, but not begin to move.
    still = np.concatenate([waves(700)[:, :1], np.full((700, 1), 5.0)], axis=1)
    still[650, 1] = 6.0
    detector = AnomalyDetector(training=QUICK).fit(still[:600])
    (event,) = [e for e in detector.detect(still[600:], goes_on=True).events() if e.score > 10]
    assert event.channel == "1"
    assert event.start == 50
    # Nor may it have no value for longer than ever before.
    dying = np.concatenate([waves(900)[:, :1], np.full((900, 1), 5.0)], axis=1)
    dying[300:320, 1], dying[650:, 1] = np.nan, np.nan
    detector = AnomalyDetector(training=QUICK).fit(dying[:600])
    scores = detector.detect(dying[600:], goes_on=True).scores
    assert scores[50 + 20 : 50 + 60].max() < scores[50 + 4 * 20 + 20 :].min()
    assert scores[50 + 4 * 20 + 20] > 3


def test_training_may_hold_anomalies():
    rows = waves(2000)[:, 0]
    rows[np.arange(50, 1000, 97)] += 8
    rows[1500] += 8
    detector = AnomalyDetector(training=QUICK).fit(rows[:1000])
    report = detector.detect(rows[1000:], goes_on=True)
    assert report.alarms[500]
    assert detector.labels_[np.arange(50, 1000, 97)].any()


def test_a_false_alarm_does_not_hide_an_anomaly(fitted):
    rows = waves(400, seed=3)
    rows[100, 0] += 1.5
    rows[120, 0] += 20
    report = fitted.detect(rows)
    assert report.alarms[120]


@pytest.mark.parametrize("threshold", ["surprise", "quantile", "pot", "spot", "conformal"])
def test_false_alarms_are_about_as_many_as_the_risk_allows(threshold):
    noise = np.random.default_rng(5).normal(size=12_000)
    detector = AnomalyDetector(
        threshold=threshold, risk=1e-2, quiet=0, hidden_size=4, training=FitConfig(epochs=1)
    ).fit(noise[:2000])
    share = detector.detect(noise[2000:], goes_on=True).alarms.mean()
    # Three errors (the level, and forecasts over 1 and 8 rows) are partly independent.
    assert 0.003 < share < 0.05


def test_verbs_of_pyod(fitted):
    rows = waves(300, seed=2)
    rows[200, 2] = 30
    scores, labels = fitted.decision_function(rows), fitted.predict(rows)
    assert scores.shape == labels.shape == (300,)
    assert set(labels) <= {0, 1}
    assert scores.argmax() == 200
    assert labels[200] == 1
    assert fitted.decision_scores_.shape == fitted.labels_.shape == (1000,)
    np.testing.assert_array_equal(fitted.decision_function(rows), scores)


def test_verbs_of_river():
    rows = [dict(zip("abc", row, strict=True)) for row in waves(700).tolist()]
    detector = AnomalyDetector(warmup=500, training=QUICK)
    assert detector.score_one(rows[0]) == 0.0
    for row in rows[:600]:
        detector.learn_one(row)
    assert detector.channels_ == ("a", "b", "c")
    same = AnomalyDetector(training=QUICK).fit(pd.DataFrame(rows[:500]))
    for row in rows[500:600]:
        same.update(row)
    assert detector.score_one(rows[600]) == same.score_one(rows[600]) > 0
    assert detector.score_one({**rows[600], "b": 50.0}) > 10
    assert detector.score_one(rows[600]) == same.score_one(rows[600])


def test_a_short_warmup_waits_for_the_rows_of_a_fit():
    detector = AnomalyDetector(warmup=80, window=200, training=QUICK)
    for row in waves(207)[:, 0].tolist():
        detector.learn_one({"x": row})
    assert not hasattr(detector, "network_")
    assert detector.learn_one({"x": 0.0}).channels_ == ("x",)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"threshold": "pot", "risk": 0.05}, ParameterError, "risk must be below 1 - start"),
        ({"threshold": "conformal"}, DataError, "at least 999 rows at risk 0.001, got 300"),
        ({"channels": ["a", "a"]}, ParameterError, "channels must be None, or names that differ"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_the_training(options, error, message, monkeypatch):
    def trained(*args, **kwargs):
        raise AssertionError("must not train")

    monkeypatch.setattr("grukit.tasks.anomaly.fit", trained)
    with pytest.raises(error, match=message):
        AnomalyDetector(training=QUICK, **options).fit(pd.DataFrame({"a": waves(300)[:, 0]}))


def test_a_checkpoint_of_other_rows_is_refused(tmp_path):
    rows, where = waves(300), tmp_path / "checkpoint"
    whole = AnomalyDetector(training=QUICK).fit(rows, checkpoint=where)
    again = AnomalyDetector(training=QUICK).fit(rows, checkpoint=where, resume=True)
    np.testing.assert_array_equal(again.decision_scores_, whole.decision_scores_)
    with pytest.raises(CheckpointError, match="data was"):
        AnomalyDetector(training=QUICK).fit(2 * rows, checkpoint=where, resume=True)


def test_a_table_with_times(tmp_path):
    times = pd.date_range("2024-01-01", periods=400, freq="h")
    table = pd.DataFrame({"ds": times, "x": waves(400)[:, 0], "note": "text"})
    table.to_csv(tmp_path / "rows.csv", index=False)
    detector = AnomalyDetector(time="ds", window=16, training=QUICK).fit(tmp_path / "rows.csv")
    assert detector.channels_ == ("x",)
    later = table.assign(ds=times + pd.Timedelta(days=30))
    report = detector.detect(later, goes_on=True)
    assert report.times[0] == np.datetime64("2024-01-31")
    assert report.time == "ds"
    detector.update({"ds": "2024-02-01 10:00", "x": 0.5})
    with pytest.raises(DataError, match=r"must rise .* 2024-02-01 10:00:00 appears twice"):
        detector.update({"ds": "2024-02-01 10:00", "x": 0.5})
    with pytest.raises(DataError, match="2024-01-31 comes after 2024-02-01 10:00:00"):
        detector.update({"ds": "2024-01-31", "x": 0.5})
    detector.save(tmp_path / "model")
    with pytest.raises(DataError, match="appears twice"):
        AnomalyDetector.load(tmp_path / "model").update({"ds": "2024-02-01 10:00", "x": 0.5})
    with pytest.raises(DataError, match="must rise from row to row"):
        detector.detect(later.iloc[::-1])
    with pytest.raises(DataError, match="drop or aggregate the duplicates"):
        detector.detect(pd.concat([later.iloc[:3], later.iloc[2:]]))


def test_times_with_a_zone_are_utc_in_tables_and_rows():
    times = pd.date_range("2024-03-30", periods=300, freq="h", tz="Europe/Berlin")
    table = pd.DataFrame({"ds": times, "x": waves(300)[:, 0]})
    detector = AnomalyDetector(time="ds", training=QUICK).fit(table)
    with pytest.raises(DataError, match="2024-04-11 10:00:00 appears twice"):
        detector.update({"ds": times[-1], "x": 0.0})
    later = times[-1] + pd.Timedelta(hours=1)
    assert detector.score_one({"ds": later.to_pydatetime(), "x": 0.0}) == detector.update(
        {"ds": later, "x": 0.0}
    )
    with pytest.raises(DataError, match="2024-04-11 11:00:00 appears twice"):
        detector.update({"ds": "2024-04-11 11:00", "x": 0.0})


def test_rows_and_columns_of_pandas_are_known_by_their_names():
    rows = waves(300)
    detector = AnomalyDetector(training=QUICK).fit(pd.DataFrame(rows))  # numbered columns
    assert detector.channels_ == ("0", "1", "2")
    expected = AnomalyDetector(training=QUICK).fit(rows).score_one((9.0, 0.0, 0.0))
    for row in (pd.Series([0.0, 9.0, 0.0], index=[1, 0, 2]), {"2": 0.0, "0": 9.0, 1: 0.0}):
        assert detector.score_one(row) == expected


def test_evaluate_puts_the_baselines_beside(fitted):
    table = pd.DataFrame(waves(600, seed=4), columns=["0", "1", "2"])
    table["anomaly"] = False
    table.loc[300:320, "anomaly"] = True
    table.loc[305, "1"] = 9.0
    evaluation = fitted.evaluate(table)
    assert [score.name for score in evaluation.scores] == [
        "grukit GRU",
        "random score",
        "windowed Gaussian",
    ]
    assert evaluation.scores[0].metrics["recall"] == 1
    table["anomaly"] = 2
    with pytest.raises(DataError, match="must be true or false"):
        fitted.evaluate(table)
    for labels in (np.full(600, np.nan), np.arange(600)):
        with pytest.raises(ParameterError, match="labels must be True or False"):
            fitted.evaluate(table[["0", "1", "2"]], labels)


def test_a_bad_row_leaves_the_stream_as_it_was(fitted):
    before = fitted.score_one([0.0, 1.0, 0.0])
    for row, message in {
        (1.0, 2.0): "number of channels in a row must be 3, as in training, got 2",
        (1.0, 2.0, 3.0, 4.0): "got 4",
        5.0: "got 1",
        (1.0, np.inf, 0.0): "'1' must be numbers up to 1e.100",
        (1.0, "a", 0.0): "must be a number or None, got 'a'",
    }.items():
        with pytest.raises(DataError, match=message):
            fitted.update(row)
    with pytest.raises(DataError, match="got none for '2'"):
        fitted.update({"0": 1.0, "1": 2.0})
    with pytest.raises(DataError, match=r"must be .*, got \['3'\]"):
        fitted.update({"0": 1.0, "1": 2.0, "2": 1.0, "3": 0.0})
    assert fitted.score_one([0.0, 1.0, 0.0]) == before
    assert np.isfinite(fitted.score_one([None, None, None]))


def test_bad_data():
    detector = AnomalyDetector(training=QUICK)
    for data, message in {
        "short": "the training data must be of at least 160 rows, got 100",
        "empty": r"must be of shape \[T\] or \[T, C\]",
        "text": "must be numbers",
        "nothing": "channel '1' must have a value in training",
        "infinite": "must be numbers up to",
    }.items():
        given = {
            "short": np.zeros(100),
            "empty": np.zeros((0, 2)),
            "text": ["a"] * 300,
            "nothing": np.stack([np.arange(300.0), np.full(300, np.nan)], axis=1),
            "infinite": np.append(np.zeros(299), np.inf),
        }[data]
        with pytest.raises(DataError, match=message):
            detector.fit(given)
    with pytest.raises(DataError, match="did you mean 'flow'"):
        AnomalyDetector(channels=["flo"]).fit(pd.DataFrame({"flow": np.zeros(300)}))
    with pytest.raises(NotFittedError):
        detector.update(1.0)
    with pytest.raises(ParameterError, match="method must be one of"):
        AnomalyDetector("forest").fit(np.zeros(300))
    fitted = AnomalyDetector(training=QUICK).fit(waves(300))
    with pytest.raises(DataError, match="must be of 3 channels, got 2"):
        fitted.detect(np.zeros((10, 2)))


def test_a_constant_series_raises_no_alarm():
    detector = AnomalyDetector(training=QUICK).fit(np.full(400, 7.0))
    assert not detector.detect(np.full(400, 7.0), goes_on=True).alarms.any()
    assert detector.update(8.0) > 10


def test_a_damaged_folder_is_refused(fitted, tmp_path):
    from grukit.core.errors import ModelFolderError
    from grukit.core.model_folder import read_model_folder, write_model_folder

    fitted.save(tmp_path / "model")
    folder = read_model_folder(tmp_path / "model")
    for name, value in {"channels": ["a"], "stream": {}, "settings": {"risk": 2}}.items():
        config = {key: folder.config[key] for key in ("task", "settings", "channels", "stream")} | {
            name: value
        }
        write_model_folder(tmp_path / "bad", config, folder.weights, folder.texts)
        with pytest.raises(ModelFolderError, match="damaged"):
            AnomalyDetector.load(tmp_path / "bad")


def test_rows_may_hold_more_where_the_channels_are_named():
    table = pd.DataFrame(waves(300), columns=["a", "b", "c"])
    named = AnomalyDetector(channels=["a", "b"], training=QUICK).fit(table)
    row = {"a": 0.1, "b": 0.2, "note": "ordinary"}
    assert named.score_one(row) == named.score_one([0.1, 0.2])
    with pytest.raises(DataError, match=r"got \['note'\]"):
        AnomalyDetector(training=QUICK).fit(table).update({**row, "c": 0.0})
