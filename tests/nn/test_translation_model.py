from __future__ import annotations

import itertools

import pytest
import torch

from grukit.core.errors import ParameterError
from grukit.nn.by_name import LAYER_OF
from grukit.nn.translation_model import TranslationModel

CASES = [
    {"cell": cell, "attention": attention, "input_feeding": feeding, "coverage": coverage}
    for cell, (attention, coverage), feeding in itertools.product(
        LAYER_OF,
        (("additive", False), ("additive", True), ("multiplicative", False)),
        (False, True),
    )
]


def model(**changed) -> TranslationModel:
    torch.manual_seed(0)
    return TranslationModel(**{"vocabulary": 30, "embedding_size": 6, "hidden_size": 8, **changed})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_step_at_a_time_is_the_whole_text(case):
    network = model(**case, num_layers=2).eval()
    source, lengths = torch.randint(30, (3, 7)), torch.tensor([7, 2, 5])
    target = torch.randint(30, (3, 5))
    with torch.no_grad():
        output, attention = network(source, lengths, target)
        whole = network.logits(output)
        state = network.start(source, lengths)
        for at, tokens in enumerate(target.unbind(1)):
            logits, state = network.step(tokens, state)
            torch.testing.assert_close(logits, whole[:, at], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state.coverage, attention.sum(1))
    assert attention[1, :, 2:].abs().max() == 0
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 5))


@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_what_is_padded_counts_for_nothing(case):
    network = model(**case).eval()
    source, target = torch.randint(30, (2, 4)), torch.randint(30, (2, 3))
    with torch.no_grad():
        both, _ = network(source, torch.tensor([4, 2]), target)
        alone, _ = network(source[1:, :2], torch.tensor([2]), target[1:])
        longer = torch.cat([source, torch.randint(30, (2, 3))], dim=1)
        padded, _ = network(longer, torch.tensor([4, 2]), target)
    torch.testing.assert_close(both[1:], alone, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(padded, both, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_the_past_alone_decides_and_every_weight_learns(case):
    network = model(**case)
    source, lengths = torch.randint(30, (2, 4)), torch.tensor([4, 3])
    target = torch.randint(30, (2, 5))
    output, _ = network(source, lengths, target)
    network.logits(output[:, 2:]).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    changed = target.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % 30
    other, _ = network(source, lengths, changed)
    torch.testing.assert_close(other[:, :3], output[:, :3])
    assert not torch.allclose(other[:, 3:], output[:, 3:])


def test_rows_are_selected_in_their_order():
    network = model(cell="lstm", attention="additive", input_feeding=True, coverage=True).eval()
    source, lengths = torch.randint(30, (3, 4)), torch.tensor([4, 2, 3])
    tokens = torch.tensor([1, 2, 3])
    with torch.no_grad():
        _, state = network.step(tokens, network.start(source, lengths))
        rows = torch.tensor([2, 0, 0])
        selected, _ = network.step(tokens[rows], network.select(state, rows))
        whole, _ = network.step(tokens, state)
    torch.testing.assert_close(selected, whole[rows])


def test_dropout_is_of_training_alone():
    network = model(dropout=0.5, embedding_dropout=0.3, recurrent_dropout=0.2)
    arguments = torch.randint(30, (2, 4)), torch.tensor([4, 3]), torch.randint(30, (2, 5))
    one, other = (network(*arguments)[0] for _ in range(2))
    assert not torch.allclose(one, other)
    network.eval()
    torch.testing.assert_close(network(*arguments)[0], network(*arguments)[0])


def test_coverage_is_of_additive_attention():
    with pytest.raises(ParameterError, match="attention must be 'additive' with coverage"):
        model(attention="multiplicative", coverage=True)
