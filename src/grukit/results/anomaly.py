"""What an anomaly detector answers: a score for every row, alarms, and who is to blame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.results.conversion import iso, none_unless_finite, to_frame
from grukit.results.scores import ScoreTable

_ROUNDING = 1e-6


class AnomalyEvent(NamedTuple):
    """A stretch of rows that an alarm began.

    start, end, peak: times of the alarm, of the last row and of the largest score, as in `times`.
    score: the largest score. channel: the one with the largest share of it.
    """

    start: Any
    end: Any
    peak: Any
    score: float
    channel: str


@dataclass(frozen=True, eq=False)
class AnomalyReport:
    """Scores, alarms and blame for T rows of C channels.

    >>> report = AnomalyReport(
    ...     times=np.array(["2024-05-01T10", "2024-05-01T11", "2024-05-01T12"], "datetime64[us]"),
    ...     channels=("flow", "pressure"),
    ...     scores=np.array([0.4, 9.0, 7.5]),
    ...     threshold=5.0,
    ...     alarms=np.array([False, True, False]),
    ...     contributions=np.array([[0.5, 0.5], [0.1, 0.9], [0.2, 0.8]]),
    ... )
    >>> [event] = report.events()
    >>> str(event.start), str(event.end), event.score, event.channel
    ('2024-05-01T11:00:00.000000', '2024-05-01T12:00:00.000000', 9.0, 'pressure')
    >>> report.to_frame()
                     time  score  threshold  alarm  share_flow  share_pressure
    0 2024-05-01 10:00:00    0.4        5.0  False         0.5             0.5
    1 2024-05-01 11:00:00    9.0        5.0   True         0.1             0.9
    2 2024-05-01 12:00:00    7.5        5.0  False         0.2             0.8

    Attributes:
        times: datetime64[us] [T], or the numbers of the rows, rising.
        channels: names of the C channels.
        scores: float64 [T], the larger the more anomalous; NaN where nothing was observed.
        threshold: float64 [T], what each score was compared with; a single number for all rows
            may be given.
        alarms: bool [T], the rows that raised one, repeated ones suppressed.
        contributions: float64 [T, C], the share of each channel in the score: from 0 to 1, in
            every row with the sum 1, or all 0 where no channel is to blame.
        time: what the user calls the column of the times.

    Raises:
        ParameterError: the parts do not fit each other, times do not rise, a share is none, or an
            alarm has no score.
    """

    times: np.ndarray
    channels: tuple[str, ...]
    scores: np.ndarray
    threshold: np.ndarray
    alarms: np.ndarray
    contributions: np.ndarray
    time: str = "time"

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        times = np.asarray(self.times)
        if times.dtype.kind not in "Miu":
            raise ParameterError(must_be("times", "moments or whole numbers", times.dtype.name))
        set_field(
            self, "times", times.astype("datetime64[us]" if times.dtype.kind == "M" else np.int64)
        )
        set_field(self, "channels", tuple(str(name) for name in self.channels))
        set_field(self, "scores", np.asarray(self.scores, np.float64))
        threshold = np.asarray(self.threshold, np.float64)
        whole = np.full(self.scores.shape, threshold) if threshold.ndim == 0 else threshold
        set_field(self, "threshold", whole)
        set_field(self, "alarms", np.asarray(self.alarms, bool))
        set_field(self, "contributions", np.asarray(self.contributions, np.float64))
        self._check()

    def _check(self) -> None:
        if self.scores.ndim != 1:
            raise ParameterError(must_be("scores", "of shape [T]", self.scores.shape))
        rows = len(self.scores)
        shapes = {
            "times": (rows,),
            "threshold": (rows,),
            "alarms": (rows,),
            "contributions": (rows, len(self.channels)),
        }
        for name, shape in shapes.items():
            if (got := getattr(self, name).shape) != shape:
                raise ParameterError(must_be(name, f"of shape {shape}", got))
        if not self.channels or len(set(self.channels)) != len(self.channels):
            raise ParameterError(
                must_be("channels", "names that differ, at least one", self.channels)
            )
        if self.time in (taken := ("score", "threshold", "alarm", *self._share_names())):
            raise ParameterError(must_be("time", f"a name other than {taken}", self.time))
        # NaT is greater than nothing, and not equal to itself.
        if np.any(self.times[1:] <= self.times[:-1]) or np.any(self.times != self.times):
            raise ParameterError("times must rise from row to row")
        if np.isinf(self.scores).any():
            raise ParameterError(must_be("scores", "finite, or NaN where there is none", np.inf))
        if np.isnan(self.threshold).any():
            raise ParameterError(must_be("threshold", "numbers", np.nan))
        if np.isnan(self.scores[self.alarms]).any():
            raise ParameterError(must_be("scores", "known in every row with an alarm", np.nan))
        shares, sums = self.contributions, self.contributions.sum(axis=1)
        fit = (np.abs(sums - 1) <= _ROUNDING) | ~shares.any(axis=1)
        if not (np.all(shares >= 0) and fit.all()):
            wrong = shares[np.argmin(fit & (shares >= 0).all(axis=1))]
            raise ParameterError(
                must_be("contributions", "from 0 to 1, in a row 1 together or all 0", wrong)
            )

    def _share_names(self) -> list[str]:
        return [f"share_{name}" for name in self.channels]

    def events(self) -> list[AnomalyEvent]:
        """The alarms as stretches of rows, in order.

        An event begins with an alarm and lasts while the scores stay above the threshold, alarms
        within it included, whether raised or suppressed.
        """
        active = self.alarms | (self.scores > self.threshold)
        found = []
        for first, last in runs(active):
            raised = np.flatnonzero(self.alarms[first : last + 1])
            if not len(raised):
                continue
            first += int(raised[0])
            peak = first + int(np.argmax(self.scores[first : last + 1]))
            found.append(
                AnomalyEvent(
                    start=self.times[first],
                    end=self.times[last],
                    peak=self.times[peak],
                    score=float(self.scores[peak]),
                    channel=self.channels[int(np.argmax(self.contributions[peak]))],
                )
            )
        return found

    def to_frame(self, backend: str = "pandas") -> Any:
        """One row for each time: score, threshold, alarm and the share of each channel.

        `backend` is "pandas", "polars" or "pyarrow".
        """
        data: dict[str, Any] = {
            self.time: self.times,
            "score": self.scores,
            "threshold": self.threshold,
            "alarm": self.alarms,
        }
        for index, name in enumerate(self._share_names()):
            data[name] = self.contributions[:, index]
        return to_frame(data, backend)

    def to_dict(self) -> dict[str, Any]:
        """The whole report in strings, numbers and lists; a score that is NaN is None."""
        times = _plain(self.times)
        return {
            "time": self.time,
            "channels": list(self.channels),
            "times": times,
            "scores": [none_unless_finite(score) for score in self.scores],
            "threshold": [none_unless_finite(level) for level in self.threshold],
            "alarms": self.alarms.tolist(),
            "contributions": self.contributions.tolist(),
            "events": [
                {
                    "start": _plain(event.start),
                    "end": _plain(event.end),
                    "peak": _plain(event.peak),
                    "score": event.score,
                    "channel": event.channel,
                }
                for event in self.events()
            ],
        }


@dataclass(frozen=True, eq=False)
class AnomalyEvaluation(ScoreTable):
    """Alarms against labelled windows: the detector beside the baselines.

    Attributes:
        scores: one Score each, the detector first, all of the same metrics.
        series: how many series were scored. rows: of all of them together.
        events: labelled windows.
    """

    series: int
    rows: int
    events: int

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation in strings, numbers and lists; what is not finite is None."""
        return {
            "series": self.series,
            "rows": self.rows,
            "events": self.events,
            "scores": self._score_dicts(),
        }


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """The first and the last row of every stretch of rows that are True.

    >>> runs(np.array([True, False, True, True]))
    [(0, 0), (2, 3)]
    """
    steps = np.diff(np.concatenate([[0], np.asarray(flags, bool).astype(np.int8), [0]]))
    first, last = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _plain(times: np.ndarray) -> Any:
    times = np.asarray(times)
    return (iso(times) if times.dtype.kind == "M" else times).tolist()
