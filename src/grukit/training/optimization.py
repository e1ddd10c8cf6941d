"""One update of a model, and the mean loss over a data set: what every search and loop repeats."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from grukit.core.errors import DataError, DivergenceError, ParameterError
from grukit.training.config import FitConfig
from grukit.training.losses import LossSum
from grukit.training.trees import map_tensors

LossFunction = Callable[..., LossSum]
_OVERFLOWS_IN_A_ROW = 20


class TrainingData(Protocol):
    """Items that can be fetched in any order; a batch is tensors in tuples, dicts, dataclasses."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> Any:
        """The items at `indices` (int64 [B], on the CPU) as one batch, on any device."""
        ...


def arranged(data: TrainingData, order: Tensor, size: int) -> Tensor:
    """The items of `order`, as the data would rather have them for steps of `size` items.

    Data that has a wish has ``arranged(order, size)``: the same items, by nothing but the order.
    """
    arrange = getattr(data, "arranged", None)
    return order if arrange is None else arrange(order, size)


@dataclass(frozen=True)
class Update:
    """What one update saw: sums of the loss, the norm of its gradient, the state to carry on."""

    total: float
    count: float
    gradient_norm: float
    state: Any


def find_device(name: str) -> torch.device:
    """The device of a FitConfig; raises ParameterError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ParameterError(
            f"device must be 'auto' or a device this torch can use, got {name!r}: {reason}"
        ) from error
    return device


class Optimization:
    """A model on its device with its loss, its AdamW and its precision.

    A model whose `models` is K is K models: every parameter has a leading axis [K, ...], and the
    loss is the mean of theirs. Each is trained as if it were alone, with its own gradient clipped.

    judged: what is validated and kept: the model, or one like it with the mean of its weights.

    With `carry_state` the loss is called with the state it returned for the batch before, and with
    None for the first item of the data.
    """

    def __init__(
        self, model: nn.Module, loss: LossFunction, config: FitConfig, carry_state: bool
    ) -> None:
        self.device = find_device(config.device)
        if config.precision == "float16" and self.device.type != "cuda":
            raise ParameterError(
                "precision must be 'float32' or 'bfloat16' on a device other than CUDA, "
                f"got 'float16' on {str(self.device)!r}"
            )
        self.model = model.to(self.device)
        self.loss = loss
        self.carry_state = carry_state
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise ParameterError("the model must have a parameter that requires gradients")
        self.models = getattr(model, "models", None)
        self.judged = copy.deepcopy(self.model) if config.average else self.model
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "float16")
        self.overflows = 0
        self._autocast = None if config.precision == "float32" else getattr(torch, config.precision)
        self._clip_norm = math.inf if config.clip_norm is None else config.clip_norm
        self._batch_size = config.batch_size
        self._decay = config.average

    def batches(self, data: TrainingData, order: Tensor) -> Iterator[Any]:
        """Fetch the items of `order` in batches, on the device."""
        for indices in order.split(self._batch_size):
            yield map_tensors(lambda tensor: tensor.to(self.device), data.batch(indices))

    def update(
        self, data: TrainingData, order: Tensor, learning_rate: float, state: Any, where: str
    ) -> Update:
        """Change the weights once, by the gradient of the mean loss over all items of `order`.

        `where` is for the message of the DivergenceError, raised before the weights are touched.
        """
        self.model.train()
        self.optimizer.zero_grad()
        total, count, unit = 0.0, 0.0, 0.0
        starts = (order[:: self._batch_size] == 0).tolist()
        for starts_again, batch in zip(starts, self.batches(data, order), strict=True):
            part = self.forward(self.model, batch, None if starts_again else state)
            unit = unit or max(1.0, float(part.count))
            self.scaler.scale(part.total * (self.models or 1) / unit).backward()
            total, count = total + float(part.total.detach()), count + float(part.count)
            state = part.state
        if not math.isfinite(total):
            raise _divergence("loss", total, where)
        if count == 0:
            return Update(0.0, 0.0, 0.0, state)

        self.scaler.unscale_(self.optimizer)
        if unit != count:
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(unit / count)
        norm = self._clip()
        self.overflows = 0 if math.isfinite(norm) else self.overflows + 1
        if self.overflows > (_OVERFLOWS_IN_A_ROW if self.scaler.is_enabled() else 0):
            raise _divergence("gradient norm", norm, where)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._average()
        return Update(total, count, norm, state)

    @torch.no_grad()
    def mean_loss(self, data: TrainingData, between: Callable[[], None], where: str) -> float:
        """The mean loss over `data` in eval mode; `between` is called after every batch."""
        self.judged.eval()
        total, count, state = 0.0, 0.0, None
        order = torch.arange(len(data))
        if not self.carry_state:
            order = arranged(data, order, self._batch_size)
        for batch in self.batches(data, order):
            part = self.forward(self.judged, batch, state)
            total, count = total + float(part.total), count + float(part.count)
            state = part.state
            between()
        if count == 0:
            raise DataError("the validation data must have an observed target, got none")
        if not math.isfinite(total):
            raise _divergence("validation loss", total, where)
        return total / count

    def forward(self, model: nn.Module, batch: Any, state: Any) -> LossSum:
        """The loss of a batch, in the precision of the settings."""
        with torch.autocast(
            self.device.type, dtype=self._autocast, enabled=self._autocast is not None
        ):
            if not self.carry_state:
                part = self.loss(model, batch)
                return LossSum(part.total, part.count)
            part = self.loss(model, batch, state)
            state = map_tensors(lambda tensor: tensor.detach().contiguous(), part.state)
            return LossSum(part.total, part.count, state)

    @torch.no_grad()
    def _average(self) -> None:
        if self.judged is self.model:
            return
        # A parameter that no batch has used so far has no state.
        updates = max((int(own["step"]) for own in self.optimizer.state.values()), default=0)
        # The first updates, far from where it ends, are soon forgotten.
        decay = min(self._decay, (1 + updates) / (10 + updates))
        means = [parameter for parameter in self.judged.parameters() if parameter.requires_grad]
        for mean, latest in zip(means, self.parameters, strict=True):
            mean.lerp_(latest, 1 - decay)
        for kept, buffer in zip(self.judged.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)

    def _clip(self) -> float:
        """The norm of the gradient before it was clipped, of several models the largest."""
        grads = [p.grad for p in self.parameters if p.grad is not None]
        norms = self._norms(grads)
        if self._clip_norm < math.inf and not norms.isfinite().all():
            # The square of a number overflows long before the number does.
            norms = self._norms([grad.cpu().double() for grad in grads])
        factors = (self._clip_norm / (norms + 1e-6)).clamp(max=1.0).to(grads[0])
        for grad in grads:
            shape = [-1, *[1] * (grad.dim() - 1)] if self.models else []
            grad.mul_(factors.view(shape))
        return float(norms.max())

    def _norms(self, grads: list[Tensor]) -> Tensor:
        """By model the norm of its whole gradient: [K], of a single one [1]."""
        rows = [grad.reshape(self.models or 1, -1) for grad in grads]
        each = torch.stack([torch.linalg.vector_norm(row, dim=1) for row in rows])
        return torch.linalg.vector_norm(each, dim=0)


def _divergence(what: str, value: float, where: str) -> DivergenceError:
    return DivergenceError(
        f"training diverged in {where}: the {what} must be finite, got {value}. "
        "Try a lower learning_rate, a smaller clip_norm, more warm-up, or precision='float32'; "
        "and look for huge or infinite values in the data."
    )
