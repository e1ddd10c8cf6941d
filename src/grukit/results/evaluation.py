"""How well a forecaster does, beside its baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from grukit.results.conversion import iso, none_unless_finite
from grukit.results.scores import ScoreTable


@dataclass(frozen=True, eq=False)
class Evaluation(ScoreTable):
    """A rolling-origin backtest: the model beside the baselines.

    Attributes:
        scores: one Score each, the model first, all of the same metrics.
        windows: forecasts made. observations: true values they were compared with.
        horizon: steps of each forecast. season: steps of one season.
        first_origin, last_origin: the last moments known to the first and the last forecast.
        by_step: for each name in `scores`, each metric at each step, float64 [H].
        report: what the table lacked.
    """

    windows: int
    observations: int
    horizon: int
    season: int
    first_origin: np.datetime64
    last_origin: np.datetime64
    by_step: dict[str, dict[str, np.ndarray]]
    report: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation in strings, numbers and lists; what is not finite is None."""
        return {
            "report": self.report,
            "windows": self.windows,
            "observations": self.observations,
            "horizon": self.horizon,
            "season": self.season,
            "first_origin": str(iso(np.asarray(self.first_origin))),
            "last_origin": str(iso(np.asarray(self.last_origin))),
            "scores": self._score_dicts(),
            "by_step": {
                name: {
                    metric: [none_unless_finite(value) for value in values.tolist()]
                    for metric, values in steps.items()
                }
                for name, steps in self.by_step.items()
            },
        }
