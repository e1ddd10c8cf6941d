"""The backtest against metrics of all windows at once, and against series scored by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grukit.data.calendar import Calendar
from grukit.data.encoding import Encoded
from grukit.data.windows import origins
from grukit.evaluation import backtest as module
from grukit.evaluation.backtest import backtest, fit_baselines, series_scales
from grukit.evaluation.metrics import score, seasonal_naive_scale
from grukit.results import Evaluation

LEVELS = (0.1, 0.5, 0.9)
LOOKBACK, HORIZON, SEASON = 6, 4, 8
LENGTHS = (60, 45, 50)


def panel(missing: float = 0.2) -> Encoded:
    random = np.random.default_rng(5)
    rows, calendar = sum(LENGTHS), Calendar("D")
    target = random.normal(np.repeat([0.0, 50.0, -9.0], LENGTHS), np.repeat([1, 5, 2], LENGTHS))
    target[random.random(rows) < missing] = np.nan
    nothing = np.zeros((rows, 0), np.float32)
    return Encoded(
        calendar=calendar,
        ids=("a", "b", "c"),
        offsets=np.concatenate([[0], np.cumsum(LENGTHS)]),
        times=np.concatenate([calendar.times("2024-01-01", length) for length in LENGTHS]),
        target=target,
        past=nothing,
        known=nothing,
        static=np.zeros((3, 0), np.float32),
        center=np.zeros(3),
        spread=np.ones(3),
        index=np.arange(3),
    )


def forecast_of(origins: np.ndarray) -> np.ndarray:
    """Quantiles that depend on the origin alone."""
    median = np.sin(origins[:, None] + np.arange(HORIZON))
    return median[..., None] + np.array([-1.0, 0.0, 1.0])


def learned(encoded: Encoded) -> tuple[np.ndarray, tuple, np.ndarray]:
    cut = np.array([35, 30, 0])
    scales = series_scales(encoded, SEASON, cut)
    at = origins(encoded, LOOKBACK, HORIZON, to_row=cut)
    fitted = fit_baselines(encoded, at, scales, LOOKBACK, HORIZON, SEASON, LEVELS)
    return scales, fitted, origins(encoded, LOOKBACK, HORIZON, from_row=cut)


def run(encoded: Encoded) -> Evaluation:
    scales, fitted, at = learned(encoded)
    known = {"a": scales[0], "b": scales[1]}
    return backtest(
        "model", encoded, at, forecast_of, fitted, known, LOOKBACK, HORIZON, SEASON, LEVELS
    )


@pytest.mark.parametrize("chunk", [1, 7, 4096])
@pytest.mark.parametrize("missing", [0.0, 0.2, 0.8])
def test_chunks_score_like_all_windows_at_once(chunk, missing, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    encoded = panel(missing)
    evaluation = run(encoded)
    scales, fitted, at = learned(encoded)
    truth = encoded.target[at[:, None] + np.arange(HORIZON)]
    first_of_c = at[at >= 105].min()
    own = seasonal_naive_scale(encoded.target[105:first_of_c], SEASON)
    scale = np.array([scales[0], scales[1], own])[encoded.series_of(at)]
    history = np.full((len(at), SEASON), np.nan)
    for window, origin in enumerate(at):
        start = max(encoded.offsets[encoded.series_of(origin)], origin - SEASON)
        history[window, SEASON - (origin - start) :] = encoded.target[start:origin]
    answers = {"model": (forecast_of(at), None)}
    answers |= {rule.name: (rule.quantiles(history, scale), rule.point(history)) for rule in fitted}
    assert [each.name for each in evaluation.scores] == list(answers)
    for each in evaluation.scores:
        quantiles, point = answers[each.name]
        wanted = score("", truth, quantiles, LEVELS, scale, point).metrics
        assert each.metrics == pytest.approx(wanted, rel=1e-9)
        for step in range(HORIZON):
            rows = slice(step, step + 1)
            own_point = None if point is None else point[:, rows]
            column = score("", truth[:, rows], quantiles[:, rows], LEVELS, scale, own_point)
            got = {name: values[step] for name, values in evaluation.by_step[each.name].items()}
            assert got == pytest.approx(column.metrics, rel=1e-9)
    assert evaluation.windows == len(at)
    assert evaluation.observations == np.isfinite(truth).sum()
    assert (evaluation.first_origin, evaluation.last_origin) == (
        encoded.times[at - 1].min(),
        encoded.times[at - 1].max(),
    )


def test_a_forecast_shifted_by_one_step_scores_worse():
    encoded = panel(0.0)
    scales, fitted, at = learned(encoded)

    def exact(origins: np.ndarray, shift: int = 0) -> np.ndarray:
        rows = (origins[:, None] + np.arange(HORIZON) + shift).clip(max=len(encoded.target) - 1)
        return encoded.target[rows][..., None].repeat(3, axis=-1)

    common = (fitted, dict(zip("abc", scales, strict=True)), LOOKBACK, HORIZON, SEASON, LEVELS)
    right = backtest("model", encoded, at, exact, *common)
    wrong = backtest("model", encoded, at, lambda at: exact(at, 1), *common)
    assert right.scores[0].metrics["mae"] == 0
    assert right.beats("mae")
    assert wrong.scores[0].metrics["mae"] > 1


def test_baselines_learn_from_the_training_rows_alone():
    encoded = panel()
    scales, fitted, _ = learned(encoded)
    later = np.concatenate([np.arange(60) >= 35, np.arange(45) >= 30, np.arange(50) >= 0])
    changed = replace(encoded, target=np.where(later, 1e6, encoded.target))
    scales_after, fitted_after, _ = learned(changed)
    np.testing.assert_array_equal(scales, scales_after)
    for one, other in zip(fitted, fitted_after, strict=True):
        np.testing.assert_array_equal(one.residuals, other.residuals)
    leaky = series_scales(encoded, SEASON, encoded.lengths)
    assert not np.array_equal(leaky, series_scales(changed, SEASON, encoded.lengths))


def test_thinned_origins_fall_on_every_hour_of_the_day():
    few = module.thinned(np.arange(24 * 1000), at_most=1000)
    assert len(np.unique(few)) == 1000
    assert (np.diff(few) > 0).all()
    per_hour = np.bincount(few % 24, minlength=24)
    assert per_hour.min() > 20
    assert per_hour.max() < 70
    assert module.thinned(np.arange(5), at_most=5).tolist() == [0, 1, 2, 3, 4]


def test_residuals_are_of_thinned_windows_where_they_are_many(monkeypatch):
    monkeypatch.setattr(module, "ENOUGH", 10)
    encoded = panel(0.0)
    at = origins(encoded, LOOKBACK, HORIZON)
    scales = series_scales(encoded, SEASON, encoded.lengths)
    few = fit_baselines(encoded, at, scales, LOOKBACK, HORIZON, SEASON, LEVELS)
    chosen = module.thinned(at)
    same = fit_baselines(encoded, chosen, scales, LOOKBACK, HORIZON, SEASON, LEVELS)
    for one, other in zip(few, same, strict=True):
        np.testing.assert_array_equal(one.residuals, other.residuals)


def test_an_unknown_series_is_scaled_by_what_lies_before_its_first_origin():
    encoded = panel(0.0)
    at = origins(encoded, LOOKBACK, HORIZON, from_row=np.array([35, 30, 20]))
    first = at[at >= 105].min()

    def scales_if_later_values_were(value: float) -> np.ndarray:
        target = encoded.target.copy()
        target[first:] = value
        changed = replace(encoded, target=target)
        return module._known_scales(changed, at, SEASON, {"a": 1.0, "b": 2.0})

    scales = scales_if_later_values_were(0.0)
    assert scales[:2].tolist() == [1, 2]
    assert scales[2] == seasonal_naive_scale(encoded.target[105:first], SEASON)
    np.testing.assert_array_equal(scales, scales_if_later_values_were(1e3))


def test_constant_series_have_no_mase():
    encoded = panel(0.0)
    evaluation = run(replace(encoded, target=np.full(len(encoded.target), 3.0)))
    assert all(np.isnan(each.metrics["mase"]) for each in evaluation.scores)
    assert evaluation.scores[1].metrics["mae"] == 0


def test_no_more_than_a_chunk_is_forecast_at_once(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 16)
    encoded, sizes = panel(), []
    scales, fitted, at = learned(encoded)

    def forecast(origins: np.ndarray) -> np.ndarray:
        sizes.append(len(origins))
        return forecast_of(origins)

    known = dict(zip("abc", scales, strict=True))
    backtest("model", encoded, at, forecast, fitted, known, LOOKBACK, HORIZON, SEASON, LEVELS)
    assert max(sizes) == 16
    assert sum(sizes) == len(at)
