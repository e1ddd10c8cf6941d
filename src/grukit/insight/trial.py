"""One training of a comparison: a cell on a problem, at a learning rate, from a seed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from grukit.core.errors import (
    DataError,
    DivergenceError,
    Interrupted,
    ParameterError,
    must_be,
)
from grukit.core.files import write_atomically
from grukit.data.problems import Problem, problem
from grukit.data.problems.base import Batch, Kind
from grukit.insight.setups import Setup
from grukit.nn.sequence_model import SequenceModel, parameters_of
from grukit.results.comparison import Run, run_from_dict, run_to_dict
from grukit.training.checkpoint import remove_checkpoint
from grukit.training.fit import EpochRecord, LossSum, fit

_TESTED_AT_ONCE = 64


@dataclass(frozen=True)
class Trial:
    """What is trained: all that its result depends on.

    problem: the name of a built-in one, or a Problem.
    """

    problem: str | Problem
    setup: Setup
    cell: str
    hidden_size: int
    rate: float
    seed: int

    @property
    def name(self) -> str:
        """Of its files: what it is, and a digest of everything."""
        called = self.problem if isinstance(self.problem, str) else self.problem.name
        identity = {
            **self.setup.identity(),
            "problem": called if isinstance(self.problem, str) else _digest(self.problem),
            "cell": self.cell,
            "hidden_size": self.hidden_size,
            "rate": self.rate,
            "seed": self.seed,
        }
        text = json.dumps(identity, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return f"{called}-{self.cell}-{self.rate:g}-{self.seed}-{digest}"


def built(asked: str | Problem, setup: Setup) -> Problem:
    """The problem, of a name by the setup's sizes."""
    if isinstance(asked, Problem):
        return asked
    return _built(asked, json.dumps(dict(setup.sizes), sort_keys=True))


@lru_cache(maxsize=1)
def _built(name: str, sizes: str) -> Problem:
    return problem(name, **json.loads(sizes))


def saved(trial: Trial, folder: Path) -> Run | None:
    """The run as it was saved in a folder, or None; DataError for a file of something else."""
    file = folder / f"{trial.name}.json"
    if not file.exists():
        return None
    return read_run(file, trial.cell, trial.rate, trial.seed, trial.hidden_size)


def read_run(file: Path, cell: str, rate: float, seed: int, hidden_size: int) -> Run:
    """A saved run of that cell, rate, seed and width; DataError for something else."""
    try:
        found = run_from_dict(json.loads(file.read_text(encoding="utf-8")))
        if (found.cell, found.rate, found.seed, found.hidden_size) != (
            *(cell, rate, seed, hidden_size),
        ):
            raise ValueError("of another cell, rate, seed or width than its name says")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(f"{file} is not a saved run ({error}); delete it to train anew") from error
    return found


def check_name(name: str) -> None:
    """Refuse what cannot begin the names of a folder's files."""
    if not name or Path(name).name != name:
        raise ParameterError(must_be("the name of what is compared", "a file's name", name))


@contextlib.contextmanager
def stopped_in_words(folder: str | Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM as Interrupted, which says where the comparison stays."""
    try:
        yield
    except KeyboardInterrupt as stop:
        number = stop.signal if isinstance(stop, Interrupted) else signal.SIGINT
        said = f"the comparison stopped; what is done is saved in {folder}: the same call goes on"
        raise Interrupted(number, said) from stop


def run(
    trial: Trial, folder: Path, tell: Callable[[Trial, EpochRecord], None] | None = None
) -> Run:
    """Train, test, and save the run in the folder.

    What was begun there and interrupted goes on. tell: called after each epoch.
    """
    own = built(trial.problem, trial.setup)
    model = _network(trial, own)
    clock = _Clock(folder / f"{trial.name}.epochs", partial(loss_of, own.kind))
    checkpoint = folder / f"{trial.name}.training"
    memory = memory_bytes(model, own)

    def after_epoch(record: EpochRecord) -> None:
        clock.stop(record)
        if tell:
            tell(trial, record)
        enough = trial.setup.enough
        if enough is not None and clock.epochs[-1].validation <= enough:
            raise _Enough

    with torch_threads():
        diverged = False
        try:
            result = fit(
                model,
                clock,
                own.train,
                own.validation,
                trial.setup.fit_config(trial.rate),
                seed=trial.seed,
                checkpoint=checkpoint,
                resume=True,
                settings={"trial": trial.name},
                after_epoch=after_epoch,
            )
            clock.expect(len(result.history))
        except _Enough:
            pass
        except DivergenceError:
            diverged = True
        except KeyboardInterrupt:
            clock.pause()
            raise
        score = score_of(model, own)
    done = Run(
        problem=own.name,
        cell=trial.cell,
        rate=trial.rate,
        seed=trial.seed,
        hidden_size=trial.hidden_size,
        parameters=parameters_of(model),
        multiply_adds=model.multiply_adds,
        memory_bytes=memory,
        train_losses=tuple(epoch.train for epoch in clock.epochs),
        validation_losses=tuple(epoch.validation for epoch in clock.epochs),
        seconds=tuple(epoch.seconds for epoch in clock.epochs),
        score=score if clock.epochs else math.nan,
        diverged=diverged,
    )
    content = json.dumps(run_to_dict(done), indent=1, allow_nan=False)
    write_atomically(folder / f"{trial.name}.json", content + "\n")
    clock.file.unlink(missing_ok=True)
    if checkpoint.is_dir():
        remove_checkpoint(checkpoint)
    return done


def loss_of(kind: Kind, model: nn.Module, batch: Batch) -> LossSum:
    """Over the steps asked: see `grukit.data.problems.Problem.kind`."""
    losses = _losses(kind, model(batch.inputs, batch.lengths, batch.asked), batch.targets)
    return LossSum(losses.sum(), len(losses))


@torch.no_grad()
def score_of(model: nn.Module, own: Problem) -> float:
    """The problem's metric of a model, on the test."""
    model.eval()
    losses, right, sequences = [], [], []
    for indices in torch.arange(len(own.test)).split(_TESTED_AT_ONCE):
        batch = own.test.batch(indices)
        answers = model(batch.inputs, batch.lengths, batch.asked)
        losses.append(_losses(own.kind, answers, batch.targets).double().numpy())
        if own.kind == "class":
            right.append((answers.argmax(-1) == batch.targets).numpy())
        sequences.append(indices.numpy()[batch.sequences.numpy()])
    every = np.concatenate(losses)
    answered = np.concatenate(right) if right else np.zeros(len(every), bool)
    return own.score(every, answered, np.concatenate(sequences))


def memory_bytes(model: nn.Module, own: Problem) -> int:
    """`memory_of` a model with a batch of 50."""
    batch = own.train.batch(torch.arange(min(50, len(own.train))))
    return memory_of(model, lambda: loss_of(own.kind, model, batch))


def memory_of(model: nn.Module, call: Callable[[], LossSum]) -> int:
    """Bytes of weights, gradients, two moments, and what a batch keeps for its backward pass.

    call: gives the loss of the batch. The model is in training mode afterwards.

    Counted from the tensors that autograd saves, each once, so it is the same on every machine.
    """
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    model.train()
    with torch.random.fork_rng(devices=[]):
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            total = call().total
        activations = sum(size for place, size in kept.items() if place not in weights)
        del total
    return 4 * 4 * parameters_of(model) + activations


@contextlib.contextmanager
def torch_threads() -> Iterator[None]:
    """One thread for torch, so that times do not depend on how many cores there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Enough(Exception):
    """The validation loss is low enough."""


class _Epoch(NamedTuple):
    train: float
    validation: float
    seconds: float


class _Clock:
    """A loss function that notes when an epoch begins; what it notes outlives an interruption.

    Its seconds are those of the CPU, which do not depend on what else the machine does.
    """

    def __init__(self, file: Path, loss: Callable[..., LossSum]) -> None:
        self.file, self._loss = file, loss
        self._began: float | None = None
        self._before = 0.0  # seconds of an epoch that was interrupted
        self._epochs: list[_Epoch] = []
        if file.exists():
            # One that is damaged has too few epochs, which is noticed.
            with contextlib.suppress(ValueError, TypeError):
                content = json.loads(file.read_text(encoding="utf-8"))
                if content and not isinstance(content[-1], list):
                    self._before = float(content.pop())
                self._epochs = [_Epoch(*map(float, own)) for own in content]

    def expect(self, count: int) -> None:
        """DataError if fewer epochs are known than were trained."""
        if len(self._epochs) < count:
            must = must_be(f"the epochs in {self.file}", f"at least {count}", len(self._epochs))
            begun = self.file.with_suffix(".training")
            raise DataError(f"{must}; delete {begun} to train this run anew")

    def __call__(self, model: nn.Module, batch: Batch) -> LossSum:
        if self._began is None:
            self._began = time.process_time()
        return self._loss(model, batch)

    def stop(self, record: EpochRecord) -> None:
        """The epoch is over; the checkpoint, which is saved next, is in no epoch's time."""
        assert record.validation_loss is not None
        assert self._began is not None
        self.expect(record.epoch - 1)
        seconds = self._before + time.process_time() - self._began
        done = _Epoch(record.train_loss, record.validation_loss, seconds)
        self._epochs = [*self._epochs[: record.epoch - 1], done]
        self._began, self._before = None, 0.0
        self._save()

    def pause(self) -> None:
        """The training stops within an epoch, from where it will go on."""
        if self._began is not None:
            self._before += time.process_time() - self._began
            self._save()

    def _save(self) -> None:
        write_atomically(self.file, json.dumps([*self._epochs, self._before]))

    @property
    def epochs(self) -> list[_Epoch]:
        """Those that ended, also in a process before this one."""
        return self._epochs


def _network(trial: Trial, own: Problem) -> SequenceModel:
    setup = trial.setup
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trial.seed)
        return SequenceModel(
            trial.cell,
            own.input_size,
            trial.hidden_size,
            own.output_size,
            setup.num_layers,
            setup.input_dropout,
            setup.recurrent_dropout,
            setup.output_dropout,
        )


def _losses(kind: Kind, answers: Tensor, targets: Tensor) -> Tensor:
    """[S]: squared error, cross-entropy, or the sum of the Bernoulli losses of all keys."""
    if kind == "number":
        return (answers.squeeze(-1) - targets) ** 2
    if kind == "class":
        return cross_entropy(answers, targets, reduction="none")
    return binary_cross_entropy_with_logits(answers, targets, reduction="none").sum(-1)


def _digest(own: Problem) -> str:
    digest = hashlib.sha256(repr((own.name, own.kind, own.output_size, own.metric)).encode())
    for items in (own.train, own.validation, own.test):
        for array in (items.inputs, items.lengths, items.targets, items.asked):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
