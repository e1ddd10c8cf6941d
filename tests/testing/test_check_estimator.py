"""check_estimator passes our tasks and goes red for every sabotage, by the right check."""

from __future__ import annotations

import random
import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from grukit.core.errors import NotFittedError
from grukit.core.model_folder import read_model_folder, write_model_folder
from grukit.core.rules import check, integer
from grukit.tasks.base import _TASKS, Estimator
from grukit.testing import check_estimator, estimator_checks
from grukit.testing.estimators import CASES, EstimatorCase
from grukit.testing.running import failures


@pytest.mark.parametrize("task", CASES)
@pytest.mark.parametrize("check", estimator_checks(), ids=lambda check: check.__name__)
def test_tasks(check, task):
    check(CASES[task])


def test_every_task_has_a_case():
    assert CASES.keys() == _TASKS.keys()


class Mean(Estimator):
    """Predicts the mean and some noise: the smallest estimator that there is."""

    def __init__(self, size=3, tags=(), seed=0):
        self.size = size
        self.tags = tags
        self.seed = seed

    def fit(self, data):
        check(vars(self), {"size": integer(at_least=1)})
        noise = np.random.default_rng(self.seed).normal(size=self.size)
        self.network_ = data["y"].mean() + noise
        return self

    def predict(self):
        self._check_fitted()
        return self.network_.copy()

    def evaluate(self, data):
        self._check_fitted()

    def save(self, path):
        self._check_fitted()
        config = {"values": list(self.network_), "parameters": self.get_params()}
        write_model_folder(path, config, b"", {})

    @classmethod
    def load(cls, path):
        config = read_model_folder(path).config
        model = cls(**config["parameters"])
        model.network_ = np.array(config["values"])
        return model


MEAN = EstimatorCase(
    Mean,
    arguments={"size": 4, "tags": ["a"]},
    invalid={"size": 0},
    data=lambda: pd.DataFrame({"y": [1.0, 2.0, 4.0]}),
    answer=lambda model: model.predict(),
)


def test_the_smallest_estimator_passes():
    check_estimator(MEAN)


class ChangesAnArgument(Mean):
    def __init__(self, size=3, tags=(), seed=0):
        super().__init__(size, tuple(tags), seed)


class ComputesInTheConstructor(Mean):
    def __init__(self, size=3, tags=(), seed=0):
        super().__init__(size, tags, seed)
        self.double = 2 * size


class ValidatesInTheConstructor(Mean):
    def __init__(self, size=3, tags=(), seed=0):
        check({"size": size}, {"size": integer(at_least=1)})
        super().__init__(size, tags, seed)


class MixesItsParameters(Mean):
    def get_params(self, deep=True):
        return {**super().get_params(), "seed": object()}


class ValidatesNothing(Mean):
    def fit(self, data):
        self.network_ = np.zeros(self.size)
        return self


class ReturnsNothing(Mean):
    def fit(self, data):
        super().fit(data)


class OverwritesAnArgument(Mean):
    def fit(self, data):
        self.tags = tuple(data.columns)
        return super().fit(data)


class LearnsWithoutUnderscore(Mean):
    def fit(self, data):
        self.rows = len(data)
        return super().fit(data)


class LearnsInSecret(Mean):
    def fit(self, data):
        super().fit(data)
        self._network = self.__dict__.pop("network_")
        return self


class PredictsBeforeFit(Mean):
    def predict(self):
        return getattr(self, "network_", np.zeros(self.size))


class EvaluatesBeforeFit(Mean):
    def evaluate(self, data):
        return 0.0


class WritesBeforeFit(Mean):
    def save(self, path):
        path.mkdir()
        super().save(path)


class IgnoresTheSeed(Mean):
    def fit(self, data):
        super().fit(data)
        self.network_ = np.zeros(self.size)
        return self


class DrawsFromTheGlobalState(Mean):
    def fit(self, data):
        super().fit(data)
        with torch.random.fork_rng(devices=[]):
            self.network_ += torch.rand(self.size).numpy()
        return self


class GoesOnFromTheLastFit(Mean):
    def fit(self, data):
        last = getattr(self, "network_", 0)
        super().fit(data)
        self.network_ = self.network_ + last
        return self


class ForgetsItsWeightsWhenSaved(Mean):
    @classmethod
    def load(cls, path):
        model = super().load(path)
        model.network_ = model.network_ * 1.01
        return model


class ForgetsAnArgumentWhenSaved(Mean):
    @classmethod
    def load(cls, path):
        model = super().load(path)
        model.tags = ()
        return model


class SpoilsTheData(Mean):
    def fit(self, data):
        data["y"] -= data["y"].mean()
        return super().fit(data)


class DriftsAsItPredicts(Mean):
    def predict(self):
        answer = super().predict()
        self.network_ += 1
        return answer


class Prints(Mean):
    def fit(self, data):
        print("epoch 1")
        return super().fit(data)


class PrintsOnStderr(Mean):
    def predict(self):
        print("done", file=sys.stderr)
        return super().predict()


class Warns(Mean):
    def fit(self, data):
        warnings.warn("short data", stacklevel=2)
        return super().fit(data)


class SeedsNumpy(Mean):
    def fit(self, data):
        np.random.seed(self.seed)
        return super().fit(data)


class SeedsPython(Mean):
    def fit(self, data):
        random.seed(self.seed)
        return super().fit(data)


class SeedsTorch(Mean):
    def fit(self, data):
        torch.manual_seed(self.seed)
        return super().fit(data)


SABOTAGE = {
    ChangesAnArgument: "the_constructor_only_remembers",
    ComputesInTheConstructor: "the_constructor_only_remembers",
    ValidatesInTheConstructor: "the_constructor_only_remembers",
    MixesItsParameters: "a_clone_has_the_same_parameters",
    ValidatesNothing: "fit_validates",
    ReturnsNothing: "fit_returns_self",
    OverwritesAnArgument: "fit_leaves_the_parameters",
    LearnsWithoutUnderscore: "learned_attributes_end_in_an_underscore",
    LearnsInSecret: "learned_attributes_end_in_an_underscore",
    PredictsBeforeFit: "nothing_works_before_fit",
    EvaluatesBeforeFit: "nothing_works_before_fit",
    WritesBeforeFit: "nothing_works_before_fit",
    IgnoresTheSeed: "the_seed_decides",
    DrawsFromTheGlobalState: "the_seed_decides",
    GoesOnFromTheLastFit: "a_second_fit_starts_afresh",
    DriftsAsItPredicts: "predicting_twice_gives_the_same",
    ForgetsItsWeightsWhenSaved: "a_saved_model_predicts_the_same",
    ForgetsAnArgumentWhenSaved: "a_saved_model_predicts_the_same",
    SpoilsTheData: "the_data_is_left_alone",
    Prints: "nothing_is_printed",
    PrintsOnStderr: "nothing_is_printed",
    Warns: "nothing_is_printed",
    SeedsNumpy: "the_global_random_state_is_left_alone",
    SeedsPython: "the_global_random_state_is_left_alone",
    SeedsTorch: "the_global_random_state_is_left_alone",
}


@pytest.mark.parametrize("estimator", SABOTAGE, ids=lambda estimator: estimator.__name__)
def test_a_sabotaged_estimator_is_caught(estimator):
    assert SABOTAGE[estimator] in failures(estimator_checks(), replace(MEAN, estimator=estimator))


def test_check_estimator_says_what_is_wrong():
    with pytest.raises(AssertionError, match=r"learned attributes .* got \['rows'\]"):
        check_estimator(replace(MEAN, estimator=LearnsWithoutUnderscore))


def test_the_checks_leave_the_global_random_states_alone():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    check_estimator(MEAN)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert after == before


def test_not_fitted_is_an_error_of_its_own():
    with pytest.raises(NotFittedError, match="this Mean must be fitted first"):
        Mean().predict()
