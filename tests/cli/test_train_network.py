"""The network of a forecaster, chosen on the command line."""

from __future__ import annotations

from grukit import Forecaster


def test_segments_embedding_and_ensemble(grukit, hours, tiny, tmp_path):
    options = ("--network", "segments", "--segment", "4", "--series-embedding", "2")
    path = tmp_path / "m"
    trained = grukit("train", "forecast", hours, "-o", path, *tiny, *options, "--ensemble", "2")
    assert trained.code == 0, trained.err
    network = Forecaster.load(path).network_
    assert (network.segment, network.models) == (4, 2)
    assert network.of_series.weight.shape == (2, 1, 2)
    refused = grukit("train", "forecast", hours, "-o", path, *tiny, "--network", "rows")
    assert refused.code == 2
