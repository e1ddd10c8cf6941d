from __future__ import annotations

import math

import pytest
import torch

from grukit.nn.recurrent_classifier import RecurrentClassifier
from grukit.nn.two_way_language_model import TwoWayLanguageModel

TOKENS = torch.randint(30, (4, 9), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([9, 2, 1, 5])


def model(sampled: int = 256, vocabulary: int = 30) -> TwoWayLanguageModel:
    torch.manual_seed(0)
    encoder = RecurrentClassifier(vocabulary, 2, embedding_size=8, hidden_size=6)
    return TwoWayLanguageModel(encoder, torch.arange(float(vocabulary)), sampled)


def test_each_token_is_foretold_from_either_side():
    own = model().eval()
    nats, count = own(TOKENS, LENGTHS)
    assert count == 2 * (8 + 1 + 0 + 4)
    expected = 0.0
    forwards, backwards = own.narrowed
    for text, length in zip(TOKENS, LENGTHS.tolist(), strict=True):
        embedded = own.encoder.embedding[text[:length]]
        for target in range(length):
            before, after = embedded[:target], embedded[target + 1 :]
            if len(before):
                state = own.encoder.recurrent(before)[0][-1, :6]
                logits = own.encoder.embedding @ forwards(state) + own.bias
                expected -= logits.log_softmax(0)[text[target]].item()
            if len(after):
                state = own.encoder.recurrent(after)[0][0, 6:]
                logits = own.encoder.embedding @ backwards(state) + own.bias
                expected -= logits.log_softmax(0)[text[target]].item()
    assert nats.item() == pytest.approx(expected, rel=1e-5)


def test_among_many_candidates_the_softmax_is_that_of_all(monkeypatch):
    monkeypatch.setattr("grukit.nn.two_way_language_model._DROPOUT", 0.0)
    many = model(sampled=100_000)
    sampled, count = many.train()(TOKENS, LENGTHS)
    whole, same = many.eval()(TOKENS, LENGTHS)
    assert count == same
    assert sampled.item() == pytest.approx(whole.item(), rel=1e-4)


def test_chance_cannot_be_foretold():
    own, random = model(vocabulary=4), torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(own.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        tokens = torch.randint(4, (64, 3), generator=random)
        nats, count = own(tokens, torch.full((64,), 3))
        optimizer.zero_grad()
        (nats / count).backward()
        optimizer.step()
        losses.append(nats.item() / count)
    assert sum(losses[-50:]) / 50 == pytest.approx(math.log(4), rel=0.02)
