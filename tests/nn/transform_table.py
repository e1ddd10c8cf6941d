"""The table layers x options x transforms: its cells, and the page that shows them.

python tests/nn/transform_table.py    run every check and write docs/reference/transforms.md
"""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from transform_checks import CHECKS, HIDDEN, MODELS, PROJECTED, Case, Refused, attempt

from grukit import nn
from grukit.nn import GRU, LSTM, RNN

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "transforms.md"
LAYERS = {
    "GRU": GRU,
    "GRU, reset before the product": functools.partial(GRU, reset_after=False),
    "LSTM": LSTM,
    "RNN, tanh": RNN,
    "RNN, relu": functools.partial(RNN, nonlinearity="relu"),
    **{kind.__name__: kind for kind in nn.LAYERS if kind not in (GRU, LSTM, RNN)},
}
STEADY = {
    "plain": {},
    "proj_size": {"proj_size": PROJECTED},
    "layer_norm": {"layer_norm": True},
    "learned_state": {"learned_state": True, "resets": True},
    "residual": {"residual": True, "num_layers": 2},
    "hidden_size per layer": {"hidden_size": [HIDDEN, HIDDEN - 1]},
    "models": {"models": MODELS},
    "recompute": {"recompute": True},
    "bidirectional": {"bidirectional": True},
    "lengths and resets": {"lengths": True, "resets": True},
}
"""Options that do the same in training and in eval mode."""
DROPOUT = {
    "recurrent_dropout": {"recurrent_dropout": 0.5},
    "candidate_dropout": {"candidate_dropout": 0.5},
    "input_dropout": {"input_dropout": 0.5},
    "dropout between layers": {"dropout": 0.5, "num_layers": 2},
}
"""Options that do nothing in eval mode."""
ZONEOUT = {"zoneout": 0.5}
TOGETHER = "these together, training"
ROWS = {
    **STEADY,
    "zoneout, eval": ZONEOUT,
    "zoneout, training": ZONEOUT,
    **{f"{name}, training": options for name, options in DROPOUT.items()},
    TOGETHER: {},
}
CELLS = list(itertools.product(LAYERS, ROWS, CHECKS))


class Outcome(NamedTuple):
    """What a cell says: whether the transform works, and a reason or a condition."""

    works: bool
    note: str | None = None


def case(layer: str, row: str) -> Case:
    """The layer of a row; Refused where it has no such option."""
    options = together(layer) if row == TOGETHER else ROWS[row]
    torch.manual_seed(0)
    return attempt(Case, LAYERS[layer], options, training=not row.endswith("eval"))


def together(layer: str) -> dict:
    """All that the layer takes, but sizes of its own for each layer, which residual forbids."""
    found = {}
    for row, options in ROWS.items():
        if row not in (TOGETHER, "hidden_size per layer"):
            try:
                case(layer, row)
            except Refused:
                continue
            found |= options
    return found


def outcome(layer: str, row: str, transform: str) -> Outcome:
    """The check of one cell, run; AssertionError where the transform gives a wrong result."""
    try:
        return Outcome(True, CHECKS[transform](case(layer, row)))
    except Refused as refused:
        return Outcome(False, str(refused))


def page(outcomes: dict[tuple[str, str, str], Outcome]) -> str:
    """The page of documentation."""
    notes = list(dict.fromkeys(found.note for found in outcomes.values() if found.note))

    def text(cell):
        works, note = outcomes[cell]
        return ("yes" if works else "no") + (f" ({notes.index(note) + 1})" if note else "")

    sections = []
    for layer in LAYERS:
        lines = [[row, *(text((layer, row, transform)) for transform in CHECKS)] for row in ROWS]
        sections.append(f"## {layer}\n\n{table(['option', *CHECKS], lines)}")
    listed = "\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1))
    return INTRODUCTION + "\n\n".join([*sections, f"## Notes\n\n{listed}"]) + "\n"


def table(head: list[str], lines: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


def shown(text: str) -> dict[tuple[str, str, str], Outcome]:
    """The outcomes that a page shows."""
    notes = dict(re.findall(r"^(\d+)\. (.*)$", text, re.M))
    found = {}
    for section in text.split("\n## ")[1:]:
        layer = section.partition("\n")[0]
        for line in re.findall(r"^\| (\w.*) \|$", section, re.M)[1:]:
            row, *cells = line.split(" | ")
            for transform, cell in zip(CHECKS, cells, strict=True):
                word, _, number = cell.partition(" ")
                note = notes[number.strip("()")] if number else None
                found[layer, row, transform] = Outcome({"yes": True, "no": False}[word], note)
    return found


INTRODUCTION = f"""\
# Transforms

What works on a layer with each of its options. Every cell is a test, and
`python tests/nn/transform_table.py` writes this page from the same functions. "Yes" says that the
transform gave in float64 what the plain layer gives, output, states and gradients; the note at a
"no" is the error's own message.

{table(["transform", "what is compared"], [[name, of.__doc__] for name, of in CHECKS.items()])}

The cells of compile use the backend aot_eager; plain layers are tested with inductor too.

Rows without a mode do the same in training and in eval mode, and dropout does nothing in eval
mode. The last row of a table has all options above it in one layer, except `hidden_size` per
layer, whose widths `residual` cannot add.

Masks are drawn from torch's generator. Compiled, exported and differentiated layers draw those
that the plain layer draws from the same seed; only the inductor backend of `torch.compile` has
random numbers of its own, unless `torch._inductor.config.fallback_random` is set.

In a compiled function vmap, grad, jvp and dual numbers work as they do outside. Around one that is
compiled with `fullgraph=True` torch refuses vmap, grad and jvp, and dual numbers where anything
needs a gradient.

"""


def main() -> None:
    warnings.simplefilter("ignore")
    PAGE.write_text(page({cell: outcome(*cell) for cell in CELLS}))


if __name__ == "__main__":
    main()
