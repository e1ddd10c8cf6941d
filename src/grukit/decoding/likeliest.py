"""The likeliest texts that a language model can go on with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from grukit.data.tokenizers import Tokenizer
from grukit.decoding.beam import Demand, beam_search
from grukit.decoding.writer import rows_of
from grukit.nn.language_model import LanguageModel
from grukit.results.generation import Generation


def likeliest(
    network: LanguageModel,
    tokenizer: Tokenizer,
    end: int,
    prompt: str,
    length: int,
    beam: int,
) -> list[Generation]:
    """What goes on from a prompt, the likeliest first, as far as a beam search finds it.

    end: the token that ends a text. length: the most tokens; a text that is cut there has the
    chance of its tokens, whatever would come next.
    """
    read = [end, *tokenizer.encode(prompt).tolist()]
    model = _Continuations(network, length)
    (found,) = beam_search(model, model.start(read), [Demand(length)], end, beam, 0.0)
    return [
        Generation(
            prompt,
            tokenizer.decode(one.tokens),
            len(one.tokens) + one.whole,
            -one.log_chance,
            "end" if one.whole else "length",
        )
        for one in found
    ]


class _Continuations:
    """A language model after a prompt, as `beam_search` asks it, once.

    Its state holds the logits that the prompt ends with, which the first step gives.
    """

    def __init__(self, network: LanguageModel, length: int) -> None:
        self._network, self._left = network, length

    def start(self, prompt: Sequence[int]) -> Any:
        return self._network.read(torch.tensor([prompt]))

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = state
        if logits is None:
            logits, state = self._network.step(tokens, state)
        log_chances = logits.double().log_softmax(-1)
        if self._left == 0:  # all are cut here, which must not tell one from the other
            log_chances.zero_()
        self._left -= 1
        return log_chances, (None, state)

    def select(self, state: Any, rows: Tensor) -> Any:
        logits, state = state
        return None if logits is None else logits[rows], rows_of(state, rows)
