"""Thresholds: the risk that was asked for, streams as batches, and restarts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from grukit.core.errors import DataError, MissingExtra, NotFittedError, ParameterError
from grukit.evaluation.alarms import POT, SPOT, Conformal, Quantile, peaks, threshold_from_dict

KINDS = (Quantile, POT, SPOT, Conformal)
every_kind = pytest.mark.parametrize("kind", KINDS)


def draw(name: str, count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return {
        "exponential": random.exponential,
        "gaussian": random.normal,
        "heavy-tailed": lambda size: np.abs(random.standard_t(3, size)),
    }[name](size=count)


def fitted(kind, count=2000, **options):
    return kind(**options).fit(draw("exponential", count, seed=0))


@every_kind
@pytest.mark.parametrize("name", ["exponential", "gaussian", "heavy-tailed"])
def test_false_alarms_are_near_the_risk(kind, name):
    rates = []
    for seed in range(5):
        threshold = kind(risk=0.002).fit(draw(name, 5000, seed))
        alarms, _ = threshold.update_many(draw(name, 20_000, 100 + seed))
        rates.append(alarms.mean())
    # Ten rows of 5,000 lie above the level: its own scatter is about a third of the risk.
    assert np.mean(rates) == pytest.approx(0.002, rel=0.25)
    assert np.max(rates) < 0.005


@pytest.mark.parametrize("name", ["exponential", "gaussian"])
def test_the_tail_reaches_beyond_the_scores_seen(name):
    """The risk is one row of 10,000: a fifth of the 2,000 fitted to."""

    def rate(kind):
        alarms = [
            kind(risk=1e-4).fit(draw(name, 2000, seed)).update_many(draw(name, 20_000, 50 + seed))
            for seed in range(12)
        ]
        return np.mean([found.mean() for found, _ in alarms])

    quantile, pot, spot = rate(Quantile), rate(POT), rate(SPOT)
    assert 0.5e-4 < spot < 2.5e-4
    assert spot < pot < quantile
    assert quantile > 3e-4


def test_spot_without_its_alarms_would_raise_too_many(monkeypatch):
    scores = draw("gaussian", 50_000, 1)
    add = SPOT._add

    def forgetful(self, excess, censored):
        return None if censored else add(self, excess, censored)

    rates = [SPOT(risk=1e-3).fit(scores[:1000]).update_many(scores)[0].mean()]
    monkeypatch.setattr(SPOT, "_add", forgetful)
    rates.append(SPOT(risk=1e-3).fit(scores[:1000]).update_many(scores)[0].mean())
    assert rates[0] == pytest.approx(1e-3, rel=0.25)
    assert rates[1] > 2e-3


def test_a_long_anomaly_hardly_moves_spot():
    threshold = fitted(SPOT)
    before = threshold.level_
    alarms, _ = threshold.update_many(np.full(2000, 100.0))
    assert alarms.all()
    assert threshold.level_ < 1.1 * before


def test_spot_learns_from_the_stream():
    wide = 2.0 * draw("gaussian", 20_000, 1)
    still = POT(risk=1e-3).fit(draw("gaussian", 1000, 0))
    learning = SPOT(risk=1e-3).fit(draw("gaussian", 1000, 0))
    assert learning.level_ == still.level_
    rates = [t.update_many(wide)[0][-5000:].mean() for t in (still, learning)]
    assert rates[1] < rates[0] / 5


def test_spot_does_not_look_at_the_size_of_an_alarm():
    small, large = fitted(SPOT), fitted(SPOT)
    assert small.update(small.level_ + 0.1)
    assert large.update(1e9)
    assert small.to_dict() == large.to_dict()


def test_spot_keeps_a_bounded_number_of_peaks(monkeypatch):
    monkeypatch.setattr(peaks, "MOST_PEAKS", 50)
    threshold = fitted(SPOT, risk=1e-3)
    threshold.update_many(draw("exponential", 20_000, 1))
    assert len(threshold.excesses_) == 50
    assert threshold.peaks_ > 300
    again = threshold_from_dict(threshold.to_dict())
    assert again.excesses_.maxlen == 50


@every_kind
def test_a_stream_decides_as_a_batch(kind):
    scores = draw("heavy-tailed", 5000, seed=7)
    scores[::97] = np.nan
    scores[123] = np.inf
    stream, batch = fitted(kind, risk=0.01), fitted(kind, risk=0.01)
    levels, alarms = [], []
    for score in scores.tolist():
        levels.append(stream.level_)
        alarms.append(stream.update(score))
    found, compared = batch.update_many(scores)
    assert found.any()
    np.testing.assert_array_equal(found, alarms)
    np.testing.assert_array_equal(compared, levels)
    assert batch.to_dict() == stream.to_dict()


@every_kind
def test_a_restart_in_the_middle_changes_nothing(kind):
    scores = draw("heavy-tailed", 3000, seed=7)
    whole, first = fitted(kind, risk=0.01), fitted(kind, risk=0.01)
    expected = whole.update_many(scores)
    begun = first.update_many(scores[:1234])
    second = threshold_from_dict(json.loads(json.dumps(first.to_dict(), allow_nan=False)))
    assert type(second) is kind
    ended = second.update_many(scores[1234:])
    for all_of_it, a, b in zip(expected, begun, ended, strict=True):
        np.testing.assert_array_equal(np.concatenate([a, b]), all_of_it)
    assert second.to_dict() == whole.to_dict()


@every_kind
def test_missing_scores_raise_no_alarm_and_teach_nothing(kind):
    scores = draw("exponential", 2000, seed=0)
    gappy = np.insert(scores, [0, 500, 1999], np.nan)
    threshold = kind(risk=0.01).fit(gappy)
    assert threshold.to_dict() == kind(risk=0.01).fit(scores).to_dict()
    assert threshold.update(float("nan")) is False
    assert not threshold.update_many(np.full(9, np.nan))[0].any()
    assert threshold.to_dict() == kind(risk=0.01).fit(scores).to_dict()


@every_kind
def test_constant_scores_raise_no_alarm(kind):
    threshold = kind(risk=0.01).fit(np.full(200, 3.0))
    alarms, _ = threshold.update_many(np.full(200, 3.0))
    assert not alarms.any()
    assert threshold.update(3.1)


@pytest.mark.parametrize("count", [99, 150, 1000])
def test_the_conformal_rate_lies_within_its_guarantee(count):
    random = np.random.default_rng(count)
    risk, trials = 0.05, 4000
    scores = random.standard_cauchy((trials, count + 1))
    alarms = [Conformal(risk).fit(row[:-1]).update(row[-1]) for row in scores]
    scatter = 3 * np.sqrt(risk * (1 - risk) / trials)
    assert risk - 1 / (count + 1) - scatter < np.mean(alarms) <= risk + scatter


def test_conformal_decisions_are_those_of_the_p_value():
    random = np.random.default_rng(0)
    for count in (19, 20, 38, 39, 57, 99):
        threshold = Conformal(risk=0.05).fit(random.integers(0, 30, count).astype(float))
        for score in np.arange(-1, 31, 0.5):
            expected = (1 + sum(c >= score for c in threshold.calibration_)) / (count + 1)
            assert threshold.p_value(score) == pytest.approx(expected)
            assert threshold.update(score) == (expected <= 0.05)


def test_conformal_wants_enough_scores_for_its_risk():
    with pytest.raises(DataError, match=r"at least 99 rows at risk 0\.01, got 98"):
        fitted(Conformal, count=98, risk=0.01)
    fitted(Conformal, count=99, risk=0.01)


@every_kind
def test_bad_input(kind):
    with pytest.raises(ParameterError, match="risk must be a number above 0 and below 1"):
        fitted(kind, risk=0.0)
    with pytest.raises(ParameterError, match=r"shape \[T\]"):
        kind().fit(np.zeros((3, 2)))
    with pytest.raises(ParameterError, match="finite"):
        kind().fit(np.array([0.0, np.inf]))
    with pytest.raises(DataError, match="rows at risk"):
        kind().fit(np.full(5000, np.nan))
    with pytest.raises(NotFittedError, match="call fit"):
        kind().update(1.0)
    with pytest.raises(NotFittedError, match="call fit"):
        kind().to_dict()


def test_the_risk_lies_beyond_the_start_of_the_tail():
    with pytest.raises(ParameterError, match=r"risk must be below 1 - start, 0\.02"):
        fitted(POT, risk=0.05)


@every_kind
def test_a_state_from_elsewhere_is_checked(kind):
    state = fitted(kind).to_dict()
    for wrong in (
        {**state, "kind": "Threshold"},
        {**state, "level_": float("nan")},
        {**state, "level_": "3"},
        {**state, "extra": 1},
        {name: value for name, value in state.items() if name != "risk"},
        ["Quantile"],
    ):
        with pytest.raises(ParameterError, match="must be"):
            threshold_from_dict(wrong)


def test_scipy_is_asked_for_by_name(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name="scipy")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(MissingExtra, match="forecast"):
        fitted(POT)
