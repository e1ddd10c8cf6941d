"""How the tokens of an alphabet are spelled, for what knows letters and words."""

from __future__ import annotations

from collections.abc import Mapping

from grukit.core.errors import ParameterError, must_be
from grukit.data.alphabet import BLANK, Alphabet
from grukit.ops.ctc.contract import BOUNDARY

Letters = tuple[int, ...]


def letters_of(alphabet: Alphabet) -> tuple[Letters, ...]:
    """The letters of each token, BOUNDARY where a word ends.

    >>> letters_of(Alphabet("word", ["", "go"]))
    ((), (103, 111, 0))
    """
    begins, space, whole = alphabet.begins_word, alphabet.space, alphabet.kind == "word"
    spelled: list[Letters] = []
    for token, name in enumerate(alphabet.tokens):
        own = tuple(ord(letter) for letter in alphabet.text([name]) if letter != " ")
        if token == space:
            own = (BOUNDARY,)
        elif token != BLANK and whole:
            own = (*own, BOUNDARY)
        elif begins[token]:
            own = (BOUNDARY, *own)
        spelled.append(own)
    return tuple(spelled)


def hot_phrases(
    alphabet: Alphabet, weights: Mapping[str, float]
) -> tuple[tuple[Letters, float], ...]:
    """Phrases by letters with their weights; ParameterError for one that cannot be said."""
    spelled = letters_of(alphabet)
    letters = {letter for own in spelled for letter in own} - {BOUNDARY}
    between = [BOUNDARY] if any(BOUNDARY in own for own in spelled) else []
    found = []
    for phrase, weight in weights.items():
        words = phrase.split()
        if alphabet.kind == "word":
            strange = [word for word in words if word not in alphabet.tokens]
        else:
            strange = [letter for word in words for letter in word if ord(letter) not in letters]
        if strange:
            raise ParameterError(must_be("hot_words", "written in the alphabet", strange[0]))
        own = [letter for word in words for letter in [*between, *map(ord, word)]]
        found.append((tuple(own[len(between) :]), float(weight)))
    return tuple(found)
