"""The native search finds what its reference finds, in the same order, however it is called."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from ctc_cases import ALPHABETS, MODELS, posteriors, rules, token_chances
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.core import clib
from grukit.core.errors import BackendError, ParameterError
from grukit.ops.ctc.contract import Rules
from grukit.ops.ctc.native import NativeRules, NativeSearch, push
from grukit.ops.ctc.reference import ReferenceSearch

pytestmark = pytest.mark.needs_core
PLAIN = Rules(((), (97,), (98,)), beam=4)


class Asked:
    """A model of tokens as the native search asks it: rows keep the texts that they stand for."""

    def __init__(self, chances) -> None:
        self.chances, self.texts = chances, {-1: ()}

    def answer(self, search: NativeSearch) -> bool:
        wanted = search.wanted()
        if not len(wanted.row):
            return False
        texts = [
            () if before < 0 else (*self.texts[before], token)
            for before, token in zip(wanted.before.tolist(), wanted.token.tolist(), strict=True)
        ]
        self.texts.update(zip(wanted.row.tolist(), texts, strict=True))
        search.give(np.stack([self.chances(text) for text in texts]))
        return True


def run(search, x, asked=None):
    """Push frames, and answer what is asked."""
    while True:
        if asked:
            asked.answer(search)
        if not len(x):
            return
        x = x[search.push(x) :]


def same(found, wanted):
    assert [one.tokens for one in found] == [one.tokens for one in wanted]
    assert [one.frames for one in found] == [one.frames for one in wanted]
    assert [one.whole for one in found] == [one.whole for one in wanted]
    for name in ("peaks", "log_chance", "score"):
        pairs = zip(found, wanted, strict=True)
        for own, other in ((getattr(a, name), getattr(b, name)) for a, b in pairs):
            assert own == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("alphabet", ALPHABETS)
@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    frames=st.integers(0, 25),
    sharpness=st.sampled_from([0.3, 2.0, 6.0]),
    beam=st.sampled_from([1, 2, 5, 16]),
    least=st.sampled_from([-np.inf, -4.0]),
    window=st.sampled_from([np.inf, 6.0]),
    rounded=st.booleans(),
)
def test_native_is_the_reference(
    alphabet, model, seed, frames, sharpness, beam, least, window, rounded
):
    own = rules(alphabet, model, beam=beam, least=least, window=window)
    x = posteriors(seed, frames, len(own.letters), sharpness)
    if rounded and model == "nothing":
        x = np.round(x * 2) / 2  # so that many are equal, and ties are broken alike
    chances = token_chances(len(own.letters), seed) if model == "all" else None
    reference, native = ReferenceSearch(own, chances), NativeSearch(NativeRules(own))
    asked = Asked(chances) if chances else None
    for part in np.array_split(x, 3):
        reference.push(part)
        run(native, part, asked)
        for final in (False, True):
            same(native.best(beam, final), reference.best(beam, final))


def test_a_long_recording_is_searched_as_the_reference_does():
    """The trees are swept on the way, while beginnings are given up and taken up again."""
    own = Rules(((), (97,), (98,)), beam=30)
    x = posteriors(0, 600, 3, 1.0)
    reference, native = ReferenceSearch(own), NativeSearch(NativeRules(own))
    for part in np.split(x, 30):
        reference.push(part)
        native.push(part)
        same(native.best(30), reference.best(30))


def test_a_very_long_recording_in_parts_is_as_the_whole():
    own = NativeRules(rules("characters", "words", beam=8))
    x = posteriors(1, 3000, 4, 3.0)
    whole, parts = NativeSearch(own), NativeSearch(own)
    whole.push(x)
    for frame in x:
        parts.push(frame[None])
    assert parts.best(8, final=True) == whole.best(8, final=True)
    assert len(whole.best(1)[0].tokens) > 500


def test_after_a_reset_all_is_as_at_first():
    own = rules("characters", "all", beam=6)
    chances = token_chances(4)
    search, x = NativeSearch(NativeRules(own)), posteriors(2, 12, 4)
    run(search, x, Asked(chances))
    first = search.best(6, final=True)
    run(search, posteriors(3, 5, 4), Asked(chances) if search.reset() is None else None)
    search.reset()
    run(search, x, Asked(chances))
    assert search.best(6, final=True) == first


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_neighbours_change_nothing(threads):
    own = NativeRules(rules("characters", "words", beam=8))
    recordings = [posteriors(seed, 7 * seed, 4, 2.0) for seed in range(9)]
    searches = [NativeSearch(own) for _ in recordings]
    assert push(searches, recordings, threads) == [len(x) for x in recordings]
    for search, x in zip(searches, recordings, strict=True):
        alone = NativeSearch(own)
        alone.push(x)
        assert search.best(8, final=True) == alone.best(8, final=True)


def test_a_search_stops_where_it_wants_chances():
    search = NativeSearch(NativeRules(rules("characters", "all", beam=4)))
    x = posteriors(0, 5, 4)
    assert search.push(x) == 0
    wanted = search.wanted()
    assert (wanted.before.tolist(), wanted.row.tolist()) == ([-1], [0])
    with pytest.raises(BackendError, match="chances of the next tokens must be given first"):
        search.best(1)
    with pytest.raises(ParameterError, match=r"chances must be of shape \(1, 4\), got \(2, 4\)"):
        search.give(np.zeros((2, 4)))
    search.give(np.zeros((1, 4)))
    assert search.push(x) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused_and_changes_nothing(value):
    search, x = NativeSearch(NativeRules(PLAIN)), posteriors(0, 4, 3)
    search.push(x)
    before = search.best(4)
    bad = x.copy()
    bad[2, 1] = value
    with pytest.raises(BackendError, match=f"log_probs must be numbers, got {value} at frame 2"):
        search.push(bad)
    assert search.best(4) == before


def test_a_search_outlives_its_rules():
    own = NativeRules(PLAIN)
    gone, search = weakref.ref(own), NativeSearch(own)
    del own
    gc.collect()
    assert gone() is None
    search.push(posteriors(0, 4, 3))
    assert search.best(1)[0].log_chance < 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("vocabulary", 0, "vocabulary must be from 1 to"),
        ("beam", 0, "beam must be from 1 to"),
        ("window", -1.0, "window must be at least 0"),
        ("letters_begin", 0, "letters_begin must be given"),
        ("weight", np.nan, "every weight must be finite, got nan"),
        ("ngrams.begin", 0, "ngrams.begin must be given"),
        ("start", 10**6, "start must be from 0 to below"),
        ("word", 0, "word must be given"),
        ("phrases.next", 0, "phrases.label and next must be given"),
        ("fail", 0, "fail must be given"),
    ],
)
def test_rules_that_are_not_valid_are_refused(monkeypatch, field, value, message):
    at = clib.CTC_FIELDS.index(field)
    pack = clib.ctc_rules

    def packed(*values):
        return pack(*values[:at], value, *values[at + 1 :])

    monkeypatch.setattr(clib, "ctc_rules", packed)
    with pytest.raises(BackendError, match=message):
        NativeRules(rules("characters", "all"))
