"""Beam search for texts in which given phrases must occur.

Candidates are sorted by how many tokens of the phrases they have, and every number gets its share
of the beam, so that a text with a phrase is not driven out by likelier ones without (Post and
Vilar 2018, arXiv:1804.06609).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Phrase = tuple[int, ...]


class Progress(NamedTuple):
    """How far a text is with some phrases.

    tokens: how many it has of all of them: of those that are whole in it, and of the one whose
        beginning is at its end. wanted: the tokens that would bring it further.
    """

    tokens: int
    wanted: frozenset[int]


def progress_of(text: Phrase, phrases: Sequence[Phrase]) -> Progress:
    """The progress of the tokens of a text.

    >>> progress_of((4, 7, 7, 1), phrases=((7, 7), (1, 2, 3)))
    Progress(tokens=3, wanted=frozenset({2}))
    """
    missing = [phrase for phrase in phrases if not _contains(text, phrase)]
    begun = [_overlap(text, phrase) for phrase in missing]
    whole = sum(map(len, phrases)) - sum(map(len, missing))
    wanted = frozenset(phrase[at] for phrase, at in zip(missing, begun, strict=True))
    return Progress(whole + max(begun, default=0), wanted)


def _contains(text: Phrase, phrase: Phrase) -> bool:
    return any(text[at : at + len(phrase)] == phrase for at in range(len(text) - len(phrase) + 1))


def _overlap(text: Phrase, phrase: Phrase) -> int:
    """How many tokens of a phrase the text ends with, which does not contain it."""
    lengths = range(min(len(text), len(phrase) - 1), 0, -1)
    return next((n for n in lengths if text[-n:] == phrase[:n]), 0)


def choose(
    total: Tensor, written: Tensor, phrases: Sequence[Phrase], end: int, beam: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The candidates for the next step of one input: scores, texts and tokens, each [2 * beam].

    At most `beam` of them go on, and those that end come first. Only texts with all phrases end.

    total: float [K, V], the scores of all. written: int64 [K, T].
    """
    texts = [tuple(tokens) for tokens in written.tolist()]
    progress = [progress_of(text, phrases) for text in texts]
    total = total.clone()
    total[[bool(own.wanted) for own in progress], end] = -torch.inf
    vocabulary = total.shape[1]
    found = set(total.flatten().topk(min(2 * beam, total.numel())).indices.tolist())
    for at, own in enumerate(progress):
        found |= {at * vocabulary + token for token in own.wanted}
        found.add(at * vocabulary + int(total[at].argmax()))
    ending, banks = [], {}
    for place in sorted(found, key=lambda place: -float(total.flatten()[place])):
        at, token = divmod(place, vocabulary)
        if total[at, token] == -torch.inf:
            continue
        if token == end:
            ending.append((at, token))
        else:
            has = progress_of((*texts[at], token), phrases).tokens
            banks.setdefault(has, []).append((at, token))
    going = _shared(banks, beam)
    best = torch.full((2 * beam,), -torch.inf, dtype=total.dtype)
    parent, tokens = torch.zeros(2, 2 * beam, dtype=torch.int64)
    for place, (at, token) in enumerate(ending[:beam] + going):
        best[place], parent[place], tokens[place] = total[at, token], at, token
    return best, parent, tokens


def _shared(banks: dict[int, list[tuple[int, int]]], beam: int) -> list[tuple[int, int]]:
    """At most `beam` candidates, in turn from each bank, from those with most tokens on."""
    taken: list[tuple[int, int]] = []
    queues = [list(banks[has]) for has in sorted(banks, reverse=True)]
    while queues and len(taken) < beam:
        for queue in queues:
            if len(taken) < beam:
                taken.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    return taken
