"""The training loop of every task."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from grukit.core.errors import DataError, Interrupted, ParameterError, must_be
from grukit.training.checkpoint import Checkpoint
from grukit.training.config import FitConfig
from grukit.training.event_log import EventLog
from grukit.training.losses import LossSum
from grukit.training.optimization import LossFunction, Optimization, TrainingData, arranged
from grukit.training.progress import ProgressBar
from grukit.training.schedule import (
    caller_random_state_kept,
    item_order,
    learning_rate_at,
    seed_update,
    seed_validation,
)
from grukit.training.signals import SignalWatch
from grukit.training.trees import map_tensors

__all__ = ["AfterEpoch", "EpochRecord", "FitConfig", "FitResult", "LossSum", "TrainingData", "fit"]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch, counted from 1: its mean losses, and the learning rate of its last update.

    `train_loss` is the mean over the epoch while the weights changed, in training mode;
    `validation_loss` is that of the weights at its end, in eval mode.
    """

    epoch: int
    train_loss: float
    validation_loss: float | None
    learning_rate: float


AfterEpoch = Callable[[EpochRecord], None]


@dataclass(frozen=True)
class FitResult:
    """How a run went: its epochs, the one whose weights the model now has, and why it ended."""

    history: tuple[EpochRecord, ...]
    best_epoch: int
    best_score: float
    stopped: Literal["epochs", "patience"]


def fit(
    model: nn.Module,
    loss: LossFunction,
    train: TrainingData,
    validation: TrainingData | None = None,
    config: FitConfig | None = None,
    *,
    seed: int = 0,
    carry_state: bool = False,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    after_epoch: AfterEpoch | Sequence[AfterEpoch] | None = None,
) -> FitResult:
    """Train `model` in place; it ends on the device of `config`, in eval mode.

    Afterwards the model has the weights of the epoch with the lowest validation loss. Without
    validation data there is nothing to choose or to stop by: all epochs are run and the last
    weights stay. The same seed gives the same weights, bit for bit, on the same machine (on CUDA
    as far as torch's kernels are deterministic); the caller's random state is left as it was.

    loss:        called as ``loss(model, batch)``, or with carried state as
                 ``loss(model, batch, state)``; returns a LossSum.
    seed:        decides the batch order and torch's random numbers within each update.
    carry_state: truncated back-propagation through time (Williams and Peng 1990). Batches come in
                 the order of the data, and the state of one enters the next, detached; it is None
                 at the start of the data. With `items_per_epoch` an epoch goes on where the last
                 one ended.
    checkpoint:  folder to save the run in: within an epoch, at its end, and when interrupted. What
                 an earlier run saved there is deleted unless it is resumed.
    resume:      go on from the checkpoint, bit for bit. Without one yet the run starts from the
                 beginning, so that the same command can simply be run again.
    settings:    more that the result depends on, as JSON values; compared when resuming.
    after_epoch: called with the record of each epoch, or several that are; what one raises ends the
                 training, and the model keeps its best weights. One that has ``begin`` is told
                 before the first update whom it looks at, as ``begin(model, call, epochs)``: call()
                 gives the loss of the first batch, in the mode that the model is in, and so many
                 epochs are done, more than none when a run goes on.

    Ctrl-C and SIGTERM, in the main thread: the running update is finished, the checkpoint saved
    and Interrupted raised; the model keeps its best weights. A second signal ends it at once.

    Raises DivergenceError for a loss or gradient that is not finite, with the best weights so far
    in the model; CheckpointError when resuming from a damaged checkpoint or that of another run,
    or while another run uses the folder; DataError without a single observed target; OSError when
    the checkpoint cannot be written.
    """
    config = config or FitConfig()
    if resume and checkpoint is None:
        raise ParameterError("resume must come with a checkpoint folder, got checkpoint=None")
    if carry_state and config.items_per_epoch is not None and config.batch_size > 1:
        wanted = "None where state is carried from batch to batch of several items"
        raise ParameterError(must_be("items_per_epoch", wanted, config.items_per_epoch))
    for name, data in (("training", train), ("validation", validation)):
        if data is not None and len(data) == 0:
            raise DataError(f"the {name} data must have at least one item, got none")

    optimization = Optimization(model, loss, config, carry_state)
    identity = {
        **(settings or {}),
        **config.identity(),
        "device": optimization.device.type,
        "seed": seed,
        "carry_state": carry_state,
        "training items": len(train),
        "validation items": None if validation is None else len(validation),
        **{
            f"model.{name}": f"{list(value.shape)} {value.dtype}"
            for name, value in model.state_dict().items()
            if isinstance(value, Tensor)
        },
    }
    given = after_epoch if isinstance(after_epoch, Sequence) else [after_epoch]
    watchers = [one for one in given if one is not None]
    if checkpoint is None:
        return _Run(optimization, train, validation, config, seed, None, watchers).result()
    keeper = Checkpoint(checkpoint, identity)
    with keeper.held():
        run = _Run(optimization, train, validation, config, seed, keeper, watchers)
        if not resume:
            keeper.clear()
        elif (saved := keeper.load()) is not None:
            run.restore(saved)
        return run.result()


def mean_loss(
    model: nn.Module, loss: LossFunction, data: TrainingData, config: FitConfig | None = None
) -> float:
    """The mean loss of a model over `data`, in eval mode, as `fit` measures it.

    Raises DataError without a single observed target, DivergenceError if it is not finite.
    """
    optimization = Optimization(model, loss, config or FitConfig(), carry_state=False)
    return optimization.mean_loss(data, lambda: None, "the evaluation")


@dataclass
class _Position:
    """Everything but weights and optimizer that a run needs to go on from between two updates."""

    step: int = 0
    loss_total: float = 0.0
    loss_count: float = 0.0
    carried: Any = None
    overflows: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float | None = None
    best_weights: dict[str, Any] | None = None


class _Run:
    log: EventLog
    bar: ProgressBar

    def __init__(
        self,
        optimization: Optimization,
        train: TrainingData,
        validation: TrainingData | None,
        config: FitConfig,
        seed: int,
        keeper: Checkpoint | None,
        watchers: Sequence[AfterEpoch],
    ) -> None:
        self.optimization = optimization
        self.model = optimization.model
        self.train = train
        self.validation = validation
        self.config = config
        self.seed = seed
        self.keeper = keeper
        self.watchers = watchers
        self.signals = SignalWatch()
        self.position = _Position()
        self.items_per_step = config.batch_size * config.accumulate
        per_epoch = min(config.items_per_epoch or len(train), len(train))
        self.steps_per_epoch = -(-per_epoch // self.items_per_step)
        self.steps = config.epochs * self.steps_per_epoch
        self.saved_at = time.monotonic()

    def result(self) -> FitResult:
        """Go on to the end; however that comes, the model has its best weights."""
        try:
            with (
                caller_random_state_kept(self.optimization.device),
                EventLog(self.config.tensorboard, self.position.step) as self.log,
                ProgressBar(self.steps, self.config.progress) as self.bar,
                self.signals,
            ):
                return self._to_the_end()
        finally:
            self._keep_best()

    def _to_the_end(self) -> FitResult:
        position = self.position
        self._tell_who_is_trained()
        while (stopped := self._stopped()) is None:
            self._epoch()
        history = tuple(EpochRecord(**record) for record in position.history)
        assert position.best_score is not None
        return FitResult(history, position.best_epoch, position.best_score, stopped)

    def _stopped(self) -> Literal["epochs", "patience"] | None:
        done, patience = len(self.position.history), self.config.patience
        if patience is not None and done - self.position.best_epoch >= patience:
            return "patience"
        return "epochs" if done == self.config.epochs else None

    def _tell_who_is_trained(self) -> None:
        told = [begin for one in self.watchers if (begin := getattr(one, "begin", None))]
        if not told:
            return
        seed_update(self.optimization.device, self.seed, 0)
        batch = next(self.optimization.batches(self.train, self._order(1)))
        call = partial(self.optimization.forward, self.model, batch, None)
        for begin in told:
            begin(self.model, call, len(self.position.history))

    def _order(self, epoch: int) -> Tensor:
        order = item_order(
            len(self.train),
            self.seed,
            epoch,
            self.optimization.carry_state,
            self.config.items_per_epoch,
        )
        if self.optimization.carry_state:
            return order
        return arranged(self.train, order, self.items_per_step)

    def _epoch(self) -> None:
        position, epoch = self.position, len(self.position.history) + 1
        order = self._order(epoch)
        done = position.step - (epoch - 1) * self.steps_per_epoch
        for items in order.split(self.items_per_step)[done:]:
            self.bar.at(position.step, epoch)
            self._update(items, epoch)
            if time.monotonic() - self.saved_at >= self.config.save_every_seconds:
                self._save()
            self._leave_if_told()
        self._close_epoch(epoch)
        self._save()
        self._leave_if_told()

    def _update(self, items: Tensor, epoch: int) -> None:
        position = self.position
        rate = learning_rate_at(position.step, self.steps, self.config)
        seed_update(self.optimization.device, self.seed, position.step)
        where = f"epoch {epoch}, update {position.step + 1}"
        done = self.optimization.update(self.train, items, rate, position.carried, where)
        position.step += 1
        position.loss_total += done.total
        position.loss_count += done.count
        position.carried = done.state
        loss = done.total / done.count if done.count else None
        self.log.write(
            position.step, loss=loss, learning_rate=rate, gradient_norm=done.gradient_norm
        )

    def _close_epoch(self, epoch: int) -> None:
        position = self.position
        if position.loss_count == 0:
            raise DataError("the training data must have an observed target, got none")
        train_loss, validation_loss = position.loss_total / position.loss_count, None
        if self.validation is not None:
            seed_validation(self.optimization.device, self.seed, epoch)
            validation_loss = self.optimization.mean_loss(
                self.validation, self._leave_if_told, f"epoch {epoch}"
            )
        score = train_loss if validation_loss is None else validation_loss
        best = position.best_score
        if validation_loss is None or best is None or score < best:
            position.best_epoch, position.best_score = epoch, score
            position.best_weights = map_tensors(
                lambda tensor: tensor.detach().clone(), dict(self.optimization.judged.state_dict())
            )
        rate = learning_rate_at(position.step - 1, self.steps, self.config)
        record = EpochRecord(epoch, train_loss, validation_loss, rate)
        position.history.append(asdict(record))
        position.loss_total, position.loss_count = 0.0, 0.0
        self.bar.scores(train_loss, validation_loss)
        self.log.write(
            position.step, epoch_train_loss=train_loss, epoch_validation_loss=validation_loss
        )
        for watcher in self.watchers:
            watcher(record)

    def _leave_if_told(self) -> None:
        if self.signals.received is None:
            return
        self._save()
        position = self.position
        kept = (
            f"the weights of epoch {position.best_epoch}" if position.best_epoch else "its weights"
        )
        if self.keeper is None:
            advice = "there is no checkpoint to resume from: give a checkpoint folder next time"
        else:
            advice = f"saved in {self.keeper.folder}: run the same again with resume to go on"
        raise Interrupted(
            self.signals.received,
            f"training stopped after update {position.step} of {self.steps}; the "
            f"model keeps {kept}; {advice}",
        )

    def _save(self) -> None:
        if self.keeper is None:
            return
        self.position.overflows = self.optimization.overflows
        state = {
            "position": vars(self.position),
            "model": self.model.state_dict(),
            "optimizer": self.optimization.optimizer.state_dict()["state"],
            "scaler": self.optimization.scaler.state_dict(),
            "judged": self.optimization.judged.state_dict() if self.config.average else None,
        }
        self.keeper.save(self.position.step, state)
        self.saved_at = time.monotonic()

    def restore(self, state: Any) -> None:
        self.position = _Position(**state["position"])
        self.position.carried = map_tensors(
            lambda tensor: tensor.to(self.optimization.device), self.position.carried
        )
        self.model.load_state_dict(state["model"])
        optimizer = self.optimization.optimizer
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state["optimizer"]})
        if state["scaler"]:
            self.optimization.scaler.load_state_dict(state["scaler"])
        self.optimization.overflows = self.position.overflows
        if self.config.average:
            self.optimization.judged.load_state_dict(state["judged"])

    def _keep_best(self) -> None:
        """Leave the model with its best weights; before an epoch is done, with the present ones."""
        if self.position.best_weights is not None:
            self.model.load_state_dict(self.position.best_weights)
        self.model.eval()
