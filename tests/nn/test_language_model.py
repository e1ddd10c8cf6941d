from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from grukit.nn.adaptive_softmax import AdaptiveSoftmax
from grukit.nn.language_model import LanguageModel

VOCABULARY = 200


@pytest.fixture
def counts():
    """Of tokens whose numbers say nothing of how frequent they are."""
    return torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(0)) ** 2


def model(softmax, counts, **changed) -> LanguageModel:
    torch.manual_seed(1)
    made = LanguageModel(VOCABULARY, 16, 24, softmax=softmax, **changed)
    made.set_counts(counts)
    return made


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_surprise_is_that_of_the_chances(softmax, counts):
    network = model(softmax, counts, num_layers=2)
    tokens = torch.randint(VOCABULARY, (3, 41))
    targets = tokens[:, 1:].clone()
    targets[1, 5:] = -1
    logits, state = network(tokens[:, :-1])
    log_chances = logits.log_softmax(-1)
    torch.testing.assert_close(log_chances.exp().sum(-1), torch.ones(3, 40))
    nats, after = network.surprise(tokens[:, :-1], targets)
    expected = cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-1
    )
    torch.testing.assert_close(nats.flatten(), expected)
    torch.testing.assert_close(after, state)
    stepped, _ = network.read(tokens[:, :-1])
    torch.testing.assert_close(stepped, logits[:, -1])


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_it_begins_with_the_chances_of_single_tokens(softmax, counts):
    network = model(softmax, counts)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "bias" not in name:
                weight.zero_()
        chances = network(torch.tensor([[3]]))[0].flatten().softmax(0)
    expected = (counts + 1) / (counts.sum() + VOCABULARY)
    head = torch.argsort(counts, descending=True)[: VOCABULARY // 32]
    torch.testing.assert_close(chances[head], expected[head])
    if softmax == "full":
        torch.testing.assert_close(chances, expected)


def test_gradients_of_adaptive_chances_are_those_of_all_of_them(counts):
    softmax = AdaptiveSoftmax(16, VOCABULARY)
    softmax.set_counts(counts)
    features, targets = torch.randn(50, 16), torch.randint(-1, VOCABULARY, (50,))
    gradients = []
    for nats in (
        softmax.surprise(features, targets),
        cross_entropy(softmax(features), targets, reduction="none", ignore_index=-1),
    ):
        gradients.append(torch.autograd.grad(nats.sum(), list(softmax.parameters())))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("targets", [[], [-1], [7], [-1, 199]])
def test_few_targets_or_none(targets, counts):
    softmax = AdaptiveSoftmax(16, VOCABULARY)
    softmax.set_counts(counts)
    given = torch.tensor(targets, dtype=torch.int64)
    nats = softmax.surprise(torch.randn(len(targets), 16), given)
    assert nats.shape == given.shape
    assert torch.equal(nats > 0, given >= 0)


def test_mixed_precision_leaves_the_chances_whole(counts):
    network = model("adaptive", counts)
    tokens = torch.randint(VOCABULARY, (2, 20))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, _ = network(tokens)
        nats, _ = network.surprise(tokens, tokens)
    assert logits.dtype == nats.dtype == torch.float32
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(2, 20))
