"""grukit inspect, of judges and writers of texts: what they make of each token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from grukit.cli.output import say, show, show_json, table, write_frame

if TYPE_CHECKING:
    from grukit.results.classification import TextExplanation
    from grukit.results.generation import TextSurprise
    from grukit.tasks.classification import TextClassifier
    from grukit.tasks.generation import TextGenerator

_SHOWN = 20
_BEFORE = 30  # characters


def inspect_judge(
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


def inspect_writer(
    model: TextGenerator, text: str | Path, output: Path | None, plot: Path | None, json: bool
) -> None:
    """Print, draw and write how little each token of a text was to be expected."""
    surprise = model.surprise(text)
    if output:
        write_frame(surprise.to_frame(), output)
        say(f"wrote {output}")
    if plot:
        model.plot(surprise).save(plot)
        say(f"wrote {plot}")
    if json:
        show_json(surprise.to_dict())
    elif not output:
        show(table(_least_expected(surprise)))


def _least_expected(surprise: TextSurprise) -> list[tuple[str, ...]]:
    """The tokens with the most nats, and what stands before each."""
    rows = [("after", "token", "nats")]
    nats = surprise.nats.tolist()
    for at in sorted(range(len(nats)), key=nats.__getitem__, reverse=True)[:_SHOWN]:
        before = "".join(surprise.tokens[max(0, at - _BEFORE) : at])[-_BEFORE:]
        rows.append((_quoted(before), _quoted(surprise.tokens[at]), f"{nats[at]:.2f}"))
    return rows


def _quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)


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
