from __future__ import annotations

import itertools

import pytest
import torch

from grukit.decoding.beam import Demand, beam_search
from grukit.decoding.phrases import progress_of

END = 0


class Chain:
    """A model whose chances depend on the last two tokens, drawn by chance for each input."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self.tables = torch.randn(
            2, vocabulary, vocabulary, vocabulary, generator=torch.manual_seed(seed)
        ).mul(2)

    def start(self, inputs: int):
        return torch.arange(inputs), torch.zeros(inputs, dtype=torch.int64)

    def step(self, tokens, state):
        which, before = state
        return self.tables[which, before, tokens].log_softmax(-1), (which, tokens)

    def select(self, state, rows):
        return tuple(part[rows] for part in state)

    def log_chance(self, which: int, tokens) -> float:
        before, last, total = END, END, 0.0
        for token in (*tokens, END):
            total += self.tables[which, before, last].log_softmax(-1)[token].item()
            before, last = last, token
        return total


def every_text(vocabulary: int, longest: int):
    for length in range(longest + 1):
        yield from itertools.product(range(1, vocabulary), repeat=length)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.5])
def test_a_wide_beam_finds_the_best_of_all_texts(penalty):
    model = Chain(4, seed=1)
    found = beam_search(model, model.start(2), [Demand(4), Demand(3)], END, 200, penalty)
    for which, longest in enumerate((4, 3)):
        texts = every_text(4, longest)
        scores = {t: model.log_chance(which, t) / ((6 + len(t)) / 6) ** penalty for t in texts}
        best = sorted(scores, key=lambda text: -scores[text])
        assert [one.tokens for one in found[which]] == best[:200]
        for one in found[which]:
            assert one.score == pytest.approx(scores[one.tokens], abs=1e-4)
            assert one.log_chance == pytest.approx(model.log_chance(which, one.tokens), abs=1e-4)
            assert one.whole == (len(one.tokens) < longest)


class Count:
    """A model that says token 1 nine times and then ends, surely but for one in a hundred."""

    def step(self, tokens, said):
        on, at_end = torch.tensor([[0.009, 0.99, 0.001], [0.99, 0.009, 0.001]]).log()
        return torch.where((said < 9)[:, None], on, at_end), said + 1

    def select(self, said, rows):
        return said[rows]


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_unlikely_early_ends_do_not_stop_the_search(beam):
    (found,) = beam_search(Count(), torch.zeros(1), [Demand(30)], END, beam)
    assert found[0].tokens == (1,) * 9
    assert len(found) == beam


def test_inputs_do_not_depend_on_each_other():
    model = Chain(6, seed=3)
    together = beam_search(model, model.start(2), [Demand(9), Demand(5)], END, 3)
    state = model.select(model.start(2), torch.tensor([1]))
    assert beam_search(model, state, [Demand(5)], END, 3)[0] == together[1]


def test_a_prefix_comes_first():
    model = Chain(5, seed=2)
    (found,) = beam_search(model, model.start(1), [Demand(5, prefix=(3, 3, 1))], END, 4)
    assert len(found) == 4
    assert all(one.tokens[:3] == (3, 3, 1) for one in found)
    assert found[0].log_chance == pytest.approx(model.log_chance(0, found[0].tokens), abs=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_phrases_are_in_every_text(seed):
    model = Chain(8, seed)
    phrases = ((5, 6), (7, 7, 1))
    plain, bound = beam_search(
        model, model.start(2), [Demand(12), Demand(12, phrases=phrases)], END, 5
    )
    assert not all(contains(one.tokens, phrase) for one in plain for phrase in phrases)
    assert bound
    for one in bound:
        assert all(contains(one.tokens, phrase) for phrase in phrases)
        assert one.log_chance == pytest.approx(model.log_chance(1, one.tokens), abs=1e-4)


def test_a_wide_beam_finds_the_best_text_with_a_phrase():
    model = Chain(4, seed=4)
    phrase = (2, 2)
    (found,) = beam_search(model, model.start(1), [Demand(4, phrases=(phrase,))], END, 100, 0.0)
    texts = [text for text in every_text(4, 3) if contains(text, phrase)]
    best = max(texts, key=lambda text: model.log_chance(0, text))
    assert found[0].log_chance >= model.log_chance(0, best) - 1e-4


def test_a_phrase_may_begin_within_a_broken_one():
    phrases = ((1, 1, 2), (1, 3))
    assert progress_of((), phrases) == (0, {1})
    assert progress_of((1, 1), phrases) == (2, {2, 3})
    assert progress_of((1, 1, 3), phrases) == (2, {1})
    assert progress_of((1, 1, 3, 1, 1, 2), phrases) == (5, set())


def contains(tokens, phrase) -> bool:
    return any(tokens[at : at + len(phrase)] == phrase for at in range(len(tokens)))
