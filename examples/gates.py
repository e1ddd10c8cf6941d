"""Look into a model that had to learn to count, and find the units that do.

    python examples/gates.py

The text is of random brackets and dots. Now and then there is a letter, which tells how many
brackets are open: a for none, b for one, c for two, d for three. Whoever writes such a text must
keep count. Nobody tells the network how; the inspection finds the units in which the count is.
"""

from __future__ import annotations

import random

from grukit import FitConfig, TextGenerator
from grukit.insight.gates import inspect_gates, read_gates


def counted(length: int, seed: int) -> str:
    """Brackets at most three deep, and now and then a letter that says how deep."""
    draw, text, depth = random.Random(seed), "", 0
    while len(text) < length:
        sign = draw.choice("().....?")
        if sign == "(" and depth < 3:
            depth += 1
        elif sign == ")" and depth:
            depth -= 1
        elif sign in "()":
            sign = "."
        text += "abcd"[depth] if sign == "?" else sign
    return text


def main() -> None:
    training = FitConfig(epochs=12, batch_size=16, learning_rate=0.01)
    model = TextGenerator(hidden_size=16, dropout=0.0, length=32, training=training)
    model.fit(counted(30_000, seed=0))

    records = read_gates(model, counted(600, seed=1))
    report = inspect_gates(records)
    print("\n".join(report.words()))

    counters = [own for own in report.follows if own.feature == "bracket depth"]
    best = counters[0]
    print(f"unit {best.unit} follows the depth with a correlation of {best.correlation:+.2f}")
    assert abs(best.correlation) > 0.8
    assert best.chance < 0.01

    # A network that has learned nothing has no such unit.
    fresh = TextGenerator(hidden_size=16, training=FitConfig(epochs=1, learning_rate=1e-9))
    fresh.fit(counted(2_000, seed=0))
    untaught = inspect_gates(read_gates(fresh, counted(600, seed=1)))
    by_chance = [abs(f.correlation) for f in untaught.follows if f.feature == "bracket depth"]
    print(f"in a network that has learned nothing the best has {max(by_chance, default=0.0):.2f}")
    assert max(by_chance, default=0.0) < abs(best.correlation)


if __name__ == "__main__":
    main()
