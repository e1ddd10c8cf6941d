"""Text classification: from texts with labels to a judge of texts, as for sentiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from grukit.core.errors import DataError, Interrupted, ParameterError, must_be
from grukit.core.extras import require
from grukit.core.model_folder import write_model_folder
from grukit.core.rules import check
from grukit.data.labelled import labelled, texts_of
from grukit.data.text_batches import TextItems
from grukit.data.tokenizers import Tokenizer, WordTokenizer, learn_tokenizer, tokenizer_from_json
from grukit.evaluation.temperature import (
    answers_of,
    best_threshold,
    fit_temperature,
    probabilities_of,
)
from grukit.nn.recurrent_classifier import RecurrentClassifier
from grukit.results.classification import (
    Classification,
    ClassificationEvaluation,
    TextExplanation,
)
from grukit.tasks.base import Estimator, settings_of
from grukit.tasks.classification_data import Targeted, fingerprint, prepare
from grukit.tasks.classification_folder import Learned, from_folder, to_folder
from grukit.tasks.classification_loss import class_weights, classification_loss
from grukit.tasks.classification_network import starting_network
from grukit.tasks.classification_pretraining import pretrain
from grukit.tasks.classification_scores import beside_baselines, linear_baseline, shares_of
from grukit.tasks.classification_settings import RULES, TRAINING
from grukit.tasks.text_cards import classifier_card
from grukit.tasks.text_explain import explain_text
from grukit.training.fit import AfterEpoch, EpochRecord, FitConfig, fit

_PREDICTED_AT_ONCE = 64


class TextClassifier(Estimator):
    """A bidirectional recurrent network with attention that tells what kind of text a text is.

    >>> from grukit import FitConfig
    >>> texts = ["a good film", "a bad film", "very good", "very bad", "so good", "so bad"] * 20
    >>> labels = ["+", "-"] * 60
    >>> training = FitConfig(epochs=10, batch_size=8, learning_rate=0.01)
    >>> model = TextClassifier(embedding_size=8, hidden_size=8, training=training)
    >>> model = model.fit(texts, labels)
    >>> model.predict(["what a good film", "bad, very bad"]).tolist()
    ['+', '-']

    It has the manners of scikit-learn's classifiers and works in its pipelines and searches.

    Labels are str, int or bool, one for each text. Where they are lists, or a matrix of 0 and 1, a
    text may have any number of classes; `predict` then gives such a matrix.

    tokenizer: "word", or where words are not apart by spaces, "bpe" (extra `text`), "char", "byte";
        of "word" and "bpe" the `vocabulary` most frequent.
    vectors: a file of pretrained word vectors, as of GloVe, word2vec or fastText, to start from.
    embedding_size: of each token's vector; by default 128, or that of `vectors`.
    hidden_size, num_layers, dropout, word_dropout, cell: see
        `grukit.nn.recurrent_classifier.RecurrentClassifier`.
    class_weight: how much each class counts in training: None for alike, "balanced" for as much as
        it is rare, or a dict by class. It moves the probabilities as well.
    threshold: of two classes, from which chance of the second it is said, and where a text may have
        several, from which chance each is said: a number, or chosen on the validation texts for the
        best "f1" or "accuracy"; None is 0.5.
    max_tokens: of a longer text the first and the last half of so many are read; None reads all.
    text, label: the columns of a file or frame. separator: what stands between the labels of one
        text, if there may be several in one cell.
    training: a FitConfig.
    """

    task: ClassVar[str] = "classification"
    usual_training: ClassVar[FitConfig] = TRAINING

    network_: RecurrentClassifier
    tokenizer_: Tokenizer
    classes_: np.ndarray
    """The names of the C classes, sorted."""
    temperature_: float
    """What logits are divided by, so that chances come true; 1 without validation."""

    def __init__(
        self,
        *,
        tokenizer: str = "word",
        vocabulary: int = 20_000,
        vectors: str | Path | None = None,
        embedding_size: int | None = None,
        hidden_size: int = 128,
        num_layers: int = 1,
        dropout: float = 0.5,
        word_dropout: float = 0.3,
        cell: str = "gru",
        class_weight: str | Mapping[Any, float] | None = None,
        threshold: float | str | None = None,
        max_tokens: int | None = 512,
        text: str = "text",
        label: str = "label",
        separator: str | None = None,
        training: FitConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.vectors = vectors
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.word_dropout = word_dropout
        self.cell = cell
        self.class_weight = class_weight
        self.threshold = threshold
        self.max_tokens = max_tokens
        self.text = text
        self.label = label
        self.separator = separator
        self.training = training
        self.seed = seed

    def fit(
        self,
        data: Any,
        labels: Any = None,
        validation: Any = 0.1,
        *,
        unlabelled: Any = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        """Learn from texts with labels, and return self.

        data: a list of texts, with as many `labels`; or a frame, or the Path of a .csv, .tsv,
            .jsonl (these also .gz, .xz, .bz2) or .parquet file, with columns of texts and labels.
        validation: what training stops by and never learns, and what chances and thresholds are
            fitted on: a share of the texts, of each class alike; or texts of its own, given as
            `data`, or as a pair of texts and labels; or None for none, which leaves the chances as
            the network has them.
        unlabelled: more texts, without labels: a list, or a frame or file with a column of them.
            In 5 epochs before the others the network, which must have one layer, learns to foretell
            the tokens of these and of its own texts from either side (Dai and Le 2015,
            arXiv:1511.01432).
        checkpoint, resume, after_epoch: see `grukit.training.fit.fit`.

        Raises DataError for texts or labels that cannot be used, ParameterError for arguments
        outside their rules, DivergenceError if the loss is no longer finite, and Interrupted after
        Ctrl-C or SIGTERM, with the best weights so far in this model.
        """
        check(vars(self), RULES)
        classes, learned, judged = prepare(self, data, labels, validation)
        more = [] if unlabelled is None else texts_of(unlabelled, self.text)
        if unlabelled is not None and self.num_layers != 1:
            raise ParameterError(must_be("num_layers", "1 with unlabelled texts", self.num_layers))
        texts = [*learned.texts, *more]
        tokenizer = learn_tokenizer(
            self.tokenizer, texts, self.vocabulary, specials=(WordTokenizer.UNKNOWN,)
        )
        network = starting_network(self, tokenizer, len(classes.names))
        weights = class_weights(self.class_weight, classes, learned.targets)
        shares = shares_of(learned.targets, len(classes.names))
        given = self.threshold if isinstance(self.threshold, (int, float)) else 0.5
        thresholds = np.full(len(classes.names) if classes.multilabel else 1, float(given))
        self._become(Learned(network, tokenizer, classes, shares, 1.0, thresholds, None))
        self.unlabelled_ = len(more)
        training, settings = self.training or TRAINING, self._settings()
        del settings["training"]
        settings |= {
            "data": learned.fingerprint(),
            "validation": None if judged is None else judged.fingerprint(),
        }
        try:
            if unlabelled is not None:
                settings["unlabelled"] = fingerprint(more)
                rows = self._rows(texts)
                pretrain(network, rows, training, int(self.seed), checkpoint, resume, settings)
            result = fit(
                network,
                partial(classification_loss, weights=torch.from_numpy(weights)),
                self._items(learned),
                None if judged is None else self._items(judged),
                training,
                seed=int(self.seed),
                checkpoint=checkpoint,
                resume=resume,
                settings=settings,
                after_epoch=after_epoch,
            )
        except Interrupted:
            network.eval()
            self._card = classifier_card(self)
            raise
        self.history_ = result.history
        self.linear_ = linear_baseline(learned, weights)
        if judged is not None:
            logits = self._logits(judged.texts)
            self._calibrate(logits, judged.targets)
            self.validation_ = beside_baselines(self, judged, logits)
        self._card = classifier_card(self)
        return self

    def predict(self, texts: Any) -> np.ndarray:
        """The class of each text; where it may have several, 0 and 1 for each class, [N, C]."""
        answers = self._answers(self.predict_proba(texts))
        return answers if self.multilabel_ else self.classes_[answers]

    def predict_proba(self, texts: Any) -> np.ndarray:
        """The chance of each class, float64 [N, C], in the order of ``classes_``.

        texts: a list of them, or a frame or file with a column of them.
        """
        self._check_fitted()
        logits = self._logits(texts_of(texts, self.text))
        return probabilities_of(logits / self.temperature_, self.multilabel_)

    def classify(self, texts: Any) -> list[Classification]:
        """What is said of each text, with the chances by class."""
        self._check_fitted()
        texts = texts_of(texts, self.text)
        chances = self.predict_proba(texts)
        said = self._classes.named(self._answers(chances))
        names = self._classes.names
        return [
            Classification(text, label, dict(zip(names, own.tolist(), strict=True)))
            for text, label, own in zip(texts, said, chances, strict=True)
        ]

    def score(self, texts: Any, labels: Any = None) -> float:
        """The share of texts whose class, or all of whose classes, are right.

        A label that was never learned is one that no answer is right for.
        """
        self._check_fitted()
        texts, labels = self._labelled(texts, labels)
        answers = self._answers(self.predict_proba(texts))
        return float(np.mean(self._classes.right(answers, labels, self.separator)))

    def evaluate(self, data: Any, labels: Any = None) -> ClassificationEvaluation:
        """The model beside its baselines, on texts with labels, given as for `fit`.

        Baselines are the most frequent class, and logistic regression on words and pairs of words
        (extra `text`), fitted on the same texts. Raises DataError for a label that was not learned.
        """
        self._check_fitted()
        texts, labels = self._labelled(data, labels)
        judged = Targeted(texts, self._classes.targets(labels, self.separator))
        return beside_baselines(self, judged, self._logits(texts))

    def explain(self, text: str, label: Any = None) -> TextExplanation:
        """What each token of a text added to the log-odds of a class.

        label: the class, by default the one that is the most probable.

        Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), from vectors that are all
        zero to those of the tokens; what they add sums to the difference of the log-odds.
        """
        self._check_fitted()
        (text,) = texts_of([text])
        names = self._classes.names
        if label is None:
            label = names[int(self.predict_proba([text])[0].argmax())]
        elif label not in names:
            raise ParameterError(must_be("label", f"one of {names}", label))
        return explain_text(
            self.network_,
            self._cut(self.tokenizer_.encode(text)),
            self._cut(np.array(self.tokenizer_.pieces(text), object)).tolist(),
            names.index(label),
            label,
            self.temperature_,
            self.multilabel_,
        )

    def save(self, path: str | Path) -> None:
        """Write the model folder in one switch; an error or a crash leaves an older one whole."""
        self._check_fitted()
        config, weights = to_folder(self)
        texts = {"README.md": self._card, "tokenizer.json": self.tokenizer_.to_json()}
        config = {"task": self.task, "settings": self._settings(), **config}
        write_model_folder(path, config, weights, texts)

    @classmethod
    def _of_folder(
        cls, config: dict[str, Any], tensors: dict[str, Tensor], texts: dict[str, str]
    ) -> Self:
        settings = settings_of(config)
        if isinstance(settings["class_weight"], tuple):
            settings["class_weight"] = dict(settings["class_weight"])
        self = cls(**settings)
        check(vars(self), RULES)
        tokenizer = tokenizer_from_json(texts["tokenizer.json"])
        self._become(from_folder(self, config, tensors, tokenizer))
        self._card = texts["README.md"]
        return self

    def _settings(self, **changed: Any) -> dict[str, Any]:
        weight = self.class_weight
        if isinstance(weight, Mapping):  # the keys of JSON are text
            weight = list(weight.items())
        return super()._settings(**{"class_weight": weight, **changed})

    @property
    def multilabel_(self) -> bool:
        """Whether a text may have several classes."""
        return self._classes.multilabel

    def _become(self, learned: Learned) -> None:
        self.network_, self.tokenizer_, self._classes = learned[:3]
        self.classes_ = np.array(self._classes.names)
        self.shares_, self.temperature_, self.thresholds_, self.linear_ = learned[3:]
        self.history_: tuple[EpochRecord, ...] = ()
        self.validation_: ClassificationEvaluation | None = None
        self.unlabelled_ = 0

    def _calibrate(self, logits: np.ndarray, targets: np.ndarray) -> None:
        self.temperature_ = fit_temperature(logits, targets)
        if isinstance(self.threshold, str):
            chances = probabilities_of(logits / self.temperature_, self.multilabel_)
            columns = (
                zip(chances.T, targets.T > 0, strict=True)
                if self.multilabel_
                else [(chances[:, 1], targets == 1)]
            )
            self.thresholds_ = np.array(
                [best_threshold(own, truth, self.threshold) for own, truth in columns]
            )

    def _answers(self, chances: np.ndarray) -> np.ndarray:
        return answers_of(chances, self.multilabel_, self.thresholds_)

    @torch.no_grad()
    def _logits(self, texts: Sequence[str]) -> np.ndarray:
        """float64 [N, C], each text's whatever else is asked for."""
        items = TextItems(self._rows(texts), np.zeros(len(texts), np.int64))
        found = torch.zeros(len(texts), len(self.classes_), dtype=torch.float64)
        device = self.network_.embedding.device
        order = items.arranged(torch.arange(len(texts)), _PREDICTED_AT_ONCE)
        for at in order.split(_PREDICTED_AT_ONCE):
            batch = items.batch(at)
            logits = self.network_(batch.tokens.to(device), batch.lengths.to(device))
            found[at] = logits.cpu().double()
        return found.numpy()

    def _labelled(self, data: Any, labels: Any) -> tuple[list[str], Any]:
        texts, labels = labelled(data, labels, self.text, self.label)
        if not texts:
            raise DataError("the data must have at least one text, got none")
        return texts, labels

    def _items(self, own: Targeted) -> TextItems:
        return TextItems(self._rows(own.texts), own.targets)

    def _rows(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [self._cut(self.tokenizer_.encode(text)) for text in texts]

    def _cut(self, tokens: np.ndarray) -> np.ndarray:
        if self.max_tokens is None or len(tokens) <= self.max_tokens:
            return tokens
        half = self.max_tokens // 2
        return np.concatenate([tokens[: self.max_tokens - half], tokens[-half:]])

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator."""
        utils = require("sklearn.utils")
        return utils.Tags(
            estimator_type="classifier",
            target_tags=utils.TargetTags(required=True),
            classifier_tags=utils.ClassifierTags(multi_label=True),
            input_tags=utils.InputTags(one_d_array=True, two_d_array=False, string=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """The same."""
        return hasattr(self, "network_")
