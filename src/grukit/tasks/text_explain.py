"""Which tokens made a class: integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365).

What token t adds is e_t times the mean of the derivative of the log-odds by its vector on the
straight way from vectors that are all zero to the vectors e of the text, so that contributions sum
to the difference of the log-odds at both ends. A network that was trained with word dropout knows
vectors that are all zero; to one that was not they are strange, and words that say nothing look as
if they did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from grukit.nn.recurrent_classifier import RecurrentClassifier
from grukit.results.classification import TextExplanation

# Points of the integral: doubled until at most this share of the difference is unexplained.
_FEWEST_POINTS, _MOST_POINTS, _UNEXPLAINED = 16, 512, 1e-3
_AT_ONCE = 32


def explain_text(
    network: RecurrentClassifier,
    tokens: np.ndarray,
    pieces: Sequence[str],
    at: int,
    label: Any,
    temperature: float,
    multilabel: bool,
) -> TextExplanation:
    """What each of the `tokens`, int64 [T], added to the log-odds of the class in place `at`.

    pieces: the same as text.
    """

    def log_odds(embedded: Tensor) -> tuple[Tensor, Tensor]:
        """[T, B, E] to [B], and the attention [T, B]."""
        lengths = torch.full((embedded.shape[1],), len(embedded), device=embedded.device)
        logits, attention = network.of_embedded(embedded, lengths)
        logits = logits.double() / temperature
        own = logits[:, at]
        if not multilabel:
            others = torch.arange(logits.shape[1], device=logits.device) != at
            own = own - logits[:, others].logsumexp(-1)
        return own, attention

    weight = network.embedding.detach()
    read = torch.from_numpy(tokens.astype(np.int64)).to(weight.device)
    end = embedding(read, weight).unsqueeze(1)
    with torch.no_grad():
        reached, attention = log_odds(end)
        reached, start = float(reached), float(log_odds(torch.zeros_like(end))[0])
    points = _FEWEST_POINTS
    while True:
        added = _integral(log_odds, end, points)
        unexplained = reached - start - float(added.sum())
        if abs(unexplained) <= _UNEXPLAINED * abs(reached - start) or points >= _MOST_POINTS:
            break
        points *= 2
    return TextExplanation(
        label,
        tuple(pieces),
        added,
        attention[: len(tokens), 0].double().cpu().numpy(),
        reached,
        start,
        unexplained,
    )


def _integral(log_odds: Any, end: Tensor, points: int) -> np.ndarray:
    """By Gauss and Legendre's rule: what each token adds, float64 [T]."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    total = torch.zeros(len(end), dtype=torch.float64, device=end.device)
    if not len(end):
        return total.cpu().numpy()
    for first in range(0, points, _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        way = torch.as_tensor((nodes[part] + 1) / 2, dtype=end.dtype, device=end.device)
        embedded = (way.view(1, -1, 1) * end).requires_grad_()
        (slope,) = torch.autograd.grad(log_odds(embedded)[0].sum(), embedded)
        share = torch.as_tensor(weights[part] / 2, device=end.device)
        total += ((slope * end).double().sum(-1) * share).sum(1)
    return total.cpu().numpy()
