"""What a recognizer of speech learns by."""

from __future__ import annotations

from torch.nn.functional import ctc_loss, log_softmax

from grukit.data.alphabet import BLANK
from grukit.data.speech_items import SpeechBatch
from grukit.nn.speech_network import SpeechNetwork
from grukit.training.losses import LossSum


def speech_loss(network: SpeechNetwork, batch: SpeechBatch) -> LossSum:
    """CTC (Graves et al. 2006), the mean over tokens.

    A transcript that is too long for its steps, as where augmentation made them fewer, counts for
    nothing.
    """
    logits, steps = network(batch.frames, batch.lengths)
    chances = log_softmax(logits.float(), -1).transpose(0, 1)
    lengths = batch.target_lengths
    losses = ctc_loss(
        chances, batch.targets, steps, lengths, BLANK, reduction="none", zero_infinity=True
    )
    return LossSum(losses.sum(), lengths.clamp(min=1).sum())
