"""Conformance of a task: the manners that all estimators of grukit.tasks share."""

from __future__ import annotations

import contextlib
import functools
import io
import random
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grukit.core.errors import NotFittedError, ParameterError
from grukit.data.synthetic import seasonal_series
from grukit.data.synthetic_texts import planted_reviews
from grukit.tasks.anomaly import AnomalyDetector
from grukit.tasks.classification import TextClassifier
from grukit.tasks.forecasting import Forecaster
from grukit.tasks.generation import TextGenerator
from grukit.tasks.speech import SpeechRecognizer
from grukit.tasks.translation import Translator
from grukit.testing.running import Check, random_state, run
from grukit.training.fit import FitConfig


@dataclass(frozen=True)
class EstimatorCase:
    """An estimator class, with what it takes to try it.

    arguments: make it small and quick to fit.
    invalid:   one argument outside its rule.
    data:      makes something to fit on, the same every time.
    answer:    the numbers that a fitted estimator predicts.
    """

    estimator: type
    arguments: Mapping[str, Any]
    invalid: Mapping[str, Any]
    data: Callable[[], Any]
    answer: Callable[[Any], np.ndarray]

    def make(self, **changed: Any) -> Any:
        """An estimator before fit."""
        return self.estimator(**{**self.arguments, **changed})

    def fitted(self, **changed: Any) -> Any:
        """An estimator after fit."""
        model = self.make(**changed)
        model.fit(self.data())
        return model


def _series() -> Any:
    import pandas as pd

    return pd.DataFrame(seasonal_series(count=2, length=120))


def _rows() -> Any:
    import pandas as pd

    random = np.random.default_rng(0)
    flow = np.sin(np.arange(300) / 5) + random.normal(scale=0.1, size=300)
    return pd.DataFrame({"flow": flow, "pressure": random.normal(size=300)})


def _pairs() -> Any:
    import pandas as pd

    texts = [f"the {cat} sat" for cat in ("cat", "dog", "bird", "mouse")] * 5
    return pd.DataFrame({"source": texts, "target": [text[::-1] for text in texts]})


def _reviews() -> Any:
    import pandas as pd

    texts, labels = planted_reviews(60)
    return pd.DataFrame({"text": texts, "label": labels})


@functools.cache
def _spoken() -> Any:
    """Recordings as ready-made features, which last as long as the process."""
    folder, random = tempfile.TemporaryDirectory(), np.random.default_rng(0)
    pairs = []
    for at in range(12):
        path = Path(folder.name, f"{at}.npy")
        np.save(path, random.normal(size=(30 + at, 6)).astype(np.float32))
        pairs.append((path, "no" if at % 3 else "yes"))
    weakref.finalize(_spoken, folder.cleanup)
    return pairs


CASES = {
    "anomaly": EstimatorCase(
        AnomalyDetector,
        arguments={
            "method": "both",
            "window": 16,
            "hidden_size": 4,
            "training": FitConfig(epochs=2),
        },
        invalid={"risk": 0},
        data=_rows,
        answer=lambda model: model.detect(_rows(), goes_on=True).scores,
    ),
    "classification": EstimatorCase(
        TextClassifier,
        arguments={"embedding_size": 4, "hidden_size": 4, "training": FitConfig(epochs=2)},
        invalid={"vocabulary": 0},
        data=_reviews,
        answer=lambda model: model.predict_proba(_reviews()),
    ),
    "forecast": EstimatorCase(
        Forecaster,
        arguments={
            "horizon": 4,
            "lookback": 24,
            "levels": [0.1, 0.5, 0.9],
            "hidden_size": 4,
            "num_layers": 2,
            "dropout": 0.1,
            "training": FitConfig(epochs=2),
        },
        invalid={"horizon": 0},
        data=_series,
        answer=lambda model: model.predict().values,
    ),
    "generation": EstimatorCase(
        TextGenerator,
        arguments={"hidden_size": 8, "length": 16, "training": FitConfig(epochs=2, batch_size=4)},
        invalid={"length": 0},
        data=lambda: ["the cat sat on the mat", "the dog ate the hat"] * 10,
        answer=lambda model: np.array([nats for _, nats in model.surprise("the hat sat")]),
    ),
    "speech": EstimatorCase(
        SpeechRecognizer,
        arguments={"hidden_size": 4, "num_layers": 1, "training": FitConfig(epochs=2)},
        invalid={"stride": 0},
        data=_spoken,
        answer=lambda model: model.log_chances(_spoken()[0][0]),
    ),
    "translation": EstimatorCase(
        Translator,
        arguments={
            "tokenizer": "char",
            "embedding_size": 4,
            "hidden_size": 4,
            "training": FitConfig(epochs=2),
        },
        invalid={"vocabulary": 0},
        data=_pairs,
        answer=lambda model: np.array([o.score for o in model.translate("the cat").candidates]),
    ),
}
"""A case for each task, by its name in a model folder."""


def the_constructor_only_remembers(case: EstimatorCase) -> None:
    for arguments in (case.arguments, {**case.arguments, **case.invalid}):
        model = case.estimator(**arguments)
        parameters = model.get_params()
        if extra := vars(model).keys() - parameters.keys():
            raise AssertionError(f"the constructor must set nothing but arguments, got {extra}")
        for name, given in arguments.items():
            if parameters[name] is not given:
                raise AssertionError(
                    f"{name} must be {given!r}, as given, got {parameters[name]!r}"
                )


def a_clone_has_the_same_parameters(case: EstimatorCase) -> None:
    model = case.make()
    clone = type(model)(**model.get_params())
    _same_parameters(clone, model.get_params(), "a clone")


def fit_validates(case: EstimatorCase) -> None:
    try:
        case.make(**case.invalid).fit(case.data())
    except ParameterError:
        return
    raise AssertionError(f"fit must raise ParameterError for {dict(case.invalid)}")


def fit_returns_self(case: EstimatorCase) -> None:
    model = case.make()
    if model.fit(case.data()) is not model:
        raise AssertionError("fit must return the estimator")


def fit_leaves_the_parameters(case: EstimatorCase) -> None:
    model = case.make()
    before = model.get_params()
    model.fit(case.data())
    _same_parameters(model, before, "after fit, the estimator")


def learned_attributes_end_in_an_underscore(case: EstimatorCase) -> None:
    model = case.fitted()
    public = {name for name in vars(model).keys() - model.get_params() if name[0] != "_"}
    if wrong := sorted(name for name in public if not name.endswith("_")):
        raise AssertionError(f"learned attributes must end in an underscore, got {wrong}")
    if not public:
        raise AssertionError("fit must leave a learned attribute")


def nothing_works_before_fit(case: EstimatorCase) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        for name, call in {
            "predict": lambda: case.answer(case.make()),
            "evaluate": lambda: case.make().evaluate(case.data()),
            "save": lambda: case.make().save(path),
        }.items():
            try:
                call()
            except NotFittedError:
                continue
            raise AssertionError(f"{name} before fit must raise NotFittedError")
        if path.exists():
            raise AssertionError("save before fit must write nothing")


def the_seed_decides(case: EstimatorCase) -> None:
    """Alone: whatever the global random state, the same seed gives the same answer."""
    answers = []
    for seed, noise in ((1, 2), (1, 3), (4, 2)):
        with random_state(noise):
            answers.append(case.answer(case.fitted(seed=seed)))
    _same_numbers(answers[1], answers[0], "the answer for the same seed")
    if np.array_equal(answers[2], answers[0]):
        raise AssertionError("another seed must give another answer")


def a_second_fit_starts_afresh(case: EstimatorCase) -> None:
    model = case.fitted()
    first = case.answer(model)
    _same_numbers(case.answer(model.fit(case.data())), first, "the answer after a second fit")


def predicting_twice_gives_the_same(case: EstimatorCase) -> None:
    model = case.fitted()
    _same_numbers(case.answer(model), case.answer(model), "the second answer")


def a_saved_model_predicts_the_same(case: EstimatorCase) -> None:
    model = case.fitted()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        model.save(path)
        loaded = type(model).load(path)
    _same_numbers(case.answer(loaded), case.answer(model), "the answer after load")
    for name, value in model.get_params().items():
        if _plain(loaded.get_params()[name]) != _plain(value):
            raise AssertionError(
                f"{name} must be {value!r} after load, got {loaded.get_params()[name]!r}"
            )


def the_data_is_left_alone(case: EstimatorCase) -> None:
    data = case.data()
    case.answer(case.make().fit(data))
    again = case.data()
    if not (data.equals(again) if hasattr(data, "equals") else data == again):
        raise AssertionError("fit and predict must leave the data as it was")


def nothing_is_printed(case: EstimatorCase) -> None:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        case.answer(case.fitted())
    for name, text in {"stdout": out.getvalue(), "stderr": err.getvalue()}.items():
        if text:
            raise AssertionError(f"fit and predict must print nothing, got on {name}: {text!r}")
    if caught:
        raise AssertionError(f"fit and predict must not warn, got {caught[0].message!r}")


def the_global_random_state_is_left_alone(case: EstimatorCase) -> None:
    # Away from where any seed would put them.
    random.random()
    np.random.rand()
    torch.rand(1)
    before = _random_states()
    case.answer(case.fitted())
    for name, state in _random_states().items():
        if state != before[name]:
            raise AssertionError(f"fit and predict must leave the random state of {name}")


def estimator_checks() -> tuple[Check, ...]:
    """The checks of an estimator, each a function of its case."""
    return (
        the_constructor_only_remembers,
        a_clone_has_the_same_parameters,
        fit_validates,
        fit_returns_self,
        fit_leaves_the_parameters,
        learned_attributes_end_in_an_underscore,
        nothing_works_before_fit,
        the_seed_decides,
        a_second_fit_starts_afresh,
        predicting_twice_gives_the_same,
        a_saved_model_predicts_the_same,
        the_data_is_left_alone,
        nothing_is_printed,
        the_global_random_state_is_left_alone,
    )


def check_estimator(case: EstimatorCase) -> None:
    """Raise AssertionError unless the estimator of `case` has the manners of all."""
    run(estimator_checks(), case)


def _same_parameters(model: Any, wanted: Mapping[str, Any], who: str) -> None:
    for name, value in model.get_params().items():
        if value is not wanted[name]:
            raise AssertionError(f"{who} must have {name}={wanted[name]!r}, got {value!r}")


def _same_numbers(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    if got.shape != wanted.shape:
        raise AssertionError(f"{what} must be of shape {wanted.shape}, got {got.shape}")
    if not np.array_equal(got, wanted, equal_nan=True):
        raise AssertionError(f"{what} differs by {np.abs(got - wanted).max():.3g}")


def _plain(value: Any) -> Any:
    """Lists and tuples alike, as a file does not tell them apart."""
    return tuple(value) if isinstance(value, list) else value


def _random_states() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state()
    return {
        "random": random.getstate(),
        "numpy": (name, np.asarray(keys).tolist(), rest),
        "torch": torch.random.get_rng_state().tolist(),
    }
