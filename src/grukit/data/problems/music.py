"""Polyphonic music as rolls of 88 keys: which keys sound at the next step."""

from __future__ import annotations

import numpy as np

from grukit.data import catalog
from grukit.data.music_sets import KEYS, piano_rolls
from grukit.data.problems.base import Items, Problem

# A piano piece has up to some thousand steps, which would leave few updates in an epoch.
_CUT = 200


def jsb_chorales(seed: int = 0) -> Problem:
    """The next chord of Bach's chorales; the set is the same for every seed."""
    return _next_keys("jsb_chorales", "JSB Chorales: the next chord", goal=9.0)


def piano_midi(seed: int = 0) -> Problem:
    """The next chord of classical piano music; the set is the same for every seed."""
    return _next_keys("piano_midi", "Piano-midi: the next chord", goal=9.0)


def _next_keys(name: str, title: str, goal: float) -> Problem:
    """The protocol of the literature: at a step the sum of 88 Bernoulli losses.

    Step t + 1 of a piece is foretold from those up to t; the mean is over all steps of all pieces,
    none of them padding. Pieces to learn are cut, those of validation and test are whole.
    """
    rolls = piano_rolls(catalog.fetch(name))
    learned = _items(rolls["train"], _CUT)
    judged, tested = _items(rolls["validation"]), _items(rolls["test"])
    chances = learned.targets[learned.asked].mean(0).clip(1e-6, 1 - 1e-6)
    truth = tested.targets[tested.asked]
    level = -(truth * np.log(chances) + (1 - truth) * np.log1p(-chances)).sum(1).mean()
    return Problem(
        name=name,
        title=title,
        source="Boulanger-Lewandowski et al. 2012, as in Chung et al. 2014",
        kind="keys",
        output_size=KEYS,
        metric="nll",
        blank=float(level),
        blank_says="how often each key sounds",
        goal=goal,
        train=learned,
        validation=judged,
        test=tested,
    )


def _items(rolls: list[np.ndarray], cut: int | None = None) -> Items:
    """Pieces, or parts of them of `cut` steps at most, each with the keys one step later."""
    pairs = [(roll[:-1], roll[1:]) for roll in rolls if len(roll) > 1]
    if cut:
        pairs = [
            (heard[at : at + cut], next_[at : at + cut])
            for heard, next_ in pairs
            for at in range(0, len(heard), cut)
        ]
    lengths = np.array([len(heard) for heard, _ in pairs])
    inputs = np.zeros((len(pairs), lengths.max(), KEYS), np.uint8)
    targets = np.zeros_like(inputs)
    for at, (heard, next_) in enumerate(pairs):
        inputs[at, : len(heard)], targets[at, : len(heard)] = heard, next_
    asked = np.arange(lengths.max()) < lengths[:, None]
    return Items(inputs, lengths, targets, asked, KEYS)
