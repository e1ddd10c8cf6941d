"""What all estimators share: their manners, and finding the right one for a model folder."""

from __future__ import annotations

import importlib
import inspect
import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import safetensors
import safetensors.torch
from torch import Tensor

from grukit.core.errors import (
    ModelFolderError,
    NotFittedError,
    ParameterError,
    did_you_mean,
    must_be,
)
from grukit.core.model_folder import read_model_folder
from grukit.training.fit import FitConfig

_TASKS = {
    "anomaly": ("grukit.tasks.anomaly", "AnomalyDetector"),
    "classification": ("grukit.tasks.classification", "TextClassifier"),
    "forecast": ("grukit.tasks.forecasting", "Forecaster"),
    "generation": ("grukit.tasks.generation", "TextGenerator"),
    "speech": ("grukit.tasks.speech", "SpeechRecognizer"),
    "translation": ("grukit.tasks.translation", "Translator"),
}


class Estimator:
    """scikit-learn's manners: the constructor only remembers, fit validates and returns self.

    task: its name in a model folder.
    usual_training: how it trains where its `training` is None.
    """

    task: ClassVar[str]
    usual_training: ClassVar[FitConfig] = FitConfig()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, as they were given."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}

    def set_params(self, **parameters: Any) -> Self:
        """Change arguments of the constructor, and return self; `fit` checks their values.

        Raises ParameterError for a name that is none.
        """
        names = inspect.signature(type(self)).parameters
        for name, value in parameters.items():
            if name not in names:
                wanted = f"an argument of {type(self).__name__}{did_you_mean(name, names)}"
                raise ParameterError(must_be("a parameter", wanted, name))
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator in a model folder, as it was saved.

        Raises ModelFolderError if the folder is missing, damaged, written by a newer grukit, or
        of another task.
        """
        folder = read_model_folder(path)
        task = folder.config.get("task")
        if task != cls.task:
            raise ModelFolderError(
                must_be(f"the task of the model in {path}", repr(cls.task), task)
            )
        try:
            tensors = safetensors.torch.load(folder.weights)
            return cls._of_folder(folder.config, tensors, folder.texts)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
            safetensors.SafetensorError,
        ) as error:
            raise ModelFolderError(f"the model folder {path} is damaged: {error}") from error

    @classmethod
    def _of_folder(
        cls, config: dict[str, Any], tensors: dict[str, Tensor], texts: dict[str, str]
    ) -> Self:
        """What was saved; an error of the kinds named in `load` for parts that do not fit."""
        raise NotImplementedError

    def _settings(self, **changed: Any) -> dict[str, Any]:
        """The constructor's arguments as JSON values, some of them `changed` before."""

        def plain(value: Any) -> Any:
            if is_dataclass(value) and not isinstance(value, type):
                return asdict(value)
            return value.item() if isinstance(value, np.generic) else str(value)

        return json.loads(json.dumps({**self.get_params(), **changed}, default=plain))

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise NotFittedError(f"this {type(self).__name__} must be fitted first: call fit(data)")


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments in a model folder."""
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in config["settings"].items()
    }
    if settings["training"] is not None:
        settings["training"] = FitConfig(**settings["training"])
    return settings


def load_model(path: str | Path) -> Any:
    """The estimator in a model folder, whatever its task.

    Raises ModelFolderError if the folder is missing, damaged, or of a task unknown here.
    """
    task = read_model_folder(path).config.get("task")
    if task not in _TASKS:
        known = ", ".join(repr(name) for name in _TASKS)
        raise ModelFolderError(
            f"the task of the model in {path} must be one of {known}, got {task!r}"
        )
    module, name = _TASKS[task]
    return getattr(importlib.import_module(module), name).load(path)
