"""A comparison as one page to read: verdicts, tables, and curves to point at."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from grukit.core.files import write_atomically
from grukit.plots.comparison import ComparisonDisplay
from grukit.plots.gradient_flow import GradientFlowDisplay
from grukit.plots.pages import plotly_script
from grukit.results.comparison import TABLE_HEAD, Comparison, table_cells
from grukit.results.gradient_flow import GradientFlow

Flows = Mapping[str, Mapping[str, GradientFlow]]

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #222; background: #fff; margin: 0; }
main { max-width: 66rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0; }
h2 { font-size: 1.2rem; margin: 3rem 0 .4rem; }
p { max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .55rem; text-align: right; white-space: nowrap; }
th { border-bottom: 1px solid #767676; font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr + tr td { border-top: 1px solid #e4e4e4; }
nav a { margin-right: 1rem; color: #0072B2; }
footer { margin-top: 3rem; color: #555; font-size: .85rem; }
"""


def write_report(
    path: str | Path,
    comparison: Comparison,
    flows: Flows | None = None,
    circumstances: Mapping[str, str] | None = None,
) -> None:
    """Write a comparison as an .html page that needs no network, whole or not at all.

    flows: gradients over time, by when or where they were measured, and by cell; see
        `grukit.insight.gradient_flow`.
    circumstances: what else to say of the runs, such as the machine, at the end.

    Raises MissingExtra without plotly.
    """
    write_atomically(path, report(comparison, flows or {}, circumstances or {}))


def report(comparison: Comparison, flows: Flows, circumstances: Mapping[str, str]) -> str:
    """The page; see `write_report`."""
    names = [question.name for question in comparison.questions]
    links = [f'<a href="#{_id(name)}">{_text(name)}</a>' for name in names]
    equal = "about equal parameters" if comparison.by == "parameters" else "equal width"
    cells = dict.fromkeys(run.cell for run in comparison.runs)
    own = all(question.goal is None for question in comparison.questions)
    beside = "that of the best baseline" if own else "what one gets who knows nothing"
    told = "; ".join(f"{key}: {value}" for key, value in circumstances.items())
    parts = [
        f"<h1>Recurrent cells compared, at {equal}</h1>",
        f"<p>{len(comparison.runs)} trainings of {len(cells)} cells on {len(names)} "
        f"problem{'' if len(names) == 1 else 's'}. A score stands beside {beside}; the learning "
        "rate of each cell was searched with the same tries, not on the test.</p>",
        f"<nav>{' '.join(links)}</nav>",
        *(_section(comparison, name) for name in names),
        _gradients(flows) if flows else "",
        f"<footer>{_text(told)}</footer>" if told else "",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>Recurrent cells compared</title>\n<style>{_STYLE}</style>\n{plotly_script()}\n"
        "</head>\n<body>\n<main>\n" + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"
    )


def _section(comparison: Comparison, name: str) -> str:
    question = comparison.question(name)
    rows = [table_cells(row) for row in comparison.rows(name)]
    curves = ComparisonDisplay(comparison, [name]).page().to_fragment(f"curves-{_id(name)}")
    return (
        f'<section id="{_id(name)}">\n<h2>{_text(question.title)}</h2>\n'
        f"<p>{_text(comparison.verdict(name))}</p>\n<p>Score: {_text(question.scale)}.</p>\n"
        f'<div class="scroll">{_table(TABLE_HEAD, rows)}</div>\n{curves}\n</section>'
    )


def _gradients(flows: Flows) -> str:
    """The lines of all flows, and what each says."""
    said = "\n".join(
        f"<li>{_text(f'{cell}, {when}' if when else cell)}: {_text(flow.words())}</li>"
        for when, own in flows.items()
        for cell, flow in own.items()
    )
    curves = GradientFlowDisplay(flows).to_fragment("gradients-over-time")
    return (
        '<section id="gradients">\n<h2>How far back gradients reach</h2>\n'
        f"<ul>\n{said}\n</ul>\n{curves}\n</section>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    return f"<table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def _id(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _text(text: str) -> str:
    return html.escape(text)
