"""How often single words are recognized."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from grukit.core.errors import DataError
from grukit.evaluation.classification import accuracy, macro_f1
from grukit.results.scores import Score
from grukit.results.speech_evaluation import WordsEvaluation

Words = Sequence[str | None]


def words_evaluation(
    answers: Mapping[str, Words],
    truth: Words,
    classes: Sequence[str],
    threshold: float,
    seconds: float = math.nan,
    took: float = math.nan,
) -> WordsEvaluation:
    """A model's answers beside those of its baselines.

    >>> truth = ["yes", "no", "maybe"]
    >>> answers = {"model": ["yes", "no", None], "most frequent word": ["yes", "yes", "yes"]}
    >>> print(words_evaluation(answers, truth, ["yes", "no"], threshold=0.5).table())
                       accuracy   macro F1
    model                 1.000*     1.000*
    most frequent word    0.333      0.167

    answers: by name, the model first; None for what was rejected or is none of the `classes`.
    truth: what was said; what is none of the classes counts as unknown, whatever it is.
    threshold: of the model. seconds, took: as for `speech_evaluation`.

    Without anything unknown, said or answered, macro_f1 is the mean over the classes alone. Raises
    DataError where there is nothing to judge.
    """
    if not truth:
        raise DataError("the data must have at least one recording with a word, got none")
    places = {name: at for at, name in enumerate(classes)}
    unknown = len(places)

    def numbers(words: Words) -> np.ndarray:
        return np.array([unknown if w is None else places.get(w, unknown) for w in words])

    targets = numbers(truth)
    found = {name: numbers(words) for name, words in answers.items()}
    used = max(unknown, *(int(own.max()) + 1 for own in (targets, *found.values())))
    scores = tuple(
        Score(name, {"accuracy": accuracy(targets, own), "macro_f1": macro_f1(targets, own, used)})
        for name, own in found.items()
    )
    confusion = np.zeros((unknown + 1, unknown + 1), np.int64)
    np.add.at(confusion, (targets, next(iter(found.values()))), 1)
    return WordsEvaluation(
        scores,
        classes=tuple(classes),
        confusion=confusion,
        threshold=threshold,
        seconds=seconds,
        real_time_factor=took / seconds if seconds > 0 else math.nan,
    )
