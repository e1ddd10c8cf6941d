from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from grukit import FitConfig, Translator
from grukit.core.errors import DataError, ModelFolderError, NotFittedError, ParameterError
from grukit.decoding.interpreter import Interpreter
from grukit.decoding.search import Search

NUMBERS = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four"}
LINES = [f"{a} {b}" for a in NUMBERS for b in NUMBERS] * 10
ANSWERS = [" ".join(NUMBERS[word] for word in line.split()) for line in LINES]
QUICK = FitConfig(epochs=1, batch_size=16, learning_rate=0.01)


def small(**changed) -> Translator:
    settings = {"tokenizer": "char", "hidden_size": 16, "embedding_size": 8, "training": QUICK}
    return Translator(**{**settings, **changed})


@pytest.fixture(scope="module")
def numbers() -> Translator:
    """One that can say two numbers."""
    training = replace(QUICK, epochs=30, patience=None)
    model = small(hidden_size=32, embedding_size=16, dropout=0.0, training=training)
    return model.fit(LINES, ANSWERS)


def test_numbers_are_translated(numbers):
    assert numbers.predict(["drei zwei", "vier vier"]) == ["three two", "four four"]
    model, copy = numbers.validation_.scores
    assert model.metrics["chrf"] > 95 > 30 > copy.metrics["chrf"]
    assert "chrF" in numbers.validation_.table()
    assert "BLEU" in numbers.validation_.table()
    assert "version" in numbers.validation_.signatures["bleu"]


def test_an_answer_tells_what_else_there_was_and_where_it_looked(numbers):
    answer = numbers.translate("drei zwei")
    assert (str(answer), answer.source) == ("three two", "drei zwei")
    texts = [one.text for one in answer.candidates]
    assert texts[0] == "three two"
    assert 1 < len(texts) == len(set(texts)) <= 5
    scores = [one.score for one in answer.candidates]
    assert scores == sorted(scores, reverse=True)
    assert answer.source_tokens == (*" drei zwei", "<end>")
    assert answer.tokens == (*" three two", "<end>")
    assert answer.attention.shape == (11, 11)
    assert answer.attention.sum(1) == pytest.approx(np.ones(11), abs=1e-5)
    # While it writes the second word it looks at the second one.
    assert answer.attention[8:10, 6:].sum(1).min() > 0.5
    assert answer.to_dict()["candidates"][0]["text"] == "three two"


def test_the_chance_of_an_answer_is_that_of_its_tokens(numbers):
    (network,) = numbers.network_
    answer = numbers.translate("eins vier")
    tokens = numbers.tokenizer_.encode(" " + answer.text).tolist()
    source = torch.tensor([[*numbers.tokenizer_.encode(" eins vier").tolist(), 0]])
    with torch.no_grad():
        output, _ = network(source, torch.tensor([source.shape[1]]), torch.tensor([[0, *tokens]]))
        chances = torch.log_softmax(network.logits(output[0]).double(), -1)
    expected = sum(chances[at, token].item() for at, token in enumerate([*tokens, 0]))
    best = answer.candidates[0]
    assert best.log_chance == pytest.approx(expected, abs=1e-4)
    assert best.score == pytest.approx(expected / ((6 + len(tokens)) / 6), abs=1e-4)


def test_many_texts_are_translated_as_each_alone(numbers):
    texts = ["eins", "vier drei", "zwei zwei", "drei eins"] * 20
    assert numbers.predict(texts) == [numbers.translate(text).text for text in texts]


def test_what_it_must_begin_with_and_what_must_be_in_it(numbers):
    answers = numbers.translate(["eins zwei", "vier eins"], prefix=["three", ""])
    assert answers[0].text.startswith("three")
    assert all(one.text.startswith("three") for one in answers[0].candidates)
    assert answers[1].text == "four one"
    search = Search(glossary={"ZWEI": "four"})
    first, second = numbers.translate(["eins zwei", "eins drei"], search)
    assert all("four" in one.text for one in first.candidates)
    assert second.text == "one three"
    with pytest.raises(ParameterError, match="prefix must be one for all, or as many as texts"):
        numbers.translate(["eins", "zwei"], prefix=["one"])
    with pytest.raises(ParameterError, match="glossary must be phrases with what they become"):
        Search(glossary={"zwei": " "})


def test_one_candidate_is_the_likeliest_token_each_time(numbers):
    (network,) = numbers.network_
    answer = numbers.translate("drei vier", Search(beam=1))
    state = network.start(
        torch.tensor([[*numbers.tokenizer_.encode(" drei vier").tolist(), 0]]), torch.tensor([11])
    )
    token, written = 0, []
    with torch.no_grad():
        while True:
            logits, state = network.step(torch.tensor([token]), state)
            token = int(logits.argmax())
            if token == 0:
                break
            written.append(token)
    assert numbers.tokenizer_.decode(written).strip() == answer.text
    assert len(answer.candidates) == 1


def test_spaces_and_empty_texts_stay(numbers):
    empty, spaces, inside = numbers.translate(["", " \n", "\teins zwei \n"])
    assert (empty.text, spaces.text, inside.text) == ("", " \n", "\tone two \n")
    assert empty.attention.shape == (0, 0)


@pytest.mark.parametrize(
    "text",
    ["a.\n\n  eins zwei drei.\n \n\tvier", "\n eins", " " * 30 + "eins zwei drei  \n ", "x" * 50],
)
def test_the_parts_of_a_text_make_it_again(numbers, text):
    interpreter = Interpreter(numbers.network_, numbers.tokenizer_, longest=10)
    parts = interpreter._parts(text)
    assert "".join(part.before + part.text + part.after for part in parts) == text
    assert all(part.text == part.text.strip() and len(part.text) < 11 for part in parts)


def test_a_long_text_is_translated_in_parts(numbers):
    text = "eins zwei.\n\ndrei vier. " * 30
    answer = numbers.translate(text)
    assert answer.text.count("\n\n") == 30
    assert len(answer.candidates) == 1
    assert answer.attention.shape == (len(answer.tokens), len(answer.source_tokens))
    assert answer.attention.sum(1) == pytest.approx(np.ones(len(answer.tokens)), abs=1e-5)


@pytest.mark.parametrize(
    "changed",
    [
        {"input_feeding": True},
        {"coverage": True, "cell": "lstm"},
        {"attention": "multiplicative", "num_layers": 2, "cell": "rnn"},
        {"tokenizer": "bpe", "vocabulary": 300},
        {"ensemble": 2, "input_feeding": True, "coverage": True},
    ],
    ids=str,
)
def test_a_saved_model_translates_the_same(changed, tmp_path):
    model = small(**changed).fit(LINES[:40], ANSWERS[:40])
    model.save(tmp_path / "model")
    loaded = Translator.load(tmp_path / "model")
    before, after = (one.translate("eins vier").candidates for one in (model, loaded))
    assert before == after
    assert len(loaded.network_) == model.ensemble
    assert "36 pairs of texts" in (tmp_path / "model" / "README.md").read_text()


def test_an_ensemble_writes_with_the_mean_of_its_chances():
    one, two = (small(seed=seed).fit(LINES, ANSWERS) for seed in (0, 1))
    networks = [*one.network_, *two.network_]
    source, first = torch.tensor([[5, 6, 0]]), torch.tensor([[0]])
    chances = []
    with torch.no_grad():
        for network in networks:
            output, _ = network(source, torch.tensor([3]), first)
            chances.append(network.logits(output[0, -1]).softmax(-1))
    from grukit.decoding.ensemble import Ensemble

    model = Ensemble(networks)
    with torch.no_grad():
        found, _ = model.step(first[0], model.start(source, torch.tensor([3])))
    expected = torch.stack(chances).mean(0).log()
    assert found[0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_table_and_files_are_pairs_too(tmp_path):
    frame = pd.DataFrame({"source": LINES, "target": ANSWERS})
    expected = small().fit(frame).translate("eins zwei").candidates
    frame.rename(columns={"source": "de", "target": "en"}).to_csv(tmp_path / "a.tsv", sep="\t")
    table = small(source="de", target="en").fit(tmp_path / "a.tsv")
    assert table.translate("eins zwei").candidates == expected
    sides = []
    for name, texts in (("de.gz", LINES), ("en.gz", ANSWERS)):
        sides.append(tmp_path / name)
        with gzip.open(sides[-1], "wt", encoding="utf-8") as file:
            file.write("\r\n".join(texts))
    assert small().fit(*sides).translate("eins zwei").candidates == expected
    evaluation = small().fit(frame, validation=frame).evaluate(*sides)
    assert evaluation.sentences == 160
    assert evaluation.to_dict()["scores"][1]["name"] == "copy"


def test_what_is_no_pair_is_told(tmp_path):
    with pytest.raises(DataError, match=r"targets must be as many as sources \(3\), got 2"):
        small().fit(["a", "b", "c"], ["a", "b"])
    (tmp_path / "de").write_bytes(b"eins\n\xff\n")
    (tmp_path / "en").write_text("one\ntwo\n")
    with pytest.raises(DataError, match=r"line 2 of .* must be UTF-8, got 0xff"):
        small().fit(tmp_path / "de", tmp_path / "en")
    with pytest.raises(DataError, match=r"must have a pair .* got none \(2 left out\)"):
        small().fit(["a", " "], ["", "b"], validation=None)
    with pytest.raises(DataError, match="row 1 must have the column 'source'"):
        small().fit(pd.DataFrame({"quelle": ["a"], "target": ["b"]}))
    with pytest.raises(NotFittedError):
        small().predict(["a"])
    with pytest.raises(ParameterError, match="attention must be one of"):
        small(attention="none").fit(LINES, ANSWERS)


def test_no_pairs_are_told(numbers):
    assert numbers.translate([]) == []
    with pytest.raises(DataError, match="the data must have at least one pair, got none"):
        numbers.evaluate([], [])
    for tokenizer in ("bpe", "char", "byte"):
        with pytest.raises(DataError, match=r"must have a pair .* got none \(0 left out\)"):
            small(tokenizer=tokenizer).fit([], [])


def test_empty_and_long_pairs_are_left_out_and_counted():
    lines, answers = [*LINES, "", "x" * 1_000_000, "eins"], [*ANSWERS, "none", "long", " "]
    model = small(max_tokens=50).fit(lines, answers, validation=None)
    assert (model.skipped_, model.learned_, model.longest_) == (3, 160, 10)


def test_another_task_is_refused_and_damage_told(numbers, tmp_path):
    from grukit import TextGenerator

    numbers.save(tmp_path / "model")
    with pytest.raises(ModelFolderError, match="must be 'generation', got 'translation'"):
        TextGenerator.load(tmp_path / "model")
