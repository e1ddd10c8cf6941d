"""Text generation: from a text to a model that goes on writing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from grukit.core.errors import DataError, Interrupted, ParameterError, must_be
from grukit.core.model_folder import write_model_folder
from grukit.core.rules import check, integer, number, one_of, optional, text
from grukit.data.chunks import IGNORED, Chunk, Chunks
from grukit.data.token_rows import counts_of, fingerprint
from grukit.data.tokenizers import Tokenizer, tokenizer_from_json
from grukit.decoding.likeliest import likeliest
from grukit.decoding.sampling import Sampling
from grukit.decoding.writer import Writer, write
from grukit.nn.by_name import LAYER_OF
from grukit.nn.language_model import LanguageModel
from grukit.results.cells import NAMES
from grukit.results.generation import Generation, TextEvaluation, TextScore, TextSurprise
from grukit.tasks.base import Estimator, settings_of
from grukit.tasks.generation_data import END, prepare, row_of
from grukit.tasks.generation_scores import beside_ngrams, text_score, text_surprise
from grukit.tasks.text_cards import generator_card
from grukit.training.fit import AfterEpoch, EpochRecord, FitConfig, LossSum, fit
from grukit.training.progress import Stages

if TYPE_CHECKING:
    from grukit.plots.tokens import TokensDisplay

TRAINING = FitConfig(epochs=20, batch_size=64, learning_rate=2e-3, patience=3)
# The end of a text is judged by so many tokens at most.
_MOST_JUDGED = 200_000
_FULL_COLOUR = 10.0  # nats
_RULES = {
    "tokenizer": one_of("char", "byte", "bpe"),
    "vocabulary": integer(at_least=258),
    "hidden_size": integer(at_least=1),
    "embedding_size": optional(integer(at_least=1)),
    "num_layers": integer(at_least=1),
    "dropout": number(at_least=0, below=1),
    "recurrent_dropout": number(at_least=0, below=1),
    "embedding_dropout": number(at_least=0, below=1),
    "cell": one_of(*LAYER_OF),
    "softmax": one_of("full", "adaptive"),
    "length": integer(at_least=1),
    "text": optional(text()),
    "seed": integer(at_least=0),
}


class TextGenerator(Estimator):
    """A recurrent language model that goes on writing what it has read.

    >>> from grukit import FitConfig
    >>> training = FitConfig(epochs=20, batch_size=4, learning_rate=0.01)
    >>> model = TextGenerator(hidden_size=32, dropout=0.0, length=16, training=training)
    >>> model = model.fit("tick, tack, tick, tack, " * 40)
    >>> model.generate("tick", length=12, sampling=Sampling(temperature=0)).text
    ', tack, tick'

    A token costs the same time and memory however long the text is. Texts are read and written
    exactly, in any script.

    tokenizer: "char", "byte", or "bpe" of `vocabulary` tokens (extra `text`).
    hidden_size, num_layers: of the recurrent network; embedding_size: of each token's vector, by
        default a quarter of hidden_size, at least 32.
    dropout, recurrent_dropout, embedding_dropout: see `grukit.nn.language_model.LanguageModel`.
    cell: "gru", "gru_before", "lstm", "rnn" or "mingru" (`grukit.nn.by_name`).
    softmax: "full", or "adaptive", which for vocabularies of tens of thousands is much quicker.
    length: steps that a gradient goes back (truncated back-propagation); states go on beyond.
    text: where texts come in tables, the column that holds them, each row a document.
    training: a FitConfig, whose batch_size is how many places of the text are read side by side,
        and whose items are chunks of `length` steps of these.
    """

    task: ClassVar[str] = "generation"
    usual_training: ClassVar[FitConfig] = TRAINING

    network_: LanguageModel
    tokenizer_: Tokenizer

    def __init__(
        self,
        *,
        tokenizer: str = "char",
        vocabulary: int = 8000,
        hidden_size: int = 512,
        embedding_size: int | None = None,
        num_layers: int = 1,
        dropout: float = 0.2,
        recurrent_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        cell: str = "gru",
        softmax: str = "full",
        length: int = 128,
        text: str | None = None,
        training: FitConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.hidden_size = hidden_size
        self.embedding_size = embedding_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.embedding_dropout = embedding_dropout
        self.cell = cell
        self.softmax = softmax
        self.length = length
        self.text = text
        self.training = training
        self.seed = seed

    def fit(
        self,
        text: Any,
        validation: Any = 0.1,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        """Learn a text and return self.

        text: a str, which is the text itself; a Path to a file of UTF-8 (also .gz, .xz, .bz2); or
            an iterable of these, each a document of its own. With a column `text` of the settings a
            frame, or the Path of a .csv, .tsv, .jsonl or .parquet file, is a document in each row.
        validation: what training stops by and never learns: a share at the end, or another text;
            None for none.
        checkpoint, resume, after_epoch: see `grukit.training.fit.fit`.

        Raises DataError for a text that is too short or no Unicode, ParameterError for arguments
        outside their rules, DivergenceError if the loss is no longer finite, and Interrupted after
        Ctrl-C or SIGTERM, with the best weights so far in this model.
        """
        check(vars(self), _RULES)
        training = self.training or TRAINING
        with Stages(training.progress) as stage:
            tokenizer, learned, judged = prepare(self, text, validation, stage)
        counts = counts_of(learned, len(tokenizer))
        network = self._new_network(len(tokenizer), counts)

        def chunks(row: np.ndarray) -> Chunks:
            return Chunks(row, training.batch_size, self.length, tokenizer.special(END))

        try:
            result = fit(
                network,
                _loss,
                chunks(learned),
                None if judged is None else chunks(judged),
                replace(training, batch_size=1),
                seed=int(self.seed),
                carry_state=True,
                checkpoint=checkpoint,
                resume=resume,
                settings={
                    **{k: v for k, v in self._settings().items() if k != "training"},
                    "lanes": training.batch_size,
                    "data": fingerprint(learned),
                    "validation": None if judged is None else fingerprint(judged),
                },
                after_epoch=after_epoch,
            )
        except Interrupted:
            self._become(network, tokenizer, counts, ())
            self._card = generator_card(self)
            raise
        self._become(network, tokenizer, counts, result.history)
        if judged is not None:
            row = judged[: _MOST_JUDGED + 1]
            self.validation_ = self._beside(self._score_row(row), row[1:], learned)
        self._card = generator_card(self)
        return self

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        stop: str | Sequence[str] = (),
        seed: int = 0,
        sampling: Sampling | None = None,
    ) -> Generation:
        """Go on from a prompt, token by token.

        length: how many tokens at most. stop: texts that end it, and are left out.
        """
        return self.generate_many(
            prompt, 1, length=length, stop=stop, seed=seed, sampling=sampling
        )[0]

    def generate_many(
        self,
        prompt: str = "",
        count: int = 4,
        *,
        length: int = 500,
        stop: str | Sequence[str] = (),
        seed: int = 0,
        sampling: Sampling | None = None,
    ) -> list[Generation]:
        """Several texts side by side: what `generate` gives for the seeds seed, seed + 1, ..."""
        check({"count": count}, {"count": integer(at_least=1)})
        read, writers = self._writers(prompt, count, length, stop, seed, sampling)
        texts: list[list[str]] = [[] for _ in writers]
        for pieces in write(self.network_, read, writers):
            for written, piece in zip(texts, pieces, strict=True):
                written.append(piece)
        return [
            Generation(prompt, "".join(own), writer.tokens, writer.nats, writer.ended or "length")
            for own, writer in zip(texts, writers, strict=True)
        ]

    def stream(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        stop: str | Sequence[str] = (),
        seed: int = 0,
        sampling: Sampling | None = None,
    ) -> Iterator[str]:
        """The text of `generate`, piece by piece as it comes."""
        read, writers = self._writers(prompt, 1, length, stop, seed, sampling)
        return (piece for (piece,) in write(self.network_, read, writers) if piece)

    def beam_search(
        self, prompt: str = "", *, beam: int = 5, length: int = 100
    ) -> list[Generation]:
        """The likeliest texts that go on from a prompt, at most `beam`, the best first.

        Nothing is drawn by chance. Texts that the model ends early are likelier than long ones.

        beam: how many are followed side by side; the more, the nearer to the likeliest of all.
        length: how many tokens at most.
        """
        self._check_fitted()
        given = {"beam": beam, "length": length}
        check(given, {"beam": integer(at_least=1), "length": integer(at_least=1)})
        return likeliest(self.network_, self.tokenizer_, self._end, prompt, length, beam)

    def score(self, text: Any) -> TextScore:
        """How well the model foretells a text, given as for `fit`; its end is not counted.

        Raises DataError for an empty text.
        """
        self._check_fitted()
        return self._score_row(self._row(text)[:-1])

    def surprise(self, text: str | Path) -> TextSurprise:
        """How little each token of a text was to be expected: -log of its chance, in nats.

        text: the text itself, or the Path of a file. Tokens that are parts of one character come
            together, so that the pieces are the text.
        """
        self._check_fitted()
        row = self._row(text)[:-1]
        return text_surprise(self.network_, self.tokenizer_, row, self._end)

    def plot(self, surprise: TextSurprise, title: str | None = None) -> TokensDisplay:
        """A picture of a text whose tokens are coloured by their surprise.

        The colour is full from 10 nats on, a chance of one in 22,000. The title is by default the
        mean surprise.
        """
        from grukit.plots.tokens import TokensDisplay

        if title is None:
            characters = max(1, sum(map(len, surprise.tokens)))
            title = f"{surprise.nats.sum() / characters:.2f} nats per character"
        label = "surprise, nats"
        return TokensDisplay(surprise.tokens, surprise.nats, label, title, False, _FULL_COLOUR)

    def evaluate(self, text: Any, training: Any = None) -> TextEvaluation:
        """The model beside n-grams, on a text that it has not learned.

        text: as for `fit`. training: the text that an n-gram of five tokens learns from, best the
            one that the model has learned; without it only single tokens stand beside the model.
        """
        self._check_fitted()
        row = self._row(text)[:-1]
        learned = None if training is None else self._row(training)
        return self._beside(self._score_row(row), row[1:], learned)

    def save(self, path: str | Path) -> None:
        """Write the model folder in one switch; an error or a crash leaves an older one whole."""
        self._check_fitted()
        config = {"task": self.task, "settings": self._settings()}
        weights = safetensors.torch.save(
            {
                "counts": torch.from_numpy(self.counts_),
                **{
                    f"network.{name}": value.contiguous()
                    for name, value in self.network_.state_dict().items()
                },
            }
        )
        texts = {"README.md": self._card, "tokenizer.json": self.tokenizer_.to_json()}
        write_model_folder(path, config, weights, texts)

    @classmethod
    def _of_folder(
        cls, config: dict[str, Any], tensors: dict[str, Tensor], texts: dict[str, str]
    ) -> Self:
        self = cls(**settings_of(config))
        check(vars(self), _RULES)
        tokenizer = tokenizer_from_json(texts["tokenizer.json"])
        counts = tensors.pop("counts").numpy()
        if counts.shape != (len(tokenizer),):
            raise ValueError(must_be("counts", f"of {len(tokenizer)} tokens", counts.shape))
        network = self._new_network(len(tokenizer))
        network.load_state_dict(
            {name.removeprefix("network."): value for name, value in tensors.items()}
        )
        self._become(network, tokenizer, counts, ())
        self._card = texts["README.md"]
        return self

    def _become(
        self,
        network: LanguageModel,
        tokenizer: Tokenizer,
        counts: np.ndarray,
        history: tuple[EpochRecord, ...],
    ) -> None:
        self.network_, self.tokenizer_ = network.cpu().eval(), tokenizer
        self.counts_, self.history_, self.validation_ = counts, history, None

    @property
    def _end(self) -> int:
        return self.tokenizer_.special(END)

    def _row(self, text: Any) -> np.ndarray:
        return row_of(text, self.text, self.tokenizer_)

    def _score_row(self, row: np.ndarray) -> TextScore:
        if len(row) < 2:
            raise DataError("the text must be at least one token long, got none")
        return text_score(self.network_, self.tokenizer_, row, self._end)

    def _beside(
        self, own: TextScore, judged: np.ndarray, learned: np.ndarray | None
    ) -> TextEvaluation:
        name = f"grukit {NAMES[self.cell]}"
        scores = beside_ngrams(name, own, judged, learned, self.counts_, self._end)
        return TextEvaluation(scores, own.characters)

    def _writers(
        self,
        prompt: str,
        count: int,
        length: int,
        stop: str | Sequence[str],
        seed: int,
        sampling: Sampling | None,
    ) -> tuple[list[int], list[Writer]]:
        """The tokens to read first, and who goes on from them."""
        self._check_fitted()
        check({"length": length, "seed": seed}, dict.fromkeys(("length", "seed"), integer(0)))
        stop = (stop,) if isinstance(stop, str) else tuple(stop)
        if "" in stop:
            raise ParameterError(must_be("stop", "texts that are not empty", stop))
        tokens, rules = self.tokenizer_.encode(prompt).tolist(), sampling or Sampling()
        writers = [
            Writer(self.tokenizer_, self._end, tokens, rules, length, stop, seed + sample)
            for sample in range(count)
        ]
        return [self._end, *tokens], writers

    def _new_network(self, vocabulary: int, counts: np.ndarray | None = None) -> LanguageModel:
        """One whose chances, before it has learned anything else, are those of single tokens."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.seed))
            network = LanguageModel(
                vocabulary,
                self.embedding_size or max(32, self.hidden_size // 4),
                self.hidden_size,
                self.num_layers,
                self.dropout,
                self.recurrent_dropout,
                self.embedding_dropout,
                self.cell,
                self.softmax,
            )
        if counts is not None:
            network.set_counts(torch.from_numpy(counts))
        return network


def _loss(model: LanguageModel, chunk: Chunk, state: Any) -> LossSum:
    nats, state = model.surprise(chunk.tokens, chunk.targets, state, chunk.resets)
    return LossSum(nats.sum(), (chunk.targets != IGNORED).sum(), state)
