from __future__ import annotations

import itertools

import pytest
import torch

from grukit.data.tokenizers import CharTokenizer
from grukit.decoding.likeliest import likeliest
from grukit.nn.language_model import LanguageModel

END, LENGTH = 0, 2
TOKENIZER = CharTokenizer("abc", ("<end>",))


@pytest.fixture(params=[("gru", "full"), ("lstm", "adaptive")], ids=" ".join)
def network(request) -> LanguageModel:
    torch.manual_seed(3)
    cell, softmax = request.param
    made = LanguageModel(len(TOKENIZER), 8, 12, cell=cell, softmax=softmax).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(3)
    return made


@torch.no_grad()
def every_text(network: LanguageModel, prompt: str) -> dict[tuple[int, ...], float]:
    """The surprise of each text, the end included where it is not cut."""
    read, found = [END, *TOKENIZER.encode(prompt).tolist()], {}
    for size in range(LENGTH + 1):
        for text in itertools.product(range(1, len(TOKENIZER)), repeat=size):
            targets = [*text, END][:LENGTH]
            row = torch.tensor([[*read, *targets]])
            nats, _ = network.surprise(row[:, :-1], row[:, 1:])
            found[text] = float(nats[0, len(read) - 1 :].double().sum())
    return found


def test_a_wide_beam_finds_all_texts_in_their_order(network):
    expected = every_text(network, "ab")
    found = likeliest(network, TOKENIZER, END, "ab", LENGTH, beam=len(expected) + 5)
    assert len(found) == len(expected) == 1 + 19 + 19**2
    order = sorted(expected, key=expected.__getitem__)
    assert [one.nats for one in found] == pytest.approx([expected[t] for t in order], abs=1e-4)
    for text, one in zip(order, found, strict=True):
        if one.nats < 5:
            assert one.text == TOKENIZER.decode(text)
            assert one.ended == ("length" if len(text) == LENGTH else "end")
            assert (one.prompt, one.tokens) == ("ab", min(len(text) + 1, LENGTH))


def test_a_beam_of_one_takes_the_likeliest_each_time(network):
    (found,) = likeliest(network, TOKENIZER, END, "c", 30, beam=1)
    read = [END, *TOKENIZER.encode("c").tolist()]
    text: list[int] = []
    while len(text) < 30:
        logits, _ = network.read(torch.tensor([read + text]))
        token = int(logits.argmax())
        if token == END:
            break
        text.append(token)
    assert found.text == TOKENIZER.decode(text)
