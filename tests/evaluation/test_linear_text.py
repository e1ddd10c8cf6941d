from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from grukit.data.tokenizers import words_of
from grukit.evaluation.linear_text import LinearText

RANDOM = np.random.default_rng(0)
WORDS = np.array([f"w{at}" for at in range(60)])
TEXTS = [" ".join(RANDOM.choice(WORDS, size=RANDOM.integers(2, 15))) for _ in range(300)]
BINARY = np.array([int("w1 " in text or "w2 " in text) for text in TEXTS])
THREE = np.array([min(2, text.count("w3")) for text in TEXTS])


def grams(text: str) -> list[str]:
    words = words_of(text)
    return words + [" ".join(pair) for pair in pairwise(words)]


@pytest.mark.parametrize("targets", [BINARY, THREE])
def test_it_is_that_of_scikit_learn(targets):
    vectorizer = TfidfVectorizer(analyzer=grams, sublinear_tf=True)
    theirs = make_pipeline(vectorizer, LogisticRegression(C=3.0, max_iter=1000))
    theirs.fit(TEXTS[:200], targets[:200])
    own = LinearText.fit(TEXTS[:200], targets[:200], np.ones(3)).probabilities(TEXTS[200:])
    # Where two features fall into one place, a few texts differ.
    differences = np.abs(own - theirs.predict_proba(TEXTS[200:]))
    assert np.median(differences) < 1e-6
    assert differences.max() < 0.05


def test_several_classes():
    targets = np.stack([BINARY, THREE > 0, np.zeros(300), np.ones(300)], axis=1)
    own = LinearText.fit(TEXTS, targets, np.ones(4)).probabilities(TEXTS)
    assert ((own > 0.5) == targets).mean(axis=0).min() > 0.9
    assert own[:, 2].max() < 1e-9
    assert own[:, 3].min() > 1 - 1e-9
    alone = LinearText.fit(TEXTS, BINARY, np.ones(2)).probabilities(TEXTS)[:, 1]
    assert np.allclose(own[:, 0], alone, atol=1e-6)


def test_weights_and_texts_without_words():
    model = LinearText.fit(TEXTS, BINARY, np.ones(2))
    heavy = LinearText.fit(TEXTS, BINARY, np.array([1.0, 9.0]))
    empty = model.probabilities(["", "日本"])
    assert np.isfinite(empty).all()
    assert heavy.probabilities(TEXTS)[:, 1].mean() > model.probabilities(TEXTS)[:, 1].mean()
