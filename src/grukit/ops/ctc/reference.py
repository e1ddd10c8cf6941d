"""Prefix beam search as it is defined, and the search of everything, in plain Python.

Hannun et al. 2014 (arXiv:1408.2873), algorithm 1, and Graves 2012, section 7.5.3, with the rules of
`grukit.ops.ctc.contract`. This is the truth for tests, and what runs where the native core is
missing.

With p_b(y) and p_n(y) the chances of the ways to say y so far that end in a blank and in its last
token, p = p_b + p_n, and x(k) the chance of token k in the next frame:

    p_b'(y)     = p(y) x(blank)
    p_n'(y)     = p_n(y) x(last of y)
    p_n'(y + k) = p_n'(y + k) + x(k) (p_b(y) if k is the last of y else p(y))

Ties go to what was there before, in its order; then to longer texts, by the order of what they
continue, and by the token.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from grukit.ops.ctc.added import Added, added
from grukit.ops.ctc.contract import BLANK, Chances, Found, Rules

NEVER = -math.inf

Tokens = tuple[int, ...]
Times = tuple[tuple[int, float], ...]


@dataclass
class _Way:
    """ln of the chance of all alignments of one kind, and of the best of them with its times."""

    chance: float = NEVER
    best: float = NEVER
    times: Times = ()

    def add(self, chance: float, best: float, times: Times) -> None:
        """More alignments; of two best the first stays if they are as likely."""
        self.chance = log_add(self.chance, chance)
        if best > self.best:
            self.best, self.times = best, times


@dataclass
class _Beginning:
    """The alignments of one beginning, which end in a blank, and in its last token."""

    blank: _Way
    token: _Way

    @property
    def chance(self) -> float:
        return log_add(self.blank.chance, self.token.chance)

    @property
    def best(self) -> _Way:
        return self.token if self.token.best > self.blank.best else self.blank


class ReferenceSearch:
    """A search through the frames of one recording, as they come.

    >>> search = ReferenceSearch(Rules(letters=((), (97,), (98,))))
    >>> search.push(np.log([[0.4, 0.6, 0.1e-9], [0.6, 0.3, 0.1]]))
    >>> [(found.tokens, round(math.exp(found.log_chance), 2)) for found in search.best(2)]
    [((1,), 0.66), ((), 0.24)]

    chances: a model of tokens: ln of the chance of every token after some, [V]; that at the blank
        is the chance that the text ends.
    """

    def __init__(self, rules: Rules, chances: Chances | None = None) -> None:
        self._rules, self._chances = rules, chances
        self.reset()

    def reset(self) -> None:
        """Begin anew, at frame 0."""
        self.frames = 0
        self._beam = {(): _Beginning(_Way(0.0, 0.0), _Way())}
        self._memo: dict[Tokens, Added] = {}

    def push(self, log_probs: np.ndarray) -> None:
        """Go on by frames [T, V], ln of the chances of the tokens."""
        for frame in np.asarray(log_probs, np.float64).tolist():
            self._step(frame)
            self.frames += 1

    def best(self, count: int, final: bool = False) -> list[Found]:
        """The best texts so far, best first; `final`: as texts that end here."""
        found = []
        for tokens, one in self._beam.items():
            more = (
                added(self._rules, tokens, self._chances, final=True)
                if final
                else self._added(tokens)
            )
            frames, peaks = zip(*one.best.times, strict=True) if tokens else ((), ())
            score = one.chance + more.score
            found.append(Found(tokens, frames, peaks, one.chance, score, more.whole))
        found.sort(key=lambda one: (not one.whole, -one.score))
        return found[:count]

    def _added(self, tokens: Tokens) -> Added:
        if tokens not in self._memo:
            self._memo[tokens] = added(self._rules, tokens, self._chances)
        return self._memo[tokens]

    def _step(self, x: list[float]) -> None:
        after: dict[Tokens, _Beginning] = {}
        for tokens, one in self._beam.items():
            after[tokens] = new = _Beginning(_Way(), _Way())
            new.blank.add(one.chance + x[BLANK], one.best.best + x[BLANK], one.best.times)
            if tokens:
                own = x[tokens[-1]]
                times = self._later(one.token.times, own)
                new.token.add(one.token.chance + own, one.token.best + own, times)
        for tokens, one in self._beam.items():
            for token in range(1, len(x)):
                if x[token] < self._rules.least:
                    continue
                again = tokens[-1:] == (token,)
                chance, way = (one.blank.chance, one.blank) if again else (one.chance, one.best)
                longer = (*tokens, token)
                if longer not in after:
                    if not self._added(longer).allowed:
                        continue
                    after[longer] = _Beginning(_Way(), _Way())
                times = (*way.times, (self.frames, x[token]))
                after[longer].token.add(chance + x[token], way.best + x[token], times)
        scores = {tokens: one.chance + self._added(tokens).score for tokens, one in after.items()}
        kept = [tokens for tokens in after if scores[tokens] > NEVER]
        kept = sorted(kept, key=lambda tokens: -scores[tokens])[: self._rules.beam]
        # A frame in which nothing can go on is passed over.
        if kept:
            least = scores[kept[0]] - self._rules.window
            self._beam = {tokens: after[tokens] for tokens in kept if scores[tokens] >= least}

    def _later(self, times: Times, chance: float) -> Times:
        """The times of a way whose last token goes on."""
        if not times or chance <= times[-1][1]:
            return times
        return (*times[:-1], (self.frames, chance))


def log_add(a: float, b: float) -> float:
    """ln(e^a + e^b)."""
    if a < b:
        a, b = b, a
    return a if b == NEVER else a + math.log1p(math.exp(b - a))


def search_all(
    rules: Rules, log_probs: np.ndarray, chances: Chances | None = None
) -> list[tuple[Tokens, float, float]]:
    """Every text that frames [T, V] may say, with ln of its chance and its score; best first.

    It goes through all V^T alignments, so T and V must be tiny.
    """
    x = np.asarray(log_probs, np.float64)
    sums: dict[Tokens, float] = {}
    for way in itertools.product(range(x.shape[1]), repeat=len(x)):
        tokens = tuple(token for token, _ in itertools.groupby(way) if token != BLANK)
        chance = sum(float(x[frame, token]) for frame, token in enumerate(way))
        sums[tokens] = log_add(sums.get(tokens, NEVER), chance)
    found = []
    for tokens, chance in sums.items():
        more = added(rules, tokens, chances, final=True)
        if chance > NEVER and more.allowed:
            found.append((not more.whole, -(chance + more.score), tokens, chance))
    return [(tokens, chance, -score) for _, score, tokens, chance in sorted(found)]
