"""What language models and hot phrases add to the score of a text, by its definition.

`grukit.ops.ctc.contract` says it in words. This is the plain form, which reads a text from its
beginning each time; the native core does the same a token at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from grukit.ops.ctc.contract import BOUNDARY, END, Chances, Rules, Words


class Added(NamedTuple):
    """What is added, whether the text may occur, and whether its last word is whole."""

    score: float
    allowed: bool = True
    whole: bool = True


def added(
    rules: Rules,
    tokens: Sequence[int],
    chances: Chances | None = None,
    final: bool = False,
) -> Added:
    """What is added to ln of the chance of a text.

    chances: ln of the chance of every token after these, [V], as a model of tokens has it; that at
        the blank is the chance that the text ends.
    final: whether the text ends here.
    """
    letters = [letter for token in tokens for letter in rules.letters[token]]
    words = _of_words(rules, [*letters, BOUNDARY] if final else letters, final)
    return Added(
        (words.score + _of_phrases(rules, letters, final))
        + _of_tokens(rules, tokens, chances, final),
        words.allowed,
        words.whole,
    )


def _of_words(rules: Rules, letters: Sequence[int], final: bool) -> Added:
    model = rules.words
    score, history, word, whole = 0.0, (), "", True
    for at, letter in enumerate(letters):
        if letter != BOUNDARY:
            score += 0.0 if word else rules.bonus
            word += chr(letter)
            continue
        if word and model:
            score += rules.weight * model.chance(history, word)
            if word not in model.known:
                score -= rules.unknown
                whole = not rules.closed
                last = final and at == len(letters) - 1
                if rules.closed and not (last and _begun_like(model, word)):
                    return Added(score, allowed=False)
        history, word = ((*history, word) if word else history), ""
    ahead = 0.0
    if model and word:
        below = _begun_like(model, word)
        if rules.closed and not below:
            return Added(score, allowed=False)
        outside = rules.weight * model.unknown - rules.unknown
        ahead = rules.weight * max(below) if below else outside
    if model and model.ends and final:
        score += rules.weight * model.chance(history, END)
    return Added(score + ahead, whole=whole)


def _begun_like(model: Words, word: str) -> list[float]:
    """ln of the chances of all words that begin like this."""
    return [chance for known, chance in model.known.items() if known.startswith(word)]


def _of_phrases(rules: Rules, letters: Sequence[int], final: bool) -> float:
    """Phrases of words occur between boundaries; where nothing is a boundary, anywhere."""
    edge = [BOUNDARY] if rules.has_words else []
    text = list(edge)
    for letter in [*letters, *(edge if final else [])]:
        if letter != BOUNDARY or text[-1:] != [BOUNDARY]:
            text.append(letter)
    complete = held = 0.0
    phrases = [([*edge, *phrase, *edge], len(phrase), weight) for phrase, weight in rules.hot]
    for end in range(1, len(text) + 1):
        for phrase, _, weight in phrases:
            if text[:end][-len(phrase) :] == phrase:
                complete += weight
    for phrase, length, weight in phrases:
        for there in range(1, len(phrase)):
            if text[-there:] == phrase[:there]:
                held = max(held, weight * (there - len(edge)) / length)
    return complete + (0.0 if final else held)


def _of_tokens(
    rules: Rules,
    tokens: Sequence[int],
    chances: Chances | None,
    final: bool,
) -> float:
    if chances is None or rules.token_weight is None:
        return 0.0
    score = 0.0
    for at, token in enumerate([*tokens, 0] if final else tokens):
        score += rules.token_weight * float(chances(tuple(tokens[:at]))[token])
    return score
