from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

from grukit import FitConfig, TextGenerator
from grukit.core import clib
from grukit.core.errors import DataError, ModelFolderError, ParameterError
from grukit.decoding.sampling import Sampling
from grukit.nn.by_name import LAYER_OF

QUICK = FitConfig(epochs=2, batch_size=4, learning_rate=0.01)
GREEDY = Sampling(temperature=0)
ALPHABET = "abcdefghijklmnopqrstuvwxyz "


def small(**changed) -> TextGenerator:
    settings = {"hidden_size": 32, "length": 16, "dropout": 0.0, "training": QUICK}
    return TextGenerator(**{**settings, **changed})


@pytest.fixture(scope="module")
def alphabet() -> TextGenerator:
    """One that knows the alphabet by heart."""
    training = FitConfig(epochs=20, batch_size=4, learning_rate=0.01)
    return small(training=training).fit(ALPHABET * 60)


def test_it_learns_the_alphabet_by_heart(alphabet):
    written = alphabet.generate("xyz ", length=54, sampling=GREEDY)
    assert written.text == ALPHABET * 2
    assert (written.tokens, written.ended, str(written)) == (54, "length", "xyz " + ALPHABET * 2)
    assert written.nats < 1
    assert alphabet.score(ALPHABET * 4).nats_per_character < 0.2
    assert alphabet.score(ALPHABET[::-1] * 4).nats_per_character > 3
    model, unigram, five = alphabet.validation_.scores
    assert (unigram.name, five.name) == ("1-gram", "5-gram")
    assert model.metrics["perplexity"] < unigram.metrics["perplexity"] / 10
    assert "1-gram" in alphabet.validation_.table()


def test_pieces_of_a_stream_are_the_text(alphabet):
    options = {"length": 30, "seed": 3, "sampling": Sampling(temperature=2.0)}
    pieces = list(alphabet.stream("abc", **options))
    assert len(pieces) > 10
    assert "".join(pieces) == alphabet.generate("abc", **options).text
    other = alphabet.generate("abc", **{**options, "seed": 4})
    assert other.text != "".join(pieces)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_texts_side_by_side_are_those_of_their_seeds(cell):
    model = small(cell=cell).fit(["the cat sat.", "on the mat."] * 60)
    options = {"length": 40, "stop": "mat", "sampling": Sampling(temperature=1.5)}
    together = model.generate_many("the", 7, seed=3, **options)
    assert together == [model.generate("the", seed=seed, **options) for seed in range(3, 10)]
    assert len({written.ended for written in together}) > 1
    assert model.generate_many("the", 2, length=0) == [model.generate("the", length=0)] * 2
    with pytest.raises(ParameterError, match="count must be an integer of at least 1"):
        model.generate_many("the", 0)


def test_a_beam_finds_what_it_knows_by_heart(alphabet):
    found = alphabet.beam_search("xyz ", beam=4, length=20)
    assert found[0].text == ALPHABET[:20]
    assert len({one.text for one in found}) == 4
    assert all(one.ended == "length" for one in found)
    for one in found:
        scored = alphabet.score("xyz " + one.text).nats - alphabet.score("xyz ").nats
        assert one.nats == pytest.approx(scored, rel=1e-3)
    with pytest.raises(ParameterError, match="beam must be an integer of at least 1"):
        alphabet.beam_search("a", beam=0)


def test_a_long_prompt_is_read_in_parts(alphabet, monkeypatch):
    prompt, options = ALPHABET * 4, {"length": 30, "sampling": GREEDY}
    whole = alphabet.generate(prompt, **options)
    monkeypatch.setattr("grukit.nn.language_model._READ_AT_ONCE", 7)
    assert alphabet.generate(prompt, **options).text == whole.text


def test_an_iterator_of_documents_is_read_as_a_list():
    documents = ["the cat sat", "on the mat"] * 20
    assert small().fit(iter(documents)).score("the") == small().fit(documents).score("the")


def test_stop_strings_end_the_text(alphabet):
    written = alphabet.generate("abc", stop="mn", sampling=GREEDY)
    assert (written.text, written.ended) == ("defghijkl", "stop")
    assert written.tokens == 11
    assert alphabet.generate("abc", stop=("zz", "e"), sampling=GREEDY).text == "d"
    with pytest.raises(ParameterError, match="stop must be texts that are not empty"):
        alphabet.generate("abc", stop="")


@pytest.mark.parametrize("cell", LAYER_OF)
@pytest.mark.parametrize("tokenizer", ["char", "byte", "bpe"])
def test_a_step_at_a_time_is_the_whole_text(cell, tokenizer):
    softmax = "adaptive" if tokenizer == "bpe" else "full"
    model = small(cell=cell, tokenizer=tokenizer, vocabulary=300, num_layers=2, softmax=softmax)
    model.fit("the naïve cat sat on the mat. " * 30)
    text = "the naïve mat"
    tokens = model.tokenizer_.encode(text)
    nats, state = 0.0, None
    for before, token in zip([0, *tokens[:-1]], tokens, strict=True):
        logits, state = model.network_.step(torch.tensor([before]), state)
        nats -= torch.log_softmax(logits[0].double(), -1)[token].item()
    score = model.score(text)
    assert score.nats == pytest.approx(nats, rel=1e-4)
    assert (score.characters, score.bytes, score.tokens) == (13, 14, len(tokens))
    assert score.bits_per_byte == pytest.approx(score.nats / math.log(2) / 14)
    by_token = model.surprise(text)
    assert sum(own for _, own in by_token) == pytest.approx(score.nats)
    assert "".join(token for token, _ in by_token) == text
    assert tokenizer == "bpe" or "ï" in dict(by_token)
    assert list(model.surprise("")) == []


def test_what_is_scored_does_not_depend_on_how_it_is_cut(alphabet, monkeypatch):
    text = ALPHABET * 10
    whole = alphabet.score(text)
    monkeypatch.setattr("grukit.tasks.generation_scores._LOGITS_AT_ONCE", 7 * 40)
    assert alphabet.score(text).nats == pytest.approx(whole.nats, rel=1e-5)


def test_documents_begin_and_end():
    documents = ["one two three", "four five six", "seven eight nine"] * 40
    training = replace(QUICK, epochs=30)
    model = small(training=training).fit(documents)
    written = model.generate(sampling=GREEDY)
    assert written.ended == "end"
    assert written.text in documents
    assert model.score(documents).characters == sum(map(len, documents))


def test_files_as_texts(tmp_path):
    text = "line one\r\nline two\n" * 40
    plain, packed = tmp_path / "a.txt", tmp_path / "a.txt.gz"
    plain.write_bytes(text.encode())
    packed.write_bytes(gzip.compress(text.encode()))
    models = [small().fit(source) for source in (text, plain, packed, [plain])]
    scores = {model.score(text).nats for model in models}
    assert len(scores) == 1
    assert models[0].tokenizer_.characters == "\n\r eilnotw"


def test_documents_in_a_column_of_tables(tmp_path):
    documents = ["one two\nthree, four", "", 'five "six"', "sieben €"] * 20
    plain = small().fit(documents)
    frame = pd.DataFrame({"id": range(80), "said": documents})
    files = [tmp_path / f"table{end}" for end in (".csv", ".tsv.gz", ".parquet")]
    frame.to_csv(files[0], index=False)
    frame.to_csv(files[1], index=False, sep="\t")
    frame.to_parquet(files[2])
    lines = tmp_path / "table.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    for data in (frame, *files, lines, [lines]):
        model = small(text="said").fit(data)
        assert model.counts_.tolist() == plain.counts_.tolist()
        assert model.score(data) == plain.score(documents)
    assert model.score("one two") == plain.score("one two")
    model.save(tmp_path / "model")
    assert TextGenerator.load(tmp_path / "model").evaluate(frame).characters == 20 * 37
    with pytest.raises(DataError, match="row 1 must have the column 'sayd'"):
        small(text="sayd").fit(lines)
    with pytest.raises(DataError, match=r"text 2 must be a str, got None"):
        small(text="said").fit(frame.replace({"said": {"": None}}))


def test_surprise_as_a_table_and_a_picture(alphabet):
    text = "abc\n\tabd€ <b> $"
    found = alphabet.surprise(text)
    assert (len(found), "".join(found.tokens)) == (len(text), text)
    assert found.nats[2] < 1 < found.nats[7]
    assert found.to_frame().columns.tolist() == ["token", "nats"]
    assert found.to_dict()["nats"] == found.nats.tolist()
    display = alphabet.plot(found, "Letters")
    assert (display.title, display.signed) == ("Letters", False)
    assert len(display.plot().axes[0].texts) >= len(text) - 1
    mean = alphabet.score(text).nats_per_character
    assert alphabet.plot(found).title == f"{mean:.2f} nats per character"
    assert alphabet.plot(alphabet.surprise("")).plot()


def test_saved_and_loaded_whole(alphabet, tmp_path):
    alphabet.save(tmp_path / "model")
    again = TextGenerator.load(tmp_path / "model")
    options = {"length": 50, "sampling": Sampling(temperature=1.5)}
    assert again.generate("q", **options) == alphabet.generate("q", **options)
    assert repr(again) == repr(alphabet)
    assert "1-gram" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    table = again.evaluate(ALPHABET * 3, training=ALPHABET * 5)
    assert [score.name for score in table.scores] == ["grukit GRU", "1-gram", "5-gram"]
    assert table.characters == len(ALPHABET) * 3
    assert len(again.evaluate(ALPHABET).scores) == 2
    path = tmp_path / "model" / "tokenizer.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["characters"] += "é"
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelFolderError, match="damaged"):
        TextGenerator.load(tmp_path / "model")


@pytest.mark.needs_core
def test_the_same_seed_gives_the_same_text_on_one_and_on_two_threads(monkeypatch):
    ran, forward = set(), clib.forward

    def watched(calls, count=1):
        ran.add(clib.threads(calls, count))
        forward(calls, count)

    monkeypatch.setattr(clib, "forward", watched)
    threads, texts = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            model = small(hidden_size=512, dropout=0.3).fit("the cat sat on the mat. " * 20)
            texts.append(model.generate(length=3000, seed=5))
            assert ran == set(range(1, count + 1))
    finally:
        torch.set_num_threads(threads)
    assert texts[0] == texts[1]
    assert len(texts[0].text) > 1000


def test_other_seeds_give_other_models_and_texts():
    models = [small(seed=seed).fit("the cat sat on the mat. " * 20) for seed in (0, 1)]
    texts = {model.generate(length=50, seed=seed).text for model in models for seed in (0, 1)}
    assert len(texts) == 4


def test_frequent_tokens_first_by_an_adaptive_softmax(tmp_path):
    text = "the cat sat on the mat; a dog. " * 60
    training = replace(QUICK, epochs=8)
    model = small(tokenizer="bpe", vocabulary=300, softmax="adaptive", training=training).fit(text)
    assert model.score(text[:310]).nats_per_character < 0.3
    assert model.generate("the cat", length=60, sampling=GREEDY).text.startswith(
        " sat on the mat; "
    )
    model.save(tmp_path / "model")
    again = TextGenerator.load(tmp_path / "model")
    assert again.score(text) == model.score(text)
    options = {"length": 40, "sampling": Sampling(temperature=2.0)}
    together = again.generate_many("the", 3, **options)
    assert together == [model.generate("the", seed=seed, **options) for seed in range(3)]
    assert len({written.text for written in together}) == 3


@pytest.mark.parametrize(
    "settings",
    [{}, {"softmax": "adaptive"}, {"training": replace(QUICK, epochs=3, items_per_epoch=10)}],
)
def test_an_interrupted_training_goes_on(settings, tmp_path):
    class Stop(Exception):
        pass

    text = "the cat sat on the mat. " * 40
    whole = small(**settings).fit(text)
    training = replace(settings.get("training", QUICK), save_every_seconds=0)
    model = small(**{**settings, "training": training})

    def stopping(*arguments):
        if len(calls) == 17:
            raise Stop
        calls.append(None)
        return loss(*arguments)

    import grukit.tasks.generation as module

    calls, loss = [], module._loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_loss", stopping)
        with pytest.raises(Stop):
            model.fit(text, checkpoint=tmp_path / "training")
    model.fit(text, checkpoint=tmp_path / "training", resume=True)
    assert model.generate(length=50) == whole.generate(length=50)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text must be long enough to train on"),
        (b"bytes", r"the text must be a str \(the text itself\), a Path"),
        ([1, 2], "a document must be a str or a Path, got"),
        ("ab\ud800" * 40, "text must be of whole characters"),
    ],
)
def test_texts_that_cannot_be_learned(text, message):
    with pytest.raises(DataError, match=message):
        small().fit(text)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"no.txt could not be read: No such file"):
        small().fit(tmp_path / "no.txt")
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"a" * 2_000_000 + b"\xff" + b"b" * 10)
    with pytest.raises(DataError, match=r"bad.txt must be UTF-8, got 0xff at byte 2,000,000"):
        small().fit(bad)
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"hello " * 1000)[:-20])
    with pytest.raises(DataError, match=r"cut.gz must be a whole .gz file"):
        small().fit(cut)


def test_arguments_are_checked():
    with pytest.raises(ParameterError, match="tokenizer must be one of 'char', 'byte', 'bpe'"):
        small(tokenizer="words").fit("text" * 50)
    with pytest.raises(ParameterError, match="validation must be a number above 0"):
        small().fit("text" * 50, validation=0)
    assert not hasattr(small(), "network_")


@pytest.mark.parametrize("asked", ["score", "evaluate"])
def test_an_empty_text_has_no_score(alphabet, asked):
    with pytest.raises(DataError, match="the text must be at least one token long, got none"):
        getattr(alphabet, asked)("")
