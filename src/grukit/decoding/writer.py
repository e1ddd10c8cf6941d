"""Texts while a language model writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from grukit.data.tokenizers import Tokenizer
from grukit.decoding.sampling import Past, Sampling
from grukit.decoding.text_stream import TextStream
from grukit.nn.language_model import LanguageModel


class Writer:
    """Chooses the tokens of one text, one after the other.

    end: the token that ends a text. prompt: the tokens that it goes on from. length: the most
    tokens. stop: texts that end it, and are left out.

    Attributes:
        tokens: how many were chosen so far. nats: the surprise of the model at them, before any
        rule of sampling. latest: the last one. ended: why it ended: "length", "stop" or "end";
        None while it goes on.
    """

    ended: Literal["length", "stop", "end"] | None = None
    latest: int

    def __init__(
        self,
        tokenizer: Tokenizer,
        end: int,
        prompt: Sequence[int],
        sampling: Sampling,
        length: int,
        stop: Sequence[str],
        seed: int,
    ) -> None:
        self.tokens, self.nats = 0, 0.0
        self._end, self._sampling, self._length = end, sampling, length
        self._random = np.random.default_rng(seed)
        self._out = TextStream(tokenizer, stop)
        self._past = Past(sampling.no_repeat_ngram)
        for token in prompt:
            self._past.add(token)
        if length == 0:
            self.ended = "length"

    def add(self, logits: np.ndarray) -> str:
        """Choose one more token by logits [V]; the text that is certain now."""
        token = self._sampling.choose(logits, self._past, self._random)
        self.latest = token
        self.tokens += 1
        self.nats += _surprise(logits, token)
        text = ""
        if token == self._end:
            self.ended = "end"
        else:
            self._past.add(token)
            text = self._out.add(token)
            if self.tokens == self._length:
                self.ended = "length"
        if self.ended:
            text += self._out.finish()
        if self._out.stopped:
            self.ended = "stop"
        return text


def write(
    network: LanguageModel, prompt: Sequence[int], writers: Sequence[Writer]
) -> Iterator[list[str]]:
    """Let texts go on side by side from the same prompt, until all have ended.

    prompt: at least one token. Gives for each step the piece of each text, "" after its end.
    """
    logits, state = network.read(torch.tensor([prompt]))
    logits, state = logits.expand(len(writers), -1), rows_of(state, [0] * len(writers))
    going = [at for at, writer in enumerate(writers) if not writer.ended]
    while going:
        pieces = [""] * len(writers)
        for at, row in zip(going, logits.numpy(), strict=True):
            pieces[at] = writers[at].add(row)
        yield pieces
        still = [row for row, at in enumerate(going) if not writers[at].ended]
        if len(still) < len(going):
            going, state = [going[row] for row in still], rows_of(state, still)
        if going:
            logits, state = network.step(torch.tensor([writers[at].latest for at in going]), state)


def rows_of(state: Any, rows: list[int] | Tensor) -> Any:
    """A state [L, B, H], or a pair of them, of some of its rows."""
    if isinstance(state, Tensor):
        return state[:, rows]
    return tuple(part[:, rows] for part in state)


def _surprise(logits: np.ndarray, token: int) -> float:
    """-log of the chance of a token, in float64."""
    own = logits.astype(np.float64)
    top = own.max()
    return float(top + np.log(np.exp(own - top).sum()) - own[token])
