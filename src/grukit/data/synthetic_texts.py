"""Generated texts with known answers."""

from __future__ import annotations

import numpy as np

POSITIVE = ("good", "great", "fine", "lovely", "bright")
NEGATIVE = ("bad", "poor", "dull", "awful", "weak")
NEGATIONS = ("not", "never")
_BETWEEN = ("really", "so", "very", "all that", "in any way")
_LETTERS = list("abcdefgh")
_FILLERS = [
    "the",
    "a",
    "film",
    "story",
    "scene",
    "actor",
    "music",
    "it",
    "was",
    "and",
    "then",
    "we",
]


def planted_reviews(count: int = 1000, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts with one planted word of sentiment each, and their labels, "negative" or "positive".

    Half of the words are negated, "not good" or "never in any way good", which turns them round, so
    that words alone do not tell.

    >>> texts, labels = planted_reviews(2)
    >>> texts[0], labels[0]
    ('the the the film and never dull it then', 'positive')
    """
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        positive, negated = random.random(2) < 0.5
        words = random.choice(_FILLERS, size=random.integers(4, 16)).tolist()
        planted = [str(random.choice(POSITIVE if positive else NEGATIVE))]
        if negated:
            between = [str(random.choice(_BETWEEN))] if random.random() < 0.7 else []
            planted = [str(random.choice(NEGATIONS)), *between, *planted]
        at = int(random.integers(0, len(words) + 1))
        texts.append(" ".join([*words[:at], *planted, *words[at:]]))
        labels.append("positive" if positive != negated else "negative")
    return texts, labels


def reversed_letters(count: int = 1000, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of 2 to 8 random letters, and each of them backwards.

    >>> reversed_letters(2)
    (['feccaaa', 'gfh'], ['aaaccef', 'hfg'])
    """
    random = np.random.default_rng(seed)
    rows = [random.choice(_LETTERS, size=random.integers(2, 9)) for _ in range(count)]
    return ["".join(row) for row in rows], ["".join(row[::-1]) for row in rows]


def counted_letters(count: int = 1000, seed: int = 0) -> tuple[list[str], list[str]]:
    """Letters with a number from 1 to 9, and each letter so many times.

    >>> counted_letters(2)
    (['g 5', 'f 3'], ['ggggg', 'fff'])
    """
    random = np.random.default_rng(seed)
    letters = random.choice(_LETTERS, size=count)
    times = random.integers(1, 10, size=count)
    pairs = list(zip(letters, times, strict=True))
    return [f"{a} {n}" for a, n in pairs], [str(a) * int(n) for a, n in pairs]
