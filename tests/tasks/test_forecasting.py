"""The forecaster: what it learns, what it may not see, and its manners."""

from __future__ import annotations

import copy
import io
import math
import signal
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from grukit import FitConfig, Forecaster
from grukit.core.errors import CheckpointError, Interrupted, NotFittedError
from grukit.data.encoding import PanelEncoder
from grukit.data.windows import Windows, origins
from grukit.results import Forecast
from grukit.tasks import forecasting
from grukit.tasks.forecast_split import default_lookback, rows_before
from grukit.training.fit import fit as real_fit

HORIZON, LOOKBACK = 6, 24


def same_weights(one: Forecaster, other: Forecaster) -> bool:
    theirs = other.network_.state_dict()
    return all(
        torch.equal(value, theirs[name]) for name, value in one.network_.state_dict().items()
    )


def assert_same(one: Forecast, other: Forecast) -> None:
    assert one.series == other.series
    np.testing.assert_array_equal(one.times, other.times)
    np.testing.assert_array_equal(one.values, other.values)


# What it learns


@pytest.fixture(scope="module")
def learned(planted):
    table = planted(count=4, length=500, noise=0.1)
    model = Forecaster(
        horizon=12,
        lookback=48,
        hidden_size=24,
        future_covariates=("promo",),
        static_covariates=("kind",),
        training=FitConfig(epochs=8, batch_size=32, learning_rate=1e-2),
    )
    end = table.ds.min() + pd.Timedelta(hours=420)
    return model.fit(table[table.ds < end]), table, end


def test_it_beats_every_baseline_on_a_planted_series(learned):
    model, table, _ = learned
    evaluation = model.evaluate(table)
    assert evaluation.beats("mae")
    assert evaluation.beats("pinball")
    scores = evaluation.scores[0].metrics
    assert scores["mae"] < 0.5 * min(each.metrics["mae"] for each in evaluation.scores[1:])
    assert 0.5 < scores["coverage_80"] < 0.98
    assert scores["coverage_80"] < scores["coverage_95"]


def test_each_half_is_validated_with_intervals_of_the_other_half(learned):
    estimator, table, _ = learned
    raw = replace(estimator._model, stretch=np.ones_like(estimator._model.stretch))
    encoded = raw.encoder.encode(estimator._read(table))
    at = origins(encoded, raw.shape.lookback, raw.shape.horizon, stride=5)
    calibrated, scores = raw.validated(encoded, at)
    np.testing.assert_array_equal(calibrated.stretch, raw.calibrated(encoded, at).stretch)

    early = encoded.times[at] < np.sort(encoded.times[at])[len(at) // 2]
    halves = [
        raw.calibrated(encoded, at[~half]).score(encoded, at[half]) for half in (early, ~early)
    ]
    covered = sum(each.scores[0].metrics["coverage_80"] * each.observations for each in halves)
    assert scores.observations == sum(each.observations for each in halves)
    assert scores.scores[0].metrics["coverage_80"] == pytest.approx(covered / scores.observations)
    assert scores.scores[0].metrics["coverage_80"] != pytest.approx(0.8, abs=1e-6)


def test_the_known_future_moves_the_forecast_as_planted(learned):
    model, table, end = learned
    future = table[(table.ds >= end)].drop(columns="y")
    without, with_promo = (
        model.predict(table[table.ds < end], future.assign(promo=promo)).median
        for promo in (0.0, 1.0)
    )
    effect = with_promo - without
    assert 1.0 < effect.mean() < 2.0  # planted: 1.5
    assert (effect > 0.3).all()


def test_the_static_category_is_used(learned):
    model, table, end = learned
    past, future = table[table.ds < end], table[table.ds >= end]
    other = past.assign(kind=past.kind.map({"calm": "lively", "lively": "calm"}))
    assert not np.array_equal(
        model.predict(past, future).values, model.predict(other, future).values
    )


def test_quantiles_rise_and_are_named(fitted):
    forecast = fitted.predict()
    assert (np.diff(forecast.values, axis=-1) >= 0).all()
    assert list(forecast.to_frame()) == [
        "unique_id", "ds", "y", "q0.025", "q0.1", "q0.25", "q0.5", "q0.75", "q0.9", "q0.975",
    ]  # fmt: skip


# What it may not see


class ScaledTruth(torch.nn.Module):
    """A network that answers with what it is told, at every level."""

    models = None

    def __init__(self, answer: torch.Tensor, levels: int) -> None:
        super().__init__()
        self.answer = torch.nn.Parameter(answer[..., None].repeat(1, 1, levels))

    def forward(self, past, future, static, series):
        return self.answer


@pytest.mark.parametrize("scaling", ["series", "window"])
@pytest.mark.parametrize("differencing", [0, 1, 7])
def test_a_network_that_outputs_the_scaled_truth_forecasts_the_truth(
    planted, small, scaling, differencing
):
    table = planted()
    model = small(scaling=scaling, differencing=differencing).fit(table)
    encoded = model._model.encoder.encode(model._read(table))
    at = origins(encoded, LOOKBACK, HORIZON)
    batch = Windows(encoded, at, model._model.shape).batch(torch.arange(len(at)))
    network = ScaledTruth(batch.target - batch.base, len(model.levels))
    got = replace(model._model, network=network).quantiles(encoded, at)
    truth = encoded.target[at[:, None] + np.arange(HORIZON)]
    np.testing.assert_allclose(got, truth[..., None].repeat(len(model.levels), -1), rtol=1e-5)


def forecasts_made_at(model: Forecaster, table: pd.DataFrame, origin: pd.Timestamp) -> np.ndarray:
    """The quantiles that a backtest of the table makes at `origin`: [S, H, Q]."""
    panel = model._read(table)
    before = rows_before(panel, np.datetime64(origin, "us"))
    encoded = model._model.encoder.encode(panel, seen=np.maximum(before, model.lookback_))
    at = encoded.offsets[:-1] + before
    return model._model.quantiles(encoded, at)


def assert_blind_to_the_future(model, table, columns, forecast=forecasts_made_at):
    """Changing `columns` at and after an origin must leave the forecast made there as it was."""
    origin = pd.Timestamp("2024-01-05 12:00")
    before = forecast(model, table, origin)
    changed = table.copy()
    ahead = changed.ds >= origin
    for column in columns:
        changed.loc[ahead, column] = changed.loc[ahead, column] * 3 + 40
        np.testing.assert_array_equal(forecast(model, changed, origin), before)


@pytest.mark.parametrize("scaling", ["series", "window"])
@pytest.mark.parametrize("differencing", [0, 1, 7])
@pytest.mark.parametrize("known", ["known", "unknown"])
def test_no_leak(planted, small, scaling, differencing, known):
    table = planted().assign(wind=np.arange(320) % 17.0)
    options = {"scaling": scaling, "differencing": differencing}
    model = small(past_covariates=("wind",), **options).fit(table)
    if known == "unknown":
        table = table.assign(unique_id="new " + table.unique_id, y=table.y * 100)
    assert_blind_to_the_future(model, table, ["y", "wind"])


def test_a_leak_is_noticed(planted, small):
    table = planted()
    model = small().fit(table)

    def leaky(model, table, origin):
        panel = model._read(table.assign(unique_id="new " + table.unique_id))
        encoded = model._model.encoder.encode(panel)  # the scale of all rows, later ones too
        rows = rows_before(panel, np.datetime64(origin, "us"))
        return model._model.quantiles(encoded, encoded.offsets[:-1] + rows)

    def shifted(model, table, origin):
        return forecasts_made_at(model, table, origin + pd.Timedelta(hours=1))

    for forecast in (leaky, shifted):
        with pytest.raises(AssertionError):
            assert_blind_to_the_future(model, table, ["y"], forecast)


def test_a_known_future_covariate_does_move_it(rich, rich_table):
    with pytest.raises(AssertionError):
        assert_blind_to_the_future(rich, rich_table, ["promo"])
    assert_blind_to_the_future(rich, rich_table, ["y", "wind"])


def test_the_backtest_and_predict_forecast_alike(rich, rich_table):
    origin = pd.Timestamp("2024-01-06 03:00")
    made = forecasts_made_at(rich, rich_table, origin)
    future = rich_table[rich_table.ds >= origin]
    predicted = rich.predict(rich_table[rich_table.ds < origin], future)
    np.testing.assert_array_equal(predicted.values, made)


@pytest.mark.parametrize("differencing", [1, 24])
def test_the_rows_before_the_lookback_do_not_matter(planted, small, differencing):
    table = planted()
    model = small(differencing=differencing).fit(table)
    recent = table.groupby("unique_id").tail(LOOKBACK)
    assert_same(model.predict(table), model.predict(recent))


def test_training_learns_nothing_from_the_validation_rows(planted, small):
    table = planted().assign(wind=np.arange(320) % 17.0)
    late = table.ds >= "2024-01-06"
    changed = table.copy()
    changed.loc[late, ["y", "wind", "promo"]] = changed.loc[late, ["y", "wind", "promo"]] * 9 + 50

    def train(data):
        # One epoch, so that the validation loss has no epoch to choose.
        training = FitConfig(epochs=1, learning_rate=1e-2)
        covariates = {"past_covariates": ("wind",), "future_covariates": ("promo",)}
        return small(training=training, **covariates).fit(data, validation="2024-01-06")

    one, other = train(table), train(changed)
    assert same_weights(one, other)
    assert one._model.encoder == other._model.encoder
    assert one._model.scales == other._model.scales
    for ours, theirs in zip(one._model.baselines, other._model.baselines, strict=True):
        np.testing.assert_array_equal(ours.residuals, theirs.residuals)
    assert one.validation_.scores[0].metrics != other.validation_.scores[0].metrics


def test_validation_rows_are_what_the_split_says(planted, small):
    table = planted()
    model = small().fit(table, validation="2024-01-06 12:00")
    assert model.validation_.first_origin == np.datetime64("2024-01-06T11:00")
    assert model.validation_.windows == 2 * (160 - 132 - HORIZON + 1)
    assert small().fit(table, validation=None).validation_ is None


def test_a_missing_target_has_no_effect_on_the_loss(frame, small):
    model = small().fit(frame)
    encoded = model._model.encoder.encode(model._read(frame))
    at = origins(encoded, LOOKBACK, HORIZON)
    batch = Windows(encoded, at, model._model.shape).batch(torch.arange(len(at)))
    assert 0.9 < batch.observed.float().mean() < 1

    def gradients(target: torch.Tensor) -> list[torch.Tensor]:
        loss = model._loss(model.network_, replace(batch, target=target)).total
        return list(torch.autograd.grad(loss, list(model.network_.parameters())))

    wanted = gradients(batch.target)
    for got, want in zip(
        gradients(torch.where(batch.observed, batch.target, torch.nan)), wanted, strict=True
    ):
        assert torch.equal(got, want)
    observed = gradients(torch.where(batch.observed, batch.target + 9, batch.target))
    assert any(not torch.equal(got, want) for got, want in zip(observed, wanted, strict=True))


# Manners


def test_the_same_seed_gives_the_same_model(frame, small):
    one, other, third = (small(seed=seed, dropout=0.1).fit(frame) for seed in (3, 3, 4))
    assert same_weights(one, other)
    assert_same(one.predict(), other.predict())
    assert not same_weights(one, third)


def test_numbers_may_be_numpys(frame, small, tmp_path):
    wanted = {"horizon": 6, "lookback": 24, "hidden_size": 4, "differencing": 24, "seed": 3}
    plain = small(**wanted).fit(frame)
    arguments = {name: np.int8(value) for name, value in wanted.items()}
    model = small(**arguments).fit(frame, checkpoint=tmp_path / "checkpoint")
    model.save(tmp_path / "model")
    assert_same(Forecaster.load(tmp_path / "model").predict(), plain.predict())


def test_the_constructor_only_remembers():
    levels, training = [0.1, 0.5], FitConfig(epochs=3)
    model = Forecaster(horizon=-1, levels=levels, scaling="nonsense", training=training)
    params = model.get_params()
    assert params["levels"] is levels
    assert params["training"] is training
    assert (params["horizon"], params["scaling"]) == (-1, "nonsense")
    assert vars(model) == params
    again = Forecaster(**params)
    assert again.get_params() == params


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(Forecaster()) == "Forecaster()"
    assert repr(Forecaster(12, target="load")) == "Forecaster(horizon=12, target='load')"
    assert "levels=array" in repr(Forecaster(levels=np.array([0.5])))


@pytest.mark.parametrize("use", ["predict", "evaluate", "save", "plot"])
def test_an_unfitted_forecaster_says_so(use):
    arguments = {"predict": (), "evaluate": (None,), "save": ("nowhere",), "plot": (None,)}[use]
    with pytest.raises(NotFittedError, match="must be fitted first"):
        getattr(Forecaster(), use)(*arguments)


def test_fit_returns_self_and_what_it_learned(frame, small):
    model = small()
    assert model.fit(frame) is model
    assert (model.lookback_, model.season_) == (LOOKBACK, 24)
    assert model.trained_until_ == frame.ds.max()
    assert model.report_.rows == len(frame)
    assert len(model.history_) == 2
    assert model.validation_.scores[0].name == "grukit GRU"
    assert not model.network_.training


def test_without_data_it_goes_on_from_the_training_data(fitted, frame):
    known = frame[frame.ds < "2024-01-06 20:00"]
    forecast = fitted.predict()
    assert_same(forecast, fitted.predict(known))
    assert forecast.times[0, 0] == np.datetime64("2024-01-06T20:00")


def test_each_series_is_forecast_from_its_own_end(fitted, frame):
    cut = frame[(frame.unique_id == "series_1") | (frame.ds < "2024-01-04")]
    forecast = fitted.predict(cut)
    assert forecast.times[:, 0].astype(str).tolist() == [
        "2024-01-04T00:00:00.000000",
        "2024-01-07T16:00:00.000000",
    ]
    alone = fitted.predict(cut[cut.unique_id == "series_1"])
    np.testing.assert_allclose(alone.values[0], forecast.values[1], rtol=1e-6)


def test_a_series_unknown_to_training_is_forecast_on_its_own_scale(fitted, frame):
    table = frame.assign(unique_id="new " + frame.unique_id, y=1e4 + 500 * frame.y)
    forecast = fitted.predict(table)
    assert forecast.series == ("new series_0", "new series_1")
    assert (np.abs(forecast.median - table.y.mean()) < 6 * table.y.std()).all()


def tables(frame: pd.DataFrame, folder) -> dict:
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet")
    return {
        "polars": pl.from_pandas(frame),
        "pyarrow": pa.Table.from_pandas(frame),
        "csv": folder / "t.csv",
        "parquet": str(folder / "t.parquet"),
        "shuffled": frame.sample(frac=1, random_state=0),
    }


def test_every_kind_of_table_gives_the_same_model(frame, small, tmp_path):
    wanted = small().fit(frame)
    answer = wanted.predict(frame)
    for kind, table in tables(frame, tmp_path).items():
        assert same_weights(small().fit(table), wanted), kind
        assert_same(wanted.predict(table), answer)


def test_the_caller_keeps_what_is_theirs(frame, small):
    table, before = frame.copy(), frame.copy()
    torch.manual_seed(5)
    np.random.seed(5)
    state, numbers, threads = (
        torch.get_rng_state(),
        np.random.get_state()[1],
        torch.get_num_threads(),
    )
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        model = small(dropout=0.2).fit(table)
        model.predict(table)
        model.evaluate(table, start="2024-01-06")
    assert (out.getvalue(), err.getvalue()) == ("", "")
    pd.testing.assert_frame_equal(table, before)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


def test_a_copy_forecasts_alike(fitted):
    assert_same(copy.deepcopy(fitted).predict(), fitted.predict())


def test_evaluate_starts_after_the_training_data(fitted, frame):
    evaluation = fitted.evaluate(frame)
    assert evaluation.first_origin == fitted.trained_until_
    assert evaluation.windows == 2 * (20 - HORIZON + 1)
    assert [each.name for each in evaluation.scores] == [
        "grukit GRU",
        "last value",
        "seasonal naive",
        "window mean",
    ]
    wide = fitted.evaluate(frame, start="2024-01-06 20:00", stride=5)
    assert wide.windows == 2 * 3


def test_plot_shows_history_and_truth(fitted, frame):
    forecast = fitted.predict(frame[frame.ds < "2024-01-07"])
    display = fitted.plot(forecast, frame, unit="K")
    assert display.truth.shape == (2, HORIZON)
    first = frame[(frame.unique_id == "series_0") & (frame.ds >= "2024-01-07")]
    np.testing.assert_array_equal(display.truth[0], first.y[:HORIZON])
    times, values = display.history["series_0"]
    assert times[-1] == np.datetime64("2024-01-06T23:00")
    assert len(values) == 144
    assert fitted.plot(fitted.predict()).truth is None


# Size


def test_a_table_is_encoded_once(frame, fitted, small, monkeypatch):
    rows = []

    def encode(self, panel, seen=None):
        rows.append(len(panel.times))
        return real_encode(self, panel, seen)

    real_encode = PanelEncoder.encode
    monkeypatch.setattr(PanelEncoder, "encode", encode)
    fitted.predict(frame)
    fitted.evaluate(frame)
    small().fit(frame)
    assert rows == [320, 320, 320]


def test_the_context_is_one_lookback_however_long_the_training(planted, small):
    model = small().fit(planted(count=3, length=500))
    assert model._model.context.lengths.tolist() == [LOOKBACK] * 3


# Interruption and failure


def interrupt_after(monkeypatch, updates: int) -> None:
    """Send SIGINT to training after so many updates."""
    done = []

    def loss(self, network, batch):
        if network.training:
            done.append(1)
            if len(done) == updates:
                signal.raise_signal(signal.SIGINT)
        return real_loss(self, network, batch)

    real_loss = Forecaster._loss
    monkeypatch.setattr(Forecaster, "_loss", loss)


@pytest.mark.parametrize("updates", [1, 5])
def test_an_interrupted_forecaster_can_predict_save_and_resume(
    frame, small, tmp_path, monkeypatch, updates
):
    whole = small().fit(frame)
    stopped = small()
    with monkeypatch.context() as patch:
        interrupt_after(patch, updates)
        with pytest.raises(Interrupted):
            stopped.fit(frame, checkpoint=tmp_path / "run")
    forecast = stopped.predict()
    stopped.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert_same(loaded.predict(), forecast)
    assert "interrupted" in (tmp_path / "model" / "README.md").read_text()
    assert (stopped.history_, stopped.validation_) == ((), None)
    assert not same_weights(stopped, whole)

    resumed = small().fit(frame, checkpoint=tmp_path / "run", resume=True)
    assert same_weights(resumed, whole)
    assert_same(resumed.predict(), whole.predict())
    assert resumed.history_ == whole.history_


def test_other_data_of_the_same_size_is_not_resumed_on(frame, small, tmp_path, monkeypatch):
    stopped = small(training=FitConfig(epochs=2, save_every_seconds=0))

    def crash(*arguments, **options):
        real_fit(*arguments, **options)
        raise RuntimeError("crash")

    monkeypatch.setattr(forecasting, "fit", crash)
    with pytest.raises(RuntimeError, match="crash"):
        stopped.fit(frame, checkpoint=tmp_path / "run")
    monkeypatch.setattr(forecasting, "fit", real_fit)
    other = frame.assign(y=frame.y.where(frame.index != frame.index[5], frame.y + 1e-6))
    with pytest.raises(CheckpointError, match="data was"):
        stopped.fit(other, checkpoint=tmp_path / "run", resume=True)
    stopped.fit(frame, checkpoint=tmp_path / "run", resume=True)


def test_a_learning_rate_is_found_and_nothing_changed(frame, small):
    model = small()
    search = model.find_learning_rate(frame)
    assert 1e-5 < search.suggestion < 1
    assert search.losses[0] > min(search.losses)
    assert vars(model) == model.get_params()


def test_a_crash_in_the_middle_is_resumed_bit_for_bit(frame, small, tmp_path, monkeypatch):
    training = FitConfig(epochs=2, learning_rate=1e-2, save_every_seconds=0)
    whole = small(training=training, dropout=0.1).fit(frame)
    calls = []

    def failing(self, network, batch):
        calls.append(1)
        if len(calls) == 6:
            raise OSError("the power went")
        return real_loss(self, network, batch)

    real_loss = Forecaster._loss
    stopped = small(training=training, dropout=0.1)
    with monkeypatch.context() as patch:
        patch.setattr(Forecaster, "_loss", failing)
        with pytest.raises(OSError, match="power"):
            stopped.fit(frame, checkpoint=tmp_path / "run")
    assert not hasattr(stopped, "network_")
    resumed = small(training=training, dropout=0.1)
    resumed.fit(frame, checkpoint=tmp_path / "run", resume=True)
    assert same_weights(resumed, whole)


def test_a_failed_fit_leaves_the_old_model(frame, small, monkeypatch):
    model = small().fit(frame)
    before, params = model.predict(), dict(vars(model))

    def failing(*arguments, **options):
        raise RuntimeError("diverged")

    monkeypatch.setattr(forecasting, "fit", failing)
    with pytest.raises(RuntimeError, match="diverged"):
        model.fit(frame.assign(y=frame.y * 2))
    assert vars(model) == params
    assert_same(model.predict(), before)
    monkeypatch.setattr(forecasting, "fit", real_fit)
    with pytest.raises(NotFittedError):
        small().predict()


# Calendars and defaults


@pytest.mark.parametrize(
    ("freq", "rows", "season", "lookback"),
    [
        ("B", 300, 5, 16),
        ("MS", 120, 12, 34),
        ("YS", 60, 1, 16),
        ("D", 200, 7, 21),
        ("W-SUN", 208, 52, 58),
        ("15min", 900, 96, 255),
    ],
)
def test_every_calendar_works_with_default_lookback(freq, rows, season, lookback):
    times = pd.date_range("1960-01-01", periods=rows, freq=freq)
    y = np.sin(np.arange(rows) * math.tau / max(season, 4)) + 0.01 * np.arange(rows)
    training = FitConfig(epochs=1)
    model = Forecaster(horizon=3, hidden_size=4, training=training)
    model.fit(pd.DataFrame({"ds": times, "y": y}))
    assert (model.season_, model.lookback_) == (season, lookback)
    wanted = pd.date_range(times[-1], periods=4, freq=freq)[1:]
    np.testing.assert_array_equal(model.predict().times[0], wanted.to_numpy())


@pytest.mark.parametrize(
    ("season", "horizon", "rows", "wanted"),
    [
        (24, 24, 5000, 72),
        (24, 100, 5000, 100),
        (3600, 60, 50_000, 336),
        (1, 1, 5000, 16),
        (12, 12, 60, 20),
        (12, 24, 36, 12),
        (12, 12, 2, 1),
    ],
)
def test_default_lookback(season, horizon, rows, wanted):
    assert default_lookback(season, horizon, rows) == wanted


def test_one_series_without_a_name(small):
    table = pd.DataFrame(
        {"when": pd.date_range("2024-01-01", periods=100, freq="h"), "load": np.arange(100.0)}
    )
    model = small(time="when", target="load", series=None).fit(table)
    answer = model.predict().to_frame()
    assert list(answer)[:2] == ["when", "load"]
    assert len(answer) == HORIZON


def test_answers_say_what_their_table_lacked(frame, fitted):
    holed = frame.drop(index=frame.index[-5:-2])
    assert "3 added for gaps" in fitted.predict(holed).report
    assert "3 added for gaps" in fitted.evaluate(holed, start=frame.ds.iloc[-20]).report
    assert fitted.predict().report == ""
