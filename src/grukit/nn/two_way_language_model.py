"""A language model in each direction, over the encoder of a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, embedding, linear

from grukit.nn.recurrent_classifier import RecurrentClassifier

_DROPOUT = 0.2
# Of the tokens of an update so many at most are foretold, and so many logits are held at a time.
_MOST_FORETOLD, _LOGITS_AT_ONCE = 4096, 1 << 22


class TwoWayLanguageModel(nn.Module):
    """Foretells each token twice: from those before it, and from those after it.

    >>> encoder = RecurrentClassifier(vocabulary=50, classes=2, embedding_size=16, hidden_size=8)
    >>> model = TwoWayLanguageModel(encoder, torch.ones(50))
    >>> nats, count = model(torch.zeros(2, 5, dtype=torch.int64), torch.tensor([5, 3]))
    >>> count  # four tokens have one before them and two in the other text, twice
    12

    That is how an encoder learns from texts without labels (Dai and Le 2015, arXiv:1511.01432): the
    two directions of its recurrent layer, which must be one, are two language models over the same
    vectors, which are the weights of the logits as well.

    In training the softmax is over some candidates alone: the tokens to foretell and `sampled` more
    by chance, as often as they come, each logit less the logarithm of its chance to be among them
    (Bengio and Senécal 2008; Jean et al. 2015, arXiv:1412.2007).

    counts: float [V], how often each token comes.
    """

    frequency: Tensor

    def __init__(self, encoder: RecurrentClassifier, counts: Tensor, sampled: int = 1024) -> None:
        super().__init__()
        size, hidden = encoder.embedding.shape[1], encoder.recurrent.hidden_size
        self.encoder, self.sampled = encoder, sampled
        self.narrowed = nn.ModuleList(nn.Linear(hidden, size) for _ in range(2))
        frequency = (counts + 1) / (counts + 1).sum()
        self.register_buffer("frequency", frequency)
        self.bias = nn.Parameter(frequency.log())

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, int]:
        """int64 [B, T] and [B] to the sum of -log of the chances, in nats, and of how many."""
        tokens = tokens.t()
        embedded = dropout(embedding(tokens, self.encoder.embedding), _DROPOUT, self.training)
        steps, _ = self.encoder.recurrent(embedded, lengths=lengths)
        before, after = dropout(steps, _DROPOUT, self.training).chunk(2, dim=-1)
        pairs = torch.arange(1, len(tokens), device=tokens.device)[:, None] < lengths
        forwards, backwards = self.narrowed
        features = torch.cat([forwards(before[:-1][pairs]), backwards(after[1:][pairs])])
        targets = torch.cat([tokens[1:][pairs], tokens[:-1][pairs]])
        if self.training:
            return self._sampled(features, targets)
        nats = features.new_zeros(())
        at_once = max(1, _LOGITS_AT_ONCE // len(self.bias))
        for part, own in zip(features.split(at_once), targets.split(at_once), strict=True):
            logits = linear(part, self.encoder.embedding, self.bias)
            nats = nats + cross_entropy(logits, own, reduction="sum")
        return nats, len(targets)

    def _sampled(self, features: Tensor, targets: Tensor) -> tuple[Tensor, int]:
        chosen = torch.randperm(len(targets), device=targets.device)[:_MOST_FORETOLD]
        features, targets = features[chosen], targets[chosen]
        drawn = torch.multinomial(self.frequency, self.sampled, replacement=True)
        candidates = torch.cat([targets, drawn]).unique()
        draws = len(targets) + self.sampled
        among = -torch.expm1(draws * torch.log1p(-self.frequency[candidates]))
        bias = self.bias[candidates] - among.log()
        logits = linear(features, self.encoder.embedding[candidates], bias)
        places = torch.searchsorted(candidates, targets)
        return cross_entropy(logits, places, reduction="sum"), len(targets)
