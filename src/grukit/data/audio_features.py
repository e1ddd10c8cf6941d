"""From samples to frames of features, by Kaldi's own code: log-mel energies or MFCC.

A file and a stream go through the same lines, so that frames depend on samples alone, bit for bit,
and not on how they came. A frame is a whole window of samples (Kaldi's snip_edges); there is no
dither; samples are scaled to the range of int16, as Kaldi's users expect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.extras import require
from grukit.core.rules import check, integer, number, one_of
from grukit.data.audio import check_rate

_FULL_SCALE = 32768
_RULES = {
    "kind": one_of("log-mel", "mfcc"),
    "bins": integer(at_least=2),
    "coefficients": integer(at_least=1),
    "window_ms": number(above=0),
    "hop_ms": number(above=0),
}


@dataclass(frozen=True)
class Features:
    """Which features: a float32 row for each `hop_ms` of sound, from the `window_ms` around it.

    >>> features = Features(rate=8000)
    >>> features.of(np.zeros(8000, np.float32)).shape
    (98, 40)

    kind: "log-mel", the logarithms of the energies in `bins` bands, triangles on the mel scale; or
        "mfcc", the first `coefficients` of their cosine transform (Davis and Mermelstein 1980).
    rate: samples a second.

    Raises ParameterError for settings outside their rules.
    """

    kind: str = "log-mel"
    rate: int = 16000
    bins: int = 40
    coefficients: int = 13
    window_ms: float = 25.0
    hop_ms: float = 10.0

    def __post_init__(self) -> None:
        check(vars(self), _RULES)
        check_rate("rate", self.rate)
        if self.kind == "mfcc" and self.coefficients > self.bins:
            wanted = f"at most the number of bins ({self.bins})"
            raise ParameterError(must_be("coefficients", wanted, self.coefficients))
        if self._hop_samples < 1 or self._window_samples < 2:
            wanted = "long enough for a sample at this rate"
            raise ParameterError(must_be("window_ms and hop_ms", wanted, self.window_ms))

    @property
    def size(self) -> int:
        """How many features a frame has, F."""
        return self.bins if self.kind == "log-mel" else self.coefficients

    @property
    def hop(self) -> float:
        """The seconds from the start of a frame to that of the next."""
        return self._hop_samples / self.rate

    @property
    def window(self) -> float:
        """The seconds of sound that a frame is made of."""
        return self._window_samples / self.rate

    def of(self, samples: np.ndarray) -> np.ndarray:
        """The frames of float samples [S] in -1..1, float32 [T, F].

        Sound shorter than a window has no frame. Raises DataError for samples that are not finite.
        """
        return self.stream().push(samples)

    def stream(self) -> FeatureStream:
        """The same frames from sound that comes in pieces."""
        return FeatureStream(self)

    # Kaldi cuts off, where it might round.
    @property
    def _hop_samples(self) -> int:
        return int(self.rate * 0.001 * self.hop_ms)

    @property
    def _window_samples(self) -> int:
        return int(self.rate * 0.001 * self.window_ms)

    def _extractor(self) -> Any:
        kaldi = require("kaldi_native_fbank")
        is_mel = self.kind == "log-mel"
        options = kaldi.FbankOptions() if is_mel else kaldi.MfccOptions()
        options.frame_opts.dither = 0
        options.frame_opts.snip_edges = True
        options.frame_opts.samp_freq = self.rate
        options.frame_opts.frame_length_ms = self.window_ms
        options.frame_opts.frame_shift_ms = self.hop_ms
        options.mel_opts.num_bins = self.bins
        options.use_energy = False
        if not is_mel:
            options.num_ceps = self.coefficients
        try:
            return kaldi.OnlineFbank(options) if is_mel else kaldi.OnlineMfcc(options)
        except ValueError as error:
            wanted = f"fewer, for windows of {self._window_samples} samples: {error}"
            raise ParameterError(must_be("bins", wanted, self.bins)) from error


class FeatureStream:
    """Frames of sound that comes in pieces; memory does not grow with what has passed.

    >>> stream = Features(rate=8000).stream()
    >>> [len(stream.push(np.zeros(120, np.float32))) for _ in range(4)]
    [0, 1, 2, 1]
    """

    def __init__(self, features: Features) -> None:
        self._features, self._extractor = features, features._extractor()
        self._taken = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The frames that these samples complete, float32 [t, F].

        samples: floats [S] in -1..1. Raises DataError for another shape, and if any is not finite.
        """
        samples = np.asarray(samples)
        if samples.ndim != 1 or samples.dtype.kind != "f":
            what = f"{samples.dtype} of shape {samples.shape}"
            raise DataError(must_be("samples", "floats of shape [S]", what))
        if not np.isfinite(samples).all():
            raise DataError(must_be("samples", "finite", "NaN or infinity"))
        rate = self._features.rate
        parts = [self._frames(samples[at : at + rate]) for at in range(0, len(samples), rate)]
        return np.concatenate(parts) if parts else self.finish()

    def finish(self) -> np.ndarray:
        """No frames, float32 [0, F]: what is held is less than a window."""
        return np.zeros((0, self._features.size), np.float32)

    def _frames(self, samples: np.ndarray) -> np.ndarray:
        scaled = samples.astype(np.float32) * np.float32(_FULL_SCALE)
        self._extractor.accept_waveform(self._features.rate, scaled)
        ready = self._extractor.num_frames_ready
        found = np.empty((ready - self._taken, self._features.size), np.float32)
        for place, frame in zip(found, range(self._taken, ready), strict=True):
            place[:] = self._extractor.get_frame(frame)
        self._extractor.pop(len(found))
        self._taken = ready
        return found
