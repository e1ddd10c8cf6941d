"""Small training runs that a test can start in this process or, as a script, in another.

python toy_runs.py KIND CHECKPOINT CALL  saves after every update and waits in the CALL-th call of
the loss until there is a file CHECKPOINT.go; Interrupted ends it with 128 + the signal's number, as
the command line does.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from grukit.core.errors import Interrupted
from grukit.data.text_batches import alike
from grukit.training.fit import FitConfig, LossSum, fit

UPDATES_PER_EPOCH = 5


class Rows:
    """Tensors with a common first axis as training data."""

    def __init__(self, *tensors):
        self.tensors = tensors

    def __len__(self):
        return len(self.tensors[0])

    def batch(self, indices):
        return tuple(tensor[indices] for tensor in self.tensors)


class Shuffled:
    """A masked regression with dropout, batches in random order, two in one update."""

    config = FitConfig(epochs=3, batch_size=4, accumulate=2, learning_rate=0.02)
    carry_state = False

    def __init__(self):
        random = torch.Generator().manual_seed(1)
        x = torch.randn(36, 3, generator=random)
        seen = torch.rand(36, generator=random) < 0.7
        self.train, self.validation = Rows(x, x.sum(1), seen), Rows(x[:7], x[:7].sum(1), seen[:7])
        torch.manual_seed(2)
        self.model = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)
        )

    def loss(self, model, batch):
        x, y, seen = batch
        error = (model(x).squeeze(-1) - y).square()
        return LossSum(torch.where(seen, error, 0).sum(), seen.sum())


class Drawn(Shuffled):
    """The same where an epoch leaves out some items, which come first in the next."""

    config = replace(Shuffled.config, items_per_epoch=34)


class Averaged(Shuffled):
    """The same with a mean of the weights."""

    config = replace(Shuffled.config, average=0.7)


class ByLength(Rows):
    """Rows as a text would come: each batch of about equal lengths."""

    def arranged(self, order, size):
        return alike((self.tensors[0][:, 0] * 10).long().numpy(), order, size)


class Arranged(Shuffled):
    """The same with data that arranges its batches."""

    def __init__(self):
        super().__init__()
        self.train = ByLength(*self.train.tensors)


class Carried:
    """A GRU over one long series in chunks, its state carried from chunk to chunk.

    Dropout stays on in validation, whose random numbers must resume as well."""

    config = FitConfig(epochs=3, batch_size=1, learning_rate=0.02)
    carry_state = True
    chunks = UPDATES_PER_EPOCH

    def __init__(self):
        random = torch.Generator().manual_seed(1)
        x = torch.randn(self.chunks, 6, 2, 1, generator=random)
        self.train, self.validation = Rows(x), Rows(x[:2])
        torch.manual_seed(2)
        self.model = nn.ModuleDict({"gru": nn.GRU(1, 4), "out": nn.Linear(4, 1)})

    def loss(self, model, batch, state):
        x = batch[0][0]
        start, steps = (None, 0) if state is None else (state["h"], state["steps"])
        output, h = model["gru"](x, start)
        output = nn.functional.dropout(output, 0.2)
        error = (model["out"](output[:-1]) - x[1:]).square()
        return LossSum(error.sum(), error.numel(), {"h": h, "steps": steps + 1, "none": (None,)})


class GoingOn(Carried):
    """The same in epochs that end before the series does, and go on where the last one ended."""

    config = replace(Carried.config, items_per_epoch=UPDATES_PER_EPOCH)
    chunks = UPDATES_PER_EPOCH + 2


KINDS = {
    "shuffled": Shuffled,
    "drawn": Drawn,
    "averaged": Averaged,
    "arranged": Arranged,
    "carried": Carried,
    "going on": GoingOn,
}


def train(toy, loss=None, **arguments):
    """Fit a toy; returns its FitResult."""
    arguments = {"config": toy.config, "carry_state": toy.carry_state, "seed": 3, **arguments}
    return fit(toy.model, loss or toy.loss, toy.train, toy.validation, **arguments)


def main(kind: str, checkpoint: str, waiting_call: int) -> None:
    toy, calls = KINDS[kind](), 0

    def waiting_loss(*arguments):
        nonlocal calls
        calls += 1
        while calls == waiting_call and not Path(f"{checkpoint}.go").exists():
            time.sleep(0.002)
        return toy.loss(*arguments)

    config = FitConfig(**{**vars(toy.config), "save_every_seconds": 0})
    try:
        train(toy, waiting_loss, config=config, checkpoint=checkpoint)
    except Interrupted as interrupted:
        print(interrupted)
        sys.exit(128 + interrupted.signal)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
