from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.data.tokenizers import learn_tokenizer
from grukit.decoding.text_stream import TextStream

BYTES, CHARACTERS = learn_tokenizer("byte", []), learn_tokenizer("char", ["ab"])
PAIRS = learn_tokenizer("bpe", ["ab"], 258)
_PLAIN = [*range(33, 127), *range(161, 173), *range(174, 256)]
_REST = [byte for byte in range(256) if byte not in _PLAIN]


def byte_pair(byte: int) -> int:
    """The token of a byte, by the table of Radford et al. 2019."""
    name = chr(byte if byte in _PLAIN else 256 + _REST.index(byte))
    return PAIRS.library.token_to_id(name)


OF_BYTE = {"byte": lambda byte: [byte], "char": lambda byte: divmod(byte, 16)}
OF_BYTE["bpe"] = lambda byte: [byte_pair(byte)]


def pieces(text: str, tokenizer=BYTES, stop=()) -> tuple[list[str], TextStream]:
    stream = TextStream(tokenizer, stop)
    found = []
    for token in tokenizer.encode(text).tolist():
        found.append(stream.add(token))
        if stream.stopped:
            return found, stream
    return [*found, stream.finish()], stream


@pytest.mark.parametrize("tokenizer", [BYTES, CHARACTERS], ids=["byte", "char"])
@given(text=st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_the_pieces_are_the_text(tokenizer, text):
    found, _ = pieces(text, tokenizer)
    assert "".join(found) == text


def test_half_a_character_waits_for_the_rest():
    assert pieces("aé")[0] == ["a", "", "é", ""]
    stream = TextStream(BYTES)
    assert stream.add(0xC3) == ""
    assert stream.finish() == "\ufffd"
    assert [stream.add(0xFF) for _ in range(9)] == [""] * 7 + ["\ufffd"] * 2


@pytest.mark.parametrize("tokenizer", [BYTES, CHARACTERS, PAIRS], ids=["byte", "char", "bpe"])
@given(
    st.lists(st.sampled_from(["é", "\ufffd", "🙂", b"\xff", b"\xe2\x82", b"\xf0\x9f"]), max_size=20)
)
@settings(max_examples=300, deadline=None)
def test_broken_characters_come_as_they_would_all_at_once(tokenizer, parts):
    tokens = []
    for part in parts:
        for byte in part if isinstance(part, bytes) else part.encode():
            tokens += OF_BYTE[tokenizer.kind](byte)
    stream = TextStream(tokenizer)
    found = [stream.add(token) for token in tokens]
    assert "".join([*found, stream.finish()]) == tokenizer.decode(tokens)
    together = TextStream(tokenizer)
    assert together.add(*tokens) + together.finish() == tokenizer.decode(tokens)


def test_what_may_be_a_stop_string_waits():
    found, stream = pieces("say abc, abd!", stop=("abd",))
    assert "".join(found) == "say abc, "
    assert stream.stopped
    assert pieces("ab", stop=("abd",))[0] == ["", "", "ab"]
    assert pieces("aab", stop=("aabc", "b"))[0] == ["", "", "aa"]


@given(st.text("ab", max_size=20), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
@settings(max_examples=300, deadline=None)
def test_the_text_ends_before_the_first_stop_string(text, stop):
    found, stream = pieces(text, stop=stop)
    # The first to be complete ends it; of those complete at one place the one that began first.
    ends = [at for at in range(1, len(text) + 1) if any(s in text[:at] for s in stop)]
    read = text[: ends[0]] if ends else text
    expected = min((read.find(s) for s in stop if s in read), default=len(text))
    assert "".join(found) == text[:expected]
    assert stream.stopped == bool(ends)
