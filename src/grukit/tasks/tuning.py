"""A search among settings, for any estimator."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grukit.core.errors import DataError, DivergenceError, ParameterError, must_be
from grukit.core.extras import require
from grukit.core.rules import check, integer
from grukit.data.tables import read_frame

# Trials before any is pruned, and epochs before one can be.
_UNPRUNED_TRIALS, _UNPRUNED_EPOCHS = 4, 1


@dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: from 0.
        state: "complete", "pruned" where others were better by the same epoch, or "failed" where
            the training diverged.
        settings: what was tried, by name.
        score: of a complete trial, else None.
        epochs: how many were trained.
    """

    number: int
    state: str
    settings: dict[str, Any]
    score: float | None
    epochs: int


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a search found.

    Attributes:
        best: the estimator with the lowest score, fitted.
        trials: all of them, in order; those of earlier searches in the same storage too.
    """

    best: Any
    trials: tuple[Trial, ...]

    def to_frame(self, backend: str = "pandas") -> Any:
        """One row a trial: number, state, score, epochs, then its settings."""
        names = list(dict.fromkeys(name for trial in self.trials for name in trial.settings))
        data: dict[str, list[Any]] = {
            name: [getattr(trial, name) for trial in self.trials]
            for name in ("number", "state", "score", "epochs")
        }
        for name in names:
            data[name] = [trial.settings.get(name) for trial in self.trials]
        return require("narwhals").from_dict(data, backend=backend).to_native()


def validation_loss(estimator: Any) -> float:
    """The pinball loss of a fitted forecaster on its validation windows; of events, Brier's."""
    metrics = estimator.validation_.scores[0].metrics
    return metrics["brier" if "brier" in metrics else "pinball"]


def tune(
    estimator: Any,
    data: Any,
    space: Callable[[Any], dict[str, Any]],
    *,
    trials: int = 20,
    validation: Any = 0.15,
    storage: str | Path | None = None,
    score: Callable[[Any], float] = validation_loss,
) -> Tuning:
    """Fit copies of `estimator` with settings from `space`, and keep the one of lowest score.

    estimator: takes ``fit(data, validation, callback=...)`` and a seed, as a Forecaster does.
    data: all that the search sees. Its score chooses, so it is optimistic: judge the best on other
        rows, later ones.
    space: from an optuna trial to the arguments that change; only its names are searched.
    trials: how many there are in the end, those already in the storage counted.
    validation: what every trial is scored on.
    storage: an SQLite file. The same search on the same data goes on from what is in it; another
        one is kept beside it.
    score: of a fitted estimator; the lower the better.

    Settings are proposed by a tree-structured Parzen estimator (Bergstra et al. 2011) from the
    estimator's seed. A trial is pruned when after the same epoch its reported loss is above the
    median of the others. One that diverges counts as failed. Raises DataError if all of them did.
    """
    check({"trials": trials}, {"trials": integer(at_least=1)})
    if validation is None:
        raise ParameterError(must_be("validation", "a share or a time", validation))
    optuna = require("optuna")
    fitted: dict[int, Any] = {}

    def attempt(settings: dict[str, Any], callback: Callable[[int, float], None] | None) -> Any:
        model = type(estimator)(**{**estimator.get_params(), **settings})
        return model.fit(data, validation, callback=callback)

    def objective(trial: Any) -> float:
        def told(epoch: int, loss: float) -> None:
            trial.report(loss, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        model = attempt(space(trial), told)
        value = score(model)
        if not fitted or value < score(next(iter(fitted.values()))):
            fitted.clear()
            fitted[trial.number] = model
        return value

    with _quiet(optuna), _stored(optuna, storage) as kept:
        study = optuna.create_study(
            storage=kept,
            study_name=_identity(estimator, data, validation) if storage else None,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(_UNPRUNED_TRIALS, _UNPRUNED_EPOCHS),
        )
        done = sum(trial.state.is_finished() for trial in study.trials)
        study.sampler = optuna.samplers.TPESampler(seed=(int(estimator.seed) + done) % 2**32)
        if trials > done:
            study.optimize(objective, n_trials=trials - done, catch=(DivergenceError,))
        found = tuple(_trial(trial) for trial in study.trials if trial.state.is_finished())
        if not any(trial.state == "complete" for trial in found):
            raise DataError(
                f"at least one of {len(found)} trials must end with finite weights, got none; "
                "search lower learning rates, or look for huge values in the data"
            )
        best = study.best_trial
        model = fitted.get(best.number) or attempt(
            space(optuna.trial.FixedTrial(best.params)), None
        )
    return Tuning(model, found)


def _trial(trial: Any) -> Trial:
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    value = float(trial.value) if state == "complete" else None
    return Trial(trial.number, state, dict(trial.params), value, len(trial.intermediate_values))


def _identity(estimator: Any, data: Any, validation: Any) -> str:
    """A name for the search: the same for the same settings, rows and validation part."""
    rows = require("pandas").util.hash_pandas_object(read_frame(data).to_pandas(), index=False)
    sums = hashlib.sha256(f"{estimator.get_params()!r}\0{validation!r}".encode())
    sums.update(rows.to_numpy().tobytes())
    return sums.hexdigest()[:16]


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@contextlib.contextmanager
def _stored(optuna: Any, path: str | Path | None) -> Iterator[Any]:
    """optuna's storage in an SQLite file, closed at the end; None keeps trials in memory."""
    if path is None:
        yield None
        return
    storage = optuna.storages.RDBStorage(f"sqlite:///{Path(path).expanduser().absolute()}")
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()
