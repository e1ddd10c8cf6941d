"""Speech as it is heard: what was said so far, and what is final."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import log_softmax

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.data.audio import AudioStream
from grukit.results.transcript import Segment
from grukit.tasks.speech_decode import Decoding, by_step

if TYPE_CHECKING:
    from grukit.tasks.speech import SpeechRecognizer


class SpeechStream:
    """One stream of speech; its memory does not grow with what was heard.

    What it finds does not depend on the pieces in which speech comes. `heard` is how many seconds
    have come.

    rate, channels, encoding: of the raw PCM that comes, see `grukit.data.audio.AudioStream`; a
        recognizer of ready-made features takes frames [t, F] in place of sound.
    """

    def __init__(
        self,
        model: SpeechRecognizer,
        decoding: Decoding,
        rate: int | None = None,
        channels: int = 1,
        encoding: str = "s16le",
    ) -> None:
        if model.look_ahead is None:
            wanted = "a number of seconds for a stream: train with look_ahead=0.3, say"
            raise ParameterError(must_be("look_ahead", wanted, None))
        reader = model.reader_
        self._sound = self._frames = None
        if reader.features is not None:
            inner = reader.features.rate
            self._sound = AudioStream(rate or inner, inner, channels, encoding)
            self._frames = reader.features.stream()
        self._reader, self._stride = reader, model.stride
        self._normalized = reader.normalization.stream()
        self._network = model.network_.stream()
        self._decoding = decoding
        self._count = 0
        # Of the frames whose steps are still to come.
        self._loudness = np.zeros(0, np.float32)

    @property
    def heard(self) -> float:
        """The seconds of speech that have come, as far as they are whole frames."""
        return self._count * self._reader.hop

    @property
    def partial(self) -> Segment | None:
        """What is being said, as far as it is known; it may still change."""
        return self._decoding.partial()

    def push(self, data: Any) -> list[Segment]:
        """The segments that end with what comes now, final each.

        data: bytes, or samples [S] or [S, channels]; or frames [t, F] of ready-made features.
        """
        if self._sound is None or self._frames is None:
            return self._push(np.asarray(data))
        return self._push(self._frames.push(self._sound.push(data)))

    def finish(self) -> list[Segment]:
        """The last segments; nothing may come after it."""
        found = []
        if self._sound is not None and self._frames is not None:
            found = self._push(self._frames.push(self._sound.finish()))
        return [*found, *self._decoded(self._network.finish()), *self._decoding.finish()]

    def _push(self, frames: np.ndarray) -> list[Segment]:
        if frames.ndim != 2 or frames.shape[1] != self._reader.size:
            raise DataError(must_be("frames", f"of shape [t, {self._reader.size}]", frames.shape))
        if not np.isfinite(frames).all():
            raise DataError(must_be("frames", "finite", "NaN or infinity"))
        self._count += len(frames)
        self._loudness = np.concatenate([self._loudness, self._reader.loudness(frames)])
        normalized = torch.from_numpy(self._normalized.push(frames))
        return self._decoded(self._network.push(normalized))

    def _decoded(self, logits: torch.Tensor) -> list[Segment]:
        known = len(logits) * self._stride
        loudness, self._loudness = self._loudness[:known], self._loudness[known:]
        chances = log_softmax(logits, -1).numpy()
        return self._decoding.push(chances, by_step(loudness, self._stride))
