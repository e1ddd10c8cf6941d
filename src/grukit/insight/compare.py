"""Recurrent cells beside each other on problems, under equal conditions.

>>> import tempfile
>>> setup = Setup(
...     sizes={"length": 10, "train": 64, "test": 32},
...     parameters=300,
...     rates=(0.01,),
...     training={"epochs": 1},
... )
>>> with tempfile.TemporaryDirectory() as folder:
...     found = compare({"adding": setup}, ("rnn", "gru"), folder=folder, seeds=1)
>>> [(row.cell, row.hidden_size, row.parameters) for row in found.rows("adding")]
[('rnn', 15, 301), ('gru', 8, 297)]
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Literal

from grukit.core.errors import DataError, GrukitError, Interrupted, ParameterError, must_be
from grukit.core.files import write_atomically
from grukit.core.rules import check, each, integer, one_of
from grukit.data.problems import Problem
from grukit.insight.setups import BUDGETS, Setup
from grukit.insight.trial import Trial, built, check_name, run, saved, stopped_in_words
from grukit.nn.by_name import LAYER_OF
from grukit.nn.sequence_model import width_for
from grukit.results.comparison import Comparison, Question
from grukit.training.signals import SignalWatch

# A signal is seen so soon.
_SECONDS_BETWEEN_LOOKS = 0.5
Problems = Sequence[str | Problem] | Mapping[str, Setup]
Tell = Callable[[Trial, int, int], None]


def compare(
    problems: Problems,
    cells: Sequence[str] | None = None,
    *,
    folder: str | Path,
    by: Literal["parameters", "width"] = "parameters",
    seeds: int = 3,
    setup: Setup | None = None,
    budget: Literal["short", "full"] = "short",
    processes: int = 1,
    tell: Tell | None = None,
) -> Comparison:
    """Train each cell on each problem, and say what came of it.

    problems: names from `grukit.data.problems`, or Problems of your own; or Setups by name.
    cells: of "rnn" (tanh), "lstm", "gru", "gru_before" (its reset gate acts before the product) and
        "mingru", which has a layer more; by default all.
    folder: where every run is saved as soon as it is done. The same call goes on from there, in
        the middle of a run too, after it was killed; other runs in it are left alone.
    by: whether networks have about equal parameters, or equally many units.
    seeds: how many trainings of each; from three on there is a confidence interval.
    setup: sizes, size of the networks and training for all problems; by default a table's, of the
        `budget`: minutes for each problem, or the sizes of the literature.
    processes: so many runs at a time, each of one thread in a process of its own; 1 trains here.
    tell: called with a trial, how many runs are done and how many there are.

    Every cell has the same learning rates to try, by the first seed, with the same batches and the
    same number of epochs; the rate with the lowest validation loss serves the other seeds too. The
    test decides nothing. The data of a problem are the same for all cells and seeds; a seed decides
    first weights, batches and masks.

    Raises ParameterError for arguments outside their rules, DataError for a saved run that cannot
    be read, GrukitError if a process fails, Interrupted after Ctrl-C or SIGTERM.
    """
    cells = tuple(LAYER_OF) if cells is None else tuple(dict.fromkeys(cells))
    check(
        {"cells": cells, "by": by, "seeds": seeds, "processes": processes, "budget": budget},
        {
            "cells": each(one_of(*LAYER_OF), at_least=1),
            "by": one_of("parameters", "width"),
            "seeds": integer(at_least=1),
            "processes": integer(at_least=1),
            "budget": one_of(*BUDGETS),
        },
    )
    asked = _asked(problems, setup, BUDGETS[budget])
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    searches = [
        Trial(one, own, cell, _width(built(one, own), own, cell, by), rate, 0)
        for one, own in asked
        for cell in cells
        for rate in dict.fromkeys(own.rates)
    ]
    count = len(searches) + (seeds - 1) * len(asked) * len(cells)
    with stopped_in_words(home):
        _work(searches, home, processes, tell, 0, count)
        others = [
            replace(best, seed=seed) for best in _best(searches, home) for seed in range(1, seeds)
        ]
        _work(others, home, processes, tell, len(searches), count)
    runs = [saved(trial, home) for trial in (*searches, *others)]
    questions = [_question(built(*one)) for one in asked]
    found = Comparison(tuple(questions), tuple(run for run in runs if run is not None), by)
    content = json.dumps(found.to_dict(), indent=1, allow_nan=False)
    write_atomically(home / "comparison.json", content + "\n")
    return found


def read_comparison(folder: str | Path) -> Comparison:
    """What `compare` last found with this folder; DataError for a damaged file."""
    file = Path(folder) / "comparison.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is not a comparison: {error}") from error
    return Comparison.from_dict(content)


def _asked(
    problems: Problems, setup: Setup | None, table: Mapping[str, Setup]
) -> list[tuple[str | Problem, Setup]]:
    found: list[tuple[str | Problem, Setup]] = []
    for one in problems:
        if isinstance(one, str) and one not in table:
            raise ParameterError(must_be("a problem", f"one of {', '.join(table)}", one))
        name = one if isinstance(one, str) else one.name
        check_name(name)
        given = problems[name] if isinstance(problems, Mapping) else setup
        found.append((one, given or table.get(name, Setup())))
    names = [one if isinstance(one, str) else one.name for one, _ in found]
    if not found or len(set(names)) < len(names):
        raise ParameterError(must_be("problems", "one or more, each once", names))
    return found


def _width(own: Problem, setup: Setup, cell: str, by: str) -> int:
    if by == "width":
        return setup.width
    return width_for(setup.parameters, cell, own.input_size, own.output_size, setup.num_layers)


def _best(searches: Sequence[Trial], folder: Path) -> list[Trial]:
    """Of each problem and cell the trial with the lowest validation loss."""
    groups: dict[tuple[str, str], list[tuple[float, float, Trial]]] = {}
    for trial in searches:
        done = saved(trial, folder)
        assert done is not None
        own = done.best_loss, trial.rate, trial
        groups.setdefault((done.problem, trial.cell), []).append(own)
    return [min(group, key=lambda own: own[:2])[2] for group in groups.values()]


def _work(
    trials: Sequence[Trial],
    folder: Path,
    processes: int,
    tell: Tell | None,
    before: int,
    count: int,
) -> None:
    """Run what is not saved yet."""
    missing = [trial for trial in trials if saved(trial, folder) is None]
    done = before + len(trials) - len(missing)
    here = (run(trial, folder) and trial for trial in missing)
    for trial in here if processes == 1 else _apart(missing, folder, processes):
        done += 1
        if tell:
            tell(trial, done, count)


def _apart(trials: Sequence[Trial], folder: Path, processes: int) -> Iterator[Trial]:
    """Each trial in a process of its own, so many at a time, told as they end."""
    context = multiprocessing.get_context("spawn")
    waiting, running = list(trials), {}
    with SignalWatch() as signals:
        try:
            while waiting or running:
                while waiting and len(running) < processes:
                    trial = waiting.pop(0)
                    process = context.Process(target=_alone, args=(trial, folder))
                    process.start()
                    running[process.sentinel] = process, trial
                ended = wait(list(running), _SECONDS_BETWEEN_LOOKS)
                if signals.received is not None:
                    raise Interrupted(signals.received, "stopped")
                for sentinel in ended:
                    process, trial = running.pop(sentinel)
                    process.join()
                    if process.exitcode != 0:
                        raise GrukitError(
                            f"the run {trial.name} ended with exit code {process.exitcode}; what "
                            "is done is saved: the same call goes on"
                        )
                    yield trial
        finally:
            for process, _ in running.values():
                process.terminate()
            for process, _ in running.values():
                process.join()


def _alone(trial: Trial, folder: Path) -> None:
    try:
        run(trial, folder)
    except KeyboardInterrupt:
        sys.exit(1)
    except GrukitError as error:
        sys.exit(f"{trial.name}: {error}")


def _question(own: Problem) -> Question:
    return Question(
        own.name,
        own.title,
        own.metric,
        own.higher_is_better,
        own.blank,
        own.blank_says,
        own.goal,
    )
