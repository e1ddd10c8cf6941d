from __future__ import annotations

import json
import math

import numpy as np
import pytest

from grukit.core.errors import DataError
from grukit.evaluation.linear_words import LinearWords
from grukit.evaluation.word_metrics import words_evaluation

TRUTH = ["yes", "yes", "yes", "no", "no", "fish", None]
MODEL = ["yes", "yes", None, "no", "yes", None, "no"]


def evaluation(**more):
    answers = {"model": MODEL, "most frequent word": ["yes"] * len(TRUTH)}
    return words_evaluation(answers, TRUTH, ["no", "yes"], 0.5, **more)


def test_a_confusion_has_rows_of_what_was_said():
    answer = evaluation(seconds=7.0, took=0.7)
    np.testing.assert_array_equal(answer.confusion, [[1, 1, 0], [0, 2, 1], [1, 0, 1]])
    assert answer.scores[0].metrics["accuracy"] == 4 / 7
    assert answer.scores[1].metrics["accuracy"] == 3 / 7
    # F1 by hand: no 2/4, yes 4/6, unknown 2/4.
    assert answer.scores[0].metrics["macro_f1"] == pytest.approx((0.5 + 2 / 3 + 0.5) / 3)
    assert (answer.recordings, answer.rejected) == (7, 1 / 5)
    assert answer.real_time_factor == pytest.approx(0.1)
    assert answer.per_class() == {
        "no": {"recall": 0.5, "precision": 0.5, "count": 2},
        "yes": {"recall": 2 / 3, "precision": 2 / 3, "count": 3},
        None: {"recall": 0.5, "precision": 0.5, "count": 2},
    }
    found = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert found["confusion"] == [[1, 1, 0], [0, 2, 1], [1, 0, 1]]
    assert found["per_class"][2] == {"word": None, "recall": 0.5, "precision": 0.5, "count": 2}


def test_what_never_comes_does_not_count():
    answer = words_evaluation({"model": ["a"]}, ["a"], ["a", "b"], 0.0)
    assert answer.scores[0].metrics == {"accuracy": 1.0, "macro_f1": 0.5}
    assert math.isnan(answer.per_class()["b"]["recall"])
    assert answer.to_dict()["per_class"][1]["precision"] is None
    assert math.isnan(words_evaluation({"m": [None]}, ["x"], ["a"], 0.0).rejected)
    with pytest.raises(DataError, match="at least one recording with a word, got none"):
        words_evaluation({"model": []}, [], ["a"], 0.0)


def test_the_linear_model_finds_what_is_linear():
    random = np.random.default_rng(0)
    directions = random.normal(size=(4, 6)) * 3
    targets = random.integers(0, 3, 600)
    mixing = random.normal(size=(6, 6))
    features = (directions[targets] + random.normal(size=(600, 6))) @ mixing + 100
    model = LinearWords.fit(features[:400], targets[:400], classes=4)
    assert (model.answers(features[400:]) == targets[400:]).mean() > 0.95
    assert (
        LinearWords(**model.arrays()).answers(features[:9]).tolist()
        == model.answers(features[:9]).tolist()
    )


def test_the_linear_model_takes_few_recordings_and_constant_features():
    features = np.concatenate([np.eye(2), np.ones((2, 38))], axis=1)
    assert LinearWords.fit(features, np.array([1, 0]), classes=2).answers(features).tolist() == [
        1,
        0,
    ]
    same = np.ones((3, 4))
    assert LinearWords.fit(same, np.array([1, 1, 0]), classes=3).answers(same).tolist() == [1, 1, 1]
