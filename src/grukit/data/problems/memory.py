"""Problems that ask for a long memory: adding, copying, the order of two symbols."""

from __future__ import annotations

import math

import numpy as np

from grukit.core.rules import check, integer
from grukit.data.problems.base import Items, Problem, at_the_end, spread


def adding(length: int = 200, train: int = 10_000, test: int = 1_000, seed: int = 0) -> Problem:
    """The sum of two of many numbers, told at the end.

    Each step has a number from U(0, 1) and a mark, which is 1 at one step of the first half and one
    of the second, else 0 (Arjovsky et al. 2016; Bai et al. 2018 mark any two steps). Who always
    answers 1 has a mean squared error of 1/6, the variance of a sum of two uniform numbers; the
    .1767 of the literature is a sample's.

    >>> import torch
    >>> batch = adding(length=10, train=100, test=10).train.batch(torch.tensor([0, 1]))
    >>> batch.inputs.shape, batch.targets.shape
    (torch.Size([10, 2, 2]), torch.Size([2]))
    """
    _check(length=length, train=train, test=test)

    def draw(random: np.random.Generator, count: int) -> Items:
        inputs = np.zeros((count, length, 2), np.float32)
        inputs[..., 0] = random.random((count, length), np.float32)
        rows, half = np.arange(count), length // 2
        first, second = random.integers(0, half, count), random.integers(half, length, count)
        inputs[rows, first, 1] = inputs[rows, second, 1] = 1
        answers = inputs[rows, first, 0] + inputs[rows, second, 0]
        lengths = np.full(count, length)
        return Items(inputs, lengths, *at_the_end(answers, lengths, length), 2)

    learned, judged, tested = spread("adding", seed)
    return Problem(
        name="adding",
        title=f"Adding two marked numbers of {length}",
        source="Hochreiter and Schmidhuber 1997, as in Arjovsky et al. 2016",
        kind="number",
        output_size=1,
        metric="mse",
        blank=1 / 6,
        blank_says="always 1",
        goal=0.01,
        train=draw(learned, train),
        validation=draw(judged, test),
        test=draw(tested, test),
    )


SYMBOLS, COPIED = 8, 10


def copy_memory(delay: int = 200, train: int = 10_000, test: int = 1_000, seed: int = 0) -> Problem:
    """Ten symbols, told again after a delay.

    Ten symbols of eight, blanks, a mark, and then ten steps at which the symbols are asked; at all
    the steps before, a blank is. Who answers blanks, and at the end any symbol, has
    10 ln 8 / (delay + 20) nats a step. (Bai et al. 2018 repeat the mark at those ten steps.)
    """
    _check(delay=delay, train=train, test=test)
    steps, blank, mark = delay + 2 * COPIED, SYMBOLS, SYMBOLS + 1

    def draw(random: np.random.Generator, count: int) -> Items:
        symbols = random.integers(0, SYMBOLS, (count, COPIED), np.uint8)
        inputs = np.full((count, steps), blank, np.uint8)
        inputs[:, :COPIED] = symbols
        inputs[:, -COPIED - 1] = mark
        targets = np.full((count, steps), blank, np.int64)
        targets[:, -COPIED:] = symbols
        asked = np.ones((count, steps), bool)
        return Items(inputs, np.full(count, steps), targets, asked, SYMBOLS + 2)

    learned, judged, tested = spread("copy_memory", seed)
    level = COPIED * math.log(SYMBOLS) / steps
    return Problem(
        name="copy_memory",
        title=f"Copying {COPIED} symbols after {delay} steps",
        source="Hochreiter and Schmidhuber 1997, as in Arjovsky et al. 2016",
        kind="class",
        output_size=SYMBOLS + 1,
        metric="nats",
        blank=level,
        blank_says="blanks, then any symbol",
        goal=level / 10,
        train=draw(learned, train),
        validation=draw(judged, test),
        test=draw(tested, test),
    )


def temporal_order(
    length: int = 100, train: int = 5_000, test: int = 1_000, seed: int = 0
) -> Problem:
    """Which of two symbols came first, and which second, among distractors.

    A start, an end, and between them a, b, c or d by chance, but for two steps, one in the second
    tenth and one in the sixth tenth, that have X or Y. At the end one of four classes is asked: XX,
    XY, YX, YY (problem 6a of the paper, which has 100 to 110 steps and these places).
    """
    _check(length=length, train=train, test=test)
    start, end, x = 6, 7, 4

    def draw(random: np.random.Generator, count: int) -> Items:
        inputs = random.integers(0, 4, (count, length), np.uint8)
        inputs[:, 0], inputs[:, -1] = start, end
        rows, tenth = np.arange(count), max(1, length // 10)
        kinds = random.integers(0, 2, (count, 2), np.uint8)
        for at, place in enumerate((tenth, 5 * tenth)):
            steps = np.minimum(random.integers(place, place + tenth, count), length - 2)
            inputs[rows, steps] = x + kinds[:, at]
        answers = 2 * kinds[:, 0].astype(np.int64) + kinds[:, 1]
        lengths = np.full(count, length)
        return Items(inputs, lengths, *at_the_end(answers, lengths, length), 8)

    learned, judged, tested = spread("temporal_order", seed)
    return Problem(
        name="temporal_order",
        title=f"The order of two symbols among {length}",
        source="Hochreiter and Schmidhuber 1997, problem 6a",
        kind="class",
        output_size=4,
        metric="accuracy",
        blank=0.25,
        blank_says="any order",
        goal=0.05,
        train=draw(learned, train),
        validation=draw(judged, test),
        test=draw(tested, test),
    )


def _check(**sizes: int) -> None:
    rules = {"length": 10, "delay": 1, "train": 1, "test": 1}
    check(sizes, {name: integer(at_least=rules[name]) for name in sizes})
