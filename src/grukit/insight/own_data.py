"""Cells beside each other on data of your own, through any estimator of grukit.

>>> import tempfile
>>> from grukit import FitConfig, TextGenerator
>>> training = FitConfig(epochs=1, batch_size=4, progress=False)
>>> writer = TextGenerator(hidden_size=8, length=16, training=training)
>>> text = "tick, tack, " * 60
>>> with tempfile.TemporaryDirectory() as folder:
...     found = compare_estimator(
...         writer,
...         text,
...         "tack, tick, " * 20,
...         cells=["gru", "lstm"],
...         rates=[0.01],
...         seeds=1,
...         folder=folder,
...     )
>>> [row.cell for row in found.rows("generation")], found.questions[0].metric
(['gru', 'lstm'], 'nats_per_character')
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import nn

from grukit.core.errors import DataError, DivergenceError, ParameterError, must_be
from grukit.core.files import write_atomically
from grukit.core.rules import check, each, integer, number, one_of
from grukit.data.tables import read_frame
from grukit.insight.own_widths import Size, nearest_width, size_of
from grukit.insight.trial import (
    check_name,
    memory_of,
    read_run,
    stopped_in_words,
    torch_threads,
)
from grukit.nn.by_name import LAYER_OF
from grukit.nn.sequence_model import parameters_of
from grukit.results.comparison import Comparison, Question, Run, run_to_dict
from grukit.results.conversion import none_unless_finite
from grukit.results.scores import METRICS, higher_is_better
from grukit.training.checkpoint import remove_checkpoint
from grukit.training.fit import EpochRecord, LossSum

# How wide a cell is beside a GRU with as many recurrent weights, where a search for it begins.
_UNITS = {
    "gru": 1.0,
    "gru_before": 1.0,
    "gru_d": 1.0,
    "lstm": 0.75**0.5,
    "rnn": 3**0.5,
    "mingru": 3**0.5,
}
Tell = Callable[[str, int, int], None]


def compare_estimator(
    estimator: Any,
    train: Any,
    test: Any,
    *,
    folder: str | Path,
    metric: str | None = None,
    cells: Sequence[str] | None = None,
    rates: Sequence[float] | None = None,
    seeds: int = 3,
    by: Literal["parameters", "width"] = "parameters",
    name: str | None = None,
    tell: Tell | None = None,
) -> Comparison:
    """Fit an estimator with each cell, and compare what it scores beside its own baselines.

    estimator: one with the settings that all have in common; it stays as it is. Its hidden_size is
        that of its own cell, and a minGRU has a layer more than the others, since its gates see
        what comes from below and not its own state; it has no recurrent dropout, having no
        recurrent product.
    train: what its `fit` takes, several arguments as a tuple. The validation, by which it stops
        and by which the learning rate is chosen, is its own; of a detector of anomalies, which has
        none, the loss in training chooses.
    test: what its `evaluate` takes, several arguments as a tuple; a forecaster takes the whole
        table, and scores what comes after the training.
    folder: where runs are saved; the same call goes on from there, with another `metric` too.
    metric: a name among the metrics of its evaluation but coverages; by default the first of them.
        `grukit.results.scores` says of which more is better.
    cells: by default its own, and all in `grukit.nn.by_name`; a Forecaster takes "gru_d" as well.
    rates: of its `training`, in turn, for every cell alike; the lowest validation loss chooses. By
        default a third of its own, its own, and three times that.
    by: "parameters": networks of other cells are as wide as gives them the parameters of the
        estimator's own, to a hundredth of what is recurrent in it where there is such a width. The
        data are read a few times more to find that out. Or "width".
    name: what the comparison calls it, by default the task.
    tell: called with a run's name, how many are done and how many there are.

    Raises ParameterError for arguments outside their rules, before any training where that can be
    known, and what `fit` and `evaluate` raise. What was trained before an error is not lost.
    """
    training = estimator.training or estimator.usual_training
    rates = _around(training.learning_rate) if rates is None else rates
    cells = (estimator.cell, *LAYER_OF) if cells is None else cells
    given = {"cells": list(cells), "rates": list(rates), "seeds": seeds, "by": by}
    known = METRICS[estimator.task]
    check(
        {**given, "metric": metric or known[0]},
        {
            "cells": each(one_of(*_UNITS), at_least=1),
            "rates": each(number(above=0), at_least=1),
            "seeds": integer(at_least=1),
            "by": one_of("parameters", "width"),
            "metric": one_of(*known),
        },
    )
    called = estimator.task if name is None else name
    check_name(called)
    cells, rates = tuple(dict.fromkeys(cells)), tuple(dict.fromkeys(rates))
    learned, judged = _digest(train), _digest(test)
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    done, count = 0, len(cells) * (len(rates) + seeds - 1)
    baselines: dict[str, float | None] = {}
    runs: list[Run] = []

    def made(cell: str, units: int, rate: float, seed: int) -> Any:
        own = type(estimator)(**estimator.get_params())
        layers = estimator.num_layers + (cell == "mingru") - (estimator.cell == "mingru")
        settings = replace(training, learning_rate=rate, progress=False, tensorboard=None)
        named = {"hidden_size": units, "num_layers": max(1, layers), "training": settings}
        if cell == "mingru" and getattr(own, "recurrent_dropout", 0):
            named["recurrent_dropout"] = 0.0  # it has no recurrent product to drop from
        return own.set_params(cell=cell, seed=seed, **named)

    def size(cell: str, units: int) -> Size:
        return size_of(made(cell, units, rates[0], 0), _arguments(train))

    @cache
    def asked() -> Size:
        return size(estimator.cell, estimator.hidden_size)

    @cache
    def width(cell: str) -> int:
        units = estimator.hidden_size
        if by == "width" or cell == estimator.cell:
            return units
        start = max(1, round(units * _UNITS[cell] / _UNITS[estimator.cell]))
        file = home / f"{called}-{cell}-{_short(made(cell, units, 1.0, 0), learned)}.width"
        if not file.exists():
            found = nearest_width(asked(), start, lambda own: size(cell, own).parameters)
            write_atomically(file, json.dumps(found))
        return _width(file)

    def trained(cell: str, rate: float, seed: int) -> Run:
        nonlocal done, metric
        own = made(cell, width(cell), rate, seed)
        found, answers = _run(home, called, own, (train, learned), (test, judged))
        if answers:
            names = [name for name in answers[0] if name in known]
            metric = metric or names[0]
            if metric not in names:
                raise ParameterError(must_be("metric", f"one of {', '.join(names)}", metric))
            baselines.update({one["name"]: one[metric] for one in answers[1:]})
            score = answers[0][metric]
            found = replace(found, score=math.nan if score is None else score)
        runs.append(found)
        done += 1
        if tell:
            tell(f"{called}-{cell}-{rate:g}-{seed}", done, count)
        return found

    with stopped_in_words(home):
        for cell in cells:
            width(cell)  # so that a cell that cannot be is refused before any training
        for cell in cells:
            tried = [trained(cell, rate, 0) for rate in rates]
            best = min(tried, key=lambda run: (run.best_loss, run.rate)).rate
            for seed in range(1, seeds):
                trained(cell, best, seed)
    metric = metric or known[0]  # where all diverged
    more = higher_is_better(metric)
    finite = {name: value for name, value in baselines.items() if value is not None}
    says = (max if more else min)(finite, key=finite.__getitem__, default="no baseline")
    title = f"{type(estimator).__name__} on data of one's own"
    blank = finite.get(says, math.nan)
    question = Question(called, title, metric, more, blank, says, None)
    found = Comparison((question,), tuple(runs), by)
    content = json.dumps(found.to_dict(), indent=1, allow_nan=False)
    write_atomically(home / "comparison.json", content + "\n")
    return found


def _around(rate: float) -> tuple[float, ...]:
    return tuple(float(f"{times * rate:.2g}") for times in (1 / 3, 1, 3))


class _Watch:
    """What an estimator's network takes, and each epoch: also where a run was interrupted.

    parameters, memory: see `Run`. seconds: of the CPU, by epoch, in a file meanwhile.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.parameters, self.memory = 0, None
        self.seconds: list[float] = []
        self._since: float | None = None
        self._before = 0.0  # seconds of an epoch that was interrupted
        if file.exists():
            with contextlib.suppress(ValueError, TypeError):
                content = json.loads(file.read_text(encoding="utf-8"))
                *self.seconds, self._before = map(float, content)

    def begin(self, model: nn.Module, call: Callable[[], LossSum], epochs: int) -> None:
        self.parameters, self.memory = parameters_of(model), memory_of(model, call)
        self._since = time.process_time()

    def __call__(self, record: EpochRecord) -> None:
        self.seconds = [*self.seconds[: record.epoch - 1], self._lap()]
        self._before = 0.0
        self._save()

    def pause(self) -> None:
        """The training stops within an epoch, from where it will go on."""
        if self._since is not None:
            self._before = self._lap()
            self._save()

    def _lap(self) -> float:
        assert self._since is not None
        now = time.process_time()
        before, self._since = self._since, now
        return self._before + now - before

    def _save(self) -> None:
        write_atomically(self.file, json.dumps([*self.seconds, self._before]))


def _run(
    home: Path, called: str, own: Any, train: tuple[Any, str], test: tuple[Any, str]
) -> tuple[Run, list[dict[str, Any]]]:
    """Fit and evaluate in one thread, or what was saved of it.

    train, test: the data, and what tells them from others.

    Returns the run without its score; and of the model and its baselines the name and the metrics.
    """
    stem = f"{called}-{own.cell}-{own.training.learning_rate:g}-{own.seed}"
    file = home / f"{stem}-{_short(own, train[1], test[1])}.json"
    if file.exists():
        found = read_run(file, own.cell, own.training.learning_rate, own.seed, own.hidden_size)
        return found, _answers(file)
    # Beside another test, what is trained and could not be evaluated is not trained again.
    checkpoint = home / f"{stem}-{_short(own, train[1])}.training"
    watch, diverged = _Watch(checkpoint.with_suffix(".epochs")), False
    history, answers = (), []
    given = {"checkpoint": checkpoint, "resume": True, "after_epoch": watch}
    with torch_threads():
        try:
            own.fit(*_arguments(train[0]), **given)
        except DivergenceError:
            diverged = True
        except KeyboardInterrupt:
            watch.pause()
            raise
        else:
            history, evaluation = own.history_, own.evaluate(*_arguments(test[0]))
            answers = [
                {name: none_unless_finite(value) for name, value in one.metrics.items()}
                | {"name": one.name}
                for one in (evaluation.scores[0], *evaluation.baselines)
            ]
    losses = [epoch.validation_loss for epoch in history]
    run = Run(
        problem=called,
        cell=own.cell,
        rate=own.training.learning_rate,
        seed=own.seed,
        hidden_size=own.hidden_size,
        parameters=watch.parameters,
        multiply_adds=None,
        memory_bytes=watch.memory,
        train_losses=tuple(epoch.train_loss for epoch in history),
        validation_losses=tuple(loss for loss in losses if loss is not None),
        seconds=tuple(watch.seconds[: len(history)]),
        score=math.nan,
        diverged=diverged,
    )
    content = {**run_to_dict(run), "scores": answers}
    write_atomically(file, json.dumps(content, indent=1, allow_nan=False) + "\n")
    watch.file.unlink(missing_ok=True)
    if checkpoint.is_dir():
        remove_checkpoint(checkpoint)
    return run, answers


def _width(file: Path) -> int:
    """The width that was found before."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if type(found) is not int or found < 1:
        raise DataError(f"{file} is not a saved width; delete it to find it anew")
    return found


def _answers(file: Path) -> list[dict[str, Any]]:
    """What a saved run's evaluation said."""
    found = json.loads(file.read_text(encoding="utf-8")).get("scores")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{file} is not a saved run of an estimator; delete it to train anew")
    return found


def _arguments(given: Any) -> tuple[Any, ...]:
    return given if isinstance(given, tuple) else (given,)


def _short(*parts: Any) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:10]


def _digest(given: Any) -> str:
    """Of texts, files, folders, tables, columns, arrays, settings, and tuples and lists of them."""
    if isinstance(given, (tuple, list)):
        content = "\0".join(map(_digest, given)).encode()
    elif given is None or isinstance(given, (bool, int, float)):
        content = repr(given).encode()
    elif isinstance(given, np.generic):
        return _digest(given.item())
    elif callable(getattr(given, "to_list", None)):
        return _digest(given.to_list())  # a column
    elif isinstance(given, np.ndarray) and given.dtype == object:
        return _digest([list(given.shape), given.ravel().tolist()])  # its bytes are addresses
    elif isinstance(given, Path) and given.is_dir():
        # What is said in recordings is read, of the recordings themselves how large they are.
        every = sorted(file for file in given.rglob("*") if file.is_file())
        told = [(str(file.relative_to(given)), file.stat().st_size) for file in every]
        texts = [file.read_bytes() for file in every if file.suffix == ".txt"]
        content = b"\0".join([repr(told).encode(), *texts])
    elif isinstance(given, Path):
        content = given.expanduser().read_bytes()
    elif isinstance(given, str):
        # A text, or as far as anybody can tell the name of a file.
        content = given.encode() + (Path(given).read_bytes() if os.path.isfile(given) else b"")
    elif isinstance(given, np.ndarray):
        content = f"{given.dtype} {given.shape}".encode() + np.ascontiguousarray(given).tobytes()
    else:
        content = str(read_frame(given).write_csv()).encode()
    return hashlib.sha256(content).hexdigest()
