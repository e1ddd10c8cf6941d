"""Polyphonic music: from the files of Boulanger-Lewandowski et al. 2012 to rolls of 88 keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.core.extras import require

if TYPE_CHECKING:
    import pandas

KEYS = 88
_LOWEST_NOTE = 21
_PARTS = {"train": "traindata", "validation": "validdata", "test": "testdata"}


def piano_rolls(file: Path) -> dict[str, list[np.ndarray]]:
    """By part ("train", "validation", "test") the pieces: float32 [T, 88], 1 where a key sounds.

    Raises MissingExtra without scipy, DataError for a file of something else.
    """
    try:
        content = require("scipy.io").loadmat(file)
        rolls = {
            part: [np.asarray(piece, np.float32) for piece in content[name][0]]
            for part, name in _PARTS.items()
        }
    except (ValueError, KeyError, IndexError, TypeError) as error:
        wanted = "a .mat file of piano rolls"
        raise DataError(f"{must_be('the music', wanted, str(file))}: {error}") from error
    for piece in (piece for part in rolls.values() for piece in part):
        if piece.ndim != 2 or piece.shape[1] != KEYS or not np.isin(piece, (0, 1)).all():
            raise DataError(must_be("a piece", f"zeros and ones [T, {KEYS}]", piece.shape))
    return rolls


def music(file: Path) -> pandas.DataFrame:
    """A row for each step: `part`, `piece`, `step` and `notes`, the MIDI numbers that sound."""
    import pandas as pd

    rows = [
        (part, at, step, " ".join(str(_LOWEST_NOTE + key) for key in np.flatnonzero(keys)))
        for part, pieces in piano_rolls(file).items()
        for at, piece in enumerate(pieces)
        for step, keys in enumerate(piece)
    ]
    return pd.DataFrame(rows, columns=["part", "piece", "step", "notes"])
