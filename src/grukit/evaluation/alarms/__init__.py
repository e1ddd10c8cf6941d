"""From scores to alarms: thresholds that know what a false alarm may cost, and quiet after one.

A threshold is fitted to scores of ordinary rows, and then asked row by row (`update`) or for many
rows at once (`update_many`), with the same decisions. `to_dict` gives its state as plain numbers,
from which `threshold_from_dict` goes on as if nothing had happened.
"""

from grukit.evaluation.alarms.conformal import Conformal
from grukit.evaluation.alarms.peaks import POT, SPOT
from grukit.evaluation.alarms.quantile import Quantile
from grukit.evaluation.alarms.quiet import Quiet
from grukit.evaluation.alarms.tail import Surprise, Tail
from grukit.evaluation.alarms.threshold import Threshold, threshold_from_dict

__all__ = [
    "POT",
    "SPOT",
    "Conformal",
    "Quantile",
    "Quiet",
    "Surprise",
    "Tail",
    "Threshold",
    "threshold_from_dict",
]
