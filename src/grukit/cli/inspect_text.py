"""grukit inspect, of a judge of texts: what each token added."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from grukit.cli.output import say, show, show_json, table, write_frame

if TYPE_CHECKING:
    from grukit.results.classification import TextExplanation
    from grukit.tasks.classification import TextClassifier

_SHOWN = 20


def inspect_text(
    model: TextClassifier,
    text: str,
    label: str | None,
    output: Path | None,
    plot: Path | None,
    json: bool,
) -> None:
    """Print, draw and write what each token of a text added to the log-odds of a class."""
    explanation = model.explain(text, None if label is None else _class(model, label))
    if output:
        write_frame(explanation.to_frame(), output)
        say(f"wrote {output}")
    if plot:
        from grukit.plots.tokens import TokensDisplay

        TokensDisplay.from_explanation(explanation).save(plot)
        say(f"wrote {plot}")
    if json:
        show_json(explanation.to_dict())
    elif not output:
        show(table(_rows(explanation)))


def _class(model: TextClassifier, label: str) -> object:
    """The class of that name, which may be a number."""
    names = {str(name): name for name in model.classes_.tolist()}
    if label not in names:
        raise typer.BadParameter(f"--label must be one of {', '.join(names)}, got {label!r}")
    return names[label]


def _rows(explanation: TextExplanation) -> list[tuple[str, ...]]:
    """Where the log-odds start, what the tokens add, the heaviest first, and where they end."""
    tokens = sorted(
        zip(explanation.tokens, explanation.weights.tolist(), strict=True),
        key=lambda pair: -abs(pair[1]),
    )
    summands = [("(start)", explanation.start), *tokens[:_SHOWN]]
    rest = sum(added for _, added in tokens[_SHOWN:])
    if len(tokens) > _SHOWN:
        summands.append((f"({len(tokens) - _SHOWN:,} others)", rest))
    summands.append((f"(log-odds of {explanation.label})", explanation.log_odds))
    return [("token", "added"), *((name, f"{added:+.4g}") for name, added in summands)]
