"""A recurrent encoder, and a decoder that looks back at it while it writes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from grukit.nn.by_name import LAYER_OF
from grukit.nn.cross_attention import CrossAttention
from grukit.nn.masks import drop_mask


class Memory(NamedTuple):
    """A source as it was read: steps [B, S, M], their keys [B, S, A], which count, bool [B, S]."""

    steps: Tensor
    keys: Tensor
    counts: Tensor


class DecoderState(NamedTuple):
    """Where a decoder is: its memory, the states of its two layers, what it last put out [B, 1, E].

    coverage: [B, S], the sum of the attention so far.
    """

    memory: Memory
    reader: Any
    writer: Any
    fed: Tensor
    coverage: Tensor


class TranslationModel(nn.Module):
    """From the tokens of one text to the chances of each next token of another.

    >>> model = TranslationModel(vocabulary=100, embedding_size=16, hidden_size=32)
    >>> source, lengths = torch.zeros(2, 7, dtype=torch.int64), torch.tensor([7, 4])
    >>> output, attention = model(source, lengths, torch.zeros(2, 5, dtype=torch.int64))
    >>> model.logits(output).shape, attention.shape
    (torch.Size([2, 5, 100]), torch.Size([2, 5, 7]))

    The encoder is bidirectional. The decoder's first layer reads what was written so far; its
    states are the queries to the encoder's steps; its second layer goes over these states and what
    was found. So a whole sequence passes each layer in one call, and yet what was attended to is
    remembered. Embeddings of source and target and the weights of the logits are one matrix (Press
    and Wolf 2017, arXiv:1608.05859).

    hidden_size: of each layer of the decoder, and of both directions of the encoder together.
    num_layers: of the encoder, and of the decoder's second part.
    dropout: of what enters each layer and of what the logits are made of, the same for all steps.
    recurrent_dropout: of the state that enters the recurrent products; not of a minGRU.
    embedding_dropout: the share of tokens whose vector is zero for a batch.
    attention, coverage: see `CrossAttention`.
    input_feeding: what was put out at a step enters the next (Luong et al. 2015); it and coverage
        go step by step also in training, which takes longer.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        attention: str = "additive",
        input_feeding: bool = False,
        coverage: bool = False,
        cell: str = "gru",
    ) -> None:
        super().__init__()
        self.dropout, self.embedding_dropout = dropout, embedding_dropout
        self.input_feeding, self.stepwise = input_feeding, input_feeding or coverage
        self.hidden_size, self.has_c = hidden_size, cell == "lstm"
        self.embedding = nn.Parameter(torch.randn(vocabulary, embedding_size) / embedding_size**0.5)

        def layers(input_size: int, size: int, count: int, **options: Any) -> nn.Module:
            return LAYER_OF[cell](
                input_size,
                size,
                count,
                batch_first=True,
                input_dropout=dropout,
                recurrent_dropout=recurrent_dropout,
                **options,
            )

        memory_size = 2 * (hidden_size // 2)
        self.encoder = layers(embedding_size, hidden_size // 2, num_layers, bidirectional=True)
        self.reader = layers(embedding_size + embedding_size * input_feeding, hidden_size, 1)
        self.attention = CrossAttention(hidden_size, memory_size, hidden_size, attention, coverage)
        self.writer = layers(hidden_size + memory_size, hidden_size, num_layers)
        self.begin = nn.Linear(memory_size, hidden_size * (1 + num_layers))
        self.output = nn.Linear(hidden_size + memory_size, embedding_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What the logits after each token of the target are made of, [B, T, E], and where the
        decoder looked, [B, T, S].

        source: int64 [B, S], of which `lengths` [B] count, at least one each. target: int64 [B, T].
        """
        weight = self.embedding
        if self.training and self.embedding_dropout:
            weight = weight * drop_mask(weight, (len(weight), 1), self.embedding_dropout)
        state = self._start(embedding(source, weight), lengths)
        target = embedding(target, weight)
        if not self.stepwise:
            output, attention, _ = self._decode(target, state)
            return output, attention
        outputs, attentions = [], []
        for step in target.split(1, dim=1):
            output, attention, state = self._decode(step, state)
            outputs.append(output)
            attentions.append(attention)
        return torch.cat(outputs, 1), torch.cat(attentions, 1)

    def logits(self, output: Tensor) -> Tensor:
        """[..., E] to [..., V]."""
        return linear(output, self.embedding, self.bias)

    def start(self, source: Tensor, lengths: Tensor) -> DecoderState:
        """The state before the first token, from int64 [B, S] and [B]."""
        return self._start(self.embedding[source], lengths)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """int64 [B] to logits [B, V] of the next token, and the state after."""
        output, _, state = self._decode(self.embedding[tokens[:, None]], state)
        return self.logits(output[:, 0]), state

    @staticmethod
    def select(state: DecoderState, rows: Tensor) -> DecoderState:
        """The state of some rows, int64 [M], in their order."""

        def recurrent(part: Any) -> Any:
            return tuple(map(recurrent, part)) if isinstance(part, tuple) else part[:, rows]

        return DecoderState(
            Memory(*(part[rows] for part in state.memory)),
            recurrent(state.reader),
            recurrent(state.writer),
            state.fed[rows],
            state.coverage[rows],
        )

    def _start(self, source: Tensor, lengths: Tensor) -> DecoderState:
        steps, _ = self.encoder(source, lengths=lengths)
        counts = torch.arange(steps.shape[1], device=steps.device) < lengths[:, None]
        mean = steps.sum(1) / lengths[:, None]
        states = torch.tanh(self.begin(mean)).view(len(mean), -1, self.hidden_size).transpose(0, 1)
        reader, writer = states[:1].contiguous(), states[1:].contiguous()
        if self.has_c:
            reader, writer = ((h, torch.zeros_like(h)) for h in (reader, writer))
        return DecoderState(
            Memory(steps, self.attention.keys(steps), counts),
            reader,
            writer,
            source.new_zeros(len(source), 1, source.shape[-1]),
            steps.new_zeros(counts.shape),
        )

    def _decode(self, target: Tensor, state: DecoderState) -> tuple[Tensor, Tensor, DecoderState]:
        """Embedded tokens [B, T, E] to outputs [B, T, E], attention [B, T, S], and the state."""
        memory = state.memory
        if self.input_feeding:
            target = torch.cat([target, state.fed], dim=-1)
        queries, reader = self.reader(target, state.reader)
        found, attention = self.attention(
            queries, memory.keys, memory.steps, memory.counts, state.coverage
        )
        written, writer = self.writer(torch.cat([queries, found], dim=-1), state.writer)
        output = torch.tanh(self.output(self._dropped(torch.cat([written, found], dim=-1))))
        coverage = state.coverage + attention.sum(1)
        return output, attention, DecoderState(memory, reader, writer, output[:, -1:], coverage)

    def _dropped(self, steps: Tensor) -> Tensor:
        if not (self.training and self.dropout):
            return steps
        return steps * drop_mask(steps, (len(steps), 1, steps.shape[-1]), self.dropout)
