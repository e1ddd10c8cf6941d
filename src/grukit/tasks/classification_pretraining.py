"""What a classifier's encoder learns from texts without labels, before those with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grukit.core.errors import DataError
from grukit.data.text_batches import TextBatch, TextItems
from grukit.nn.recurrent_classifier import RecurrentClassifier
from grukit.nn.two_way_language_model import TwoWayLanguageModel
from grukit.training.checkpoint import has_checkpoint, pretraining_folder
from grukit.training.fit import FitConfig, LossSum, fit

_EPOCHS = 5
_JUDGED, _MOST_JUDGED = 0.05, 1000


def pretrain(
    network: RecurrentClassifier,
    rows: Sequence[np.ndarray],
    config: FitConfig,
    seed: int,
    checkpoint: str | Path | None,
    resume: bool,
    settings: dict[str, Any],
) -> None:
    """Make the vectors and the recurrent layer of a network those of a language model.

    rows: the tokens of texts, of which 5 %, 1,000 at most, are held out: of 5 epochs the weights of
        the one that foretells these best are kept.
    config: how the classifier is trained, which holds here as well but for `epochs`, `average` and
        `patience`.
    checkpoint, resume, settings: those of the classifier's own `grukit.training.fit.fit`. The state
        of the pretraining lies inside. Where the training itself was begun nothing is done, since
        its state has the weights.

    Raises DataError where there are no two texts of two tokens.
    """
    if resume and checkpoint is not None and has_checkpoint(checkpoint):
        return
    rows = [row for row in rows if len(row) > 1]
    if len(rows) < 2:
        raise DataError("texts without labels must have two of at least two tokens, got fewer")
    order = np.random.default_rng(seed).permutation(len(rows))
    held_out = min(_MOST_JUDGED, max(1, round(_JUDGED * len(rows))))
    judged, learned = ([rows[at] for at in part] for part in np.split(order, [held_out]))
    counts = np.bincount(np.concatenate(learned), minlength=len(network.embedding))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TwoWayLanguageModel(network, torch.from_numpy(counts.astype(np.float32)))
    log = None if config.tensorboard is None else Path(config.tensorboard) / "pretraining"
    fit(
        model,
        _loss,
        _items(learned),
        _items(judged),
        replace(config, epochs=_EPOCHS, average=0.0, patience=None, tensorboard=log),
        seed=seed,
        checkpoint=None if checkpoint is None else pretraining_folder(checkpoint),
        resume=resume,
        settings=settings,
    )


def _items(rows: Sequence[np.ndarray]) -> TextItems:
    return TextItems(rows, np.zeros(len(rows), np.int64))


def _loss(model: TwoWayLanguageModel, batch: TextBatch) -> LossSum:
    return LossSum(*model(batch.tokens, batch.lengths))
