"""Quantile levels and the intervals between them."""

from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.results import central_coverages, check_levels


def test_central_coverages_need_both_ends():
    assert central_coverages((0.05, 0.1, 0.5, 0.9)) == (0.8,)
    assert central_coverages(tuple(np.arange(1, 100) / 100))[:2] == (0.02, 0.04)


@pytest.mark.parametrize("levels", [(), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5), (0.9, 0.1), (np.nan,)])
def test_levels_must_rise_between_0_and_1(levels):
    with pytest.raises(ParameterError, match="rising strictly"):
        check_levels(levels)
