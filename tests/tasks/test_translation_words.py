"""Words that a translator does not know are copied, or said as the glossary has them."""

from __future__ import annotations

import random

import pytest

from grukit import FitConfig, Translator
from grukit.decoding.search import Search

KNOWN = ["Anna", "Ben", "Carl", "Dora", "Emil", "Fritz"]
VERBS = {"liebt": "loved", "sieht": "seen", "ruft": "called"}


def pairs(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Who does something to whom; a name in three comes only once."""
    draw, sources, targets = random.Random(seed), [], []
    for _ in range(count):
        rare = ["".join(draw.choices("aeioulmnr", k=7)).capitalize() for _ in range(3)]
        one, other = draw.sample(KNOWN + rare, 2)
        verb = draw.choice(list(VERBS))
        sources.append(f"{one} {verb} {other}.")
        targets.append(f"{other} is {VERBS[verb]} by {one}.")
    return sources, targets


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Translator:
    training = FitConfig(epochs=20, batch_size=16, learning_rate=0.01)
    settings = {"hidden_size": 32, "embedding_size": 16, "dropout": 0.0, "training": training}
    model = Translator(tokenizer="word", **settings).fit(*pairs(600, seed=0), validation=None)
    path = tmp_path_factory.mktemp("words") / "model"
    model.save(path)
    return Translator.load(path)


def test_unknown_names_are_copied_from_where_it_looks(model):
    sources, targets = pairs(200, seed=1)
    assert sum(map(str.__eq__, model.predict(sources), targets)) >= 196
    answer = model.translate("Anna sieht Xaver.")
    assert answer.text == "Xaver is seen by Anna."
    assert answer.source_tokens == (" Anna", " sieht", " Xaver", ".", "<end>")
    assert answer.tokens == (" Xaver", " is", " seen", " by", " Anna", ".", "<end>")
    assert not any("unknown" in one.text for one in answer.candidates)


def test_the_glossary_says_what_an_unknown_word_becomes(model):
    search = Search(glossary={"XAVER": "Xavier", "Ben": "Benjamin"})
    assert model.translate("Anna sieht Xaver.", search).text == "Xavier is seen by Anna."
