"""Choosing the next token: from logits to a token, by the usual rules in the usual order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from grukit.core.rules import check, integer, number, optional

_RULES = {
    "temperature": number(at_least=0),
    "top_k": optional(integer(at_least=1)),
    "top_p": optional(number(above=0, at_most=1)),
    "min_p": optional(number(above=0, at_most=1)),
    "typical": optional(number(above=0, at_most=1)),
    "repetition_penalty": number(above=0),
    "presence_penalty": number(),
    "no_repeat_ngram": optional(integer(at_least=1)),
}


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; each rule leaves fewer to choose from, but never none.

    >>> Sampling(temperature=0).choose(np.array([0.1, 2.0, 1.0]), Past(), np.random.default_rng(0))
    1

    temperature: the logits are divided by it; 0 takes the most probable.
    top_k: only so many of the most probable (Fan et al. 2018).
    top_p: only the most probable that together have this chance (Holtzman et al. 2020).
    min_p: only what has at least this share of the highest chance (Nguyen et al. 2024).
    typical: only those whose surprise is nearest to the mean one, that together have this chance
        (Meister et al. 2023).
    repetition_penalty: logits of tokens there were are divided by it if positive, else multiplied
        (Keskar et al. 2019); 1 for none.
    presence_penalty: taken from the logit of each token that there was.
    no_repeat_ngram: no sequence of so many tokens comes twice.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical: float | None = None
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    no_repeat_ngram: int | None = None

    def __post_init__(self) -> None:
        check(vars(self), _RULES)

    def choose(self, logits: np.ndarray, past: Past, random: np.random.Generator) -> int:
        """One token, from logits [V] and what there was before it."""
        chances = self.chances(logits, past)
        possible = np.flatnonzero(chances)
        reached = np.cumsum(chances[possible])
        at = np.searchsorted(reached, random.random() * reached[-1], side="right")
        return int(possible[min(at, len(possible) - 1)])

    def chances(self, logits: np.ndarray, past: Past) -> np.ndarray:
        """The chance of each token, float64 [V]; zeros for those that the rules exclude."""
        logits = self._penalized(logits.astype(np.float64), past)
        if self.temperature == 0:
            chances = np.zeros_like(logits)
            chances[logits.argmax()] = 1.0
            return chances
        chances = _softmax(logits / self.temperature)
        if self.top_k is not None:
            chances = _kept(chances, np.argsort(-chances, kind="stable")[: self.top_k])
        if self.typical is not None:
            surprise = -np.log(np.maximum(chances, np.finfo(np.float64).tiny))
            distance = np.abs(surprise - (chances * surprise).sum())
            chances = _together(chances, np.argsort(distance, kind="stable"), self.typical)
        if self.top_p is not None:
            chances = _together(chances, np.argsort(-chances, kind="stable"), self.top_p)
        if self.min_p is not None:
            chances = _kept(chances, np.flatnonzero(chances >= self.min_p * chances.max()))
        return chances

    def _penalized(self, logits: np.ndarray, past: Past) -> np.ndarray:
        if self.repetition_penalty != 1.0 or self.presence_penalty:
            seen = np.fromiter(past.seen, np.int64, len(past.seen))
            own, factor = logits[seen], self.repetition_penalty
            logits[seen] = np.where(own > 0, own / factor, own * factor) - self.presence_penalty
        if self.no_repeat_ngram is not None:
            repeated = past.followers(self.no_repeat_ngram)
            if len(repeated) < len(logits):
                logits[list(repeated)] = -math.inf
        return logits


@dataclass
class Past:
    """What there was, kept so that a token costs the same however long the text is.

    ngram: how long the sequences are whose repetition is asked about, if it is.
    """

    ngram: int | None = None
    seen: set[int] = field(default_factory=set)
    latest: tuple[int, ...] = ()
    after: dict[tuple[int, ...], set[int]] = field(default_factory=dict)

    def add(self, token: int) -> None:
        """One more token."""
        self.seen.add(token)
        if self.ngram is not None:
            if len(self.latest) == self.ngram - 1:
                self.after.setdefault(self.latest, set()).add(token)
            self.latest = (*self.latest, token)[-(self.ngram - 1) :] if self.ngram > 1 else ()

    def followers(self, ngram: int) -> set[int]:
        """The tokens that would repeat a sequence of so many."""
        assert ngram == self.ngram
        return self.after.get(self.latest, set())


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def _kept(chances: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(chances)
    kept[tokens] = chances[tokens]
    return kept / kept.sum()


def _together(chances: np.ndarray, order: np.ndarray, share: float) -> np.ndarray:
    """The first tokens of an order that together have a share, the one that reaches it included."""
    reached = np.searchsorted(np.cumsum(chances[order]), share)
    return _kept(chances, order[: reached + 1])
