"""The decoder that users call, for every kind of alphabet."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.core import clib
from grukit.core.errors import DataError, ParameterError
from grukit.data.alphabet import Alphabet
from grukit.data.tokenizers import learn_tokenizer
from grukit.decoding.ctc import GREEDY, CtcDecoder, CtcSearch
from grukit.decoding.endpoint import Endpoint
from grukit.decoding.ngram import NgramModel
from grukit.decoding.token_model import TokenModel
from grukit.nn.language_model import LanguageModel

CHARACTERS = Alphabet("char", ["", " ", "a", "b", "c"])
WORDS = Alphabet("word", ["", "ab", "ba", "c"])
PIECES = Alphabet(
    "bpe", ["", "a", "b", "▁", "▁a", "▁b", "▁ab"], [("▁", "a"), ("▁", "b"), ("▁a", "b")]
)
LINES = ["ab ba", "ab c", "ba ba ab", "c"]
MODEL = NgramModel.learn(LINES)
CORES = [pytest.param(True, marks=pytest.mark.needs_core), False]
both = pytest.mark.parametrize("core", CORES, indirect=True, ids=["native", "python"])


@pytest.fixture
def core(request, monkeypatch):
    """Whether there is a native core."""
    if not request.param:
        monkeypatch.setattr(clib, "why_missing", lambda: "none")


def posteriors(seed, *shape, sharpness=2.0):
    logits = np.random.default_rng(seed).normal(size=shape) * sharpness
    return (logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)).astype(np.float32)


def saying(alphabet: Alphabet, *spoken: dict[str, float]) -> np.ndarray:
    """Frames with these chances of tokens by name, blanks between them; the rest is shared."""
    rows = []
    for chances in spoken:
        for one in (chances, {"": 0.98}):
            rest = (1 - sum(one.values())) / (len(alphabet) - len(one))
            rows.append([one.get(name, rest) for name in alphabet.tokens])
    return np.log(np.array(rows))[None]


def text(alphabet, decoder, x):
    return alphabet.decode(decoder.decode(x)[0][0].tokens)


def token_model(alphabet=CHARACTERS, cell="gru"):
    tokenizer = learn_tokenizer("char", ["abc "], specials=("<end>",))
    torch.manual_seed(1)
    network = LanguageModel(len(tokenizer), 8, 12, num_layers=2, cell=cell)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(2)
    return TokenModel(network.eval(), tokenizer, alphabet)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, 20))
def test_greedy_takes_the_likeliest_token_of_each_frame(seed, frames):
    x = posteriors(seed, frames, 5)
    (found,) = CtcDecoder(CHARACTERS, GREEDY).decode(x[None])[0]
    best = x.argmax(axis=1).tolist()
    runs = [
        (token, [f for f, _ in run])
        for token, run in itertools.groupby(enumerate(best), lambda p: p[1])
    ]
    spoken = [(token, run) for token, run in runs if token]
    assert found.tokens == tuple(token for token, _ in spoken)
    assert found.frames == tuple(max(run, key=lambda f: x[f, token]) for token, run in spoken)
    assert (
        found.log_chance
        == found.score
        == pytest.approx(x.max(axis=1).sum() if frames else 0, abs=1e-4)
    )


@both
def test_a_batch_is_as_its_recordings_alone(core):
    x = posteriors(0, 4, 30, 5)
    lengths = [30, 0, 7, 19]
    x[1, :] = np.nan  # what stands past a length may be anything
    decoder = CtcDecoder(CHARACTERS, CtcSearch(beam=6), MODEL, threads=3)
    together = decoder.decode(x, lengths, count=6)
    for row, length, own in zip(x, lengths, together, strict=True):
        assert decoder.decode(row[None, :length], count=6) == [own]
    assert len(together[0]) == 6
    assert together[1] == [((), (), (), 0.0, together[1][0].score)]
    assert [one.score for one in together[0]] == sorted(
        (o.score for o in together[0]), reverse=True
    )


@pytest.mark.needs_core
@pytest.mark.parametrize("alphabet", [CHARACTERS, WORDS, PIECES], ids=lambda a: a.kind)
@pytest.mark.parametrize("closed", [False, True])
def test_with_and_without_the_core_the_same_is_found(monkeypatch, alphabet, closed):
    search = CtcSearch(
        beam=5,
        closed=closed,
        hot_words={"ba ab": 2.0, "c": 1.0} if "c" in alphabet.tokens else {"ba": 1.0},
    )
    tokens = token_model() if alphabet is CHARACTERS else None
    x = posteriors(3, 3, 20, len(alphabet))
    native = CtcDecoder(alphabet, search, MODEL, tokens).decode(x, count=5)
    monkeypatch.setattr(clib, "why_missing", lambda: "none")
    plain = CtcDecoder(alphabet, search, MODEL, tokens).decode(x, count=5)
    for own, other in zip(native, plain, strict=True):
        assert [one[:2] for one in own] == [one[:2] for one in other]
        for one, two in zip(own, other, strict=True):
            assert one.score == pytest.approx(two.score, abs=1e-5)
            assert one.confidences == pytest.approx(two.confidences, abs=1e-5)


@both
def test_a_model_of_words_decides_between_words_that_sound_alike(core):
    alphabet = Alphabet("char", ["", " ", "e", "r", "t", "w", "o"])
    x = saying(alphabet, {"t": 0.9}, {"o": 0.5, "w": 0.4}, {"o": 0.9})
    assert text(alphabet, CtcDecoder(alphabet), x) == "too"
    model = NgramModel.learn(["two two", "two", "tower"])
    assert text(alphabet, CtcDecoder(alphabet, CtcSearch(), model), x) == "two"
    mild = CtcSearch(language_weight=0.0, unknown_cost=0.0)
    assert text(alphabet, CtcDecoder(alphabet, mild, model), x) == "too"
    unheard = saying(alphabet, {"t": 0.98}, {"r": 0.98}, {"e": 0.98}, {"e": 0.98})
    assert text(alphabet, CtcDecoder(alphabet, CtcSearch(), model), unheard) == "tree"
    closed = CtcDecoder(alphabet, CtcSearch(closed=True, least_chance=0), model)
    assert text(alphabet, closed, unheard) in ("two", "tower")


@both
def test_a_hot_word_wins_over_its_neighbour_and_nothing_else_changes(core):
    x = np.concatenate([saying(WORDS, {"ab": 0.6, "ba": 0.3}), saying(WORDS, {"c": 0.9})], axis=1)
    assert text(WORDS, CtcDecoder(WORDS), x) == "ab c"
    everything = {"beam": 500, "window": 1e3, "least_chance": 0}
    hot = CtcDecoder(WORDS, CtcSearch(hot_words={"ba": 1.0}, **everything))
    assert text(WORDS, hot, x) == "ba c"
    elsewhere = saying(WORDS, {"c": 0.9}, {"ab": 0.9}, {"c": 0.9})
    plain = CtcDecoder(WORDS, CtcSearch(**everything)).decode(elsewhere)[0][0]
    found = hot.decode(elsewhere)[0][0]
    assert (found.tokens, found.frames) == (plain.tokens, plain.frames)
    assert found.log_chance == plain.log_chance
    assert found.score == pytest.approx(plain.score)
    phrase = CtcDecoder(WORDS, CtcSearch(hot_words={"ba ba": 2.0}))
    assert text(WORDS, phrase, x) == "ab c"


def test_a_hot_word_need_not_be_in_the_vocabulary():
    x = saying(CHARACTERS, {"a": 0.9}, {"c": 0.9}, {"a": 0.9})
    closed = CtcSearch(closed=True, least_chance=0)
    assert text(CHARACTERS, CtcDecoder(CHARACTERS, closed, MODEL), x) != "aca"
    hot = CtcSearch(closed=True, least_chance=0, hot_words={"aca": 1.0})
    assert text(CHARACTERS, CtcDecoder(CHARACTERS, hot, MODEL), x) == "aca"


@both
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_model_of_tokens_is_asked_for_every_beginning(core, cell):
    """The chances of the words that were found are those of the network, read from the start."""
    model = token_model(cell=cell)
    decoder = CtcDecoder(CHARACTERS, CtcSearch(beam=8, token_weight=0.7), tokens=model)
    x = posteriors(5, 1, 12, 5)
    for found in decoder.decode(x, count=8)[0]:
        state, nats = None, 0.0
        for token, following in itertools.pairwise((0, *found.tokens, 0)):
            chances, state = model.step(torch.tensor([token]), state)
            assert np.exp(chances).sum() == pytest.approx(1, abs=1e-5)
            nats += float(chances[0, following])
        assert found.score - found.log_chance == pytest.approx(0.7 * nats, abs=1e-5)


@both
@pytest.mark.parametrize("search", [GREEDY, CtcSearch(beam=6)], ids=["greedy", "beam"])
@pytest.mark.parametrize("help_", ["nothing", "all"])
def test_a_stream_finds_the_same_in_any_pieces(core, search, help_):
    models = (MODEL, token_model()) if help_ == "all" else ()
    decoder = CtcDecoder(CHARACTERS, search, *models)
    x = posteriors(1, 90, 5, sharpness=4.0)
    x[:, 0] += 3 + 6 * (np.arange(90) // 15 % 2)
    x -= np.logaddexp.reduce(x, axis=1, keepdims=True)
    endpoint = Endpoint(after_speech=0.3, without_speech=0.6, longest=2.0)

    def run(size):
        stream, segments, partial = decoder.stream(endpoint, seconds=0.1), [], []
        for at in range(0, len(x), size):
            segments += stream.push(x[at : at + size])
            if not (at + size) % 30:
                partial.append(stream.best())
        return segments + stream.finish(), partial

    whole, partial = run(30)
    assert len(whole) > 2
    for size in (1, 5, 10):
        assert run(size) == (whole, partial)
    for one in whole:
        # A segment alone is what its frames are.
        (alone,) = decoder.decode(x[None, one.start : one.end])[0]
        assert alone.tokens == one.hypotheses[0].tokens
        assert tuple(one.start + f for f in alone.frames) == one.hypotheses[0].frames
        assert alone.score == one.hypotheses[0].score


def test_a_stream_without_rules_is_one_segment():
    decoder, x = CtcDecoder(CHARACTERS), posteriors(2, 40, 5)
    stream = decoder.stream()
    for frame in x:
        assert stream.push(frame[None]) == []
    (segment,) = stream.finish(count=3)
    assert (segment.start, segment.end) == (0, 40)
    assert segment.hypotheses == decoder.decode(x[None], count=3)[0]
    assert stream.finish() == []
    assert stream.best().tokens == ()


def test_memory_does_not_grow_with_what_was_heard():
    decoder = CtcDecoder(CHARACTERS, CtcSearch(beam=4))
    stream = decoder.stream(Endpoint(longest=1.0), seconds=0.1)
    x = posteriors(3, 1000, 5)
    assert sum(len(stream.push(x)) for _ in range(3)) == 300
    assert stream.frames == 3000
    assert len(stream.best().tokens) < 12


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 5)), r"log_probs must be of shape \[B, T, V\], got \(2, 5\)"),
        (np.zeros((1, 2, 4)), r"log_probs must be of shape \[T, 5\], got \(2, 4\)"),
        (np.zeros((1, 2, 5)), "must be ln of chances that sum to 1, got '5 at frame 0'"),
        (np.full((1, 2, 5), np.nan), "must be ln of chances that sum to 1, got 'nan at frame 0'"),
        (np.full((1, 2, 5), -np.inf), "must be ln of chances that sum to 1, got '0 at frame 0'"),
    ],
)
def test_what_are_no_chances_is_told(x, message):
    with pytest.raises(DataError, match=message):
        CtcDecoder(CHARACTERS).decode(x)


def test_bad_arguments_are_told():
    with pytest.raises(DataError, match=r"lengths must be \[B\], from 0 to 3, got \[4\]"):
        CtcDecoder(CHARACTERS).decode(posteriors(0, 1, 3, 5), [4])
    with pytest.raises(ParameterError, match="closed must be False without a model of words"):
        CtcDecoder(CHARACTERS, CtcSearch(closed=True))
    with pytest.raises(ParameterError, match="hot_words must be written in the alphabet, got 'o'"):
        CtcDecoder(CHARACTERS, CtcSearch(hot_words={"box": 1.0}))
    with pytest.raises(ParameterError, match="hot_words must be written in the alphabet, got 'cc'"):
        CtcDecoder(WORDS, CtcSearch(hot_words={"ab cc": 1.0}))
    with pytest.raises(ParameterError, match="hot_words must be words or phrases with weights"):
        CtcSearch(hot_words={"a": 0})
    with pytest.raises(ParameterError, match="beam must be an integer of at least 1, got 0"):
        CtcSearch(beam=0)
    with pytest.raises(
        ParameterError, match="the token model must be of a tokenizer that has each"
    ):
        token_model(WORDS)
