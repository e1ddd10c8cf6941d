"""The chances of very many tokens, of which few are frequent."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AdaptiveSoftmax(nn.Module):
    """Chances of V tokens by how frequent they are (Grave et al. 2017, arXiv:1609.04309).

    >>> softmax = AdaptiveSoftmax(features=16, vocabulary=1000)
    >>> log_chances = softmax(torch.zeros(2, 16))
    >>> log_chances.exp().sum(1)
    tensor([1.0000, 1.0000], grad_fn=<SumBackward1>)

    The most frequent 1/32 of the tokens are chosen among at once, and with them two clusters, of
    the next frequent up to 1/4 and of all others, within which narrower products choose. A step of
    training needs the products of the clusters that its targets are in, and of no others.

    vocabulary: V, at least 8. Until `set_counts` the first tokens count as the most frequent.
    """

    rank: Tensor

    def __init__(self, features: int, vocabulary: int) -> None:
        super().__init__()
        cutoffs = [max(1, vocabulary // 32), vocabulary // 4]
        self.clusters = nn.AdaptiveLogSoftmaxWithLoss(
            features, vocabulary, cutoffs, div_value=2.0, head_bias=True
        )
        self.register_buffer("rank", torch.arange(vocabulary))

    @torch.no_grad()
    def set_counts(self, counts: Tensor) -> None:
        """Sort the tokens by counts [V], and begin with the chances of the head's by them."""
        order = torch.argsort(counts, descending=True, stable=True)
        self.rank[order] = torch.arange(len(counts))
        chances = (counts.double() + 1) / (counts.sum() + len(counts))
        first, second, _ = self.clusters.cutoffs
        head, *tails = chances[order].tensor_split([first, second])
        head = torch.cat([head, torch.stack([tail.sum() for tail in tails])])
        self.clusters.head.bias.copy_(head.log())

    def forward(self, features: Tensor) -> Tensor:
        """[N, E] to the log of the chances of all tokens, [N, V]."""
        with _full_precision(features):
            return self.clusters.log_prob(features.float())[:, self.rank]

    def surprise(self, features: Tensor, targets: Tensor) -> Tensor:
        """-log of the chance of each target, int64 [N], in nats; 0 where it is -1."""
        seen = (targets != -1).nonzero()[:, 0]
        with _full_precision(features):
            log_chances, _ = self.clusters(features[seen].float(), self.rank[targets[seen]])
        return targets.new_zeros(len(targets), dtype=torch.float32).index_put((seen,), -log_chances)


def _full_precision(features: Tensor) -> torch.autocast:
    """Without autocast, in which a long sum of small chances would lose most of its digits."""
    return torch.autocast(features.device.type, enabled=False)
