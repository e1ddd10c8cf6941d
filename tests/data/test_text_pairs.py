from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grukit.data.chunks import IGNORED
from grukit.data.sentences import parts_of
from grukit.data.subwords import BpeDropout
from grukit.data.text_pairs import TextPairs
from grukit.data.tokenizers import learn_tokenizer


def row(*tokens: int) -> np.ndarray:
    return np.array(tokens, np.int64)


def test_a_batch_of_pairs_is_padded_and_shifted():
    pairs = TextPairs([(row(5, 6), row(7)), (row(8), row(9, 10, 11))], end=0)
    batch = pairs.batch(torch.tensor([1, 0]))
    assert batch.source.tolist() == [[8, 0, 0], [5, 6, 0]]
    assert batch.lengths.tolist() == [2, 3]
    assert batch.written.tolist() == [[0, 9, 10, 11], [0, 7, 0, 0]]
    assert batch.answers.tolist() == [[9, 10, 11, 0], [7, 0, IGNORED, IGNORED]]


def test_pairs_of_a_batch_are_about_equally_long():
    random = np.random.default_rng(0)
    pairs = [(row(*range(a)), row(*range(b))) for a, b in random.integers(1, 9, (400, 2))]
    items = TextPairs(pairs, end=0)
    order = items.arranged(torch.from_numpy(random.permutation(400)), 10)
    assert sorted(order.tolist()) == list(range(400))
    assert filled(items, order) > 0.8 > 0.7 > filled(items, torch.arange(400))


def filled(items: TextPairs, order: torch.Tensor) -> float:
    """The share of the places of targets in batches of ten that are no padding."""
    answers = [items.batch(at).answers for at in order.split(10)]
    counts = sum(int((own != IGNORED).sum()) for own in answers)
    return counts / sum(own.numel() for own in answers)


@given(st.text(max_size=60), st.integers(1, 20))
def test_parts_are_short_and_make_the_text(text, most):
    parts = parts_of(text, most, len)
    assert "".join(parts) == text
    assert all(len(part) <= most for part in parts)


def test_a_text_is_cut_after_sentences_first():
    text = "One two. Three, four! Five six seven"
    assert parts_of(text, 16, len) == ["One two. ", "Three, four! ", "Five six seven"]
    assert parts_of("a b\nc. d", 6, len) == ["a b\n", "c. d"]


@pytest.fixture(scope="module")
def tokenizer():
    return learn_tokenizer("bpe", ["ein naïves Mädchen läuft schnell " * 20], 300, ("<end>",))


def test_without_dropout_words_are_cut_as_ever(tokenizer):
    drop = BpeDropout(tokenizer, 0.0, seed=0)
    for text in (" ein Mädchen läuft", " läuft 12 mal: naïv!", "", " 漢字"):
        assert drop.encode(drop.words(text)).tolist() == tokenizer.encode(text).tolist()


def test_dropout_cuts_smaller_but_keeps_the_text(tokenizer):
    drop = BpeDropout(tokenizer, 0.3, seed=0)
    text = " ein naïves Mädchen läuft"
    words = drop.words(text)
    torch.manual_seed(0)
    found = [drop.encode(words) for _ in range(50)]
    assert {tokenizer.decode(tokens) for tokens in found} == {text}
    assert len({tuple(tokens) for tokens in found}) > 10
    assert np.mean([len(tokens) for tokens in found]) > 1.2 * len(tokenizer.encode(text))
    torch.manual_seed(0)
    again = BpeDropout(tokenizer, 0.3, seed=0)
    assert again.encode(again.words(text)).tolist() == found[0].tolist()
    everything = BpeDropout(tokenizer, 1 - 1e-12, seed=0)
    assert len(everything.encode(everything.words(text))) == len(text.encode())
