from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from grukit import FitConfig, TextClassifier
from grukit.core.errors import DataError, ModelFolderError, ParameterError
from grukit.data.synthetic_texts import NEGATIONS, NEGATIVE, POSITIVE, planted_reviews
from grukit.nn.by_name import LAYER_OF
from grukit.tasks.base import load_model

QUICK = FitConfig(epochs=2, batch_size=16, learning_rate=0.01)
PLANTED = {*NEGATIONS, *NEGATIVE, *POSITIVE}
TEXTS, LABELS = planted_reviews(900, seed=1)
OTHERS, TRUTH = planted_reviews(200, seed=2)
TOPICS = ["cheap fast", "cheap", "fast red", "red", "slow", "slow red cheap"] * 20
SEVERAL = [text.replace("slow", "").split() for text in TOPICS]


def small(**changed) -> TextClassifier:
    settings = {"embedding_size": 8, "hidden_size": 8, "word_dropout": 0.0, "training": QUICK}
    return TextClassifier(**{**settings, **changed})


@pytest.fixture(scope="module")
def judge() -> TextClassifier:
    """One that knows what a planted word and its negation mean."""
    training = FitConfig(epochs=15, batch_size=16, learning_rate=0.01)
    return small(dropout=0.1, word_dropout=0.2, training=training).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def tagger() -> TextClassifier:
    """One whose texts have several labels."""
    training = replace(QUICK, epochs=15)
    return small(dropout=0.0, training=training, threshold="f1").fit(TOPICS, SEVERAL)


def test_planted_words_are_found_where_words_alone_do_not_tell(judge):
    evaluation = judge.evaluate(OTHERS, TRUTH)
    by_name = {score.name: score.metrics for score in evaluation.scores}
    assert list(by_name) == [
        "grukit GRU",
        "grukit GRU before calibration",
        "linear, words and pairs",
        "most frequent class",
    ]
    assert by_name["grukit GRU"]["accuracy"] == judge.score(OTHERS, TRUTH) > 0.98
    assert by_name["linear, words and pairs"]["accuracy"] < 0.9
    assert by_name["most frequent class"]["accuracy"] < 0.6
    assert evaluation.texts == 200
    assert evaluation.beats("accuracy")
    assert evaluation.to_dict()["classes"] == ["negative", "positive"]


def test_an_explanation_points_at_planted_words_and_sums(judge):
    pointed = []
    for text, label in list(zip(OTHERS, TRUTH, strict=True))[:40]:
        own = judge.explain(text)
        assert own.label == label
        difference = own.log_odds - own.start
        assert own.start + own.weights.sum() + own.unexplained == pytest.approx(own.log_odds)
        assert abs(own.unexplained) <= 0.01 * abs(difference) + 1e-6
        assert own.attention.sum() == pytest.approx(1, abs=1e-5)
        assert own.tokens == tuple(text.split())
        chance = judge.classify([text])[0].probability
        assert own.log_odds == pytest.approx(np.log(chance / (1 - chance)), rel=1e-3)
        pointed.append(own.tokens[int(np.abs(own.weights).argmax())] in PLANTED)
    assert np.mean(pointed) > 0.9
    other = judge.explain("a lovely film", "negative")
    assert other.log_odds == pytest.approx(-judge.explain("a lovely film").log_odds)
    assert json.loads(json.dumps(other.to_dict()))["tokens"] == ["a", "lovely", "film"]
    assert list(other.to_frame()["token"]) == ["a", "lovely", "film"]
    assert len(judge.explain("").tokens) == 0
    with pytest.raises(ParameterError, match="label must be one of"):
        judge.explain("a", "neutral")


def test_saved_and_loaded_whole(judge, tagger, tmp_path):
    for name, model in (("judge", judge), ("tagger", tagger)):
        model.save(tmp_path / name)
        again = load_model(tmp_path / name)
        assert np.array_equal(again.predict_proba(OTHERS), model.predict_proba(OTHERS))
        assert np.array_equal(again.predict(OTHERS), model.predict(OTHERS))
        assert repr(again) == repr(model)
    assert load_model(tmp_path / "judge").evaluate(OTHERS, TRUTH).table() == (
        judge.evaluate(OTHERS, TRUTH).table()
    )
    assert "linear, words" in (tmp_path / "judge" / "README.md").read_text(encoding="utf-8")
    config = json.loads((tmp_path / "judge" / "config.json").read_text(encoding="utf-8"))
    for name, value in (("classes", ["a", "b", "c"]), ("thresholds", []), ("temperature", 0)):
        other = json.dumps({**config, name: value})
        (tmp_path / "judge" / "config.json").write_text(other, encoding="utf-8")
        with pytest.raises(ModelFolderError, match="damaged"):
            load_model(tmp_path / "judge")


def test_several_labels(tagger):
    assert tagger.classes_.tolist() == ["cheap", "fast", "red"]
    assert tagger.predict(["red", "slow", "cheap fast"]).tolist() == [
        [0, 0, 1],
        [0, 0, 0],
        [1, 1, 0],
    ]
    assert [own.label for own in tagger.classify(["slow red", "slow"])] == [("red",), ()]
    assert tagger.score(TOPICS, SEVERAL) == 1
    assert tagger.evaluate(TOPICS, SEVERAL).scores[0].metrics["macro_f1"] == 1
    assert tagger.explain("a red one", "red").weights.argmax() == 1
    assert tagger.classify(["red"])[0].to_dict()["labels"] == ["red"]
    matrix = np.array([[name in own for name in tagger.classes_] for own in SEVERAL], int)
    other = small(dropout=0.0, training=tagger.training).fit(TOPICS, matrix)
    assert other.score(TOPICS, matrix) > 0.8
    frame = pd.DataFrame({"text": TOPICS, "label": ["|".join(own) for own in SEVERAL]})
    assert small(separator="|").fit(frame).classes_.tolist() == ["cheap", "fast", "red"]


def test_it_works_where_scikit_learn_does():
    assert is_classifier(small())
    copy = clone(small(seed=3))
    assert (copy.seed, copy.set_params(seed=4).seed) == (3, 4)
    with pytest.raises(ParameterError, match="did you mean 'seed'"):
        copy.set_params(sead=1)
    texts, labels = TEXTS[:120], LABELS[:120]
    scores = cross_val_score(small(), texts, labels, cv=2)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    search = GridSearchCV(small(), {"hidden_size": [4, 8]}, cv=2).fit(texts, labels)
    assert search.best_params_["hidden_size"] in (4, 8)
    lower = FunctionTransformer(lambda given: [text.lower() for text in given])
    pipeline = make_pipeline(lower, small()).fit(texts, labels)
    assert pipeline.classes_.tolist() == ["negative", "positive"]
    assert np.allclose(pipeline.predict_proba(OTHERS).sum(axis=1), 1)
    assert set(pipeline.predict(OTHERS)) <= {"negative", "positive"}


@pytest.mark.parametrize("cell", LAYER_OF)
@pytest.mark.parametrize("tokenizer", ["word", "bpe", "char", "byte"])
def test_more_than_two_classes_of_every_kind(cell, tokenizer):
    texts, labels = ["red one", "two green", "blue 🙂"] * 12, [3, 1, 2] * 12
    model = small(cell=cell, tokenizer=tokenizer, vocabulary=300, num_layers=2)
    model.fit(texts, np.array(labels))
    assert model.classes_.tolist() == [1, 2, 3]
    assert set(model.predict(texts).tolist()) <= {1, 2, 3}
    alone = np.concatenate([model.predict_proba([text]) for text in [*texts[:3], ""]])
    together = model.predict_proba([*texts[:3], ""])
    assert np.allclose(alone, together, atol=1e-6)
    assert len(model.explain("red 🙂").tokens) == len(model.tokenizer_.encode("red 🙂"))


def test_without_validation_nothing_is_calibrated():
    model = small().fit(TEXTS[:100], LABELS[:100], validation=None)
    assert (model.temperature_, model.validation_) == (1.0, None)
    assert "not validated" in model._card
    with pytest.raises(ParameterError, match="threshold must be a number without validation"):
        small(threshold="f1").fit(TEXTS[:100], LABELS[:100], validation=None)
    own = small().fit(TEXTS[:100], LABELS[:100], (OTHERS, TRUTH))
    assert own.validation_.texts == 200
    frame = pd.DataFrame({"text": OTHERS, "label": TRUTH})
    again = small().fit(TEXTS[:100], LABELS[:100], frame)
    assert np.array_equal(own.predict_proba(OTHERS), again.predict_proba(OTHERS))


def test_thresholds_and_weights_move_what_is_said(judge):
    rare = ["bad"] * 300 + ["good"] * 3
    texts = [f"{text} w{at % 7}" for at, text in enumerate(TEXTS[:303])]
    shares = {}
    for weight in (None, "balanced", {"good": 50.0}):
        model = small(class_weight=weight).fit(texts, rare, validation=None)
        shares[str(weight)] = model.predict_proba(texts)[:, 1].mean()
        assert model.shares_[1] == pytest.approx(0.01, abs=0.005)
    assert shares["balanced"] > 3 * shares["None"]
    assert shares["{'good': 50.0}"] > 3 * shares["None"]
    assert (small(threshold=1e-9).fit(texts, rare).predict(texts) == "good").all()
    with pytest.raises(ParameterError, match=r"class_weight must be of the classes.*got 'fine'"):
        small(class_weight={"fine": 2.0}).fit(texts, rare)
    with pytest.raises(ParameterError, match="threshold must be None where one of more than two"):
        small(threshold=0.3).fit(["a", "b", "c"] * 9, [1, 2, 3] * 9)


def test_weights_by_number_are_saved(tmp_path):
    model = small(class_weight={0: 2.0, 1: 1.0}).fit(TEXTS[:90], [0, 1, 1] * 30)
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").class_weight == {0: 2.0, 1: 1.0}
    small(class_weight={np.int64(1): np.float32(2)}).fit(TEXTS[:90], [0, 1, 1] * 30)


def test_a_thousand_to_one():
    texts = ["nothing of note"] * 4000 + ["fire in the house"] * 4
    labels = ["calm"] * 4000 + ["alarm"] * 4
    training = replace(QUICK, batch_size=128, epochs=12, learning_rate=0.03)
    model = small(class_weight="balanced", dropout=0.0, training=training).fit(texts, labels)
    assert model.predict(["fire in the house", "nothing of note"]).tolist() == ["alarm", "calm"]


def test_odd_texts(judge):
    odd = ["", " \n", "x" * 1_000_000, "good " * 200_000, "日本語 العربية हिन्दी 🙂", "\x00\ufffd"]
    chances = judge.predict_proba(odd)
    assert np.isfinite(chances).all()
    assert np.allclose(chances.sum(axis=1), 1)
    assert judge.predict_proba([]).shape == (0, 2)
    assert judge.predict([]).shape == (0,)
    with pytest.raises(DataError, match="the surrogate"):
        judge.predict(["a\ud800"])
    with pytest.raises(DataError, match="the texts must be a list of texts"):
        judge.predict("one text")
    fitted = small().fit([*odd[:2], *TEXTS[:100]], ["positive", "negative", *LABELS[:100]])
    assert np.isfinite(fitted.predict_proba(odd)).all()


def test_labels_never_learned(judge):
    assert judge.score(OTHERS[:3], ["neutral", *TRUTH[1:3]]) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="label 1 must be one of 'negative', 'positive', got 'neu"):
        judge.evaluate(OTHERS[:1], ["neutral"])
    with pytest.raises(DataError, match="the data must have at least one text"):
        judge.evaluate([], [])
    with pytest.raises(DataError, match="the data must have at least one text"):
        judge.score([], [])
    with pytest.raises(DataError, match="the data must have texts to learn from, got none"):
        small().fit([], [])
    with pytest.raises(DataError, match="the texts to learn from must not be all empty"):
        small().fit(["", " \n"] * 9, [0, 1] * 9)
    with pytest.raises(DataError, match="labels must be of at least two classes"):
        small().fit(["a", "b"], [1, 1])
    with pytest.raises(DataError, match="labels must be all of one type"):
        small().fit(["a", "b"], [1, "1"])


def test_word_vectors_are_where_training_starts(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("good 1 0 0\nbad 0 1 0\nabsent 0 0 1\n", encoding="utf-8")
    still = replace(QUICK, epochs=1, learning_rate=1e-12)
    model = small(vectors=path, embedding_size=None, training=still).fit(TEXTS, LABELS)
    good = model.tokenizer_.encode("good")[0]
    assert model.network_.embedding[good].tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    model.save(tmp_path / "model")
    path.unlink()
    again = load_model(tmp_path / "model")
    assert np.array_equal(again.predict_proba(OTHERS), model.predict_proba(OTHERS))
    path.write_text("good 1 0 0\n", encoding="utf-8")
    with pytest.raises(ParameterError, match="embedding_size must be None or 3"):
        small(vectors=path).fit(TEXTS, LABELS)
    with pytest.raises(ParameterError, match="vectors must be None where the tokenizer is not"):
        small(vectors=path, tokenizer="char").fit(TEXTS, LABELS)


def test_an_interrupted_training_resumes_bit_for_bit(tmp_path, monkeypatch):
    from grukit.tasks import classification

    texts, labels = TEXTS[:200], LABELS[:200]
    whole = small().fit(texts, labels)
    loss, calls = classification.classification_loss, []

    def crashing(*arguments, **options):
        calls.append(1)
        if len(calls) == 15:
            raise KeyboardInterrupt
        return loss(*arguments, **options)

    monkeypatch.setattr(classification, "classification_loss", crashing)
    training = replace(QUICK, save_every_seconds=0)
    with pytest.raises(KeyboardInterrupt):
        small(training=training).fit(texts, labels, checkpoint=tmp_path / "run")
    again = small(training=training).fit(texts, labels, checkpoint=tmp_path / "run", resume=True)
    assert np.array_equal(again.predict_proba(texts), whole.predict_proba(texts))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"class_weight": {"a": 0}}, "class_weight must be None, 'balanced' or a dict"),
        ({"threshold": 1.0}, "threshold must be None, 'f1', 'accuracy' or a number"),
        ({"tokenizer": "line"}, "tokenizer must be one of"),
        ({"word_dropout": 1.0}, "word_dropout must be a number"),
    ],
)
def test_settings_have_rules(changed, message):
    with pytest.raises(ParameterError, match=message):
        small(**changed).fit(TEXTS, LABELS)
