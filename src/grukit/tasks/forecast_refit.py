"""Going on from the weights there are, never worse without saying so."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from grukit.core.errors import ParameterError, must_be
from grukit.training.fit import FitConfig, FitResult, TrainingData, fit, mean_loss
from grukit.training.optimization import LossFunction

_SHARE_OF_EPOCHS = 5


@dataclass(frozen=True)
class Refit:
    """What further training brought.

    Attributes:
        loss_before: mean loss of the earlier weights on the validation windows.
        loss_after: that of the best epoch.
    """

    loss_before: float
    loss_after: float

    @property
    def improved(self) -> bool:
        """Whether the new weights are better; if not, the earlier ones stayed."""
        return self.loss_after < self.loss_before

    def __str__(self) -> str:
        chosen = "the new weights are in use" if self.improved else "the earlier weights stay"
        return (
            f"The loss on new validation windows was {self.loss_before:.4g} before further "
            f"training and {self.loss_after:.4g} after it; {chosen}"
        )


def check_unchanged(settings: Mapping[str, Any], trained_with: Mapping[str, Any]) -> None:
    """Raise ParameterError for a setting that the network there is was not made with."""
    for name, value in settings.items():
        if name not in ("training", "seed") and value != trained_with[name]:
            wanted = f"{trained_with[name]!r}, as in fit, to go on from its weights"
            raise ParameterError(must_be(name, wanted, value))


def with_fewer_epochs(training: FitConfig) -> FitConfig:
    """A fifth of the epochs, at least one."""
    return replace(training, epochs=max(1, training.epochs // _SHARE_OF_EPOCHS))


def go_on(
    network: nn.Module,
    loss: LossFunction,
    learn: TrainingData,
    judge: TrainingData,
    training: FitConfig,
    seed: int,
) -> tuple[FitResult, Refit]:
    """Train `network` in place; it ends with the better of its new and its earlier weights."""
    before = mean_loss(network, loss, judge, training)
    earlier = copy.deepcopy(network.state_dict())
    result = fit(network, loss, learn, judge, training, seed=seed)
    refitted = Refit(before, result.best_score)
    if not refitted.improved:
        network.load_state_dict(earlier)
    return result, refitted
