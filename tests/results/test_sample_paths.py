"""Sample paths: frames, JSON, and what they answer of a whole horizon."""

from __future__ import annotations

import json

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.results import Columns, SamplePaths

VALUES = np.array([[[1.0, 2.0], [3.0, 5.0], [4.0, 0.0]], [[0.0, 0.0], [0.0, 1.0], [9.0, -9.0]]])
TIMES = np.array([["2024-01-01", "2024-01-02"]] * 2, "datetime64[us]")


def make(**changes) -> SamplePaths:
    parts = {
        "series": ("A", "B"),
        "times": TIMES,
        "values": VALUES,
        "columns": Columns("shop", "day", "sold"),
    }
    return SamplePaths(**{**parts, **changes})


def test_what_whole_paths_do():
    paths = make()
    np.testing.assert_allclose(paths.probability(above=3.5), [2 / 3, 0])
    np.testing.assert_allclose(paths.probability(above=3.5, of=np.max), [2 / 3, 1 / 3])
    np.testing.assert_allclose(paths.probability(above=-1, of=np.min), [1, 2 / 3])
    np.testing.assert_array_equal(paths.quantile(0.5), [[3, 2], [0, 0]])


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_a_frame_has_a_row_for_each_step_of_each_path(backend):
    frame = make().to_frame(backend)
    columns = frame.to_pandas() if backend == "pyarrow" else frame
    assert list(columns["shop"]) == ["A"] * 6 + ["B"] * 6
    assert list(columns["path"]) == [0, 0, 1, 1, 2, 2] * 2
    assert list(columns["sold"]) == VALUES.ravel().tolist()
    assert columns["day"][1] - columns["day"][0] == np.timedelta64(1, "D")


def test_it_is_json():
    found = json.loads(json.dumps(make().to_dict()))
    assert found["series"][1] == {
        "name": "B",
        "times": ["2024-01-01T00:00:00", "2024-01-02T00:00:00"],
        "paths": VALUES[1].tolist(),
    }
    single = make(series=("",), times=TIMES[:1], values=VALUES[:1], columns=Columns(None, "t", "y"))
    assert single.to_dict()["series"][0]["name"] is None
    assert list(single.to_frame()) == ["path", "t", "y"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": TIMES[:1]}, "times must be of shape"),
        ({"values": VALUES[..., :1]}, "values must be of shape"),
        ({"values": VALUES[:, :0]}, "values must be of shape .* with at least one path"),
        ({"values": VALUES * np.nan}, "values must be finite"),
    ],
)
@pytest.mark.filterwarnings(
    "ignore:invalid value:RuntimeWarning", "ignore:divide by:RuntimeWarning"
)
def test_parts_that_do_not_fit(changes, message):
    with pytest.raises(ParameterError, match=message):
        make(**changes)


@pytest.mark.parametrize("level", [-0.1, 1.0, "half"])
def test_a_level_outside_its_rule(level):
    with pytest.raises(ParameterError, match="level must be a number"):
        make().quantile(level)
