"""A text while a language model writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import log_softmax

from grukit.data.tokenizers import Tokenizer
from grukit.decoding.sampling import Past, Sampling
from grukit.decoding.text_stream import TextStream
from grukit.nn.language_model import LanguageModel


class Writer:
    """Goes on from a prompt; iterating gives the text in pieces, as it comes.

    end: the token that ends a text, and that the model has read before the prompt. length: the most
    tokens. stop: texts that end it, and are left out.

    Attributes:
        tokens: how many were chosen so far. nats: the surprise of the model at them, before any
        rule of sampling. ended: why it ended: "length", "stop" or "end".
    """

    ended: Literal["length", "stop", "end"]

    def __init__(
        self,
        network: LanguageModel,
        tokenizer: Tokenizer,
        end: int,
        prompt: str,
        sampling: Sampling,
        length: int,
        stop: Sequence[str],
        seed: int,
    ) -> None:
        self.tokens, self.nats, self.ended = 0, 0.0, "length"
        self._network, self._end, self._sampling, self._length = network, end, sampling, length
        self._read = [end, *tokenizer.encode(prompt).tolist()]
        self._random = np.random.default_rng(seed)
        self._out = TextStream(tokenizer, stop)

    def __iter__(self) -> Iterator[str]:
        past = Past(self._sampling.no_repeat_ngram)
        for token in self._read[1:]:
            past.add(token)
        with torch.no_grad():
            logits, state = self._network(torch.tensor([self._read]))
        logits = logits[:, -1]
        while self.tokens < self._length:
            token = self._sampling.choose(logits[0].numpy(), past, self._random)
            self.tokens += 1
            self.nats -= float(log_softmax(logits[0].double(), -1)[token])
            if token == self._end:
                self.ended = "end"
                break
            past.add(token)
            if text := self._out.add(token):
                yield text
            if self._out.stopped:
                break
            logits, state = self._network.step(torch.tensor([token]), state)
        if text := self._out.finish():
            yield text
        if self._out.stopped:
            self.ended = "stop"
