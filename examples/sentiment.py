"""Teach a model what praise and blame are, and see that it knows what "not" does to them.

    python examples/sentiment.py

The reviews are generated: each has one planted word of sentiment, half of them negated, "never in
any way good", among words that say nothing. Single words do not tell, and pairs of words only
where nothing stands between; who reads in order can be always right.
"""

from __future__ import annotations

import numpy as np

from grukit import FitConfig, TextClassifier
from grukit.core.errors import MissingExtra
from grukit.data.synthetic_texts import NEGATIONS, NEGATIVE, POSITIVE, planted_reviews
from grukit.plots.tokens import TokensDisplay

PLANTED = {*POSITIVE, *NEGATIVE, *NEGATIONS}


def main() -> None:
    training = FitConfig(epochs=15, batch_size=16, learning_rate=0.01)
    model = TextClassifier(
        embedding_size=8, hidden_size=8, dropout=0.1, word_dropout=0.2, training=training
    )
    model.fit(*planted_reviews(900, seed=1))

    texts, labels = planted_reviews(300, seed=2)
    evaluation = model.evaluate(texts, labels)
    print(evaluation.table())
    assert evaluation.scores[0].metrics["accuracy"] > 0.98
    assert evaluation.beats("accuracy")

    pointed = 0
    for text, label in zip(texts[:50], labels[:50], strict=True):
        why = model.explain(text, label)
        pointed += why.tokens[int(np.abs(why.weights).argmax())] in PLANTED
    print(f"in {pointed} of 50 texts the heaviest word is one that was planted")
    assert pointed >= 45

    text = "the film was never in any way good and the music was lovely"
    for said in model.classify([text, "the film was never in any way good", "the film was good"]):
        print(f"{said}: {said.text}")
    assert model.predict(["it was good", "it was not good", "it was not so bad"]).tolist() == [
        "positive",
        "negative",
        "positive",
    ]
    try:
        TokensDisplay.from_explanation(model.explain(text)).save("sentiment.png")
        print("wrote sentiment.png, which shows what each word added")
    except MissingExtra as missing:
        print(f"no picture: {missing}")


if __name__ == "__main__":
    main()
