"""Problems to compare recurrent networks on: seeded, the same for each, with their blank levels.

>>> from grukit.data.problems import problem
>>> adding = problem("adding", length=50, train=200, test=50)
>>> adding.metric, round(adding.blank, 4), adding.blank_says
('mse', 0.1667, 'always 1')

A `Problem` has `train`, `validation` and `test` sequences, whose ``batch`` gives tensors, and
scores answers by its metric. All but the music are made here, from the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grukit.core.errors import ParameterError, did_you_mean, must_be
from grukit.data.problems.base import Batch, Items, Problem
from grukit.data.problems.counting import anbn, parity
from grukit.data.problems.memory import adding, copy_memory, temporal_order
from grukit.data.problems.music import jsb_chorales, piano_midi
from grukit.data.problems.pictures import image_rows, mnist1d_curves

__all__ = ["PROBLEMS", "Batch", "Items", "Problem", "problem"]

PROBLEMS: dict[str, Callable[..., Problem]] = {
    "adding": adding,
    "copy_memory": copy_memory,
    "temporal_order": temporal_order,
    "parity": parity,
    "anbn": anbn,
    "image_rows": image_rows,
    "mnist1d": mnist1d_curves,
    "jsb_chorales": jsb_chorales,
    "piano_midi": piano_midi,
}


def problem(name: str, **settings: Any) -> Problem:
    """A built-in problem by its name, with the settings of its function and a `seed`.

    Raises ParameterError for an unknown name or setting.
    """
    if name not in PROBLEMS:
        hint = did_you_mean(name, PROBLEMS)
        raise ParameterError(must_be("a problem", f"one of {', '.join(PROBLEMS)}", name) + hint)
    build = PROBLEMS[name]
    known = build.__code__.co_varnames[: build.__code__.co_argcount]
    for setting in settings:
        if setting not in known:
            wanted = f"one of {', '.join(known)}{did_you_mean(setting, known)}"
            raise ParameterError(must_be(f"a setting of {name}", wanted, setting))
    return build(**settings)
