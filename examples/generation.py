"""Teach a model to keep count, and see that it knows what chance is and what is not.

    python examples/generation.py

The text is of random bits. Now and then it says whether the ones so far were even (e) or odd (o):
"0110e1o001e". No bit can be foretold; every letter can, by who has kept count. So the best possible
score is known, and n-grams, which see a few characters back, cannot reach it.
"""

from __future__ import annotations

import math
import random

from grukit import FitConfig, TextGenerator
from grukit.decoding.sampling import Sampling


def bits(length: int, seed: int) -> str:
    """Bits, after each with a chance of a quarter the parity of all since the beginning."""
    draw, text, ones = random.Random(seed), [], 0
    for _ in range(length):
        bit = draw.randrange(2)
        ones += bit
        text.append(str(bit))
        if draw.random() < 0.25:
            text.append("eo"[ones % 2])
    return "".join(text)


def oracle(text: str) -> float:
    """The nats per character of who knows the rule."""
    nats, after_letter = 0.0, True
    for character in text:
        if character in "eo":
            nats -= math.log(0.25)
            after_letter = True
        else:
            nats -= math.log(0.5) + (0 if after_letter else math.log(0.75))
            after_letter = False
    return nats / len(text)


def main() -> None:
    learned = bits(30_000, seed=0)
    training = FitConfig(epochs=10, batch_size=16, learning_rate=0.01)
    model = TextGenerator(hidden_size=32, dropout=0.0, length=32, training=training).fit(learned)

    unseen = bits(10_000, seed=1)
    evaluation = model.evaluate(unseen, training=learned)
    print(evaluation.table())
    best = oracle(unseen)
    own = evaluation.scores[0].metrics["nats_per_character"]
    print(f"{own:.4f} nats per character; who knows the rule has {best:.4f}")
    assert own < 1.01 * best
    assert evaluation.beats("nats_per_character")

    written = model.generate(length=5000, seed=2, sampling=Sampling(top_p=0.999)).text
    ones, right, letters = 0, 0, 0
    for character in written:
        if character in "01":
            ones += int(character)
        else:
            letters += 1
            right += character == "eo"[ones % 2]
            ones = "eo".index(character)  # on from what it said itself
    print(f"{written[:60]} ...: {right} of {letters} letters are right")
    assert right > 0.99 * letters


if __name__ == "__main__":
    main()
