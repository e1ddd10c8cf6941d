"""The families of distributions that a forecaster can answer with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grukit.core.errors import DataError, must_be
from grukit.data.calendar import of_series
from grukit.data.encoding import Unit
from grukit.data.frames import Panel
from grukit.data.windows import WindowBatch
from grukit.nn.heads import HEADS, in_units
from grukit.results.distributions import (
    Bernoulli,
    Distribution,
    NegativeBinomial,
    NormalMixture,
    QuantileFunction,
    StudentT,
)
from grukit.training.losses import (
    LossSum,
    bernoulli_nll,
    mixture_nll,
    negative_binomial_nll,
    pinball_loss,
    student_t_nll,
)


@dataclass(frozen=True)
class Family:
    """How one kind of distribution is learned and answered.

    name: as the user chooses it, and as the network's head is called.
    loss: of parameters [..., P], targets [...], levels [Q] and which targets are observed [...].
    answer: from parameters [..., P] in units of the data, and levels, to distributions.
    unit: what targets are divided by.
    wanted: what the targets must be; None for any number.
    is_wanted: which of the targets are.
    """

    name: str
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], LossSum]
    answer: Callable[[np.ndarray, np.ndarray], Distribution]
    unit: Unit = "spread"
    wanted: str | None = None
    is_wanted: Callable[[np.ndarray], np.ndarray] = np.isfinite

    @property
    def kinds(self) -> tuple[str, ...]:
        """What becomes of the parameters in another unit."""
        return HEADS[self.name].kinds

    @property
    def continuous(self) -> bool:
        """Whether targets lie anywhere: they may be differenced, and intervals stretched."""
        return self.wanted is None

    def batch_loss(
        self, parameters: Tensor, batch: WindowBatch, levels: Sequence[float]
    ) -> LossSum:
        """The loss of what a network answers [B, H, P] to a batch of windows.

        It is in units of each series, as an error of a forecast is: in units of the windows, those
        that hardly move would count the most. The likelihood of a count is that of the count.
        """
        unit = batch.spread if self.unit == "mean" else batch.width
        unit = unit[:, None].to(parameters.dtype)
        parameters = in_units(parameters, self.kinds, unit[..., None])
        target = (batch.target - batch.base) * unit
        if self.unit == "mean":
            target = target.round()
        at = torch.tensor(levels, dtype=parameters.dtype, device=parameters.device)
        return self.loss(parameters, target, at, batch.observed)

    def check_target(self, panel: Panel) -> None:
        """Raise DataError naming a target that this family cannot have."""
        wrong = ~(np.isnan(panel.target) | self.is_wanted(panel.target))
        if wrong.any():
            row = int(np.argmax(wrong))
            name = panel.ids[int(np.searchsorted(panel.offsets, row, side="right")) - 1]
            raise DataError(
                must_be(
                    f"the target {panel.columns.target!r}{of_series(name)}",
                    f"{self.wanted} with distribution={self.name!r}",
                    float(panel.target[row]),
                )
            )


def _without_levels(loss: Callable[[Tensor, Tensor, Tensor], LossSum]) -> Callable[..., LossSum]:
    return lambda parameters, target, levels, observed: loss(parameters, target, observed)


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "quantiles",
            loss=pinball_loss,
            answer=lambda parameters, levels: QuantileFunction(levels, parameters),
        ),
        Family(
            "student_t",
            loss=_without_levels(student_t_nll),
            answer=lambda parameters, _: StudentT(*np.moveaxis(parameters, -1, 0)),
        ),
        Family(
            "negative_binomial",
            loss=_without_levels(negative_binomial_nll),
            answer=lambda parameters, _: NegativeBinomial(*np.moveaxis(parameters, -1, 0)),
            unit="mean",
            wanted="whole numbers of at least 0",
            is_wanted=lambda target: (target >= 0) & (target == np.round(target)),
        ),
        Family(
            "mixture",
            loss=_without_levels(mixture_nll),
            answer=lambda parameters, _: NormalMixture(*np.split(parameters, 3, axis=-1)),
        ),
        Family(
            "bernoulli",
            loss=_without_levels(bernoulli_nll),
            answer=lambda parameters, _: Bernoulli(1 / (1 + np.exp(-parameters[..., 0]))),
            unit="none",
            wanted="0 or 1",
            is_wanted=lambda target: (target == 0) | (target == 1),
        ),
    )
}
"""By name."""
