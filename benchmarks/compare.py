"""RNN, LSTM, GRU and minGRU beside each other on all problems, under equal conditions.

    python benchmarks/compare.py             the short form, in about half an hour on two cores
    python benchmarks/compare.py --full      the sizes of the literature, in about four hours
    python benchmarks/compare.py --shortest  every problem at a toy size, nothing written
    python benchmarks/compare.py NAME ...    only these

Each training is saved when it is done, and the same command goes on with the others, in the middle
of the one that was interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import records

from grukit.core.errors import DownloadError
from grukit.core.files import write_atomically
from grukit.insight.compare import compare
from grukit.insight.setups import BUDGETS, Setup
from grukit.nn.by_name import LAYER_OF
from grukit.results.comparison import TABLE_HEAD, Comparison, table_cells

HERE = Path(__file__).parent
PAGES = HERE.parent / "docs" / "benchmarks"


@dataclass(frozen=True)
class Experiment:
    """A problem as it is asked here.

    published: by cell the score in the literature; source: where.
    """

    problem: str
    setup: Setup
    seeds: int = 3
    published: dict[str, float] = field(default_factory=dict)
    source: str = ""


CHUNG = "Chung et al. 2014, at about 20,000 parameters"
BAI = "Bai et al. 2018"


def short() -> dict[str, Experiment]:
    """Every problem in the short budget, with three seeds."""
    return {name: Experiment(name, setup) for name, setup in BUDGETS["short"].items()}


def full() -> dict[str, Experiment]:
    """The tables of the literature."""
    table = BUDGETS["full"]
    chorales = table["jsb_chorales"]
    large = replace(
        chorales,
        parameters=300_000,
        width=262,
        rates=(1e-3, 3e-3, 1e-2, 3e-2),
        input_dropout=0.2,
        recurrent_dropout=0.2,
        output_dropout=0.2,
        training={**chorales.training, "epochs": 120, "patience": 40, "weight_decay": 0.3},
    )
    known = {
        "adding": Experiment(
            "adding",
            table["adding"],
            seeds=5,
            published={"gru": 5.3e-5, "lstm": 0.164, "rnn": 0.177},
            source=f"{BAI}, T = 600, 70,000 parameters, in a slightly other form",
        ),
        "copy_memory": Experiment(
            "copy_memory",
            table["copy_memory"],
            published={"gru": 0.0197, "lstm": 0.0204, "rnn": 0.0202},
            source=f"{BAI}, T = 1000, 16,000 parameters, in a slightly other form",
        ),
        "mnist1d": Experiment(
            "mnist1d",
            table["mnist1d"],
            published={"gru": 0.91},
            source="Greydanus and Kobak 2020",
        ),
        "jsb_chorales": Experiment(
            "jsb_chorales",
            chorales,
            published={"gru": 8.54, "lstm": 8.67, "rnn": 9.1},
            source=CHUNG,
        ),
        "jsb_chorales_300k": Experiment(
            "jsb_chorales",
            large,
            published={"gru": 8.43, "lstm": 8.45, "rnn": 8.91},
            source=f"{BAI}, at about 300,000 parameters",
        ),
        "piano_midi": Experiment(
            "piano_midi",
            table["piano_midi"],
            published={"gru": 8.82, "lstm": 9.03, "rnn": 9.03},
            source=CHUNG,
        ),
        # How far an LSTM counts differs widely from seed to seed.
        "anbn": Experiment("anbn", table["anbn"], seeds=10),
    }
    others = {name: Experiment(name, own) for name, own in table.items() if name not in known}
    return {**known, **others}


def shortest() -> dict[str, Experiment]:
    """Every generated problem at a toy size, for one epoch."""
    sizes: dict[str, dict[str, int]] = {
        "adding": {"length": 10, "train": 40, "test": 20},
        "copy_memory": {"delay": 5, "train": 40, "test": 20},
        "temporal_order": {"length": 20, "train": 40, "test": 20},
        "parity": {"length": 8, "train": 40, "test": 20},
        "anbn": {"longest": 4, "test_longest": 10, "train": 40},
        "image_rows": {"train": 40, "test": 20},
    }
    return {
        name: Experiment(
            name,
            Setup(own, 300, rates=(0.01,), training={"epochs": 1, "batch_size": 20}),
            seeds=1,
        )
        for name, own in sizes.items()
    }


def measured(
    experiments: dict[str, Experiment],
    folder: Path,
    processes: int,
    save: Callable[[dict[str, Any]], None],
    cells: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Run what is not saved yet; by experiment its comparison as JSON values."""
    found: dict[str, Any] = {}
    for name, own in experiments.items():
        started = time.monotonic()
        try:
            comparison = compare(
                {own.problem: own.setup},
                cells or tuple(LAYER_OF),
                folder=folder / name,
                seeds=own.seeds,
                processes=processes,
                tell=lambda trial, done, count: print(f"{done} of {count}: {trial.name}"),
            )
        except DownloadError as error:
            print(f"{name} is left out: {error}")
            continue
        print(f"{name}: {time.monotonic() - started:.0f} s")
        print(comparison.table(own.problem), comparison.verdict(own.problem), sep="\n", flush=True)
        found[name] = {
            "setup": told(own.setup),
            "cpu_minutes": sum(sum(run.seconds) for run in comparison.runs) / 60,
            "comparison": rounded(comparison.to_dict()),
        }
        save(found)
    return found


def told(setup: Setup) -> str:
    """The settings that are not at their defaults, as one reads them."""
    default = Setup()
    changed = {name: own for name, own in vars(setup).items() if own != getattr(default, name)}
    return ", ".join(f"{name}={own}" for name, own in changed.items())


def rounded(content: Any) -> Any:
    """The same with numbers of six digits: curves need no more."""
    if isinstance(content, float):
        return float(f"{content:.6g}")
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    return [rounded(value) for value in content] if isinstance(content, list) else content


def section(name: str, own: dict[str, Any], experiment: Experiment) -> str:
    """One experiment of the page."""
    comparison = Comparison.from_dict(own["comparison"])
    question = comparison.questions[0]
    assert question.goal is not None
    heads = [*TABLE_HEAD, *(["published"] if experiment.published else [])]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for row in comparison.rows(question.name):
        cells = list(table_cells(row))
        if experiment.published:
            figure = experiment.published.get(row.cell)
            cells.append("" if figure is None else f"{figure:.4g}")
        lines.append(f"| {' | '.join(cells)} |")
    published = f" Published: {experiment.source}." if experiment.published else ""
    table = "\n".join(lines)
    return f"""\
## {question.title}, at {experiment.setup.parameters:,} parameters

Score: {question.scale}. Goal: a validation loss of {question.goal:.3g}.{published}

{table}

{comparison.verdict(question.name)}

`{name}`, {own["cpu_minutes"]:.1f} minutes of one core: `{own["setup"]}`.
"""


INTRODUCTION = """\
Every cell has about equally many parameters in the whole network (one recurrent layer, of a
minGRU two, and a linear head), the same batches, the same epochs, and the same learning rates to
try, by its first seed; the rate with the lowest validation loss serves the other seeds. The test
decides nothing. Weights begin orthogonal (recurrent) and Glorot uniform (input), biases zero, an
LSTM's forget gate at 1. AdamW with warm-up and a cosine. The interval holds the mean over seeds
in 95 of 100 draws, by Student's t; products are the multiply-adds of a step of one sequence; MiB
are weights, gradients, the optimizer's moments and what a batch of 50 keeps for its backward
pass, counted; seconds are those of one core at work. The verdicts are made from the figures by a
rule (`grukit.results.verdict`)."""


def page(results: dict[str, Any], experiments: dict[str, Experiment], command: str) -> str:
    """The documentation page, from the saved rows."""
    parts = [
        section(name, own, experiments[name])
        for name, own in results["experiments"].items()
        if name in experiments
    ]
    title = "Cells compared" if command.endswith("full") else "Cells compared, the short form"
    body = "\n".join(parts)
    minutes = sum(own["cpu_minutes"] for own in results["experiments"].values())
    return f"""\
# {title}

{INTRODUCTION}

{body}
From `{command}` on {results["date"]}, {minutes:.0f} minutes of one core together:
{results["machine"]};
Python {results["python"]}, torch {results["torch"]}, grukit {results["grukit"]}.
"""


FORMS = {
    "short": (short, "python benchmarks/compare.py", "compare_short", "compare-short.md"),
    "full": (full, "python benchmarks/compare.py --full", "compare", "compare.md"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="only these experiments")
    parser.add_argument("--full", action="store_true", help="the sizes of the literature")
    parser.add_argument("--shortest", action="store_true", help="toy sizes, nothing written")
    parser.add_argument("--cells", metavar="CELL,...", help="only these cells")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if arguments.shortest:
        with tempfile.TemporaryDirectory() as folder:
            measured(shortest(), Path(folder), 1, lambda _: None)
        return
    make, command, name, file = FORMS["full" if arguments.full else "short"]
    every = make()
    for own in arguments.names:
        if own not in every:
            parser.error(f"a name must be one of {', '.join(every)}, got {own!r}")
    path = HERE / "results" / f"{name}.json"
    asked = {own: every[own] for own in arguments.names or every}
    before = records.read(path).get("experiments", {})

    def save(found: dict[str, Any]) -> None:
        merged = {**before, **found}
        ordered = {own: merged[own] for own in every if own in merged}
        results = {**records.circumstances(), "experiments": ordered}
        write_atomically(path, json.dumps(results, separators=(",", ":")) + "\n")
        (PAGES / file).write_text(page(results, every, command), encoding="utf-8")

    folder = HERE / "results" / f"{name}.training"
    cells = tuple(arguments.cells.split(",")) if arguments.cells else None
    measured(asked, folder, arguments.processes, save, cells)


if __name__ == "__main__":
    main()
