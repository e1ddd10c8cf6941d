from __future__ import annotations

import dataclasses
import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from grukit.insight.report import report, write_report
from grukit.results.comparison import Comparison, Question, Run
from grukit.results.gradient_flow import GradientFlow
from headless import opened

pytest.importorskip("plotly")


def question(name: str) -> Question:
    return Question(name, f"The <{name}> problem", "mse", False, 0.17, "the mean", 0.01)


def run(problem: str, cell: str, seed: int, score: float) -> Run:
    losses = (0.2, 0.1 + score, score)
    sizes = {"hidden_size": 7, "parameters": 99, "multiply_adds": 50, "memory_bytes": 2**20}
    seconds = (1.0, 1.0, 1.0)
    return Run(problem, cell, 0.01, seed, **sizes, train_losses=losses, validation_losses=losses,
               seconds=seconds, score=score, diverged=False)  # fmt: skip


@pytest.fixture
def comparison() -> Comparison:
    runs = [
        run(name, cell, seed, best + 0.001 * seed)
        for name in ("adding", "a^n b^n")
        for cell, best in (("gru", 0.002), ("rnn", 0.16))
        for seed in range(3)
    ]
    return Comparison((question("adding"), question("a^n b^n")), tuple(runs), "parameters")


class Reader(HTMLParser):
    """What is in a page: its elements with their attributes, and the words of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.within = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.within = tag

    def handle_data(self, data):
        if self.within in ("td", "th") and data.strip():
            self.cells.append(data)


def test_a_report_has_verdicts_tables_and_curves(comparison):
    page = report(comparison, {}, {"machine": "two <cores>"})
    reader = Reader(page)
    ids = [own["id"] for _, own in reader.elements if "id" in own]
    assert {"adding", "a-n-b-n", "curves-adding", "curves-a-n-b-n"} <= set(ids)
    assert len(ids) == len(set(ids))
    links = [own["href"] for tag, own in reader.elements if tag == "a"]
    assert links == ["#adding", "#a-n-b-n"]
    for row in comparison.rows("adding"):
        assert f"{row.score:.4g}" in reader.cells
    assert comparison.verdict("adding").split(".")[0] in page
    assert "The &lt;adding&gt; problem" in page
    assert "<h1>Recurrent cells compared, at about equal parameters</h1>" in page
    assert "<p>Score: mse, less is better; the mean: 0.17.</p>" in page
    wide = dataclasses.replace(comparison, by="width")
    assert "<h1>Recurrent cells compared, at equal width</h1>" in report(wide, {}, {})
    assert "two &lt;cores&gt;" in page
    assert len(re.findall(r"Plotly\.newPlot\(", page)) >= 2


def test_a_report_has_the_gradients(comparison):
    lags = np.arange(50)
    flows = {
        name: GradientFlow(name, lags, np.log(rate) * lags[None], {}, np.ones(2))
        for name, rate in (("rnn", 0.7), ("gru", 0.999))
    }
    page = report(comparison, {"at first": flows}, {})
    assert "rnn, at first: " in page
    for flow in flows.values():
        assert html.escape(flow.words()) in page
    assert 'id="gradients-over-time"' in page


# Points at the second epoch of the first line of each plot, and tells what is drawn and shown.
POINT = """
const plots = [...document.querySelectorAll(".js-plotly-plot")];
return plots.map(plot => {
  Plotly.Fx.hover(plot, [{curveNumber: 0, pointNumber: 1}]);
  const lines = [...plot.querySelectorAll(".scatterlayer path.js-line")];
  return {
    drawn: lines.filter(line => line.getAttribute("d")).length,
    inside: plot.getBoundingClientRect().right <= innerWidth,
    shown: plot.querySelector(".hoverlayer").textContent,
  };
});
"""


@pytest.mark.parametrize("size", [(1200, 900), (500, 900)])
def test_a_browser_draws_every_plot_and_tells_what_is_pointed_at(comparison, tmp_path, size):
    lags = np.arange(50)
    flows = {"gru": GradientFlow("gru", lags, -0.01 * lags[None], {}, np.ones(2))}
    plots = opened(report(comparison, {"at first": flows}, {}), POINT, tmp_path, size)
    assert [plot["drawn"] for plot in plots] == [2, 2, 1]
    assert all(plot["inside"] for plot in plots)
    losses = comparison.chosen("adding", "gru")[1].validation_losses
    assert f"{losses[1]:.3f}" in plots[0]["shown"]
    assert f"{np.exp(-0.01):.3f}"[:4] in plots[2]["shown"]


def test_a_report_loads_nothing_from_elsewhere(comparison):
    for tag, own in Reader(report(comparison, {}, {})).elements:
        assert tag not in ("iframe", "object", "embed", "img")
        assert tag != "script" or "src" not in own
        if tag == "link":
            assert own["href"] == "data:,"


def test_a_report_is_written_whole(comparison, tmp_path):
    write_report(tmp_path / "report.html", comparison)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>\n")
