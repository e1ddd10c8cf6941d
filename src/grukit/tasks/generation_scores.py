"""How well a language model foretells a text, beside n-grams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from grukit.data.tokenizers import Tokenizer
from grukit.decoding.text_stream import TextStream
from grukit.evaluation.ngrams import ngram_surprise
from grukit.nn.language_model import LanguageModel
from grukit.results.generation import TextScore, TextSurprise
from grukit.results.scores import Score

# So many logits at a time, which bounds the memory.
_LOGITS_AT_ONCE = 1 << 22
# N-grams beside the model have counted so many tokens at most.
_MOST_COUNTED = 5_000_000


@torch.no_grad()
def surprises(
    network: LanguageModel, row: np.ndarray, end: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All tokens of a row but the first, and -log of the chance of each, part by part.

    end: the token at which a new text begins.
    """
    state, length = None, max(1, _LOGITS_AT_ONCE // len(network.embedding))
    for start in range(0, len(row) - 1, length):
        part = torch.from_numpy(row[start : start + length + 1].astype(np.int64))[None]
        read, targets = part[:, :-1], part[:, 1:]
        resets = read == end
        nats, state = network.surprise(read, targets, state, resets if resets.any() else None)
        yield targets[0].numpy(), nats[0].double().numpy()


def text_score(
    network: LanguageModel, tokenizer: Tokenizer, row: np.ndarray, end: int
) -> TextScore:
    """The score of all tokens of a row but the first, and those that begin a document."""
    total, tokens, characters, in_bytes = 0.0, 0, 0, 0
    stream = TextStream(tokenizer)

    def measure(text: str) -> None:
        nonlocal characters, in_bytes
        characters += len(text)
        in_bytes += len(text.encode())

    for targets, nats in surprises(network, row, end):
        counted = targets != end
        total += float(nats[counted].sum())
        tokens += int(counted.sum())
        measure(stream.add(*targets.tolist()))
    measure(stream.finish())
    return TextScore(total, tokens, characters, in_bytes)


def text_surprise(
    network: LanguageModel, tokenizer: Tokenizer, row: np.ndarray, end: int
) -> TextSurprise:
    """All tokens of a row but the first, as text; parts of one character come together."""
    stream, pieces, found, total = TextStream(tokenizer), [], [], 0.0
    for tokens, parts in surprises(network, row, end):
        for token, nats in zip(tokens.tolist(), parts.tolist(), strict=True):
            total += nats
            if piece := stream.add(token):
                pieces.append(piece)
                found.append(total)
                total = 0.0
    return TextSurprise(tuple(pieces), np.array(found))


def beside_ngrams(
    name: str,
    own: TextScore,
    judged: np.ndarray,
    learned: np.ndarray | None,
    counts: np.ndarray,
    end: int,
) -> tuple[Score, ...]:
    """The score of a model, and those of n-grams on the same tokens.

    judged: the tokens of the score. learned: what n-grams of five tokens learn from; none without.
    counts: how often each token was learned, which is all that single tokens need.
    """
    chances = (counts + 1) / (counts.sum() + len(counts))
    rivals = {"1-gram": -np.log(chances[judged])}
    if learned is not None:
        rivals["5-gram"] = ngram_surprise(learned[-_MOST_COUNTED:], judged, 5, len(counts))
    counted = judged != end
    return (
        Score(name, own.metrics()),
        *(
            Score(rival, replace(own, nats=float(nats[counted].sum())).metrics())
            for rival, nats in rivals.items()
        ),
    )
