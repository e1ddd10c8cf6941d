"""Words cut into their byte pairs by chance, so that a model learns them from several sides.

BPE dropout (Provilkov et al. 2020, arXiv:1910.13267): each merge is skipped with a probability.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from grukit.data.tokenizers import BpeTokenizer

# So many ways to cut a word are drawn once; each time it comes, one of them is taken.
_WAYS = 16


class BpeDropout:
    """Encodes texts as a BpeTokenizer does, but with merges left out by chance.

    rate: the chance that a merge is left out. seed: decides, with the word, its ways.
    """

    def __init__(self, tokenizer: BpeTokenizer, rate: float, seed: int) -> None:
        self._tokenizer, self._rate, self._seed = tokenizer, rate, seed
        model: dict[str, Any] = json.loads(tokenizer.library.to_str())["model"]
        self._ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        first = len(tokenizer.specials)
        self._tokens = {piece: token + first for piece, token in model["vocab"].items()}
        self._words: dict[str, int] = {}
        self._ways: list[list[np.ndarray]] = []

    def words(self, text: str) -> np.ndarray:
        """The words of a text, int64 [W], as `encode` takes them."""
        found = []
        for word, _ in self._tokenizer.library.pre_tokenizer.pre_tokenize_str(text):
            if word not in self._words:
                self._words[word] = len(self._ways)
                self._ways.append(self._drawn(word))
            found.append(self._words[word])
        return np.array(found, np.int64)

    def encode(self, words: np.ndarray) -> np.ndarray:
        """Tokens int64 [N], each word in one of its ways, by torch's global generator."""
        which = torch.randint(_WAYS, (len(words),)).tolist()
        ways = [self._ways[word][way] for word, way in zip(words.tolist(), which, strict=True)]
        return np.concatenate(ways) if ways else np.zeros(0, np.int64)

    def _drawn(self, word: str) -> list[np.ndarray]:
        random = np.random.default_rng([self._seed, *word.encode()])
        return [self._cut(word, random) for _ in range(_WAYS)]

    def _cut(self, word: str, random: np.random.Generator) -> np.ndarray:
        parts = list(word)
        while len(parts) > 1:
            ranks = [self._ranks.get(pair) for pair in pairwise(parts)]
            kept = random.random(len(ranks)) >= self._rate
            known = [(rank, at) for at, rank in enumerate(ranks) if rank is not None and kept[at]]
            if not known:
                break
            _, at = min(known)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return np.array([self._tokens[part] for part in parts], np.int64)
