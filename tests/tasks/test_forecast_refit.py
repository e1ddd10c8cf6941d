"""refit: on from the weights there are, on new rows."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from grukit import FitConfig, Forecaster
from grukit.core.errors import DataError, NotFittedError, ParameterError

CUT = "2024-01-09"
MORE = FitConfig(epochs=3, batch_size=64, learning_rate=1e-2)


@pytest.fixture(scope="module")
def table(planted):
    return planted(length=400)


@pytest.fixture(scope="module")
def first(small, table):
    """Trained on the earlier half; tests must not change it."""
    return small().fit(table[table.ds < CUT])


@pytest.fixture
def model(first):
    return copy.deepcopy(first)


@pytest.fixture(scope="module")
def refitted(first, table):
    return copy.deepcopy(first).refit(table, training=MORE)


def weights(model: Forecaster) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.network_.state_dict().values()])


def test_training_goes_on_from_the_weights_there_are(first, refitted, table):
    assert refitted.refit_.improved
    assert refitted.refit_.loss_after < refitted.refit_.loss_before
    assert refitted.history_[0].train_loss < first.history_[0].train_loss
    assert not torch.equal(weights(refitted), weights(first))
    assert refitted.trained_until_ == table.ds.max().to_datetime64()
    assert refitted.validation_.windows > 0
    assert f"{refitted.refit_.loss_after:.4g}" in refitted._card


def test_it_forecasts_new_rows_better_than_before(first, refitted, table):
    on_new = [m.evaluate(table, start=CUT).scores[0].metrics["pinball"] for m in (first, refitted)]
    assert on_new[1] < on_new[0]


def test_scales_stay_and_intervals_are_calibrated_anew(first, refitted):
    before, after = first._model, refitted._model
    assert after.encoder == before.encoder
    assert after.shape == before.shape
    assert torch.equal(after.network.step_scale, before.network.step_scale)
    assert (after.stretch != before.stretch).any()
    assert (after.baselines[0].residuals != before.baselines[0].residuals).any()


def test_the_same_rows_give_the_same_weights(first, refitted, table):
    again = copy.deepcopy(first).refit(table, training=MORE)
    assert torch.equal(weights(again), weights(refitted))


def test_weights_that_do_not_get_better_stay(model, first, table):
    ruinous = FitConfig(epochs=1, learning_rate=10.0, warmup_fraction=0.0, clip_norm=None)
    model.refit(table, training=ruinous)
    assert not model.refit_.improved
    assert torch.equal(weights(model), weights(first))
    assert (model._model.stretch != first._model.stretch).any()
    assert "the earlier weights stay" in model._card


def test_a_loaded_model_goes_on_as_the_fitted_one(first, refitted, table, tmp_path):
    first.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model").refit(table, training=MORE)
    np.testing.assert_array_equal(loaded.predict().values, refitted.predict().values)
    loaded.save(tmp_path / "model")
    assert Forecaster.load(tmp_path / "model").trained_until_ == loaded.trained_until_


def test_by_default_it_trains_a_fifth_of_the_epochs(small, table):
    training = FitConfig(epochs=10, patience=None, batch_size=256)
    model = small(training=training).fit(table[table.ds < "2024-01-03"])
    assert len(model.history_) == 10
    assert len(model.refit(table[table.ds < "2024-01-04"]).history_) == 2


def test_a_fit_afterwards_starts_afresh(model, small, table):
    model.refit(table, training=MORE)
    afresh = small().fit(table)
    assert torch.equal(weights(model.fit(table)), weights(afresh))
    assert model.refit_ is None


def test_a_new_series_may_join(model, planted):
    table = planted(count=3, length=400)
    model.refit(table, training=MORE)
    assert model.predict().series == ("series_0", "series_1", "series_2")


SPOILT = {
    "another column": (lambda table: table.rename(columns={"y": "x"}), "'y'"),
    "another frequency": (
        lambda table: table[table.ds.dt.hour % 2 == 0],
        "the steps of the data must be 'h', as in training, got '2h'",
    ),
    "too few rows": (lambda table: table[table.ds < "2024-01-01 20:00"], "at least 30 rows"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_an_unfit_table_is_refused_and_the_model_stays(model, first, table, name):
    spoil, message = SPOILT[name]
    with pytest.raises(DataError, match=message):
        model.refit(spoil(table))
    np.testing.assert_array_equal(model.predict().values, first.predict().values)


def test_a_failure_in_training_leaves_the_model(model, first, table, monkeypatch):
    def break_down(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("grukit.training.fit._Run._close_epoch", break_down)
    with pytest.raises(KeyboardInterrupt):
        model.refit(table)
    assert torch.equal(weights(model), weights(first))
    assert model.trained_until_ == first.trained_until_


def test_it_needs_a_fitted_model_and_validation_rows(small, model, table):
    with pytest.raises(NotFittedError):
        small().refit(table)
    with pytest.raises(ParameterError, match="validation must be a share or a time, got None"):
        model.refit(table, validation=None)


def test_a_setting_changed_since_the_fit_is_refused(model, first, table):
    model.hidden_size += 1
    with pytest.raises(ParameterError, match="hidden_size must be 4, as in fit, to go on from its"):
        model.refit(table)
    model.hidden_size -= 1
    model.seed += 1
    assert torch.equal(weights(model), weights(first))
    model.refit(table, training=MORE)
