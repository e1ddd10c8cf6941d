"""What all estimators share: their manners, and finding the right one for a model folder."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from grukit.core.errors import ModelFolderError, NotFittedError
from grukit.core.model_folder import read_model_folder

_TASKS = {
    "anomaly": ("grukit.tasks.anomaly", "AnomalyDetector"),
    "forecast": ("grukit.tasks.forecasting", "Forecaster"),
}


class Estimator:
    """scikit-learn's manners: the constructor only remembers, fit validates and returns self."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, as they were given."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise NotFittedError(f"this {type(self).__name__} must be fitted first: call fit(data)")


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
