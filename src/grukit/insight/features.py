"""What a text is at each of its steps, for units to be compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_OPENING, _CLOSING = "([{", ")]}"


def text_features(pieces: Sequence[str]) -> dict[str, np.ndarray]:
    """By name, float64 [T], of T pieces that together are a text: what holds after each.

    The depth of brackets, whether it is inside double quotes, the characters since the last space
    and since the last end of line, and whether the piece is a space, a capital, a digit, a vowel
    or punctuation. A feature that never changes in the text is left out.

    >>> text_features("a (b) c")["bracket depth"]
    array([0., 0., 1., 1., 0., 0., 0.])
    """
    depth, quoted, in_word, in_line = 0, 0, 0, 0
    found: dict[str, list[float]] = {}
    for piece in pieces:
        for sign in piece:
            depth = max(0, depth + (sign in _OPENING) - (sign in _CLOSING))
            quoted = 1 - quoted if sign == '"' else quoted
            in_word = 0 if sign.isspace() else in_word + 1
            in_line = 0 if sign == "\n" else in_line + 1
        now = {
            "bracket depth": depth,
            "inside quotes": quoted,
            "place in the word": in_word,
            "place in the line": in_line,
            "space": piece[:1].isspace(),
            "capital": piece.strip()[:1].isupper(),
            "digit": piece.strip()[:1].isdigit(),
            "vowel": piece.lower() in tuple("aeiou"),
            "punctuation": bool(piece.strip()) and not any(map(str.isalnum, piece)),
        }
        for name, value in now.items():
            found.setdefault(name, []).append(float(value))
    arrays = {name: np.array(values) for name, values in found.items()}
    return {name: values for name, values in arrays.items() if np.ptp(values) > 0}


def word_ends(pieces: Sequence[str]) -> np.ndarray:
    """bool [T]: which pieces are spaces, or begin with one, and so end the word before.

    >>> word_ends(["to", " be", " ", "or"]).tolist()
    [False, True, True, False]
    """
    return np.array([piece[:1].isspace() for piece in pieces], bool)
