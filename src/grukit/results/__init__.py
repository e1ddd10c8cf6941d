"""Frozen answers: what tasks hand back, ready for frames, JSON and plots."""

from grukit.results.anomaly import AnomalyEvaluation, AnomalyEvent, AnomalyReport, runs
from grukit.results.evaluation import Evaluation
from grukit.results.explanation import Explanation
from grukit.results.forecast import Columns, Forecast
from grukit.results.levels import central_coverages, check_levels, level_index
from grukit.results.sample_paths import SamplePaths
from grukit.results.scores import Score

__all__ = [
    "AnomalyEvaluation",
    "AnomalyEvent",
    "AnomalyReport",
    "Columns",
    "Evaluation",
    "Explanation",
    "Forecast",
    "SamplePaths",
    "Score",
    "central_coverages",
    "check_levels",
    "level_index",
    "runs",
]
