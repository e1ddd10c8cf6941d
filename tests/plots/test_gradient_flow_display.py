from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.plots.gradient_flow import GradientFlowDisplay
from grukit.results.gradient_flow import GradientFlow

pytest.importorskip("matplotlib")


def flow(rate: float, steps: int = 300) -> GradientFlow:
    lags = np.arange(steps + 1)
    return GradientFlow("gru", lags, np.log(rate) * lags[None], {}, np.ones(2))


def test_every_flow_is_a_line_of_powers_of_ten():
    figure = GradientFlowDisplay({"slow": flow(0.99), "fast": flow(0.5)}).plot()
    (ax,) = figure.axes
    slow, fast = (line.get_ydata() for line in ax.get_lines())
    np.testing.assert_allclose(slow, np.log10(0.99) * np.arange(301))
    # Below what a float of 32 bits holds the line ends.
    assert np.isnan(fast[200:]).all()
    assert not np.isnan(fast[:140]).any()


def test_panels_share_names_and_colours(tmp_path):
    display = GradientFlowDisplay(
        {"before": {"GRU": flow(0.9)}, "after": {"RNN": flow(0.8), "GRU": flow(0.99)}}, "<Title>"
    )
    before, after = display.plot().axes
    assert before.get_title(loc="left") == "before"
    assert before.get_lines()[0].get_color() == after.get_lines()[1].get_color()
    display.save(tmp_path / "flow.png")
    assert (tmp_path / "flow.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_is_self_contained_and_escapes(tmp_path):
    pytest.importorskip("plotly")
    GradientFlowDisplay({"<b>GRU": flow(0.9)}, "<script>").save(tmp_path / "flow.html")
    text = (tmp_path / "flow.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;GRU" in text
    assert 'src="http' not in text


def test_nothing_to_draw_is_refused():
    with pytest.raises(ParameterError, match="flows must be one GradientFlow or more"):
        GradientFlowDisplay({})
