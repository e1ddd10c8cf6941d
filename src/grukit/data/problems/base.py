"""What a problem is: sequences with targets, a metric, and the level of who knows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from grukit.core.rules import check, integer
from grukit.data.text_batches import alike

Kind = Literal["number", "class", "keys"]
"""What is asked at a step: a number, one of several classes, or which of many keys sound."""


class Batch(NamedTuple):
    """B sequences, padded at the end.

    inputs: float32 [T, B, I]. lengths: int64 [B]. asked: bool [T, B], the steps that count.
    targets: of these S steps, in the order of `asked`: float32 [S] or [S, O], or int64 [S].
    sequences: int64 [S], which of the B each step is of.
    """

    inputs: Tensor
    lengths: Tensor
    asked: Tensor
    targets: Tensor
    sequences: Tensor


@dataclass(frozen=True, eq=False)
class Items:
    """N sequences as training data.

    inputs: numbers [N, T, I], or uint8 [N, T], tokens that a batch has as one of `input_size`.
    lengths: int64 [N].
    targets: float32 or int64 [N, T], of keys uint8 [N, T, O].
    asked: bool [N, T].
    """

    inputs: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray
    asked: np.ndarray
    input_size: int

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, indices: Tensor) -> Batch:
        at = indices.numpy()
        lengths = self.lengths[at]
        steps = int(lengths.max())
        inputs = torch.from_numpy(self.inputs[at, :steps]).transpose(0, 1)
        if inputs.dim() == 2:
            inputs = one_hot(inputs.long(), self.input_size)
        asked = self.asked[at, :steps].T
        targets = np.moveaxis(self.targets[at, :steps], 1, 0)[asked]
        if targets.dtype == np.uint8:
            targets = targets.astype(np.float32)
        return Batch(
            inputs.float().contiguous(),
            torch.from_numpy(lengths),
            torch.from_numpy(np.ascontiguousarray(asked)),
            torch.from_numpy(targets),
            torch.from_numpy(np.nonzero(asked)[1]),
        )

    def arranged(self, order: Tensor, size: int) -> Tensor:
        """Sequences of about equal length together."""
        return alike(self.lengths, order, size)


@dataclass(frozen=True, eq=False)
class Problem:
    """Something to learn from sequences, the same for every network.

    Attributes:
        name: how it is called for. title: what it is, in words. source: who asked it first.
        kind: what is asked, and with it the loss: mean squared error of a number, cross-entropy of
            classes, and of keys the sum of their Bernoulli losses, in nats at a step.
        output_size: how many numbers answer at a step.
        metric: "mse", "nats" or "nll", which are the loss; "accuracy" of steps; or "longest", the
            largest length up to which every test sequence is answered right at every step.
        blank: what the metric is for the best answer that does not look at the input; and
            blank_says, which answer that is.
        goal: the validation loss that counts as learned.
        train, validation, test: the sequences. What is tested was not drawn to be learned from;
            the test of a^n b^n has all n, and those beyond the learned ones decide.
        sizes: by test sequence the n of the metric "longest", int64 [N].
    """

    name: str
    title: str
    source: str
    kind: Kind
    output_size: int
    metric: Literal["mse", "nats", "nll", "accuracy", "longest"]
    blank: float
    blank_says: str
    goal: float
    train: Items
    validation: Items
    test: Items
    sizes: np.ndarray | None = None

    @property
    def input_size(self) -> int:
        """Features of a step."""
        return self.train.input_size

    @property
    def higher_is_better(self) -> bool:
        """Of the metric."""
        return self.metric in ("accuracy", "longest")

    def score(self, losses: np.ndarray, right: np.ndarray, sequences: np.ndarray) -> float:
        """The metric over the test.

        losses: float64 [S], of each step asked. right: bool [S], whether the likeliest answer is
        the true one. sequences: int64 [S], which test sequence it is of.
        """
        if self.metric == "accuracy":
            return float(right.mean())
        if self.metric != "longest":
            return float(losses.mean())
        assert self.sizes is not None
        wrong = self.sizes[sequences[~right]]
        known = np.unique(self.sizes)
        passed = known[known < wrong.min()] if len(wrong) else known
        return float(passed.max(initial=0))


def spread(name: str, seed: int, parts: int = 3) -> list[np.random.Generator]:
    """Independent draws for train, validation and test, by the problem's name and a seed."""
    check({"seed": seed}, {"seed": integer(at_least=0)})
    key = [seed, *name.encode()]
    return [np.random.default_rng(own) for own in np.random.SeedSequence(key).spawn(parts)]


def at_the_end(
    answers: np.ndarray, lengths: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Targets [N, T] and asked [N, T] where each sequence [N] has one answer, at its last step."""
    targets = np.zeros((len(answers), steps), answers.dtype)
    asked = np.zeros((len(answers), steps), bool)
    rows = np.arange(len(answers))
    targets[rows, lengths - 1] = answers
    asked[rows, lengths - 1] = True
    return targets, asked
