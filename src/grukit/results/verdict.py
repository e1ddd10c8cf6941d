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
    difference. Without intervals, of fewer than three seeds, no cell is called better.
    """
    known = [row for row in rows if math.isfinite(row.score)]
    words = [f"{_name(row)} gave no score." for row in rows if row not in known]
    if not known:
        return " ".join([*words, "So nothing can be said."])
    known.sort(key=lambda row: -row.score if question.higher_is_better else row.score)
    learned = [row for row in known if not _is_blank(question, row)]
    words += [_order(question, known)] if len(known) > 1 else []
    words += _blank(question, known)
    words += _goal(rows) if learned and question.goal is not None else []
    words += _time(known)
    return " ".join(words)


def differ(one: Row, other: Row) -> bool:
    """Whether both have intervals, and these do not overlap."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def _order(question: Question, known: Sequence[Row]) -> str:
    best, *others = known
    if any(row.low is None for row in known):
        seeds = min(len(row.scores) for row in known)
        listed = ", ".join(f"{_name(row)} {_score(question, row.score)}" for row in known)
        count = f"{seeds} seed{'' if seeds == 1 else 's'}"
        return (
            f"With {count} there is no interval, so no cell is called better; best first: {listed}."
        )
    worse = [row for row in others if differ(best, row)]
    alike = [row for row in others if not differ(best, row)]
    if not worse:
        return f"No difference seen between {_all(known)}: their intervals overlap."
    tail = ", ".join(f"{_name(row)} ({_score(question, row.score)})" for row in worse)
    if not alike:
        return f"{_name(best)} is best ({_score(question, best.score)}), better than {tail}."
    return (
        f"No difference seen between {_all([best, *alike])} ({_score(question, best.score)} at "
        f"best), whose intervals overlap; {_name(best)} is better than {tail}."
    )


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
    blank = question.blank
    if question.goal is None:
        return row.score <= blank if question.higher_is_better else row.score >= blank
    if question.higher_is_better:
        room = 1 - blank if question.metric == "accuracy" else 1.0
        return row.score - blank < _NEXT_TO_NOTHING * room
    return blank - row.score < _NEXT_TO_NOTHING * abs(blank)


def _goal(rows: Sequence[Row]) -> list[str]:
    there = [row for row in rows if row.seconds_to_goal is not None]
    if not there:
        return ["No run reached the goal."]
    there.sort(key=lambda row: (-(row.reached or 0) / len(row.scores), row.seconds_to_goal))
    listed = "; ".join(
        f"{_name(row)} in {row.reached} of {len(row.scores)} runs, after {row.epochs_to_goal:g} "
        f"epoch{'' if row.epochs_to_goal == 1 else 's'} and {row.seconds_to_goal:.3g} s"
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
        return f"n = {value:.3g}"
    return f"{question.metric} {value:.3g}"
