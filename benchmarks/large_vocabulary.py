"""Many byte pairs: the adaptive softmax of TextGenerator beside the full one.

    python benchmarks/large_vocabulary.py            results into benchmarks/results, and the page
    python benchmarks/large_vocabulary.py --short    a small run that writes nothing

The text is that of Python's standard library, every twentieth module of which is judged by. Each
run is saved when it is done, and within it its training: the same command goes on from there.
PyTorch's number of threads is that of OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import records

from grukit import FitConfig, TextGenerator
from grukit.data.texts import standard_library

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "large_vocabulary.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "large-vocabulary.md"
CHARACTERS, EPOCHS, JUDGED = 3_000_000, 3, 20
SHORT = {"characters": 50_000, "judged": 2, "hidden_size": 32}
RUNS = {
    f"{vocabulary:,} {softmax}": (vocabulary, softmax)
    for vocabulary in (8_000, 32_000)
    for softmax in ("full", "adaptive")
}


def run(
    vocabulary: int,
    softmax: str,
    work: Path,
    characters: int = CHARACTERS,
    judged: int = JUDGED,
    **smaller: Any,
) -> dict[str, Any]:
    """Train one model, and score it on every `judged`th module, which it does not learn."""
    modules = standard_library(characters)
    held_out = modules[judged - 1 :: judged]
    learned = [module for module in modules if module not in held_out]
    training = FitConfig(epochs=EPOCHS, learning_rate=3e-3, average=0.99, patience=None)
    settings = {"tokenizer": "bpe", "vocabulary": vocabulary, "softmax": softmax, **smaller}
    model = TextGenerator(training=training, **settings)
    seconds = records.timed(
        work, lambda folder: model.fit(learned, held_out, checkpoint=folder, resume=True)
    )
    score = model.score(held_out)
    return {
        "vocabulary": len(model.tokenizer_),
        "softmax": softmax,
        "tokens": int(model.counts_.sum()),
        "parameters": sum(weight.numel() for weight in model.network_.parameters()),
        "seconds_an_epoch": round(seconds / EPOCHS, 1),
        "nats_per_character": round(score.nats_per_character, 4),
        **records.circumstances(),
    }


def page(rows: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    lines = [
        f"| {row['vocabulary']:,} | {row['softmax']} | {row['parameters'] / 1e6:.1f} M | "
        f"{row['tokens']:,} | {row['seconds_an_epoch']:.0f} | {row['nats_per_character']:.3f} |"
        for row in rows.values()
    ]
    table, row = "\n".join(lines), next(reversed(rows.values()))
    return f"""\
# Large vocabularies

`TextGenerator(tokenizer="bpe")` at its default sizes, with a full and with an adaptive softmax
(Grave et al. 2017), on {CHARACTERS / 1e6:.0f} million characters of Python's standard library,
{EPOCHS} epochs. The seconds are those of training, validation and reading the text included; the
score is that of every twentieth module, which was not learned but validated on.

| tokens known | softmax | parameters | tokens learned | seconds an epoch | nats per character |
| --- | --- | --- | --- | --- | --- |
{table}

From `python benchmarks/large_vocabulary.py` on {row["date"]}: {row["machine"]};
Python {row["python"]}, torch {row["torch"]}, grukit {row["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        with tempfile.TemporaryDirectory() as folder:
            for softmax in ("full", "adaptive"):
                print(run(300, softmax, Path(folder) / softmax, **SHORT))
        return
    rows = records.read(RESULTS)
    for name, (vocabulary, softmax) in RUNS.items():
        if name not in rows:
            work = RESULTS.with_name(f"large_vocabulary-{vocabulary}-{softmax}.training")
            rows[name] = run(vocabulary, softmax, work)
            records.write(RESULTS, rows)
            shutil.rmtree(work)
            print(f"{name}: {rows[name]['seconds_an_epoch']} s an epoch")
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
