"""Text that comes token by token."""

from __future__ import annotations

from collections.abc import Sequence

from grukit.data.tokenizers import REPLACEMENT, Tokenizer

# A character of UTF-8 has at most four bytes, of at most two tokens each.
_LONGEST_CHARACTER = 8


class TextStream:
    """Tokens go in, and text comes out as soon as nothing can change it any more.

    Half of a character waits for the rest of it, and what may be the beginning of a stop string
    for what follows. Work and memory per token do not grow.

    stop: texts that end it; they and what follows them do not come out.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        self._tokenizer, self._stop = tokenizer, tuple(stop)
        self._tokens: list[int] = []
        self._held = ""

    def add(self, *tokens: int) -> str:
        """The text that is certain now."""
        self._tokens += tokens
        text = self._tokenizer.decode(self._tokens)
        if not text.endswith(REPLACEMENT):
            self._tokens = []
        elif len(self._tokens) < _LONGEST_CHARACTER:
            return ""
        else:
            text = self._first_whole(text)
        return self._past_stops(text)

    def finish(self) -> str:
        """What was held back, where no more tokens come."""
        if self.stopped:
            return ""
        text = self._past_stops(self._tokenizer.decode(self._tokens))
        self._tokens = []
        if not self.stopped:
            text, self._held = text + self._held, ""
        return text

    def _first_whole(self, text: str) -> str:
        """Where the end may be half a character: what comes before it."""
        for count in range(len(self._tokens) - _LONGEST_CHARACTER + 1, len(self._tokens)):
            first = self._tokenizer.decode(self._tokens[:count])
            rest = self._tokenizer.decode(self._tokens[count:])
            # Inside of a character the cut would make two of it.
            if first + rest == text:
                self._tokens = self._tokens[count:]
                return first
        self._tokens = []
        return text

    def _past_stops(self, text: str) -> str:
        held = self._held + text
        found = [at for stop in self._stop if (at := held.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return held[: min(found)]
        wait = max((_overlap(held, stop) for stop in self._stop), default=0)
        self._held = held[len(held) - wait :]
        return held[: len(held) - wait]


def _overlap(text: str, stop: str) -> int:
    """How long the longest end of `text` is that `stop` begins with."""
    return next(
        (n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0
    )
