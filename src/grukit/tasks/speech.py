"""Speech: from recordings and what is said in them to a recognizer, on files and live."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from grukit.core.errors import Interrupted, ParameterError, must_be
from grukit.core.model_folder import write_model_folder
from grukit.core.rules import check, number
from grukit.data.alphabet import Alphabet
from grukit.data.augmentation import Augmentation
from grukit.data.normalization import Normalization
from grukit.data.recordings import Recording, recordings
from grukit.decoding.ctc import GREEDY, CtcDecoder, CtcSearch
from grukit.decoding.endpoint import Endpoint
from grukit.decoding.ngram import NgramModel
from grukit.evaluation.linear_words import LinearWords
from grukit.evaluation.speech_metrics import speech_evaluation
from grukit.nn.speech_network import SpeechNetwork
from grukit.results.cells import NAMES
from grukit.results.speech_evaluation import SpeechEvaluation, WordsEvaluation
from grukit.results.spoken_words import Detection, WordAnswer
from grukit.results.transcript import Transcript
from grukit.tasks.base import Estimator, settings_of
from grukit.tasks.speech_card import speech_card
from grukit.tasks.speech_data import Learned, features_of, fingerprint, prepare
from grukit.tasks.speech_decode import Decoding, by_step
from grukit.tasks.speech_language import tokens_of, words_of
from grukit.tasks.speech_loss import speech_loss
from grukit.tasks.speech_reader import SpeechReader, mean_frames, raw_frames, speaker_means
from grukit.tasks.speech_settings import RULES, TRAINING, frames_ahead
from grukit.tasks.speech_stream import SpeechStream
from grukit.tasks.speech_words import (
    THRESHOLD,
    detections,
    judged_words,
    linear_of,
    linear_words,
    tensors_of,
    word_answer,
)
from grukit.training.fit import AfterEpoch, EpochRecord, FitConfig, fit

if TYPE_CHECKING:
    from grukit.plots.speech import SpectrogramDisplay

# So many recordings that were not learned are transcribed after training, for the card.
_MOST_JUDGED = 1000
_AUGMENTATION = Augmentation()
# A command is to be obeyed soon after it was said; a sentence may have pauses.
_ENDPOINTS = {"text": Endpoint(), "words": Endpoint(after_speech=0.3)}
_ARPA = "language.arpa"


class SpeechRecognizer(Estimator):
    """A recurrent network that writes down what is said, trained by CTC (Graves et al. 2006).

    mode: "text" writes transcripts; "words" says which word a recording is, or finds words in a
        stream.
    tokens: what a transcript is written in: "char", "bpe" of `vocabulary` pieces (extra `text`), or
        whole words ("word"); by default "char", and "word" in the mode "words".
    features: "log-mel" of `bins`, or "mfcc"; of audio at `rate` Hz, every `hop_ms` milliseconds.
        Recordings that are ready-made features (.npy, .mfc, .htk) are taken as they are; `features`
        then says of which kind they are, and `hop_ms` how far they are apart.
    look_ahead: None for a network that reads a recording in both directions, as a whole; or the
        most seconds after a moment that what is said of it may depend on, so that the recognizer
        can `stream`.
    hidden_size, num_layers, stride, dropout, cell: of `grukit.nn.speech_network.SpeechNetwork`.
    augmentation: how recordings are changed in training, as `grukit.data.augmentation.Augmentation`
        has it; None not at all.
    audio, text: the columns of a table.
    speaker: a column that tells who is heard. The mean of all recordings of a speaker, and so of
        a microphone, is then taken from each. For single words, by log-mel energies and without
        `look_ahead`, of which else only the level is made equal. A new voice must be `adapted` to.
    training: a FitConfig.
    """

    task: ClassVar[str] = "speech"
    usual_training: ClassVar[FitConfig] = TRAINING

    network_: SpeechNetwork
    alphabet_: Alphabet
    reader_: SpeechReader
    learned_: Learned
    language_: NgramModel | None
    linear_: LinearWords | None

    def __init__(
        self,
        *,
        mode: str = "text",
        tokens: str | None = None,
        vocabulary: int = 300,
        features: str = "log-mel",
        bins: int = 40,
        rate: int = 16_000,
        hop_ms: float = 10.0,
        look_ahead: float | None = None,
        hidden_size: int = 256,
        num_layers: int = 3,
        stride: int = 2,
        dropout: float = 0.3,
        cell: str = "gru",
        augmentation: Augmentation | None = _AUGMENTATION,
        audio: str = "audio",
        text: str = "text",
        speaker: str | None = None,
        training: FitConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.mode = mode
        self.tokens = tokens
        self.vocabulary = vocabulary
        self.features = features
        self.bins = bins
        self.rate = rate
        self.hop_ms = hop_ms
        self.look_ahead = look_ahead
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.stride = stride
        self.dropout = dropout
        self.cell = cell
        self.augmentation = augmentation
        self.audio = audio
        self.text = text
        self.speaker = speaker
        self.training = training
        self.seed = seed

    def fit(
        self,
        data: Any,
        validation: Any = 0.1,
        *,
        language: Any = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        """Learn from recordings with their transcripts, and return self.

        data: see `grukit.data.recordings.recordings`: a table of paths and texts, a list of (path,
            text), or a folder.
        validation: what training stops by and never learns: a share, drawn by chance; other
            recordings, given as `data`; None for none.
        language: what knows which words are likely, and helps wherever nothing else is asked for:
            a `grukit.decoding.ngram.NgramModel`, the path of an ARPA file (.arpa), texts to learn
            one from, as a list or the path of a file of lines, or "transcripts" for those of
            `data`.
        checkpoint, resume, after_epoch: see `grukit.training.fit.fit`.

        Raises DataError for recordings or transcripts that cannot be used, ParameterError for
        arguments outside their rules, DivergenceError if the loss is no longer finite, and
        Interrupted after Ctrl-C or SIGTERM, with the best weights so far in this model.
        """
        check(vars(self), RULES)
        prepared = prepare(self, data, validation)
        words = words_of(language, prepared.learned)
        alphabet, reader, learned, judged, sizes = prepared
        pooled = self._is_pooled([*learned, *judged], alphabet)
        network = self._new_network(reader.size, len(alphabet), pooled)
        learnt = Learned.of(learned, sizes, reader.hop)
        linear = linear_words(learned, reader, alphabet) if self.mode == "words" else None
        changed = reader
        if self.augmentation is not None:
            changed = partial(reader.augmented, augmentation=self.augmentation)
        train, validate = prepared.items(learned, changed), prepared.items(judged, reader)
        try:
            result = fit(
                network,
                speech_loss,
                train,
                validate if judged else None,
                self.training or TRAINING,
                seed=int(self.seed),
                checkpoint=checkpoint,
                resume=resume,
                settings={
                    **{k: v for k, v in self._settings().items() if k != "training"},
                    "data": fingerprint(learned, sizes),
                    "validation": fingerprint(judged, sizes),
                },
                after_epoch=after_epoch,
            )
        except Interrupted:
            self._become(network, alphabet, reader, words, learnt, linear, ())
            raise
        self._become(network, alphabet, reader, words, learnt, linear, result.history)
        if judged:
            judge = self._hearing(means=reader.means)
            self.validation_ = judge._evaluated(judged[:_MOST_JUDGED])
            self._card = speech_card(self)
        return self

    def decoder(self, search: CtcSearch | None = None, language: Any = None) -> CtcDecoder:
        """What finds words in what the network says, for `transcribe` and the others.

        search: its rules; by default the likeliest token of each step is taken, or a beam searched
            where a language model helps.
        language: as for `fit`, by default that of `fit`; or a `TextGenerator` that learned texts
            by the same characters, or the folder of one.
        """
        self._check_fitted()
        tokens = tokens_of(language, self.alphabet_)
        words = words_of(language) if tokens is None and language is not None else self.language_
        if search is None:
            search = GREEDY if words is None and tokens is None else CtcSearch()
        return CtcDecoder(self.alphabet_, search, words, tokens)

    def transcribe(self, source: Any, decoder: CtcDecoder | None = None) -> Transcript:
        """What is said in a recording: a path, a Recording, or (samples, rate).

        However long a file of sound is, only a part of it is in memory. One longer than half a
        minute is cut where it is quiet, for a network that reads in both directions.
        """
        self._check_fitted()
        if self.network_.pooled:
            return self._whole(source, decoder)
        if self.look_ahead is not None:
            stream, found = self.stream(self.rate, decoder=decoder), []
            for part in self.reader_.parts(source):
                found += stream.push(part)
            found += stream.finish()
            return Transcript(tuple(found), stream.heard)
        decoding, found, frames = self._decoding(decoder), [], 0
        for piece in self.reader_.pieces(source, self.stride):
            frames += len(piece)
            chances = self._chances(self.reader_.normalized(piece))
            found += decoding.push(chances, by_step(self.reader_.loudness(piece), self.stride))
        found += decoding.finish()
        return Transcript(tuple(found), frames * self.reader_.hop)

    def predict(self, sources: Sequence[Any], decoder: CtcDecoder | None = None) -> list[str]:
        """The text of each of several recordings."""
        decoder = decoder or self.decoder()
        return [self.transcribe(source, decoder).text for source in sources]

    def recognize(self, source: Any, threshold: float = THRESHOLD) -> WordAnswer:
        """Which word a recording is: a path, a Recording, or (samples, rate); in mode "words".

        threshold: a word with less chance is rejected. Recordings with an empty text teach what is
            none of the words.
        """
        self._check_words(threshold)
        return word_answer(self.log_chances(source), self.alphabet_, threshold)

    def spot(self, source: Any, threshold: float = THRESHOLD) -> list[Detection]:
        """The words in a recording of any length, with their times; in mode "words".

        With `look_ahead`, words that were learned one by one are found one after another; without,
        some recordings of the training must have several, as those of
        `grukit.data.synthetic_speech.spoken_strings`, or a ParameterError is raised. The segments
        of `stream` have the same words.
        """
        self._check_words(threshold)
        if self.network_.pooled:
            wanted = "set to find words, or several words in some recordings of the training"
            raise ParameterError(must_be("look_ahead", wanted, self.look_ahead))
        return detections(self.transcribe(source).segments, threshold)

    def stream(
        self,
        rate: int | None = None,
        channels: int = 1,
        encoding: str = "s16le",
        decoder: CtcDecoder | None = None,
        endpoint: Endpoint | None = None,
    ) -> SpeechStream:
        """A stream of speech; ParameterError for a recognizer without `look_ahead`.

        rate, channels, encoding: of the sound that comes; by default the rate is the recognizer's.
        endpoint: when a segment ends; by default after 0.8 seconds of silence, and in mode "words"
            after 0.3.
        """
        self._check_fitted()
        return SpeechStream(self, self._decoding(decoder, endpoint), rate, channels, encoding)

    def plot(self, source: Any, transcript: Transcript | None = None) -> SpectrogramDisplay:
        """A picture of the features of a recording, and above them what is said in it.

        transcript: what `transcribe` says of it, where that is known.
        """
        from grukit.plots.speech import SpectrogramDisplay

        self._check_fitted()
        said = self.transcribe(source) if transcript is None else transcript
        frames = raw_frames(source, self.reader_.features, self.reader_.size)
        return SpectrogramDisplay(frames, self.reader_.hop, said.words)

    def evaluate(
        self, data: Any, decoder: CtcDecoder | None = None
    ) -> SpeechEvaluation | WordsEvaluation:
        """The errors in words and characters, beside baselines; data as for `fit`.

        In mode "words", where each recording is one word or none, how often it is recognized.
        With `speaker`, the model is adapted to each speaker by all recordings of theirs in `data`.

        Raises DataError for recordings that cannot be read.
        """
        self._check_fitted()
        every = recordings(data, self.audio, self.text, self.speaker)
        if self.speaker is None:
            return self._evaluated(every, decoder)
        means = speaker_means(every, self.reader_.features, self.reader_.size)
        return self._hearing(means=means)._evaluated(every, decoder)

    def adapted(self, sources: Sequence[Any]) -> Self:
        """A copy that expects the voice and the microphone of some recordings.

        sources: paths, Recordings, or (samples, rate), the more the better; what is said in them
            need not be known.

        Raises ParameterError for a recognizer that was not trained with `speaker`.
        """
        self._check_fitted()
        if self.speaker is None:
            raise ParameterError(must_be("speaker", "a column in training", self.speaker))
        mean = mean_frames(sources, self.reader_.features, self.reader_.size)
        return self._hearing(normalization=replace(self.reader_.normalization, mean=mean))

    def _hearing(self, **changes: Any) -> Self:
        """A copy with another reader."""
        other = copy.copy(self)
        other.reader_ = replace(self.reader_, **changes)
        return other

    def log_chances(self, source: Any) -> np.ndarray:
        """The ln of the chances of all tokens at every step of a recording, float32 [T', V].

        Step k is about the moment `k * step_` of it. There is but one where the network answers
        once for the whole: in mode "words", learned from single words without `look_ahead`.
        """
        self._check_fitted()
        return self._chances(self.reader_(source))

    @property
    def step_(self) -> float:
        """The seconds from step to step of the network."""
        return self.reader_.hop * self.stride

    def _whole(self, source: Any, decoder: CtcDecoder | None) -> Transcript:
        """Of a recording of one word: one step, which lasts as long as the recording."""
        raw = raw_frames(source, self.reader_.features, self.reader_.size)
        seconds = len(raw) * self.reader_.hop
        if not seconds:
            return Transcript((), 0.0)
        decoding = Decoding(decoder or self.decoder(), _ENDPOINTS[self.mode], seconds, False)
        chances = self._chances(self.reader_.normalized(raw, getattr(source, "speaker", "")))
        found = decoding.push(chances, by_step(self.reader_.loudness(raw), len(raw)))
        return Transcript((*found, *decoding.finish()), seconds)

    def _chances(self, frames: np.ndarray) -> np.ndarray:
        """Of normalized frames [T, F]."""
        if self.network_.pooled and not (frames != frames[:1]).any():
            frames = frames[:0]  # nothing is said where all is the same
        with torch.no_grad():
            logits, _ = self.network_(torch.from_numpy(frames)[None], torch.tensor([len(frames)]))
            return log_softmax(logits[0], -1).numpy()

    def _decoding(self, decoder: CtcDecoder | None, endpoint: Endpoint | None = None) -> Decoding:
        rules = endpoint or _ENDPOINTS[self.mode]
        return Decoding(decoder or self.decoder(), rules, self.step_, self.look_ahead is not None)

    def _evaluated(
        self, every: Sequence[Recording], decoder: CtcDecoder | None = None
    ) -> SpeechEvaluation | WordsEvaluation:
        if self.mode == "words" and decoder is None:
            return judged_words(self, every)
        decoder, texts, seconds = decoder or self.decoder(), [], 0.0
        started = time.perf_counter()
        for one in every:
            answer = self.transcribe(one, decoder)
            texts.append(answer.text)
            seconds += answer.duration
        took = time.perf_counter() - started
        return speech_evaluation(
            f"grukit {NAMES[self.cell]}",
            texts,
            [one.text for one in every],
            self.learned_.most_frequent,
            seconds,
            took,
        )

    def _check_words(self, threshold: float) -> None:
        self._check_fitted()
        check({"threshold": threshold}, {"threshold": number(at_least=0, at_most=1)})
        if self.mode != "words":
            raise ParameterError(must_be("mode", "'words' to recognize single words", self.mode))

    def save(self, path: str | Path) -> None:
        """Write the model folder in one switch; an error or a crash leaves an older one whole."""
        self._check_fitted()
        ready = self.reader_.features is None
        config = {
            "task": self.task,
            "settings": self._settings(),
            "ready-made features": ready,
            "learned": self.learned_._asdict(),
            "pooled": self.network_.pooled,
        }
        tensors = {f"network.{name}": own for name, own in self.network_.state_dict().items()}
        for name in ("mean", "deviation"):
            tensors[name] = torch.from_numpy(getattr(self.reader_.normalization, name))
        tensors |= tensors_of(self.linear_)
        weights = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()})
        texts = {"README.md": self._card, "alphabet.json": self.alphabet_.to_json()}
        if self.language_ is not None:
            texts[_ARPA] = self.language_.to_text()
        write_model_folder(path, config, weights, texts)

    @classmethod
    def _of_folder(
        cls, config: dict[str, Any], tensors: dict[str, Tensor], texts: dict[str, str]
    ) -> Self:
        settings = settings_of(config)
        if settings["augmentation"] is not None:
            settings["augmentation"] = Augmentation(**settings["augmentation"])
        self = cls(**settings)
        check(vars(self), RULES)
        alphabet = Alphabet.from_json(texts["alphabet.json"])
        mean, deviation = (tensors.pop(name).numpy() for name in ("mean", "deviation"))
        linear = linear_of(tensors)
        features = None if config["ready-made features"] else features_of(self)
        size = len(mean) if features is None else features.size
        if mean.shape != (size,) or deviation.shape != (size,):
            raise ValueError(must_be("mean and deviation", f"of shape {[size]}", mean.shape))
        hop = features.hop if features else self.hop_ms / 1000
        live, cepstra = self.look_ahead is not None, self.features == "mfcc"
        normalization = Normalization(mean, deviation)
        words_only = self.mode == "words"
        reader = SpeechReader(features, size, hop, normalization, live, cepstra, words_only)
        # Folders of older versions have no such network.
        network = self._new_network(size, len(alphabet), config.get("pooled", False))
        network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items()})
        words = NgramModel.from_text(texts[_ARPA]) if _ARPA in texts else None
        learnt = Learned(**config["learned"])
        self._become(network, alphabet, reader, words, learnt, linear, ())
        self._card = texts["README.md"]
        return self

    def _become(
        self,
        network: SpeechNetwork,
        alphabet: Alphabet,
        reader: SpeechReader,
        words: NgramModel | None,
        learned: Learned,
        linear: LinearWords | None,
        history: tuple[EpochRecord, ...],
    ) -> None:
        self.network_, self.alphabet_ = network.cpu().eval(), alphabet
        self.reader_ = replace(reader, means={})
        self.language_, self.learned_, self.linear_ = words, learned, linear
        self.history_, self.validation_ = history, None
        self._card = speech_card(self)

    def _is_pooled(self, every: Sequence[Recording], alphabet: Alphabet) -> bool:
        """Whether one answer for each recording is enough."""
        single = all(len(alphabet.encode(one.text)) <= 1 for one in every)
        return self.mode == "words" and self.look_ahead is None and single

    def _new_network(self, features: int, outputs: int, pooled: bool) -> SpeechNetwork:
        ahead = frames_ahead(self.look_ahead, self.hop_ms, self.stride)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.seed))
            return SpeechNetwork(
                features,
                outputs,
                self.hidden_size,
                self.num_layers,
                self.stride,
                ahead,
                self.dropout,
                self.cell,
                pooled,
            )
