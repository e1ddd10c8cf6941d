"""Teach a model to read German numbers, and see where it looks.

    python examples/translation.py [FOLDER]

"zweihundertsiebenundvierzig" is 247: German says the seven before the forty. The model learns 700
numbers and is asked for the others up to 999, so it has to find the rule; and for the 4 it must
look further ahead than for the 7. Draws this into FOLDER, by default translation.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np

from grukit import FitConfig, Translator

STEMS = ["drei", "vier", "fünf", "sech", "sieb", "acht", "neun"]
SMALL = ["null", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"]
SMALL += ["elf", "zwölf", *(f"{stem}zehn" for stem in STEMS)]
TENS = ["zwanzig", "dreißig", *(f"{stem}zig" for stem in STEMS[1:])]


def german(number: int) -> str:
    """A number from 1 to 999 in words."""
    hundreds, rest = divmod(number, 100)
    words = f"{SMALL[hundreds]}hundert" if hundreds else ""
    if rest == 1:
        return f"{words}eins"
    if rest < 20:
        return words + SMALL[rest] if rest else words
    tens, units = divmod(rest, 10)
    return words + (f"{SMALL[units]}und" if units else "") + TENS[tens - 2]


def main(folder: Path) -> None:
    numbers = [number for number in range(1, 1000) if number != 247]
    random.Random(0).shuffle(numbers)
    learned, unseen = numbers[:700], [247, *numbers[700:]]
    training = FitConfig(epochs=25, batch_size=16, learning_rate=0.01)
    model = Translator(
        tokenizer="char", hidden_size=64, embedding_size=32, dropout=0.0, training=training
    )
    model.fit([german(n) for n in learned], [str(n) for n in learned], validation=None)

    answers = model.translate([german(n) for n in unseen])
    right = np.mean([answer.text == str(n) for n, answer in zip(unseen, answers, strict=True)])
    print(f"{right:.1%} of {len(unseen)} numbers that it has not learned are right")
    assert right > 0.95

    # Where it looked for the last two digits, where German turns them round.
    turned = [answer for n, answer in zip(unseen, answers, strict=True) if n % 100 > 20 and n % 10]
    looked = [answer.attention.argmax(1)[-3:-1] for answer in turned]
    ahead = np.mean([tens > units for tens, units in looked])
    print(f"in {ahead:.1%} of {len(looked)} it looked further ahead for the tens")
    assert ahead > 0.95

    answer = answers[0]
    print(f"{answer.source}: {answer}")
    folder.mkdir(exist_ok=True)
    model.plot(answer, title=answer.source).save(folder / "attention.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "translation"))
