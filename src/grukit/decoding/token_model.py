"""A recurrent language model of our own that helps a search for what was said."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from grukit.core.errors import ParameterError, must_be
from grukit.data.alphabet import BLANK, Alphabet
from grukit.data.tokenizers import Tokenizer
from grukit.nn.language_model import LanguageModel
from grukit.ops.ctc.native import NativeSearch


class TokenModel:
    """The chances of the next token of an alphabet by a network that writes texts.

    network, tokenizer: of a `TextGenerator`, `network_` and `tokenizer_`: learned best from
        documents that are transcripts, so that it knows where texts begin and end.
    alphabet: each of its tokens must be one of the tokenizer, as characters are. What else the
        tokenizer knows cannot be said, and its chance is shared by the others.
    """

    def __init__(self, network: LanguageModel, tokenizer: Tokenizer, alphabet: Alphabet) -> None:
        self._network, self._end = network, tokenizer.special("<end>")
        numbers = [self._end]
        for name in alphabet.tokens[BLANK + 1 :]:
            own = tokenizer.encode(name).tolist()
            if len(own) != 1:
                wanted = "of a tokenizer that has each token of the alphabet as one"
                raise ParameterError(must_be("the token model", wanted, name))
            numbers += own
        self._numbers = torch.tensor(numbers)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: Any = None) -> tuple[np.ndarray, Any]:
        """int64 [N], tokens of the alphabet, to ln of the chances of the next, [N, V], and the
        state after them; 0 begins a text, and in the chances stands for its end."""
        logits, state = self._network.read(self._numbers[tokens][:, None], state)
        return log_softmax(logits[:, self._numbers].double(), -1).float().numpy(), state


class TokenRows:
    """What a native search asks of a model: a state for each row.

    rows: how many there are, twice the beam.
    """

    def __init__(self, model: TokenModel, rows: int) -> None:
        self._model, self._rows = model, rows
        self._states: tuple[Tensor, ...] = ()

    def answer(self, search: NativeSearch) -> None:
        """Give the search all that it wants."""
        before, token, row = search.wanted()
        count = len(row)
        if not count:
            return
        if before[0] < 0:
            chances, state = self._model.step(torch.zeros(1, dtype=torch.int64))
        else:
            # Always as many, since the core keeps what it has found out about a batch of one size.
            before, token = (np.resize(own, self._rows // 2) for own in (before, token))
            state = _as_state([one[:, before] for one in self._states])
            chances, state = self._model.step(torch.from_numpy(token).long(), state)
        parts = (state,) if isinstance(state, Tensor) else state
        if not self._states:
            shapes = [(len(one), self._rows, one.shape[2]) for one in parts]
            self._states = tuple(map(torch.zeros, shapes))
        for kept, one in zip(self._states, parts, strict=True):
            kept[:, row] = one[:, :count]
        search.give(chances[:count])


class TokenChances:
    """The same for the reference: ln of the chances of what follows some tokens, [V]."""

    def __init__(self, model: TokenModel) -> None:
        self._model = model
        self._known: dict[tuple[int, ...], tuple[np.ndarray, Any]] = {}

    def __call__(self, tokens: tuple[int, ...]) -> np.ndarray:
        if tokens not in self._known:
            state = None
            if tokens:
                self(tokens[:-1])
                state = self._known[tokens[:-1]][1]
            chances, state = self._model.step(torch.tensor([(0, *tokens)[-1]]), state)
            self._known[tokens] = (chances[0], state)
        return self._known[tokens][0]


def _as_state(parts: list[Tensor]) -> Any:
    """[L, N, H], or a pair of them where the cell has two."""
    return parts[0] if len(parts) == 1 else tuple(parts)
