"""tune: seeded, pruned, resumed from a file, and the best one is what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grukit import FitConfig
from grukit.core.errors import DataError, DivergenceError, NotFittedError, ParameterError
from grukit.tasks.forecast_space import forecast_space
from grukit.tasks.tuning import tune, validation_loss

optuna = pytest.importorskip("optuna")

ONE_EPOCH = FitConfig(epochs=1, batch_size=64, learning_rate=1e-2)


class Line:
    """An estimator without training: its loss falls towards (size - 3)^2 over the epochs."""

    fits = 0

    def __init__(self, size=0.0, seed=0):
        self.size, self.seed = size, seed

    def get_params(self):
        return {"size": self.size, "seed": self.seed}

    def fit(self, data, validation, callback=None):
        type(self).fits += 1
        if self.size < -90:
            raise DivergenceError("the loss must be finite")
        self.loss_ = (self.size - 3) ** 2
        for epoch in range(1, 6):
            if callback is not None:
                callback(epoch, self.loss_ + 10 / epoch)
        return self


def sizes(trial):
    return {"size": trial.suggest_float("size", -10.0, 10.0)}


def of_line(trials, storage=None, space=sizes, data=None, **changed):
    table = planted_rows() if data is None else data
    return tune(
        Line(**changed), table, space, trials=trials, storage=storage, score=lambda m: m.loss_
    )


def planted_rows(first=1.0):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"ds": pandas.date_range("2024", periods=3), "y": [first, 2.0, 3.0]})


def settings(tuning):
    return [trial.settings for trial in tuning.trials]


def test_it_finds_what_is_better():
    found = of_line(40)
    assert found.best.size == pytest.approx(3, abs=0.5)
    complete = [trial for trial in found.trials if trial.state == "complete"]
    assert found.best.loss_ == min(trial.score for trial in complete)
    assert all(trial.score == (trial.settings["size"] - 3) ** 2 for trial in complete)


def test_poor_trials_are_pruned_and_have_no_score():
    found = of_line(40)
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert len(pruned) > 5
    assert all(trial.score is None and trial.epochs < 5 for trial in pruned)
    assert all(trial.epochs == 5 for trial in found.trials if trial.state == "complete")
    assert all(trial.state == "complete" for trial in found.trials[:4])


def test_the_seed_decides():
    assert settings(of_line(8)) == settings(of_line(8))
    assert settings(of_line(8)) != settings(of_line(8, seed=1))


def test_a_trial_that_diverges_counts_as_failed():
    def sometimes(trial):
        size = trial.suggest_float("size", -10.0, 10.0)
        return {"size": -100.0 if trial.number % 2 else size}

    found = of_line(6, space=sometimes)
    assert [trial.state for trial in found.trials[1::2]] == ["failed"] * 3
    with pytest.raises(DataError, match="at least one of 3 trials must end with finite weights"):
        of_line(3, space=lambda trial: {"size": -100.0})


def test_a_stored_search_goes_on(tmp_path):
    storage = tmp_path / "trials.db"
    first = of_line(5, storage)
    before = Line.fits
    again = of_line(9, storage)
    assert settings(again)[:5] == settings(first)
    assert len(again.trials) == 9
    assert Line.fits - before <= 4 + 1  # the best may be from before, and is fitted again
    before = Line.fits
    whole = of_line(9, storage)
    assert settings(whole) == settings(again)
    assert Line.fits - before == 1
    assert whole.best.size == again.best.size


@pytest.mark.parametrize("changed", [{"seed": 5}, {"data": planted_rows(first=7.0)}])
def test_another_search_in_the_same_file_is_another(tmp_path, changed):
    storage = tmp_path / "trials.db"
    of_line(4, storage)
    assert len(of_line(3, storage, **changed).trials) == 3


def test_an_interrupted_search_keeps_its_trials(tmp_path):
    storage = tmp_path / "trials.db"

    def interrupted(trial):
        if trial.number == 3:
            raise KeyboardInterrupt
        return sizes(trial)

    with pytest.raises(KeyboardInterrupt):
        of_line(6, storage, space=interrupted)
    found = of_line(6, storage)
    assert [trial.state for trial in found.trials].count("failed") == 1
    assert len(found.trials) == 6


def test_a_forecaster_is_tuned_and_stays_as_it_is(small, planted):
    table = planted(length=200)
    model = small(training=ONE_EPOCH)

    def space(trial):
        return {"hidden_size": trial.suggest_categorical("hidden_size", [2, 4])}

    found = model.tune(table, space, trials=2)
    scores = [trial.score for trial in found.trials if trial.state == "complete"]
    assert validation_loss(found.best) == min(scores)
    assert found.best.hidden_size in (2, 4)
    assert found.best.predict().values.shape == (2, 6, 7)
    frame = found.to_frame()
    assert list(frame.columns) == ["number", "state", "score", "epochs", "hidden_size"]
    assert len(frame) == 2
    assert model.hidden_size == 4
    with pytest.raises(NotFittedError):
        model.predict()


def test_the_best_of_the_default_space_is_fitted_again_alike(small, planted):
    table, model = planted(length=200), small(training=ONE_EPOCH)
    fixed = {
        "learning_rate": 5e-3,
        "hidden_size": 16,
        "dropout": 0.1,
        "scaling": "series",
        "differencing": 0,
    }
    asked = forecast_space(model)(optuna.trial.FixedTrial(fixed))
    assert asked.pop("training") == replace(ONE_EPOCH, learning_rate=5e-3)
    assert asked == {name: fixed[name] for name in asked}
    assert len(asked) == len(fixed) - 1
    model.tune(table, trials=1)


def test_counts_and_events_are_tuned_too(small, planted):
    table = planted(length=200)
    table["y"] = (table.y > table.y.median()) * 1.0
    told = {}
    for family in ("negative_binomial", "bernoulli"):
        model = small(training=ONE_EPOCH, distribution=family)
        found = model.tune(table, trials=1)
        assert found.best.differencing is None
        assert found.trials[0].score == validation_loss(found.best)
        model.fit(table, callback=lambda epoch, loss, family=family: told.update({family: loss}))
    assert 0 < told["bernoulli"] < 0.5


def test_each_epoch_is_reported_in_units_of_the_data(small, planted):
    heard = []
    table = planted(length=200)
    big = table.assign(y=1000 * table.y)
    for rows in (table, big):
        told = []
        small().fit(rows, callback=lambda epoch, loss, told=told: told.append((epoch, loss)))
        assert [epoch for epoch, _ in told] == [1, 2]
        heard.append(np.array([loss for _, loss in told]))
    np.testing.assert_allclose(heard[1], 1000 * heard[0], rtol=1e-3)


def test_what_report_raises_leaves_the_estimator(fitted, frame, small):
    model = small()

    def stop(epoch, loss):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        model.fit(frame, callback=stop)
    with pytest.raises(NotFittedError):
        model.predict()


def test_optuna_is_left_as_it_was_and_says_nothing(capsys):
    before = optuna.logging.get_verbosity()
    of_line(2)
    assert optuna.logging.get_verbosity() == before
    assert capsys.readouterr() == ("", "")


def test_bad_arguments_are_refused(small, frame):
    with pytest.raises(ParameterError, match="trials must be an integer of at least 1, got 0"):
        small().tune(frame, trials=0)
    with pytest.raises(ParameterError, match="validation must be a share or a time, got None"):
        small().tune(frame, validation=None)
    with pytest.raises(ParameterError, match="validation must be a share or a time"):
        small().fit(frame, validation=None, callback=print)
    with pytest.raises(ParameterError, match="hidden_size must be"):
        small(hidden_size=0).tune(frame)
