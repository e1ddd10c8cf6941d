from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn import metrics

from grukit.evaluation.classification import calibration_error, metrics_of
from grukit.evaluation.temperature import (
    answers_of,
    best_threshold,
    fit_temperature,
    probabilities_of,
)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(400, 4)) * 2
TARGETS = np.array([RANDOM.choice(4, p=p) for p in probabilities_of(LOGITS, False)])
HOT = (RANDOM.random((400, 4)) < probabilities_of(LOGITS, True)).astype(np.float32)


def test_metrics_are_those_of_scikit_learn():
    chances = probabilities_of(LOGITS, False)
    own = metrics_of(TARGETS, chances, chances.argmax(1))
    assert own["accuracy"] == metrics.accuracy_score(TARGETS, chances.argmax(1))
    assert own["macro_f1"] == pytest.approx(
        metrics.f1_score(TARGETS, chances.argmax(1), average="macro", labels=range(4))
    )
    assert own["log_loss"] == pytest.approx(metrics.log_loss(TARGETS, chances))
    several = probabilities_of(LOGITS, True)
    own = metrics_of(HOT, several, several >= 0.5)
    assert own["accuracy"] == metrics.accuracy_score(HOT, several >= 0.5)
    assert own["macro_f1"] == pytest.approx(metrics.f1_score(HOT, several >= 0.5, average="macro"))
    each = [metrics.log_loss(HOT[:, at], several[:, at]) for at in range(4)]
    assert own["log_loss"] == pytest.approx(np.mean(each))


def test_a_class_that_is_neither_there_nor_named_has_no_f1():
    own = metrics_of(np.array([0, 0]), np.array([[0.9, 0.1, 0.0]] * 2), np.array([0, 0]))
    assert own["macro_f1"] == pytest.approx(1 / 3)


def test_calibration_error_by_hand():
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.4, 0.6]])
    # 0.9 comes true once of two; 0.7 and 0.6 are in bins of their own, one right, one wrong.
    assert calibration_error(np.array([0, 1, 1, 0]), chances) == pytest.approx(
        (2 * 0.4 + 0.3 + 0.6) / 4
    )
    certain = np.array([[1.0, 0.0]])
    assert calibration_error(np.array([1]), certain) == 1.0
    assert calibration_error(np.array([[1, 0]]), certain) == 0.0


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_undoes_a_factor(multilabel, factor):
    targets = HOT if multilabel else TARGETS
    found = fit_temperature(factor * LOGITS, targets)
    assert found == pytest.approx(factor, rel=0.15)

    def loss(log_temperature: float) -> float:
        chances = probabilities_of(factor * LOGITS / np.exp(log_temperature), multilabel)
        return metrics_of(targets, chances, targets)["log_loss"]

    least = np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)
    assert found == pytest.approx(least, rel=0.05)
    before = calibration_error(targets, probabilities_of(4 * LOGITS, multilabel))
    after = calibration_error(targets, probabilities_of(LOGITS, multilabel))
    assert after < before / 2


def test_a_few_right_answers_make_no_certainty():
    logits, targets = np.array([[3.0, 0.0], [0.0, 3.0]]), np.array([0, 1])
    chances = probabilities_of(logits / fit_temperature(logits, targets), False)
    assert chances[0, 0] == pytest.approx(3 / 4)
    assert fit_temperature(np.zeros((3, 2)), np.array([0, 1, 1])) <= 20
    assert fit_temperature(-100 * logits, targets) == pytest.approx(20)


def test_chances_do_not_overflow():
    huge = np.array([[1e4, -1e4], [-1e4, 1e4]])
    for multilabel in (False, True):
        assert probabilities_of(huge, multilabel).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_thresholds():
    chances = np.array([0.05, 0.1, 0.2, 0.3, 0.35, 0.9])
    truth = np.array([False, False, True, False, True, True])
    assert best_threshold(chances, truth, "accuracy") == pytest.approx(0.325)
    assert best_threshold(chances, truth, "f1") == pytest.approx(0.15)
    assert best_threshold(chances, np.ones(6, bool), "accuracy") < 0.075 + 1e-9
    assert best_threshold(np.array([0.3]), np.array([False]), "f1") == 0.5


def test_answers_are_what_thresholds_say():
    two, several = np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([[0.7, 0.3], [0.2, 0.6]])
    assert answers_of(two, False).tolist() == [0, 1]
    assert answers_of(two, False, np.array([0.2])).tolist() == [1, 1]
    assert answers_of(several, True).tolist() == [[1, 0], [0, 1]]
    assert answers_of(several, True, np.array([0.8, 0.3])).tolist() == [[0, 1], [0, 1]]
    assert answers_of(np.array([[0.2, 0.3, 0.5]]), False).tolist() == [2]
