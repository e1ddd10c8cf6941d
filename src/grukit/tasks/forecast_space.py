"""Where the search for a forecaster's settings looks by default, and what it hears of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.data.encoding import Encoded
from grukit.evaluation.backtest import thinned
from grukit.evaluation.metrics import pinball
from grukit.evaluation.occurrence import brier
from grukit.tasks.forecast_families import FAMILIES
from grukit.tasks.forecast_model import ForecastModel
from grukit.training.fit import EpochRecord, FitConfig

if TYPE_CHECKING:
    from grukit.tasks.forecasting import Forecaster

_WINDOWS = 2_000


def forecast_space(forecaster: Forecaster) -> Callable[[Any], dict[str, Any]]:
    """The size of the network, dropout, scaling, differencing, and the peak of the learning rate.

    Everything else stays as it is in `forecaster`.
    """
    training = forecaster.training or FitConfig()

    def space(trial: Any) -> dict[str, Any]:
        rate = trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True)
        changed = {
            "hidden_size": trial.suggest_categorical("hidden_size", [16, 32, 64, 128]),
            "dropout": trial.suggest_float("dropout", 0.0, 0.3, step=0.1),
            "scaling": trial.suggest_categorical("scaling", ["window", "series"]),
            "training": replace(training, learning_rate=rate),
        }
        if FAMILIES[forecaster.distribution].continuous:
            changed["differencing"] = trial.suggest_categorical("differencing", [0, 1])
        return changed

    return space


def reporter(
    callback: Callable[[int, float], None],
    model: ForecastModel,
    encoded: Encoded,
    judge: np.ndarray | None,
) -> Callable[[EpochRecord], None]:
    """What tells `callback` each epoch's number and loss on some of the `judge` windows."""
    if judge is None:
        raise ParameterError(must_be("validation", "a share or a time, to tell a callback", None))
    some = thinned(judge, _WINDOWS)
    truth = encoded.target[some[:, None] + np.arange(model.shape.horizon)]

    def loss() -> float:
        if model.occurrence is not None:
            return brier(truth, model.probabilities(encoded, some))
        return pinball(truth, model.quantiles(encoded, some), model.levels)

    return lambda record: callback(record.epoch, loss())
