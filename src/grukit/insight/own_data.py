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
...         metric="nats_per_character",
...         cells=["gru", "lstm"],
...         rates=[0.01],
...         seeds=1,
...         folder=folder,
...     )
>>> [row.cell for row in found.rows("generation")]
['gru', 'lstm']
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import nn

from grukit.core.errors import DivergenceError, ParameterError, must_be
from grukit.core.files import write_atomically
from grukit.core.rules import check, each, flag, integer, number, one_of
from grukit.data.tables import read_frame
from grukit.insight.trial import read_run, torch_threads
from grukit.nn.layer import Layer
from grukit.nn.sequence_model import parameters_of
from grukit.results.comparison import Comparison, Question, Run, run_to_dict
from grukit.training.fit import FitConfig

# Of recurrent weights so many units have as many as one unit of a GRU, about.
_UNITS = {"gru": 1.0, "lstm": 0.75**0.5, "rnn": 3**0.5, "mingru": 3**0.5}
Tell = Callable[[str, int, int], None]


def compare_estimator(
    estimator: Any,
    train: Any,
    test: Any,
    *,
    metric: str,
    folder: str | Path,
    cells: Sequence[str] = ("rnn", "lstm", "gru", "mingru"),
    rates: Sequence[float] = (1e-3, 3e-3, 1e-2),
    seeds: int = 3,
    by: Literal["parameters", "width"] = "parameters",
    higher_is_better: bool = False,
    name: str | None = None,
    tell: Tell | None = None,
) -> Comparison:
    """Fit an estimator with each cell, and compare what it scores beside its own baselines.

    estimator: one that is not fitted, with the settings that all have in common; its hidden_size
        is that of the GRU.
    train: what its `fit` takes, several arguments as a tuple. The validation, by which it stops
        and by which the learning rate is chosen, is its own.
    test: what its `evaluate` takes, several arguments as a tuple; a forecaster takes the whole
        table, and scores what comes after the training.
    metric: a name among the metrics of its evaluation.
    folder: where runs are saved; the same call goes on from there.
    rates: of its `training`, in turn, for every cell alike; the lowest validation loss chooses.
    by: "parameters", about: widths by how many gates a cell has; the table tells the true counts.
    name: what the comparison calls it, by default the task.
    tell: called with a run's name, how many are done and how many there are.

    Raises ParameterError for arguments outside their rules, and what `fit` and `evaluate` raise.
    """
    given = {"cells": list(cells), "rates": list(rates), "seeds": seeds, "by": by}
    check(
        {**given, "higher_is_better": higher_is_better},
        {
            "cells": each(one_of(*_UNITS), at_least=1),
            "rates": each(number(above=0), at_least=1),
            "seeds": integer(at_least=1),
            "by": one_of("parameters", "width"),
            "higher_is_better": flag(),
        },
    )
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    called = name or estimator.task
    data = hashlib.sha256("\0".join(map(_digest, (train, test))).encode()).hexdigest()
    baselines: dict[str, float] = {}
    count, done = len(cells) * (len(rates) + seeds - 1), 0

    def trained(cell: str, rate: float, seed: int) -> Run:
        nonlocal done
        units = estimator.hidden_size * (_UNITS[cell] if by == "parameters" else 1.0)
        own = type(estimator)(**estimator.get_params())
        settings = dataclasses.asdict(estimator.training or FitConfig())
        training = FitConfig(**{**settings, "learning_rate": rate, "progress": False})
        own.set_params(cell=cell, hidden_size=max(1, round(units)), training=training, seed=seed)
        text = f"{own!r} {data} {metric}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        file = home / f"{called}-{cell}-{rate:g}-{seed}-{digest}.json"
        if file.exists():
            content = json.loads(file.read_text(encoding="utf-8"))
            baselines.update(content.get("baselines", {}))
            found = read_run(file)
        else:
            found, others = _run(called, own, train, test, metric, file)
            baselines.update(others)
        done += 1
        if tell:
            tell(file.stem, done, count)
        return found

    runs: list[Run] = []
    for cell in dict.fromkeys(cells):
        tried = [trained(cell, rate, 0) for rate in rates]
        best = min(tried, key=lambda run: (run.best_loss, run.rate)).rate
        runs += [*tried, *(trained(cell, best, seed) for seed in range(1, seeds))]
    pick = max if higher_is_better else min
    says = pick(baselines, key=lambda one: baselines[one]) if baselines else "no baseline"
    question = Question(
        called,
        f"{type(estimator).__name__} on data of one's own",
        metric,
        higher_is_better,
        baselines.get(says, 0.0),
        says,
        None,
    )
    found = Comparison((question,), tuple(runs), by)
    content = json.dumps(found.to_dict(), indent=1, allow_nan=False)
    write_atomically(home / "comparison.json", content + "\n")
    return found


def _run(
    called: str, own: Any, train: Any, test: Any, metric: str, file: Path
) -> tuple[Run, dict[str, float]]:
    """Fit and evaluate, in one thread; the run, and the metric of each baseline."""
    began, diverged = time.process_time(), False
    score, others, history = math.nan, {}, ()
    with torch_threads():
        try:
            own.fit(*_arguments(train), checkpoint=file.with_suffix(".training"), resume=True)
        except DivergenceError:
            diverged = True
        took = time.process_time() - began
        if not diverged:
            history = own.history_
            scores = own.evaluate(*_arguments(test)).scores
            if metric not in scores[0].metrics:
                raise ParameterError(must_be("metric", f"one of {list(scores[0].metrics)}", metric))
            score = scores[0].metrics[metric]
            others = {
                one.name: one.metrics[metric]
                for one in scores[1:]
                if math.isfinite(one.metrics[metric])
            }
    network = None if diverged else _network(own)
    run = Run(
        problem=called,
        cell=own.cell,
        rate=own.training.learning_rate,
        seed=own.seed,
        hidden_size=own.hidden_size,
        parameters=parameters_of(network) if network else 0,
        multiply_adds=_recurrent_weights(network) if network else 0,
        memory_bytes=16 * parameters_of(network) if network else 0,
        train_losses=tuple(epoch.train_loss for epoch in history),
        validation_losses=tuple(
            math.nan if epoch.validation_loss is None else epoch.validation_loss
            for epoch in history
        ),
        seconds=(took / len(history),) * len(history) if history else (),
        score=score,
        diverged=diverged,
    )
    content = {**run_to_dict(run), "baselines": others}
    write_atomically(file, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return run, others


def _arguments(given: Any) -> tuple[Any, ...]:
    return given if isinstance(given, tuple) else (given,)


def _network(own: Any) -> nn.Module:
    """What an estimator has learned."""
    network = getattr(own, "network_", None)
    return network if network is not None else own._model.network


def _recurrent_weights(network: nn.Module) -> int:
    """Of the recurrent layers' matrices, each used once at a step."""
    layers = [module for module in network.modules() if isinstance(module, Layer)]
    return sum(own.numel() for layer in layers for own in layer.parameters() if own.dim() > 1)


def _digest(given: Any) -> str:
    """Of texts, files, tables and tuples of them: what is in them."""
    if isinstance(given, (tuple, list)):
        return hashlib.sha256("\0".join(map(_digest, given)).encode()).hexdigest()
    if isinstance(given, str):
        content = given.encode()
    elif isinstance(given, Path):
        content = given.read_bytes()
    else:
        content = str(read_frame(given).write_csv()).encode()
    return hashlib.sha256(content).hexdigest()
