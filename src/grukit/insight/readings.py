"""How each kind of model is made to read an input while its layers are recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.data.texts import pieces as pieces_of_file
from grukit.data.tokenizers import WordTokenizer
from grukit.insight.features import text_features, word_ends
from grukit.results.conversion import iso


@dataclass(frozen=True, eq=False)
class Steps:
    """What T steps of a layer are about; see `GateRecord`.

    of: what was read, where the input has more.
    """

    labels: Sequence[str]
    step: str = "step"
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    boundaries: np.ndarray | None = None
    picture: np.ndarray | None = None
    of: str = ""


@dataclass(frozen=True, eq=False)
class Reading:
    """A network, what to call to make it read, and what the steps of a layer are.

    about: by the number of steps; steps of any other number have numbers as labels.
    """

    network: nn.Module
    run: Callable[[], Any]
    about: Mapping[int, Steps]


def of_module(network: nn.Module, input: Any) -> Reading:
    """Of any network: it is called with the input, a tensor or what torch.as_tensor takes."""
    if not isinstance(input, (torch.Tensor, tuple)):  # a PackedSequence is a tuple
        values = np.asarray(input)
        if values.dtype.kind not in "fiub":
            wanted = "a tensor or an array of numbers, or a tuple of arguments"
            raise ParameterError(must_be("input", wanted, input))
        input = torch.as_tensor(values)
    own = next((p for p in network.parameters() if p.is_floating_point()), None)
    if own is not None and isinstance(input, torch.Tensor) and input.is_floating_point():
        input = input.to(own.dtype)
    given = input if type(input) is tuple else (input,)
    return Reading(network, lambda: network(*given), {})


def of_generator(model: Any, input: Any) -> Reading:
    """Of a TextGenerator, and a text or the Path of a file."""
    text = _text_of(input)
    pieces = model.tokenizer_.pieces(text)
    tokens = torch.from_numpy(model.tokenizer_.encode(text).astype(np.int64))
    # Before a text the model reads the end of the one before.
    labels, row = ["", *pieces], torch.cat([torch.tensor([model._end]), tokens])[None]
    return Reading(model.network_, lambda: model.network_(row), of_pieces(labels))


def of_classifier(model: Any, input: Any) -> Reading:
    """Of a TextClassifier, and a text."""
    text = _text_of(input)
    tokens = torch.from_numpy(model._cut(model.tokenizer_.encode(text)).astype(np.int64))
    pieces = model._cut(np.array(model.tokenizer_.pieces(text), object)).tolist()
    lengths = torch.tensor([len(tokens)])
    return Reading(
        model.network_,
        lambda: model.network_(tokens[None], lengths),
        _of_words(pieces) if model.tokenizer_.kind == WordTokenizer.kind else of_pieces(pieces),
    )


def of_translator(model: Any, input: Any) -> Reading:
    """Of the encoders of a Translator, and a text."""
    from grukit.decoding.interpreter import END, spaced, tokens_of

    text = _text_of(input)
    end = model.tokenizer_.special(END)
    row = torch.from_numpy(np.append(tokens_of(model.tokenizer_, text), end).astype(np.int64))
    pieces = [*model.tokenizer_.pieces(spaced(text)), ""]
    lengths = torch.tensor([len(row)])

    def run() -> None:
        for network in model.network_:
            network.start(row[None], lengths)

    return Reading(model.network_, run, of_pieces(pieces))


def of_forecaster(model: Any, input: Any) -> Reading:
    """Of a Forecaster, and a table as for `predict` (None: the end of the training data), or a
    tuple of that and the known-future covariates of the steps to come.

    Of several series the first is read, and named beside the layer.
    """
    from grukit.data.windows import Windows
    from grukit.nn.recursive import RecursiveForecaster
    from grukit.tasks.forecast_network import answer
    from grukit.tasks.forecast_origins import ahead_of
    from grukit.tasks.forecast_settings import columns_of

    known = model._model
    data, future = input if isinstance(input, tuple) else (input, None)
    encoded, at, _ = ahead_of(known, columns_of(model), data, future)
    batch = Windows(encoded, at[:1], known.shape).batch(torch.tensor([0]))
    lookback = known.shape.lookback
    times = encoded.times[at[0] - lookback : at[0]]
    past = batch.past[0].double().numpy()
    encoder = known.encoder
    covariates, issued = (
        [title for column in columns for title in column.titles]
        for columns in ((*encoder.past, *encoder.future), encoder.issued)
    )
    calendar = [f"calendar {name}" for name in encoder.calendar.feature_names]
    own = [model.target, "observed", f"change of {model.target}"]
    features = dict(zip([*own, *covariates, *calendar, *issued], past.T, strict=True))
    features = {name: values for name, values in features.items() if np.ptp(values) > 0}
    known_past = np.where(past[:, 1:2] > 0, past[:, :1], np.nan)
    if model.target in features:
        features[model.target] = known_past[:, 0]
    of = str(encoded.ids[0]) if len(encoded.ids) > 1 else ""
    steps = Steps(iso(times).tolist(), "row", features, None, known_past, of)
    about = {lookback: steps}
    network = known.network
    if isinstance(network, RecursiveForecaster):
        # The layer reads each value to answer for the next.
        ahead = batch.future.shape[-1]
        known_behind = batch.past[..., batch.past.shape[-1] - ahead :]
        given = batch.past[..., 0], batch.past[..., 1] > 0, known_behind

        def run() -> Any:
            return network(*given, batch.static, batch.series)

        about[lookback - 1] = _without_last(steps)
    else:

        def run() -> Any:
            return answer(network, batch)

        segment = getattr(network, "segment", None)
        if segment is not None:
            starts = range(-(-lookback % segment), lookback, segment)
            labels = [steps.labels[max(0, start)] for start in starts]
            about[len(labels)] = Steps(labels, "segment", of=of)
    return Reading(network, run, about)


def of_detector(model: Any, input: Any) -> Reading:
    """Of an AnomalyDetector, and a table as for `detect`; read as a new stream."""
    from grukit.tasks.anomaly_input import read_rows

    rows = read_rows(input, model.time, model.channels_)
    count = len(rows.values)
    labels = list(map(str, range(count))) if rows.times is None else iso(rows.times).tolist()
    scaled = model._stream.model.scaled(rows.values)
    features = dict(zip(rows.channels, scaled.T, strict=True))
    about = {count: Steps(labels, "row", features, None, scaled)}
    if model.network_.forecaster is not None:
        return Reading(model.network_.forecaster, lambda: model.decision_function(input), about)
    window = model._stream.model.window
    recent = torch.from_numpy(np.arcsinh(np.nan_to_num(scaled[-window:])).astype(np.float32))
    last = Steps(labels[-window:], "row", {k: v[-window:] for k, v in features.items()})
    network = model.network_.autoencoder
    return Reading(network, lambda: network(recent[None]), {len(recent): last})


def of_recognizer(model: Any, input: Any) -> Reading:
    """Of a SpeechRecognizer, and a recording as for `transcribe`; boundaries are ends of words."""
    from grukit.tasks.speech_reader import raw_frames

    frames = model.reader_(input)
    raw = raw_frames(input, model.reader_.features, model.reader_.size)[:: model.stride]
    labels = [f"{at * model.step_:.2f} s" for at in range(len(raw))]
    features = {"loudness": model.reader_.loudness(raw).astype(np.float64)}
    ends = np.zeros(len(raw), bool)
    for word in model.transcribe(input).words:
        ends[min(int(word.end / model.step_), len(raw) - 1)] = True
    steps = Steps(labels, "moment", features, ends, raw.astype(np.float64))
    return Reading(model.network_, lambda: model._chances(frames), {len(raw): steps})


READINGS: dict[str, Callable[[Any, Any], Reading]] = {
    "anomaly": of_detector,
    "classification": of_classifier,
    "forecast": of_forecaster,
    "generation": of_generator,
    "speech": of_recognizer,
    "translation": of_translator,
}
"""By the task of an estimator."""


def of_pieces(pieces: Sequence[str]) -> dict[int, Steps]:
    """Of signs or tokens that together are a text."""
    _check_any(pieces)
    single = all(len(piece) <= 1 for piece in pieces)
    step = "character" if single else "token"
    return {len(pieces): Steps(pieces, step, text_features(pieces), word_ends(pieces))}


def _of_words(words: Sequence[str]) -> dict[int, Steps]:
    """Of words without what is between them; each step is the end of one."""
    _check_any(words)
    features = text_features([f" {word}" for word in words])
    return {len(words): Steps(words, "word", features)}


def _check_any(pieces: Sequence[str]) -> None:
    if not any(pieces):
        raise DataError(must_be("the text", "at least one token long", "none"))


def _without_last(steps: Steps) -> Steps:
    features = {name: values[:-1] for name, values in steps.features.items()}
    picture = None if steps.picture is None else steps.picture[:-1]
    return Steps(steps.labels[:-1], steps.step, features, None, picture, steps.of)


def _text_of(input: Any) -> str:
    if isinstance(input, Path):
        input = "".join(piece for piece, _ in pieces_of_file(input))
    if not isinstance(input, str) or not input:
        raise DataError(must_be("the input", "a text that is not empty, or a Path", input))
    return input
