"""The demo of a writer, on a few modules."""

from __future__ import annotations

import functools

from grukit.cli import demo_generate
from grukit.tasks import generation


def test_demo_of_a_writer_shows_scores_and_a_sample(monkeypatch, grukit, tmp_path):
    init = generation.TextGenerator.__init__

    @functools.wraps(init)
    def small(self, **settings):
        init(self, **{**settings, "hidden_size": 16})

    monkeypatch.setattr(generation.TextGenerator, "__init__", small)
    monkeypatch.setattr(demo_generate, "CHARACTERS", 40_000)
    monkeypatch.setattr(demo_generate, "HELD_OUT", 0.5)
    outcome = grukit("demo", "generate", "--folder", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "1-gram" in outcome.out
    assert "5-gram" in outcome.out
    assert "\ndef read_" in outcome.out
    folder = tmp_path / "generate" / "writer"
    assert str(folder) in outcome.err
    assert grukit("predict", folder, "--prompt", "class", "--length", 5).code == 0
