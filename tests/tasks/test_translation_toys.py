"""A translator learns tasks whose answers are known, from end to end."""

from __future__ import annotations

import numpy as np
import pytest

from grukit import FitConfig, Translator
from grukit.data.synthetic_texts import counted_letters, reversed_letters
from grukit.decoding.search import Search

TRAINING = FitConfig(epochs=12, batch_size=16, learning_rate=0.01, patience=None)


def learned(pairs) -> Translator:
    model = Translator(
        tokenizer="char",
        hidden_size=32,
        embedding_size=16,
        dropout=0.0,
        attention="multiplicative",
        training=TRAINING,
    )
    return model.fit(*pairs, validation=None)


@pytest.fixture(scope="module")
def reverser() -> Translator:
    return learned(reversed_letters())


@pytest.fixture(scope="module")
def counter() -> Translator:
    return learned(counted_letters())


def share_right(model, pairs, beam) -> float:
    sources, targets = pairs
    answers = model.predict(sources, Search(beam=beam))
    return np.mean([answer == target for answer, target in zip(answers, targets, strict=True)])


@pytest.mark.parametrize("beam", [1, 5])
def test_letters_come_back_in_reverse(reverser, beam):
    assert share_right(reverser, reversed_letters(200, seed=1), beam) >= 0.98


@pytest.mark.parametrize("beam", [1, 5])
def test_it_counts(counter, beam):
    assert share_right(counter, counted_letters(100, seed=1), beam) >= 0.98


def test_attention_goes_backwards(reverser):
    hits = []
    for answer in reverser.translate(reversed_letters(50, seed=2)[0]):
        looked = answer.attention.argmax(1)
        # On both sides there are a space before the letters and an end after them.
        hits += [looked[at] == len(answer.source) + 1 - at for at in range(1, len(answer.text) + 1)]
    assert np.mean(hits) > 0.97
