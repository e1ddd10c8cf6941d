"""Beam search: the best texts that a model can write, as far as a narrow search finds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from grukit.decoding.phrases import choose, progress_of


class Model(Protocol):
    """What writes: its state has a row for each text."""

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """int64 [N] to the log of the chances [N, V] of each next token, and the state after."""
        ...

    def select(self, state: Any, rows: Tensor) -> Any:
        """The state of some rows, int64 [M], in their order."""
        ...


@dataclass(frozen=True)
class Demand:
    """What is asked of a text: its most tokens, those it begins with, and phrases in it."""

    length: int
    prefix: tuple[int, ...] = ()
    phrases: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Hypothesis:
    """Tokens without the end, the log of their chance, and the score by which they are ranked.

    whole: whether the text ended by itself; else it was cut at its most tokens.
    """

    tokens: tuple[int, ...]
    log_chance: float
    score: float
    whole: bool


@torch.no_grad()
def beam_search(
    model: Model,
    state: Any,
    demands: Sequence[Demand],
    end: int,
    beam: int = 5,
    length_penalty: float = 1.0,
) -> list[list[Hypothesis]]:
    """For each of B inputs its best texts, best first, at most `beam` of them.

    state: of B rows, before anything is written; the first token read is `end`.
    demands: one for each input.
    end: the token that ends a text.
    length_penalty: 0 ranks by the chance itself, which favours short texts; the higher, the longer
        they may be. A log chance is divided by ((5 + tokens) / 6)^length_penalty (Wu et al. 2016,
        arXiv:1609.08144, eq. 14).

    An input is done when `beam` texts have ended that each score better than all that go on.
    Phrases are searched for as in `phrases.choose`.
    """
    inputs = len(demands)
    done: list[list[Hypothesis]] = [[] for _ in demands]
    active = torch.arange(inputs)
    state = model.select(state, active.repeat_interleave(beam))
    scores = torch.full((inputs, beam), -torch.inf, dtype=torch.float64)
    scores[:, 0] = 0.0
    written = torch.full((inputs, beam, 1), end)
    while len(active):
        chances, state = model.step(written[:, :, -1].flatten(), state)
        chances = chances.double().view(len(active), beam, -1)
        before = written.shape[2] - 1
        # Of those that end here, and of those that go on: with a token more, but without the end.
        weight = ((6 + before) / 6) ** length_penalty
        for row, at in enumerate(active.tolist()):
            _hold(chances[row], demands[at], before, end)
        total = scores[:, :, None] + chances
        best, parent, token = _candidates(total, 2 * beam)
        for row, at in enumerate(active.tolist()):
            demand = demands[at]
            if demand.phrases and len(demand.prefix) <= before < demand.length:
                chosen = choose(total[row], written[row, :, 1:], demand.phrases, end, beam)
                best[row], parent[row], token[row] = chosen
        token = token.where(best > -torch.inf, end)
        ended = (token == end) & (best > -torch.inf)
        for row, rank in ended[:, :beam].nonzero().tolist():
            tokens = tuple(written[row, parent[row, rank], 1:].tolist())
            log_chance = float(best[row, rank])
            at = int(active[row])
            whole = len(tokens) < demands[at].length
            done[at].append(Hypothesis(tokens, log_chance, log_chance / weight, whole))
        # Those that go on, best first.
        scores, rank = torch.where(token == end, -torch.inf, best).topk(beam)
        parent, token = parent.gather(1, rank), token.gather(1, rank)
        enough = torch.tensor([_nth_score(done[at], beam) for at in active.tolist()]).double()
        going = scores[:, 0] / weight > enough
        rows = torch.arange(len(active))[:, None] * beam + parent
        state = model.select(state, rows[going].flatten())
        written = torch.cat([written.flatten(0, 1)[rows], token[..., None]], dim=2)[going]
        active, scores = active[going], scores[going]
    return [_ranked(found, demand)[:beam] for found, demand in zip(done, demands, strict=True)]


def _candidates(total: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best of [B, K, V], best first: their scores, texts and tokens, each [B, count]."""
    # What a small vocabulary lacks of `count` is impossible.
    total = pad(total, (0, max(0, count - total.shape[-1])), value=-torch.inf)
    best, at = total.flatten(1).topk(count)
    return best, at // total.shape[-1], at % total.shape[-1]


def _nth_score(found: list[Hypothesis], rank: int) -> float:
    """The score of rank 1, 2, ...; minus infinity where there are not so many."""
    scores = sorted((one.score for one in found), reverse=True)
    return scores[rank - 1] if len(scores) >= rank else -math.inf


def _ranked(found: list[Hypothesis], demand: Demand) -> list[Hypothesis]:
    """Best first; those cut before they had all phrases only where there is nothing else."""
    whole = [one for one in found if not progress_of(one.tokens, demand.phrases).wanted]
    return sorted(whole or found, key=lambda one: -one.score)


def _hold(chances: Tensor, demand: Demand, before: int, end: int) -> None:
    """Leave a text [K, V] nothing but what must come after `before` tokens, if something must."""
    forced = None
    if before == demand.length:
        forced = end
    elif before < len(demand.prefix):
        forced = demand.prefix[before]
    if forced is not None:
        kept = chances[:, forced].clone()
        chances.fill_(-torch.inf)
        chances[:, forced] = kept
