from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grukit import FitConfig, TextClassifier
from grukit.core.errors import CheckpointError, DataError, ParameterError
from grukit.nn.by_name import LAYER_OF
from grukit.tasks import classification_pretraining

TRAINING = FitConfig(epochs=20, batch_size=8, learning_rate=0.02)
TOPICS = [[f"{topic}{number}" for number in range(40)] for topic in ("sea", "sky")]


def talk(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Texts of six words of one topic each."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count).tolist()
    return [" ".join(random.choice(TOPICS[label], 6)) for label in labels], labels


def small(**changed) -> TextClassifier:
    sizes = {"embedding_size": 16, "hidden_size": 16, "dropout": 0.2, "word_dropout": 0.2}
    return TextClassifier(**{**sizes, "training": TRAINING, **changed})


def test_texts_without_labels_teach_what_few_labels_cannot():
    few, labels = talk(8, seed=0)
    more, others = talk(600, seed=1), talk(200, seed=2)
    alone = small().fit(few, labels, validation=None)
    taught = small().fit(few, labels, validation=None, unlabelled=more[0])
    assert alone.score(*others) < 0.85
    assert taught.score(*others) > 0.97
    assert "to foretell 600 texts without labels" in taught._card
    assert len(alone.tokenizer_) < len(taught.tokenizer_) == 81
    assert taught.fit(few, labels, validation=None).unlabelled_ == 0


@pytest.mark.parametrize("cell", LAYER_OF)
def test_an_interrupted_pretraining_resumes_bit_for_bit(cell, tmp_path, monkeypatch):
    few, labels = talk(24, seed=0)
    more, _ = talk(100, seed=1)
    training = replace(TRAINING, epochs=2, save_every_seconds=0)
    model = small(cell=cell, training=training)
    given = {"validation": None, "unlabelled": more}
    whole = small(cell=cell, training=training).fit(few, labels, **given).predict_proba(more)

    loss, calls = classification_pretraining._loss, []

    def crashing(*arguments):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return loss(*arguments)

    monkeypatch.setattr(classification_pretraining, "_loss", crashing)
    run = {"checkpoint": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        model.fit(few, labels, **given, **run)
    assert (tmp_path / "run" / "pretraining" / "latest").exists()
    model.fit(few, labels, **given, **run, resume=True)
    assert np.array_equal(model.predict_proba(more), whole)
    done = len(calls)
    model.fit(few, labels, **given, **run, resume=True)
    assert np.array_equal(model.predict_proba(more), whole)
    assert len(calls) == done
    with pytest.raises(CheckpointError, match="unlabelled was"):
        model.fit(few, labels, None, unlabelled=more[:50], **run, resume=True)


def test_what_cannot_be_pretrained():
    few, labels = talk(12, seed=0)
    with pytest.raises(ParameterError, match="num_layers must be 1 with unlabelled texts, got 2"):
        small(num_layers=2).fit(few, labels, unlabelled=few)
    with pytest.raises(DataError, match="texts without labels must have two of at least two"):
        small().fit(["a", "b"] * 4, [0, 1] * 4, unlabelled=["", "c"])
    with pytest.raises(DataError, match="text 2 must be a str"):
        small().fit(few, labels, unlabelled=["a", 3])
