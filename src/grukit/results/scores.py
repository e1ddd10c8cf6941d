"""The metrics of a model beside its baselines, and their table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, one_of
from grukit.results.conversion import none_unless_finite, to_frame

METRICS = {
    "forecast": ("mae", "rmse", "mase", "smape", "pinball", "crps", "brier", "log_loss"),
    "anomaly": (
        *("nab", "vus_pr", "pr_auc", "roc_auc", "precision", "recall", "f1", "delay"),
        "false_alarms",
    ),
    "generation": ("nats_per_character", "bits_per_byte", "perplexity"),
    "classification": ("accuracy", "macro_f1", "log_loss", "ece"),
    "translation": ("bleu", "bleu_lowercase", "chrf"),
    "speech": ("wer", "cer", "accuracy", "macro_f1"),
}
"""By task, the metrics of its evaluations by which models can be ordered: not coverages, of which
neither the lowest nor the highest is the best. Which of them there are depends on the settings."""


@dataclass(frozen=True)
class Score:
    """The metrics of one forecaster or detector.

    Of a forecaster: mae, rmse, mase, smape, pinball, crps and one coverage per central interval
    (coverage_80, coverage_95), in this order; of events: brier and log_loss. Of a detector: those
    of `grukit.evaluation.anomaly_metrics.score`. NaN stands for a metric that is undefined on these
    data: MASE, when every series is constant, or the delay of a detector that detected nothing.
    """

    name: str
    metrics: dict[str, float]


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """What the answers of every evaluation have: one Score each, the model first."""

    scores: tuple[Score, ...]

    def __post_init__(self) -> None:
        if not self.scores:
            raise ParameterError(must_be("scores", "at least one Score", self.scores))
        names = list(self.scores[0].metrics)
        for score in self.scores:
            if list(score.metrics) != names:
                raise ParameterError(
                    must_be(f"metrics of {score.name}", f"{names}", list(score.metrics))
                )

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the table."""
        return tuple(self.scores[0].metrics)

    def beats(self, metric: str) -> bool:
        """Whether the model is strictly better than every baseline.

        Errors, false alarms and delays are better the lower, a coverage the nearer to its nominal
        value, and the rest of a detector's metrics the higher.
        """
        check({"metric": metric}, {"metric": one_of(*self.metrics)})
        loss = _column(metric).loss
        model = loss(self.scores[0].metrics[metric])
        return all(model < loss(score.metrics[metric]) for score in self.baselines)

    def table(self) -> str:
        """The scores as aligned text, the model first, the best of each column marked with *."""
        names = ["", *(score.name for score in self.scores)]
        columns = [[name.ljust(max(map(len, names))) for name in names]]
        for metric in self.metrics:
            column = _column(metric)
            values = [score.metrics[metric] for score in self.scores]
            losses = [column.loss(value) for value in values]
            best = np.nanmin([*losses, np.inf])
            stars = ["*" if loss == best else " " for loss in losses]
            cells = [column.heading + " "]
            cells += [text + star for text, star in zip(column.cells(values), stars, strict=True)]
            columns.append([cell.rjust(max(map(len, cells))) for cell in cells])
        return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))

    def to_frame(self, backend: str = "pandas") -> Any:
        """One row for each score: its name, then its metrics."""
        data: dict[str, Any] = {"name": [score.name for score in self.scores]}
        for metric in self.metrics:
            data[metric] = [score.metrics[metric] for score in self.scores]
        return to_frame(data, backend)

    @property
    def baselines(self) -> tuple[Score, ...]:
        """What the model stands beside."""
        return self.scores[1:]

    def _score_dicts(self) -> list[dict[str, Any]]:
        return [
            {
                "name": score.name,
                **{name: none_unless_finite(value) for name, value in score.metrics.items()},
            }
            for score in self.scores
        ]


def higher_is_better(metric: str) -> bool:
    """Of two values of a metric of `METRICS`, whether the higher one is better.

    >>> higher_is_better("bleu"), higher_is_better("mae")
    (True, False)
    """
    return metric in _HIGHER_IS_BETTER


class _Column(NamedTuple):
    heading: str
    loss: Callable[[float], float]
    """Lower is better."""
    cells: Callable[[list[float]], list[str]]


_HEADINGS = {
    "smape": "sMAPE %",
    "nats_per_character": "nats/character",
    "bits_per_byte": "bits/byte",
    "perplexity": "perplexity",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "pinball": "pinball",
    "brier": "Brier",
    "log_loss": "log loss",
    "vus_pr": "VUS-PR",
    "pr_auc": "PR AUC",
    "roc_auc": "ROC AUC",
    "precision": "precision",
    "recall": "recall",
    "delay": "delay",
    "false_alarms": "false",
    "bleu": "BLEU",
    "bleu_lowercase": "BLEU in lower case",
    "chrf": "chrF",
    "wer": "WER",
    "cer": "CER",
}
_FROM_0_TO_1 = ("accuracy", "macro_f1", "vus_pr", "pr_auc", "roc_auc", "precision", "recall", "f1")
_FROM_0_TO_100 = ("nab", "bleu", "bleu_lowercase", "chrf")
_ERROR_RATES = ("wer", "cer")
_HIGHER_IS_BETTER = (*_FROM_0_TO_100, *_FROM_0_TO_1)
_WITH_ONE_DECIMAL = (*_FROM_0_TO_100, "delay", "false_alarms")


def _column(metric: str) -> _Column:
    if metric.startswith("coverage_"):
        nominal = float(metric.removeprefix("coverage_"))
        return _Column(f"in {nominal:g} %", lambda value: abs(value - nominal / 100), _shares)
    if metric in _ERROR_RATES:
        return _Column(_HEADINGS[metric], lambda value: value, _shares)
    sign = -1 if metric in _HIGHER_IS_BETTER else 1
    decimals = 3 if metric in _FROM_0_TO_1 else 1 if metric in _WITH_ONE_DECIMAL else None
    cells = _four_digits if decimals is None else partial(_rounded, decimals=decimals)
    return _Column(_HEADINGS.get(metric, metric.upper()), lambda value: sign * value, cells)


def _shares(values: list[float]) -> list[str]:
    return ["-" if np.isnan(value) else f"{100 * value:.1f} %" for value in values]


def _four_digits(values: list[float]) -> list[str]:
    sizes = [abs(value) for value in values if value and np.isfinite(value)]
    return _rounded(values, int(np.clip(3 - np.floor(np.log10(min(sizes, default=1.0))), 0, 8)))


def _rounded(values: list[float], decimals: int) -> list[str]:
    return ["-" if np.isnan(value) else f"{value:.{decimals}f}" for value in values]
