"""Training of the text models beside the same models built on torch.nn.GRU, on this CPU.

    python benchmarks/text_speed.py            the default sizes into benchmarks/results, the page
    python benchmarks/text_speed.py --short    small sizes, nothing written

Each side runs whole updates (forward, backward, clipping, AdamW) in its own warmed block, several
rounds; the figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cpu
import numpy as np
import records
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from grukit import FitConfig, TextClassifier, TextGenerator, Translator
from grukit.data.chunks import Chunks
from grukit.data.text_batches import TextItems
from grukit.data.text_pairs import TextPairs
from grukit.nn import GRU
from grukit.nn.language_model import LanguageModel
from grukit.nn.masks import drop_mask
from grukit.nn.recurrent_classifier import RecurrentClassifier
from grukit.nn.translation_model import TranslationModel
from grukit.tasks import classification, generation, translation
from grukit.tasks.classification_loss import classification_loss
from grukit.training.optimization import Optimization

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "text_speed.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "text-speed.md"
ROUNDS, WARM_SECONDS, UPDATES = 5, 0.3, 5
# The tokens of a text in English characters: 65, the half bytes and the end.
CHARACTERS = 82


class TorchGRU(torch.nn.GRU):
    """torch's layer in the place of one of ours, with the same dropout of its input."""

    def __init__(self, layer: Any) -> None:
        assert layer.num_layers == 1
        super().__init__(
            layer.input_size,
            layer.hidden_size,
            batch_first=layer.batch_first,
            bidirectional=layer.bidirectional,
        )
        self.load_state_dict(layer.state_dict())
        self.input_dropout = layer.input_dropout

    def forward(
        self, x: Any, state: Any = None, resets: Any = None, lengths: Any = None
    ) -> tuple[Any, Any]:
        assert resets is None
        time = 1 if self.batch_first else 0
        if self.training and self.input_dropout:
            sizes = [1 if axis == time else size for axis, size in enumerate(x.shape)]
            x = x * drop_mask(x, sizes, self.input_dropout)
        if lengths is None:
            return super().forward(x, state)
        packed = pack_padded_sequence(x, lengths, self.batch_first, enforce_sorted=False)
        steps, state = super().forward(packed, state)
        return pad_packed_sequence(steps, self.batch_first, total_length=x.shape[time])[0], state


class Job(NamedTuple):
    """A model at work: its size in words, its tokens in an update, its network, loss and data.

    items: the indices of one batch.
    """

    size: str
    tokens: int
    network: nn.Module
    loss: Any
    data: Any
    items: torch.Tensor
    training: FitConfig
    carry_state: bool = False


def generator(short: bool) -> Job:
    """TextGenerator, by default at its default sizes."""
    model = TextGenerator(hidden_size=64, length=32) if short else TextGenerator()
    lanes = generation.TRAINING.batch_size
    row = np.random.default_rng(0).integers(1, CHARACTERS, lanes * model.length * 4)
    network = LanguageModel(
        CHARACTERS,
        max(32, model.hidden_size // 4),
        model.hidden_size,
        model.num_layers,
        model.dropout,
    )
    return Job(
        f"hidden size {model.hidden_size}, {lanes} places, {model.length} steps",
        lanes * model.length,
        network,
        generation._loss,
        Chunks(row, lanes, model.length, start=0),
        torch.tensor([0]),
        generation.TRAINING,
        carry_state=True,
    )


def classifier(short: bool) -> Job:
    """TextClassifier, by default at its default sizes, on texts of a paragraph."""
    model = TextClassifier(hidden_size=16) if short else TextClassifier()
    batch, vocabulary = classification.TRAINING.batch_size, model.vocabulary
    rows = _texts(batch, 20, 25, vocabulary) if short else _texts(batch, 200, 220, vocabulary)
    network = RecurrentClassifier(
        vocabulary, 2, 128, model.hidden_size, 1, model.dropout, model.word_dropout
    )
    return Job(
        f"hidden size {model.hidden_size}, {batch} texts of 200 to 220 words",
        sum(map(len, rows)),
        network,
        partial(classification_loss, weights=torch.ones(2)),
        TextItems(rows, np.arange(batch) % 2),
        torch.arange(batch),
        classification.TRAINING,
    )


def translator(short: bool, attention: str = "additive") -> Job:
    """Translator, by default at its default sizes, on sentences."""
    model = Translator(hidden_size=16, vocabulary=300) if short else Translator()
    batch, vocabulary = translation.TRAINING.batch_size, model.vocabulary
    pairs = list(zip(*(_texts(batch, 20, 24, vocabulary) for _ in range(2)), strict=True))
    network = TranslationModel(
        vocabulary,
        model.embedding_size,
        model.hidden_size,
        1,
        model.dropout,
        attention=attention,
    )
    return Job(
        f"hidden size {model.hidden_size}, {batch} pairs of 20 to 24 tokens",
        sum(len(row) for pair in pairs for row in pair),
        nn.ModuleList([network]),
        model._loss,
        TextPairs(pairs, end=0),
        torch.arange(batch),
        translation.TRAINING,
    )


def _texts(count: int, least: int, most: int, vocabulary: int) -> list[np.ndarray]:
    chance = np.random.default_rng(0)
    sizes = chance.integers(least, most, count, endpoint=True)
    return [chance.integers(1, vocabulary, size) for size in sizes]


MODELS: dict[str, Callable[[bool], Job]] = {
    "TextGenerator": generator,
    "TextClassifier": classifier,
    "Translator": translator,
    "Translator (multiplicative)": partial(translator, attention="multiplicative"),
}


def on_torch(network: nn.Module) -> nn.Module:
    """The same network with each recurrent layer replaced by torch's."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, GRU):
                setattr(parent, name, TorchGRU(layer))
    assert not any(isinstance(layer, GRU) for layer in network.modules())
    return network


def sides(name: str, short: bool = False) -> tuple[Job, dict[str, Callable[[], float]]]:
    """By side, a function that does one update and gives its loss."""
    job, updates = None, {}
    for side in ("grukit", "torch.nn.GRU"):
        torch.manual_seed(0)
        job = MODELS[name](short)
        network = job.network if side == "grukit" else on_torch(job.network)
        optimization = Optimization(network, job.loss, job.training, job.carry_state)

        def update(job: Job = job, optimization: Optimization = optimization) -> float:
            rate = job.training.learning_rate
            done = optimization.update(job.data, job.items, rate, None, "the benchmark")
            return done.total / done.count

        updates[side] = update
    assert job is not None
    return job, updates


def compare(name: str, rounds: int = ROUNDS, short: bool = False) -> dict[str, Any]:
    """Tokens in a second on both sides, and how far their first losses are from each other."""
    job, updates = sides(name, short)
    losses = []
    for update in updates.values():
        torch.manual_seed(1)
        losses.append([update() for _ in range(3)])
    seconds: dict[str, list[float]] = {side: [] for side in updates}
    for _ in range(rounds):
        for side, update in updates.items():
            seconds[side].append(_median_seconds(update))
    return {
        "size": job.size,
        "threads": torch.get_num_threads(),
        "difference": float(np.abs(np.subtract(*losses)).max()),
        "tokens_per_second": {
            side: round(job.tokens / statistics.median(took)) for side, took in seconds.items()
        },
        "ratio": statistics.median(np.divide(seconds["torch.nn.GRU"], seconds["grukit"]).tolist()),
    }


def _median_seconds(call: Callable[[], Any]) -> float:
    until = time.perf_counter() + WARM_SECONDS
    while time.perf_counter() < until:
        call()
    took = []
    for _ in range(UPDATES):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def page(results: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    lines = [
        f"| {name.partition(',')[0]} | {row['size']} | {row['threads']} | "
        f"{row['tokens_per_second']['grukit']:,} | "
        f"{row['tokens_per_second']['torch.nn.GRU']:,} | {row['ratio']:.2f} | "
        f"{row['difference']:.0e} |"
        for name, row in results["rows"].items()
    ]
    table = "\n".join(lines)
    return f"""\
# Speed of training on text

Whole updates (forward, backward, clipping, AdamW) of the text models at their default sizes, beside
the same models built on `torch.nn.GRU`, in float32, in tokens a second. The two sides start from
the same weights and draw the same masks; the difference is the largest between their first three
losses. Texts of unequal length go into `torch.nn.GRU` packed. Most of a translator's update is
products with its vocabulary and attention, which are the same on both sides.

| model | size | threads | grukit | torch.nn.GRU | times faster | difference |
| --- | --- | --- | --- | --- | --- | --- |
{table}

From `python benchmarks/text_speed.py` on {results["date"]}: {results["cpu"]},
{results["machine"]};
Python {results["python"]}, torch {results["torch"]}, grukit {results["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        print({name: compare(name, 1, short=True) for name in MODELS})
        return
    rows = {}
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        for name in MODELS:
            rows[f"{name}, {threads} threads"] = row = compare(name)
            print(name, row, flush=True)
    results = {**records.circumstances(), "cpu": cpu.features(), "rows": rows}
    records.write(RESULTS, results)
    PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
