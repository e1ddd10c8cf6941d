"""Problems that ask to count: parity, and as many b as there were a."""

from __future__ import annotations

import math

import numpy as np

from grukit.core.rules import check, integer
from grukit.data.problems.base import Items, Problem, spread


def parity(length: int = 40, train: int = 10_000, test: int = 1_000, seed: int = 0) -> Problem:
    """Whether a row of bits had an odd number of ones, asked at every step.

    Rows to learn have up to `length` bits, those of the test up to twice as many: a state has to be
    kept, not a sum. A feedforward or purely additive network cannot; a recurrent one needs one bit.
    """
    check(
        {"length": length, "train": train, "test": test},
        {"length": integer(at_least=2), "train": integer(at_least=1), "test": integer(at_least=1)},
    )

    def draw(random: np.random.Generator, count: int, longest: int) -> Items:
        bits = random.integers(0, 2, (count, longest), np.uint8)
        lengths = random.integers(max(1, longest // 2), longest, count, endpoint=True)
        asked = np.arange(longest) < lengths[:, None]
        targets = np.cumsum(bits, axis=1, dtype=np.int64) % 2
        return Items(bits, lengths, targets, asked, 2)

    learned, judged, tested = spread("parity", seed)
    return Problem(
        name="parity",
        title=f"Parity of up to {length} bits, tested on up to {2 * length}",
        source="Hochreiter and Schmidhuber 1997; a regular language that needs a state",
        kind="class",
        output_size=2,
        metric="accuracy",
        blank=0.5,
        blank_says="any bit",
        goal=0.01,
        train=draw(learned, train, length),
        validation=draw(judged, test, length),
        test=draw(tested, test, 2 * length),
    )


A, B, END = range(3)


def anbn(longest: int = 50, test_longest: int = 500, train: int = 2_000, seed: int = 0) -> Problem:
    """n times a, then as many b: what comes next, from the first b on.

    Rows to learn have n up to `longest`. The score is the largest n such that all rows of 1 to n,
    of up to `test_longest`, are foretold right at every step from the first b to the end: a network
    that counts goes on beyond what it learned (Gers and Schmidhuber 2001; Weiss et al. 2018).
    """
    sizes = {"longest": longest, "test_longest": test_longest, "train": train}
    check(sizes, {name: integer(at_least=2) for name in sizes})

    def rows(counts: np.ndarray) -> Items:
        steps = np.arange(2 * counts.max())
        lengths = 2 * counts
        n = counts[:, None]
        targets = np.where(steps < 2 * n - 1, B, END).astype(np.int64)
        asked = (steps >= n) & (steps < 2 * n)
        return Items((steps >= n).astype(np.uint8), lengths, targets, asked, 2)

    (learned,) = spread("anbn", seed, parts=1)
    every = np.arange(1, test_longest + 1)
    within = np.arange(1, longest + 1)
    # A b is followed by a b in all but the last of n steps: the mean over rows of 1 to `longest`.
    share = longest / within.sum()
    blank_loss = -(share * math.log(share) + (1 - share) * math.log(1 - share))
    return Problem(
        name="anbn",
        title=f"a^n b^n, learned up to n = {longest}",
        source="Gers and Schmidhuber 2001, as in Weiss et al. 2018",
        kind="class",
        output_size=3,
        metric="longest",
        blank=0.0,
        blank_says="always b",
        goal=min(0.005, blank_loss / 10),
        train=rows(learned.integers(1, longest, train, endpoint=True)),
        validation=rows(within),
        test=rows(every),
        sizes=every,
    )
