"""How sure a search is of the tokens and words of a text, from 0 to 1.

A token's confidence is the product of

- its chance by the network in the frame where it is the likeliest: what was heard;
- the share of its word among all texts that the search has kept, by their scores: what else it may
  have been, by everything that counts. Where the alphabet knows no words it is that of the token.

A word is as sure as its tokens are in the mean. A chance alone knows nothing of other texts that
fit, nor of language models; the texts of a narrow beam alone are surer than they should be. Of a
dozen such measures this one told right words of AN4 from wrong ones best, or nearly, with a
language model and without, and was among those that are right as often as they say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from grukit.ops.ctc.contract import BOUNDARY, Found

Letters = tuple[int, ...]


def confidences(
    found: Sequence[Found], letters: Sequence[Letters], count: int
) -> list[tuple[float, ...]]:
    """For the first `count` texts that were found how sure each token is.

    letters: how each token of the alphabet is spelled; see `grukit.ops.ctc.contract`.

    >>> texts = [Found((1,), (0,), (math.log(0.9),), 0, 0), Found((2,), (0,), (-1,), 0, 0)]
    >>> confidences(texts, ((), (97,), (98,)), count=1)
    [(0.45,)]
    """
    top = max(one.score for one in found)
    weights = [math.exp(one.score - top) if one.score > -math.inf else 0.0 for one in found]
    has_words = any(BOUNDARY in own for own in letters)
    parts = [_parts(one.tokens, letters, has_words) for one in found]
    answers = []
    for (units, unit_of), one in zip(parts[:count], found, strict=False):
        shares = [0.0] * len(units)
        for (other, _), weight in zip(parts, weights, strict=True):
            for at in _kept(units, other):
                shares[at] += weight
        # Rounding may take it a little above 1.
        total = max(sum(weights), *shares, 0.0)
        answers.append(
            tuple(
                math.exp(min(peak, 0.0)) * (shares[unit] / total if units else 1.0)
                for peak, unit in zip(one.peaks, unit_of, strict=True)
            )
        )
    return answers


def _parts(
    tokens: Sequence[int], letters: Sequence[Letters], has_words: bool
) -> tuple[list[Letters], list[int]]:
    """The words of a text, or its tokens, and of each token to which it belongs.

    What is between words belongs to the one before, at the beginning to the first.
    """
    if not has_words:
        return [letters[token] for token in tokens], list(range(len(tokens)))
    words: list[list[int]] = []
    between, word_of = True, []
    for token in tokens:
        for letter in letters[token]:
            if letter == BOUNDARY:
                between = True
                continue
            if between:
                words.append([])
            words[-1].append(letter)
            between = False
        word_of.append(max(len(words) - 1, 0))
    return [tuple(word) for word in words], word_of


def _kept(units: Sequence[Letters], other: Sequence[Letters]) -> list[int]:
    """The places of units that another text has too, where the two are aligned by least edits."""
    first, last = 0, 0
    least = min(len(units), len(other))
    while first < least and units[first] == other[first]:
        first += 1
    while last < least - first and units[-1 - last] == other[-1 - last]:
        last += 1
    kept = [*range(first), *range(len(units) - last, len(units))]
    own, their = units[first : len(units) - last], other[first : len(other) - last]
    if not own or not their:
        return kept
    edits = [list(range(len(their) + 1))]
    for row, unit in enumerate(own, 1):
        edits.append([row])
        for column, one in enumerate(their, 1):
            ways = (edits[row - 1][column] + 1, edits[row][column - 1] + 1)
            edits[row].append(min(*ways, edits[row - 1][column - 1] + (unit != one)))
    row, column = len(own), len(their)
    while row and column:
        same = own[row - 1] == their[column - 1]
        if edits[row][column] == edits[row - 1][column - 1] + (not same):
            row, column = row - 1, column - 1
            if same:
                kept.append(first + row)
        elif edits[row][column] == edits[row - 1][column] + 1:
            row -= 1
        else:
            column -= 1
    return kept
