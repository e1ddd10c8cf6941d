"""The page of gates: whole, offline, and right about every step that is pointed at."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from grukit import nn
from grukit.insight.gates import inspect_gates, read_gates
from grukit.plots.gate_page import MOST_STEPS, MOST_UNITS, gate_page, labels_of, notable
from grukit.results.gates import GateRecord
from headless import opened

KINDS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN, "mingru": nn.MinGRU}
TEXT = "to (be) or not."
# Points at a step, and tells what is shown.
POINT = """
const span = document.querySelector("[data-step='{step}']");
span.dispatchEvent(new MouseEvent("mouseover", {{bubbles: true}}));
return [document.getElementById("where").textContent,
  ...[...document.querySelectorAll("#table tr")].map(row => row.textContent)];
"""


def records_of(kind: str = "gru", units: int = 4, text: str = TEXT, **options) -> list[GateRecord]:
    torch.manual_seed(0)
    layer = KINDS[kind](3, units, **options)
    (record,) = read_gates(layer, torch.randn(len(text), 1, 3), inside=True)
    return [replace(record, steps=tuple(text), step="character")]


def page_of(records, title="Gates") -> str:
    return gate_page(records, inspect_gates(records), title)


def data_of(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(text)


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+\.\d{3}", text.replace("−", "-"))]


def test_the_numbers_are_in_the_page():
    (record,) = records_of()
    data = data_of(page_of([record]))
    (layer,) = data["layers"]
    hidden = np.array(layer["gates"]["hidden"]).reshape(record.hidden.shape) / data["scale"]
    np.testing.assert_allclose(hidden, record.hidden, atol=0.6 / data["scale"])
    assert layer["steps"] == list(TEXT)
    assert layer["units"] == ["0", "1", "2", "3"]
    assert data["report"] == inspect_gates([record]).words()


def test_nothing_is_fetched_and_nothing_escapes():
    (record,) = records_of()
    steps = ("</script><script>alert(1)</script>", "<!--", "\u2028", *record.steps[3:])
    page = page_of([replace(record, steps=steps)], "<b>&</b>")
    assert page.count("</script>") == 2
    assert "<!--" not in page
    assert "<title>&lt;b&gt;&amp;&lt;/b&gt;</title>" in page
    assert not re.search(r"https?://|src=|@import|url\(", page)
    assert "default-src 'none'" in page
    assert data_of(page)["layers"][0]["steps"] == list(steps)


def test_what_is_left_out_is_told():
    record = records_of(units=70, text="ab" * 400)[0]
    (layer,) = data_of(page_of([record]))["layers"]
    assert (len(layer["steps"]), len(layer["units"])) == (MOST_STEPS, MOST_UNITS)
    wanted = "64 of 70 units shown, 6 left out; 600 of 800 characters shown, 200 left out"
    assert layer["note"] == wanted


def test_of_many_units_those_worth_looking_at_are_chosen():
    random = np.random.default_rng(0)
    hidden = random.normal(0, 0.02, (100, 9))
    hidden[:, 2] = 0.0
    hidden[:, 4] *= 20
    feature = hidden[:, 6].copy()
    update = np.full((100, 9), 0.5)
    update[:, 8] = 0.99
    own = GateRecord("a", "gru", tuple("a" * 100), {"update": update, "hidden": hidden})
    report = inspect_gates([own], {"feature": feature})
    assert notable(own, report, 3).tolist() == [4, 6, 8]
    assert notable(own, report, 8).tolist() == [0, 1, 3, 4, 5, 6, 7, 8]
    (layer,) = data_of(gate_page([own], report, "Gates"))["layers"]
    assert layer["does"][6] == "feature +1.00"
    assert layer["does"][8] == "holds"


def test_pointing_at_a_step_shows_the_four_equations_with_its_numbers(tmp_path):
    (record,) = records_of()
    where, *rows = opened(page_of([record]), POINT.format(step=4), tmp_path)
    assert where == 'GRU, unit 0, character 5 of 15: "b"'
    r, z, n, h = (record.gates[k][4, 0] for k in ("reset", "update", "memory", "hidden"))
    before = record.before[4, 0]
    sums = {name: [own[4, 0] for own in shares] for name, shares in record.sums.items()}
    x_n, h_n = sums["memory"]
    wanted = (
        [*sums["reset"], r],
        [*sums["update"], z],
        [x_n, r, h_n, n],
        [1, z, n, z, before, h],
    )
    assert len(rows) == 4
    for row, values in zip(rows, wanted, strict=True):
        found = numbers(row.replace("(1 −", "(1.000 −"))
        np.testing.assert_allclose(np.abs(found), np.abs(values), atol=1.1e-3)


def test_other_cells_show_their_own_equations(tmp_path):
    kinds = {"lstm": 6, "rnn": 1, "mingru": 3}
    records = [replace(records_of(kind)[0], layer=kind) for kind in kinds]
    script = """
    const choice = document.getElementById("layer");
    return [...choice.options].map((_, index) => {
      choice.selectedIndex = index; choice.dispatchEvent(new Event("change"));
      const over = new MouseEvent("mouseover", {bubbles: true});
      document.querySelector("[data-step='7']").dispatchEvent(over);
      return [...document.querySelectorAll("#table tr")].map(row => row.textContent);
    });
    """
    for record, rows in zip(records, opened(page_of(records), script, tmp_path), strict=True):
        assert len(rows) == kinds[record.cell]
        assert numbers(rows[-1])[-1] == pytest.approx(record.hidden[7, 0], abs=1e-3)


def test_an_rnn_has_its_own_nonlinearity(tmp_path):
    for name in ("tanh", "relu"):
        records = records_of("rnn", nonlinearity=name)
        (row,) = opened(page_of(records), POINT.format(step=7), tmp_path)[1:]
        assert f"= {name}(" in row


@pytest.mark.parametrize("reverse", [False, True])
def test_what_an_lstm_held_is_told_where_it_forgets_it(reverse, tmp_path):
    """What is left of it at a forget gate of 0.003 would not tell."""
    torch.manual_seed(0)
    layer = nn.LSTM(3, 4, bidirectional=True)
    with torch.no_grad():
        layer.bias_ih_l0[4:8] = layer.bias_ih_l0_reverse[4:8] = -6.0
    records = read_gates(layer, torch.randn(len(TEXT), 1, 3), inside=True)
    record = replace(records[reverse], steps=tuple(TEXT), step="character")
    rows = opened(page_of([record]), POINT.format(step=7), tmp_path)
    assert record.gates["forget"][7, 0] < 0.005
    wanted = record.gates["cell"][8 if reverse else 6, 0]
    assert numbers(rows[-2])[1] == pytest.approx(wanted, abs=1e-3)


def test_words_are_apart_and_what_is_no_sign_has_a_name(tmp_path):
    record = records_of(text="abc")[0]
    script = "return [document.getElementById('text').textContent, ...(() => {POINT})()];"
    shown = script.replace("POINT", POINT.format(step=0))
    words = replace(record, steps=("so", "good", "film"), step="word")
    text, where, *_ = opened(page_of([words]), shown, tmp_path)
    assert text == "so good film "
    assert where == 'GRU, unit 0, word 1 of 3: "so"'
    text, where, *_ = opened(page_of([replace(record, steps=("", "a", "b"))]), shown, tmp_path)
    assert text == "∅ab"
    assert where == "GRU, unit 0, character 1 of 3: the end of a text"


def test_options_that_the_equations_leave_out_are_told(tmp_path):
    rows = opened(page_of(records_of(zoneout=0.5)), POINT.format(step=7), tmp_path)
    assert "zoneout" in rows[-1]


def test_keys_choices_and_the_map_lead_to_other_steps_and_units(tmp_path):
    script = """
    const key = name => document.dispatchEvent(new KeyboardEvent("keydown", {key: name}));
    const told = [], where = document.getElementById("where");
    key("ArrowRight"); key("ArrowRight"); told.push(where.textContent);
    key("ArrowDown"); told.push(where.textContent);
    const map = document.getElementById("map"), box = map.getBoundingClientRect();
    const at = {clientX: box.left + box.width * 10.5 / 15, clientY: box.top + box.height * 3.5 / 4};
    map.dispatchEvent(new MouseEvent("click", at)); told.push(where.textContent);
    document.getElementById("gate").selectedIndex = 1;
    document.getElementById("gate").dispatchEvent(new Event("change"));
    told.push(document.querySelector(".now").textContent);
    remember();
    return [...told, location.hash];
    """
    right, down, clicked, now, address = opened(page_of(records_of()), script, tmp_path)
    assert "unit 0, character 3" in right
    assert "unit 1, character 3" in down
    assert "unit 3, character 11" in clicked
    assert now == TEXT[10]
    assert address == "#layer=0&unit=3&step=10"


def test_an_address_leads_to_its_place(tmp_path):
    script = "return document.getElementById('where').textContent;"
    for address, wanted in (
        ("#layer=0&unit=2&step=5", "GRU, unit 2, character 6 of 15"),
        ("#layer=9&unit=99&step=99&gate=__proto__", "GRU, unit 3, character 15 of 15"),
        ("#unit=-1&step=x", "GRU, unit 0, character 1 of 15"),
    ):
        page = page_of(records_of()).replace('"use strict";', f'location.hash = "{address}";')
        assert opened(page, script, tmp_path).startswith(wanted)


def test_keys_scroll_a_long_text_and_the_map(tmp_path):
    script = """
    const text = document.getElementById("text"), maps = document.getElementById("maps");
    for (let at = 0; at < 501; at++)
      document.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
    const box = own => own.getBoundingClientRect(), now = box(text.querySelector(".now"));
    const column = box(document.getElementById("column"));
    return [text.querySelector(".now").dataset.step,
      now.top >= box(text).top && now.bottom <= box(text).bottom,
      column.left >= box(maps).left && column.right <= box(maps).right];
    """
    found = opened(page_of(records_of(text="ab cd " * 100)), script, tmp_path, (500, 800))
    assert found == ["501", True, True]


@pytest.mark.parametrize("bands", [1, 8])
def test_times_are_short_and_below_and_the_place_is_marked(bands, tmp_path):
    record = records_of(text="x" * 48)[0]
    hours = np.datetime64("2024-01-01T00:00:00") + np.arange(48) * np.timedelta64(3600, "s")
    picture = np.arange(48.0)[:, None] + np.arange(bands)
    picture[10:20] = np.nan
    record = replace(record, steps=tuple(map(str, hours)), step="row", picture=picture)
    script = """
    const by = id => document.getElementById(id), box = own => own.getBoundingClientRect();
    const labels = [...by("labels").children], map = by("map"), wide = map.width / 48;
    map.dispatchEvent(new MouseEvent("click", {bubbles: true,
      clientX: box(map).left + 12.5 * wide, clientY: box(map).top + map.height * .6}));
    const drawn = by("below").getContext("2d").getImageData(0, 0, map.width, 110).data;
    const column = at => Math.floor(at / 4) % map.width / wide | 0;
    const inked = new Set([...drawn.keys()].filter(at => drawn[at] > 0).map(column));
    return {labels: labels.map(own => own.textContent),
      apart: labels.every((own, at) => !at || box(own).left > box(labels[at - 1]).right),
      within: labels.every(own => box(own).right <= box(map).right),
      column: (box(by("column")).left - box(map).left) / wide,
      row: (box(by("row")).top - box(map).top) / map.height * 4,
      where: by("where").textContent,
      inked: [...inked].sort((a, b) => a - b), most: by("most").textContent};
    """
    found = opened(page_of([record]), script, tmp_path)
    assert found["labels"][:2] == ["2024-01-01 00:00", "2024-01-01 10:00"]
    assert found["apart"]
    assert found["within"]
    assert (found["column"], found["row"]) == (12, 2)
    assert found["where"] == "GRU, unit 2, row 13 of 48: 2024-01-01 12:00"
    assert found["inked"] == [*range(10), *range(20, 48)]
    assert float(found["most"]) == pytest.approx(np.abs(record.hidden).max(), rel=0.05)


def test_labels_are_shortened_where_all_are_times():
    (record,) = records_of(text="ab")
    for labels, wanted in (
        (("2024-01-01T00:00:00", "2024-01-02T00:00:00"), ["2024-01-01", "2024-01-02"]),
        (("2024-01-01T00:00:00", "2024-01-01T06:30:00"), ["2024-01-01 00:00", "2024-01-01 06:30"]),
        (
            ("2024-01-01T00:00:01", "2024-01-01T00:00:02"),
            ["2024-01-01 00:00:01", "2024-01-01 00:00:02"],
        ),
        (("1T:00", "2T:00"), ["1T:00", "2T:00"]),
    ):
        assert labels_of(replace(record, steps=labels, step="row")) == wanted


@pytest.mark.parametrize(("bands", "size"), [(1, (1200, 900)), (20, (500, 800))])
def test_a_series_or_a_sound_is_drawn_below_the_map(bands, size, tmp_path):
    (record,) = records_of(text="x" * 60)
    picture = np.random.default_rng(0).normal(size=(60, bands))
    steps = tuple(f"{at / 50:.2f}" for at in range(60))
    record = replace(record, steps=steps, step="moment", picture=picture)
    script = """
    const drawn = id => {
      const own = document.getElementById(id);
      return own.getContext("2d").getImageData(0, 0, own.width, own.height).data.some(v => v > 0);
    };
    const wide = document.documentElement;
    return [drawn("map"), drawn("below"), document.getElementById("text").hidden,
      wide.scrollWidth <= wide.clientWidth];
    """
    found = opened(page_of([record, replace(record, layer="b")]), script, tmp_path, size)
    assert found == [True, True, True, True]


def test_a_page_that_is_wrong_is_seen(tmp_path):
    """The check itself: an error, a word on the console and a reach for the network are red."""
    page = page_of(records_of())
    for wrong in ("null.x;", "console.log(1);", "fetch('https://example.org').catch(() => 0);"):
        with pytest.raises(AssertionError):
            opened(page.replace('"use strict";', wrong), "return 1;", tmp_path)
