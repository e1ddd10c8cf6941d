"""Recurrent networks compared on problems: every run, and what they say together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from grukit.core.errors import DataError, must_be
from grukit.results.conversion import none_unless_finite, to_frame
from grukit.results.verdict import figure, verdict

FORMAT = 1
SEEDS_FOR_AN_INTERVAL = 3
# The 97.5 % points of Student's t, from 1 degree of freedom on.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160),
    *(2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056),
    *(2.052, 2.048, 2.045, 2.042),
)


@dataclass(frozen=True)
class Question:
    """A problem as far as its scores need it; see `grukit.data.problems.Problem`.

    Of data of one's own, which have no goal, `blank` is the score of the best baseline, NaN where
    there is none.
    """

    name: str
    title: str
    metric: str
    higher_is_better: bool
    blank: float
    blank_says: str
    goal: float | None

    @property
    def scale(self) -> str:
        """What the score is, which way is better, and who knows nothing, where that is known."""
        better = "more is better" if self.higher_is_better else "less is better"
        blank = f"; {self.blank_says}: {figure(self.blank, 4)}" if math.isfinite(self.blank) else ""
        return f"{self.metric}, {better}{blank}"


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        problem, cell, rate, seed: of what, at which learning rate.
        hidden_size, parameters: of the network.
        multiply_adds: of all matrix products at a step of one sequence; None for an estimator,
            whose parts do not go by the same steps.
        memory_bytes: weights, gradients, the optimizer's two moments, and what the first batch
            keeps for its backward pass; counted. None where it was not.
        train_losses, validation_losses: by epoch.
        seconds: by epoch, of one core at work, with the validation.
        score: the metric on the test, by the weights of the best epoch; NaN where there is none.
        diverged: whether it ended by a loss that was not finite.
    """

    problem: str
    cell: str
    rate: float
    seed: int
    hidden_size: int
    parameters: int
    multiply_adds: int | None
    memory_bytes: int | None
    train_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    seconds: tuple[float, ...]
    score: float
    diverged: bool

    @property
    def best_loss(self) -> float:
        """The lowest validation loss, by which the learning rate is chosen; infinite of none.

        Without validation that of the last epoch of training.
        """
        return min(self.validation_losses or self.train_losses[-1:], default=math.inf)

    def epochs_to(self, loss: float) -> int | None:
        """The first epoch with so low a validation loss, from 1; None where none had."""
        for epoch, own in enumerate(self.validation_losses, start=1):
            if own <= loss:
                return epoch
        return None


@dataclass(frozen=True)
class Row:
    """A cell on a problem, at the learning rate chosen for it, over its seeds.

    Attributes:
        rate: the learning rate of the lowest validation loss. tried: how many were.
        scores: of each seed.
        score: their mean. low, high: the interval that holds the mean in 95 of 100 such draws, by
            Student's t over seeds; None for fewer than three.
        epoch_seconds: the median.
        reached: how many seeds reached the problem's goal; None for a problem without one.
            epochs_to_goal, seconds_to_goal: the medians over these; None where none did.
        diverged: how many seeds ended by a loss that was not finite.
    """

    problem: str
    cell: str
    rate: float
    tried: int
    scores: tuple[float, ...]
    score: float
    low: float | None
    high: float | None
    hidden_size: int
    parameters: int
    multiply_adds: int | None
    memory_bytes: int | None
    epoch_seconds: float
    reached: int | None
    epochs_to_goal: float | None
    seconds_to_goal: float | None
    diverged: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """Cells beside each other on problems.

    Attributes:
        questions: the problems.
        runs: every training.
        by: "parameters" or "width", which was made equal.
    """

    questions: tuple[Question, ...]
    runs: tuple[Run, ...]
    by: str

    def rows(self, problem: str) -> list[Row]:
        """The cells on a problem, in the order of the first run of each."""
        own = [run for run in self.runs if run.problem == problem]
        goal = self.question(problem).goal
        cells = dict.fromkeys(run.cell for run in own)
        return [_row([run for run in own if run.cell == cell], goal) for cell in cells]

    def question(self, problem: str) -> Question:
        """The problem of that name; DataError where there is none."""
        for question in self.questions:
            if question.name == problem:
                return question
        names = ", ".join(question.name for question in self.questions)
        raise DataError(must_be("a problem", f"one of {names}", problem))

    def chosen(self, problem: str, cell: str) -> list[Run]:
        """The runs of a cell at its chosen learning rate: the learning curves to show."""
        return _chosen([r for r in self.runs if (r.problem, r.cell) == (problem, cell)])

    def verdict(self, problem: str) -> str:
        """What the figures say, in words; see `grukit.results.verdict`."""
        return verdict(self.question(problem), self.rows(problem))

    def table(self, problem: str, width: int | None = None) -> str:
        """The rows of a problem as aligned text.

        width: how long a line may be; a longer table is told in parts, each with the cells.
        """
        lines = [TABLE_HEAD, *map(table_cells, self.rows(problem))]
        first, *others = [_aligned(column) for column in zip(*lines, strict=True)]
        parts: list[list[list[str]]] = [[first]]
        for column in others:
            if width and sum(len(own[0]) + 2 for own in parts[-1]) + len(column[0]) > width:
                parts.append([first])
            parts[-1].append(column)
        return "\n\n".join(
            "\n".join("  ".join(line).rstrip() for line in zip(*part, strict=True))
            for part in parts
        )

    def to_frame(self, backend: str = "pandas") -> Any:
        """A row for each problem and cell, as `Row` has them, without the single scores."""
        rows = [row for question in self.questions for row in self.rows(question.name)]
        names = [field.name for field in fields(Row) if field.name != "scores"]
        return to_frame({name: [getattr(row, name) for row in rows] for name in names}, backend)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values, with the verdicts; what is not finite is None."""
        return {
            "format": FORMAT,
            "by": self.by,
            "questions": [
                {**asdict(own), "blank": none_unless_finite(own.blank)} for own in self.questions
            ],
            "runs": [run_to_dict(run) for run in self.runs],
            "verdicts": {own.name: self.verdict(own.name) for own in self.questions},
        }

    @classmethod
    def from_dict(cls, content: Any) -> Comparison:
        """What `to_dict` gave; DataError for anything else."""
        try:
            if content["format"] > FORMAT:
                raise DataError(must_be("the format", f"at most {FORMAT}", content["format"]))
            questions = tuple(_question(own) for own in content["questions"])
            runs = tuple(run_from_dict(own) for own in content["runs"])
            return cls(questions, runs, str(content["by"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{must_be('a comparison', 'as to_dict gives it', error)}") from error


TABLE_HEAD = (
    *("cell", "units", "parameters", "products", "MiB", "rate", "s/epoch", "epochs to goal"),
    *("s to goal", "reached", "score", "95 % interval"),
)


def table_cells(row: Row) -> tuple[str, ...]:
    """A row as the texts of a table under `TABLE_HEAD`."""
    return (
        row.cell,
        f"{row.hidden_size:,}",
        f"{row.parameters:,}",
        "-" if row.multiply_adds is None else f"{row.multiply_adds:,}",
        "-" if row.memory_bytes is None else f"{row.memory_bytes / 2**20:.1f}",
        f"{row.rate:g}",
        _known(row.epoch_seconds, 3),
        "-" if row.epochs_to_goal is None else f"{row.epochs_to_goal:g}",
        _known(row.seconds_to_goal, 3),
        "-" if row.reached is None else f"{row.reached} of {len(row.scores)}",
        _known(row.score, 4),
        "-" if row.low is None else f"{_known(row.low, 3)} to {_known(row.high, 3)}",
    )


def _aligned(column: tuple[str, ...]) -> list[str]:
    """Names of cells to the left, all else to the right."""
    width = max(map(len, column))
    return [own.ljust(width) if column[0] == TABLE_HEAD[0] else own.rjust(width) for own in column]


def _known(value: float | None, digits: int) -> str:
    return "-" if value is None or not math.isfinite(value) else figure(value, digits)


def run_to_dict(run: Run) -> dict[str, Any]:
    """The run as JSON values; what is not finite is None."""
    content = {name: getattr(run, name) for name in (field.name for field in fields(run))}
    for name in ("train_losses", "validation_losses", "seconds"):
        content[name] = [none_unless_finite(value) for value in content[name]]
    return {**content, "score": none_unless_finite(run.score)}


def run_from_dict(content: Any) -> Run:
    """What `run_to_dict` gave; KeyError, TypeError, ValueError, OverflowError for other things."""
    return Run(
        problem=str(content["problem"]),
        cell=str(content["cell"]),
        rate=float(content["rate"]),
        seed=int(content["seed"]),
        hidden_size=int(content["hidden_size"]),
        parameters=int(content["parameters"]),
        multiply_adds=_whole(content["multiply_adds"]),
        memory_bytes=_whole(content["memory_bytes"]),
        train_losses=tuple(map(_number, content["train_losses"])),
        validation_losses=tuple(map(_number, content["validation_losses"])),
        seconds=tuple(map(_number, content["seconds"])),
        score=_number(content["score"]),
        diverged=bool(content["diverged"]),
    )


def _question(content: Any) -> Question:
    return Question(
        name=str(content["name"]),
        title=str(content["title"]),
        metric=str(content["metric"]),
        higher_is_better=bool(content["higher_is_better"]),
        blank=_number(content["blank"]),
        blank_says=str(content["blank_says"]),
        goal=None if content["goal"] is None else float(content["goal"]),
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _chosen(runs: Sequence[Run]) -> list[Run]:
    """Those at the learning rate whose run with the first seed had the lowest validation loss."""
    first = min(run.seed for run in runs)
    searched = [run for run in runs if run.seed == first]
    rate = min(searched, key=lambda run: (run.best_loss, run.rate)).rate
    return sorted((run for run in runs if run.rate == rate), key=lambda run: run.seed)


def _row(runs: Sequence[Run], goal: float | None) -> Row:
    own = _chosen(runs)
    scores = tuple(run.score for run in own)
    mean = statistics.fmean(scores)
    half = _half_width(scores)
    epochs = [(None if goal is None else run.epochs_to(goal), run) for run in own]
    reached = [(count, sum(run.seconds[:count])) for count, run in epochs if count is not None]
    # The first epoch loads code and fills caches.
    seconds = [second for run in own for second in run.seconds[1:] or run.seconds]
    return Row(
        problem=own[0].problem,
        cell=own[0].cell,
        rate=own[0].rate,
        tried=len({run.rate for run in runs}),
        scores=scores,
        score=mean,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        hidden_size=own[0].hidden_size,
        parameters=own[0].parameters,
        multiply_adds=own[0].multiply_adds,
        memory_bytes=own[0].memory_bytes,
        epoch_seconds=statistics.median(seconds) if seconds else math.nan,
        reached=None if goal is None else len(reached),
        epochs_to_goal=statistics.median(count for count, _ in reached) if reached else None,
        seconds_to_goal=statistics.median(took for _, took in reached) if reached else None,
        diverged=sum(run.diverged for run in own),
    )


def _half_width(scores: Sequence[float]) -> float | None:
    """Of the 95 % interval of the mean; None of too few scores, or of some that are not known."""
    count = len(scores)
    if count < SEEDS_FOR_AN_INTERVAL or not all(map(math.isfinite, scores)):
        return None
    point = _T[count - 2] if count - 2 < len(_T) else 1.96 + 2.5 / (count - 1)
    return point * statistics.stdev(scores) / math.sqrt(count)
