"""Translation: from texts and their translations to a model that translates more of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from grukit.core.errors import DataError, Interrupted, ParameterError, must_be
from grukit.core.model_folder import write_model_folder
from grukit.core.rules import check, flag, integer, number, one_of, text
from grukit.data.chunks import IGNORED
from grukit.data.labelled import texts_of
from grukit.data.parallel import lines_of, parallel
from grukit.data.subwords import BpeDropout
from grukit.data.text_pairs import PairBatch, TextPairs
from grukit.data.tokenizers import (
    BpeTokenizer,
    SpacedWordTokenizer,
    Tokenizer,
    learn_tokenizer,
    tokenizer_from_json,
)
from grukit.decoding.interpreter import END, Interpreter, spaced, tokens_of
from grukit.decoding.search import Search
from grukit.evaluation.translation_metrics import translation_metrics
from grukit.nn.by_name import LAYER_OF
from grukit.nn.translation_model import TranslationModel
from grukit.results.cells import NAMES
from grukit.results.scores import Score
from grukit.results.translation import Translation, TranslationEvaluation
from grukit.tasks.base import Estimator, settings_of
from grukit.tasks.text_cards import translator_card
from grukit.training.fit import AfterEpoch, EpochRecord, FitConfig, LossSum, fit

if TYPE_CHECKING:
    from grukit.plots.attention import AttentionDisplay

Pair = tuple[str, str]
TRAINING = FitConfig(epochs=20, batch_size=64, learning_rate=2e-3, average=0.998, patience=4)
# So many pairs that were not learned are translated after training, for the card.
_MOST_JUDGED = 1000
_SPLIT = 7
# The kinds and special tokens of those that are not called as they are in data/tokenizers.py.
_TOKENIZERS = {"word": (SpacedWordTokenizer.kind, (END, SpacedWordTokenizer.UNKNOWN))}
# What is counted of the pairs: the most tokens of a source, the pairs learned and those left out.
_COUNTS = ("longest", "learned", "skipped")
_RULES = {
    "tokenizer": one_of("bpe", "char", "byte", "word"),
    "vocabulary": integer(at_least=258),
    "embedding_size": integer(at_least=1),
    "hidden_size": integer(at_least=2),
    "num_layers": integer(at_least=1),
    "dropout": number(at_least=0, below=1),
    "recurrent_dropout": number(at_least=0, below=1),
    "embedding_dropout": number(at_least=0, below=1),
    "bpe_dropout": number(at_least=0, below=1),
    "label_smoothing": number(at_least=0, below=1),
    "attention": one_of("additive", "multiplicative"),
    "input_feeding": flag(),
    "coverage": flag(),
    "cell": one_of(*LAYER_OF),
    "ensemble": integer(at_least=1),
    "max_tokens": integer(at_least=2),
    "source": text(),
    "target": text(),
    "seed": integer(at_least=0),
}


class Translator(Estimator):
    """A recurrent encoder and decoder with attention that learns to translate from examples.

    >>> from grukit import FitConfig
    >>> words = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four"}
    >>> lines = [f"{a} {b}" for a in words for b in words] * 10
    >>> answers = [" ".join(words[word] for word in line.split()) for line in lines]
    >>> training = FitConfig(epochs=30, batch_size=16, learning_rate=0.01, patience=None)
    >>> model = Translator(tokenizer="char", hidden_size=32, embedding_size=16, training=training)
    >>> model.fit(lines, answers).predict(["drei zwei"])
    ['three two']

    tokenizer: "bpe", of `vocabulary` tokens for both languages together (extra `text`); "char",
        "byte"; or "word", where a word that is not among the `vocabulary` most frequent is copied
        from where the model looks, or said as the glossary has it.
    embedding_size, hidden_size, num_layers, dropout, recurrent_dropout, embedding_dropout,
    attention, input_feeding, coverage, cell: of `grukit.nn.translation_model.TranslationModel`.
    bpe_dropout: in training each merge of a bpe is left out with this chance, so that a word is
        seen cut in many ways (Provilkov et al. 2020).
    label_smoothing: the share of the loss that asks for all tokens alike (Szegedy et al. 2016).
    ensemble: so many networks, trained on the same batches, that translate together.
    max_tokens: longer pairs are not learned; a longer text is translated in parts.
    source, target: the columns of a table.
    training: a FitConfig; its `average` is that of the checkpoints.
    """

    task: ClassVar[str] = "translation"
    usual_training: ClassVar[FitConfig] = TRAINING

    network_: nn.ModuleList
    tokenizer_: Tokenizer
    longest_: int
    learned_: int
    skipped_: int

    def __init__(
        self,
        *,
        tokenizer: str = "bpe",
        vocabulary: int = 8000,
        embedding_size: int = 256,
        hidden_size: int = 512,
        num_layers: int = 1,
        dropout: float = 0.3,
        recurrent_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        bpe_dropout: float = 0.1,
        label_smoothing: float = 0.1,
        attention: str = "additive",
        input_feeding: bool = False,
        coverage: bool = False,
        cell: str = "gru",
        ensemble: int = 1,
        max_tokens: int = 250,
        source: str = "source",
        target: str = "target",
        training: FitConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.embedding_dropout = embedding_dropout
        self.bpe_dropout = bpe_dropout
        self.label_smoothing = label_smoothing
        self.attention = attention
        self.input_feeding = input_feeding
        self.coverage = coverage
        self.cell = cell
        self.ensemble = ensemble
        self.max_tokens = max_tokens
        self.source = source
        self.target = target
        self.training = training
        self.seed = seed

    def fit(
        self,
        sources: Any,
        targets: Any = None,
        validation: Any = 0.1,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        """Learn from texts and their translations, and return self.

        sources, targets: a list of texts each, or the Path of a file with one in each line; or
            instead of both a frame, or the Path of a .csv, .tsv, .jsonl or .parquet file, with the
            columns `source` and `target`.
        validation: what training stops by and never learns: a share, drawn by chance; other pairs,
            as (sources, targets), a frame or a Path; None for none.
        checkpoint, resume, after_epoch: see `grukit.training.fit.fit`.

        Pairs with an empty side, or with more than `max_tokens`, are left out and counted in
        ``skipped_``.

        Raises DataError for another number of targets than sources and for no pair to learn,
        ParameterError for arguments outside their rules, DivergenceError if the loss is no longer
        finite, and Interrupted after Ctrl-C or SIGTERM, with the best weights so far in this model.
        """
        check(vars(self), _RULES)
        if isinstance(validation, (int, float)):
            check({"validation": validation}, {"validation": number(above=0, below=1)})
        learned, judged = self._parts(self._pairs(sources, targets), validation)
        kind, specials = _TOKENIZERS.get(self.tokenizer, (self.tokenizer, (END,)))
        texts = (spaced(side) for pair in learned for side in pair)
        tokenizer = learn_tokenizer(kind, texts, self.vocabulary, specials)
        learned, skipped = self._short(learned, tokenizer)
        judged, _ = self._short(judged, tokenizer)
        if not learned:
            wanted = f"a pair of at most {self.max_tokens} tokens with two sides"
            raise DataError(f"the pairs must have {wanted}, got none ({skipped:,} left out)")
        train, validate = self._items(learned, tokenizer, True), self._items(judged, tokenizer)
        longest = max(len(tokens_of(tokenizer, source)) for source, _ in learned)
        counts = {"longest": longest, "learned": len(learned), "skipped": skipped}
        networks = self._new_networks(len(tokenizer))
        try:
            result = fit(
                networks,
                self._loss,
                train,
                validate if judged else None,
                self.training or TRAINING,
                seed=int(self.seed),
                checkpoint=checkpoint,
                resume=resume,
                settings={
                    **{k: v for k, v in self._settings().items() if k != "training"},
                    "data": _fingerprint(learned),
                    "validation": _fingerprint(judged),
                },
                after_epoch=after_epoch,
            )
        except Interrupted:
            self._become(networks, tokenizer, counts, ())
            self._card = translator_card(self)
            raise
        self._become(networks, tokenizer, counts, result.history)
        if judged:
            texts, answers = zip(*judged[:_MOST_JUDGED], strict=True)
            self.validation_ = self.evaluate(texts, answers)
        self._card = translator_card(self)
        return self

    def predict(self, texts: Any, search: Search | None = None) -> list[str]:
        """The translation of each text: a list of them, or the Path of a file of lines."""
        return [answer.text for answer in self.translate(lines_of(texts), search)]

    @overload
    def translate(
        self, texts: str, search: Search | None = None, prefix: str = ""
    ) -> Translation: ...

    @overload
    def translate(
        self,
        texts: Sequence[str],
        search: Search | None = None,
        prefix: str | Sequence[str] = "",
    ) -> list[Translation]: ...

    def translate(
        self,
        texts: str | Sequence[str],
        search: Search | None = None,
        prefix: str | Sequence[str] = "",
    ) -> Translation | list[Translation]:
        """Translate a text, or many, and tell what else was considered and where the model looked.

        prefix: what a translation must begin with; one for all, or one for each text.

        Spaces around a text are put back around its translation. A text longer than any that was
        learned is translated in parts, sentence by sentence where that is possible; then there is
        one candidate, and a prefix is for the first part.
        """
        self._check_fitted()
        asked = [texts] if isinstance(texts, str) else texts_of(texts)
        prefixes = [prefix] * len(asked) if isinstance(prefix, str) else list(prefix)
        if len(prefixes) != len(asked):
            wanted = f"one for all, or as many as texts ({len(asked):,})"
            raise ParameterError(must_be("prefix", wanted, len(prefixes)))
        interpreter = Interpreter(self.network_, self.tokenizer_, self.longest_)
        answers = interpreter.translate(asked, prefixes, search or Search())
        return answers[0] if isinstance(texts, str) else answers

    def plot(self, translation: Translation, title: str | None = None) -> AttentionDisplay:
        """A picture of where in its source a translation of `translate` looked."""
        from grukit.plots.attention import AttentionDisplay

        return AttentionDisplay(translation, title)

    def evaluate(
        self, sources: Any, targets: Any = None, search: Search | None = None
    ) -> TranslationEvaluation:
        """BLEU and chrF of the translations, beside those of the sources as they are.

        sources, targets: as for `fit`; DataError if there are none.
        """
        self._check_fitted()
        sources, targets = parallel(sources, targets, self.source, self.target)
        if not sources:
            raise DataError("the data must have at least one pair, got none")
        texts = [answer.text for answer in self.translate(sources, search)]
        scores, signatures = [], {}
        for name, answers in ((f"grukit {NAMES[self.cell]}", texts), ("copy", sources)):
            metrics, signatures = translation_metrics(answers, targets)
            scores.append(Score(name, metrics))
        return TranslationEvaluation(tuple(scores), len(sources), signatures)

    def save(self, path: str | Path) -> None:
        """Write the model folder in one switch; an error or a crash leaves an older one whole."""
        self._check_fitted()
        counts = {name: getattr(self, f"{name}_") for name in _COUNTS}
        config = {"task": self.task, "settings": self._settings(), "counts": counts}
        weights = safetensors.torch.save(
            {
                f"networks.{name}": value.contiguous()
                for name, value in self.network_.state_dict().items()
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
        networks = self._new_networks(len(tokenizer))
        networks.load_state_dict(
            {name.removeprefix("networks."): value for name, value in tensors.items()}
        )
        counts = {name: int(config["counts"][name]) for name in _COUNTS}
        self._become(networks, tokenizer, counts, ())
        self._card = texts["README.md"]
        return self

    def _become(
        self,
        networks: nn.ModuleList,
        tokenizer: Tokenizer,
        counts: Mapping[str, int],
        history: tuple[EpochRecord, ...],
    ) -> None:
        self.network_, self.tokenizer_ = networks.cpu().eval(), tokenizer
        self.longest_, self.learned_, self.skipped_ = (counts[name] for name in _COUNTS)
        self.history_, self.validation_ = history, None

    def _pairs(self, sources: Any, targets: Any) -> list[Pair]:
        texts = parallel(sources, targets, self.source, self.target)
        return [(a.strip(), b.strip()) for a, b in zip(*texts, strict=True)]

    def _parts(self, pairs: list[Pair], validation: Any) -> tuple[list[Pair], list[Pair]]:
        """The pairs to learn, and those to validate on."""
        if validation is None:
            return pairs, []
        if not isinstance(validation, (int, float)):
            other = validation if isinstance(validation, tuple) else (validation, None)
            return pairs, self._pairs(*other)
        order = np.random.default_rng((int(self.seed), _SPLIT)).permutation(len(pairs))
        held_out = max(1, round(validation * len(pairs)))
        return [pairs[at] for at in order[held_out:]], [pairs[at] for at in order[:held_out]]

    def _short(self, pairs: list[Pair], tokenizer: Tokenizer) -> tuple[list[Pair], int]:
        """The pairs with two sides of at most `max_tokens`, and how many there are besides."""
        kept = [
            pair
            for pair in pairs
            if all(side and len(tokens_of(tokenizer, side)) <= self.max_tokens for side in pair)
        ]
        return kept, len(pairs) - len(kept)

    def _items(self, pairs: list[Pair], tokenizer: Tokenizer, learned: bool = False) -> TextPairs:
        end = tokenizer.special(END)
        if learned and self.bpe_dropout and isinstance(tokenizer, BpeTokenizer):
            drop = BpeDropout(tokenizer, self.bpe_dropout, int(self.seed))
            words = [[drop.words(spaced(side)) for side in pair] for pair in pairs]
            return TextPairs(words, end, drop.encode)
        return TextPairs([[tokens_of(tokenizer, side) for side in pair] for pair in pairs], end)

    def _loss(self, networks: Any, batch: PairBatch) -> LossSum:
        counts = batch.answers != IGNORED
        totals = []
        for network in networks:
            output, _ = network(batch.source, batch.lengths, batch.written)
            total = cross_entropy(
                network.logits(output[counts]).float(),
                batch.answers[counts],
                reduction="sum",
                label_smoothing=self.label_smoothing if networks.training else 0.0,
            )
            totals.append(total)
        return LossSum(torch.stack(totals).mean(), counts.sum())

    def _new_networks(self, vocabulary: int) -> nn.ModuleList:
        networks = nn.ModuleList()
        for at in range(self.ensemble):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(self.seed) + at)
                network = TranslationModel(
                    vocabulary,
                    self.embedding_size,
                    self.hidden_size,
                    self.num_layers,
                    self.dropout,
                    self.recurrent_dropout,
                    self.embedding_dropout,
                    self.attention,
                    self.input_feeding,
                    self.coverage,
                    self.cell,
                )
            networks.append(network)
        return networks


def _fingerprint(pairs: list[Pair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update("\0".join((*pair, "")).encode())
    return digest.hexdigest()[:16]
