from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import ParameterError
from grukit.decoding.endpoint import Endpoint

RULES = Endpoint(after_speech=0.3, without_speech=0.5, longest=1.0)


def ends(text: str) -> list[int]:
    """Frames of a tenth of a second: "." says nothing."""
    return RULES.open(0.1).push(np.array([frame == "." for frame in text]))


def test_the_rules():
    assert ends("") == ends("....") == ends("a..") == ends("a..a..") == []
    assert ends(".....") == [5]
    assert ends("..........") == [5, 10]
    assert ends("..a...") == [6]
    assert ends("a...") == [4]
    assert ends("a...b...") == [4, 8]
    assert ends("a...........") == [4, 9]
    assert ends("a..a..a..a") == [10]
    assert ends("a..a..a..a...") == [10]


@given(st.text("a.", max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_pieces_change_nothing(text, cuts):
    stream, found, before = RULES.open(0.1), [], 0
    for cut in sorted({min(cut, len(text)) for cut in cuts} | {len(text)}):
        part = np.array([frame == "." for frame in text[before:cut]], bool)
        found += [before + end for end in stream.push(part)]
        before = cut
    assert found == ends(text)


def test_a_rule_lasts_for_a_frame_at_least():
    assert Endpoint(0.01, 0.01, 0.01).open(1.0).push(np.array([True, False])) == [1, 2]


def test_bad_rules_are_told():
    with pytest.raises(ParameterError, match="after_speech must be a number above 0, got 0"):
        Endpoint(after_speech=0)
