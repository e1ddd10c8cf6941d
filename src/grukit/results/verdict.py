"""What a table of comparisons says, in words that follow from its figures and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from grukit.results.cells import NAMES

if TYPE_CHECKING:
    from grukit.results.comparison import Question, Row

# A cell that closes so little of the gap between knowing nothing and the best possible has not
# learned the problem.
_NEXT_TO_NOTHING = 0.05


def verdict(question: Question, rows: Sequence[Row]) -> str:
    """Which cell was better on a problem, where no difference was seen, and who learned nothing.

    Two cells differ if their 95 % intervals do not overlap, which is stricter than a test of their
    difference. Without intervals, of fewer than three seeds, no cell is called better. A cell of
    which a run gave no score is left out.
    """
    known = [row for row in rows if math.isfinite(row.score)]
    words = [_missing(row) for row in rows if row not in known]
    if not known:
        return " ".join([*words, "So nothing can be said."])
    known.sort(key=lambda row: -row.score if question.higher_is_better else row.score)
    learned = [row for row in known if not _is_blank(question, row)]
    words.append(_order(question, known))
    words += [_diverged(row) for row in known if row.diverged]
    words += _blank(question, known)
    words += _goal(rows) if learned and question.goal is not None else []
    words += _time(known)
    return " ".join(words)


def differ(one: Row, other: Row) -> bool:
    """Whether both have intervals, and these do not overlap."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def figure(value: float, digits: int) -> str:
    """A number with so many digits, and no power of ten where it is large.

    >>> figure(0.123456, 3), figure(1234567.8, 3)
    ('0.123', '1,234,568')
    """
    text = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in text else text


def _missing(row: Row) -> str:
    """Of a cell that is left out: a mean of the runs that went well would flatter it."""
    without = sum(not math.isfinite(score) for score in row.scores)
    if without == len(row.scores):
        return f"{_name(row)} gave no score."
    return f"{_name(row)} gave no score in {without} of {len(row.scores)} runs, and is left out."


def _diverged(row: Row) -> str:
    return (
        f"{row.diverged} of {len(row.scores)} runs of {_name(row)} diverged, scored by the best "
        "weights before."
    )


def _order(question: Question, known: Sequence[Row]) -> str:
    best, *others = known
    if not others:
        return f"{_name(best)} has {_score(question, best.score)}."
    if any(row.low is None for row in known):
        seeds = min(len(row.scores) for row in known)
        listed = ", ".join(f"{_name(row)} {_score(question, row.score)}" for row in known)
        count = f"{seeds} seed{'' if seeds == 1 else 's'}"
        return (
            f"With {count} there is no interval, so no cell is called better; best first: {listed}."
        )
    worse = [row for row in others if differ(best, row)]
    alike = [row for row in others if not differ(best, row)]
    tail = _better_than(question, best, worse)
    if not alike:
        return f"{_name(best)} is best ({_score(question, best.score)}), {tail}."
    # A wide interval overlaps others that lie apart from each other.
    apart = [
        f"{_name(row)} is {_better_than(question, row, beaten)}"
        for at, row in enumerate(alike)
        if (beaten := [other for other in alike[at + 1 :] if differ(row, other)])
    ]
    if apart:
        begin = (
            f"No difference seen between {_name(best)} ({_score(question, best.score)}) and any of "
            f"{_all(alike)}, whose intervals overlap with its own"
        )
    elif not worse:
        return f"No difference seen between {_all(known)}: their intervals overlap."
    else:
        begin = (
            f"No difference seen between {_all([best, *alike])} ({_score(question, best.score)} at "
            "best), whose intervals overlap"
        )
    return "; ".join([begin, *apart, *([f"{_name(best)} is {tail}"] if worse else [])]) + "."


def _better_than(question: Question, row: Row, others: Sequence[Row]) -> str:
    named = ", ".join(f"{_name(own)} ({_score(question, own.score)})" for own in others)
    return f"better than {named}"


def _blank(question: Question, known: Sequence[Row]) -> list[str]:
    nothing = [row for row in known if _is_blank(question, row)]
    if not nothing:
        return []
    if question.goal is None:
        level = f"{question.blank_says} ({_score(question, question.blank)})"
        return [f"{_all(nothing)} did no better than {level}."]
    level = f"{_score(question, question.blank)} is the level of {question.blank_says}"
    return [f"{_all(nothing)} learned next to nothing: {level}."]


def _is_blank(question: Question, row: Row) -> bool:
    """Whether no run learned the problem; beside baselines, whether the mean is no better."""
    blank = question.blank
    if question.goal is None:
        return row.score <= blank if question.higher_is_better else row.score >= blank
    if question.higher_is_better:
        room = 1 - blank if question.metric == "accuracy" else 1.0
        return max(row.scores) - blank < _NEXT_TO_NOTHING * room
    return blank - min(row.scores) < _NEXT_TO_NOTHING * abs(blank)


def _goal(rows: Sequence[Row]) -> list[str]:
    there = [row for row in rows if row.seconds_to_goal is not None]
    if not there:
        return ["No run reached the goal."]
    there.sort(key=lambda row: (-(row.reached or 0) / len(row.scores), row.seconds_to_goal))
    listed = "; ".join(
        f"{_name(row)} in {row.reached} of {len(row.scores)} runs, after {row.epochs_to_goal:g} "
        f"epoch{'' if row.epochs_to_goal == 1 else 's'} and "
        f"{figure(row.seconds_to_goal or 0.0, 3)} s"
        for row in there
    )
    never = [row for row in rows if row.seconds_to_goal is None]
    return [f"The goal was reached by {listed}{f'; never by {_all(never)}' if never else ''}."]


def _time(known: Sequence[Row]) -> list[str]:
    own = {row.cell: row.epoch_seconds for row in known if row.epoch_seconds > 0}
    if not {"gru", "lstm"} <= own.keys():
        return []
    return [f"An epoch of the GRU took {own['gru'] / own['lstm']:.2f} of the LSTM's time."]


def _name(row: Row) -> str:
    return NAMES.get(row.cell, row.cell)


def _all(rows: Sequence[Row]) -> str:
    *first, last = map(_name, rows)
    return f"{', '.join(first)} and {last}" if first else last


def _score(question: Question, value: float) -> str:
    if question.metric == "accuracy":
        return f"{100 * value:.1f} %"
    if question.metric == "longest":
        return f"n = {figure(value, 3)}"
    return f"{question.metric} {figure(value, 3)}"
