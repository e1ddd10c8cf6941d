import numpy as np
import pandas as pd
import pytest

from grukit.core.errors import ParameterError
from grukit.data.frames import Columns, to_panel
from grukit.data.synthetic import AMPLITUDE_OF_KIND, PROMO_EFFECT, seasonal_series


def test_is_a_panel_with_every_role():
    columns = Columns(future=("promo",), static=("kind",))
    panel = to_panel(pd.DataFrame(seasonal_series(count=3, length=50)), columns)
    assert panel.ids == ("series_0", "series_1", "series_2")
    assert panel.calendar.freq == "h"
    assert panel.lengths.tolist() == [50, 50, 50]
    assert panel.static["kind"].tolist() == ["calm", "lively", "calm"]
    assert set(panel.covariates["promo"]) == {0.0, 1.0}
    assert panel.report.added == 0


def test_holds_the_planted_effects():
    """Least squares on level, sine, cosine and promo finds what the docstring promises."""
    columns = seasonal_series(count=2, length=2000, period=12, noise=0.05, seed=4)
    angle = 2 * np.pi * np.arange(2000) / 12
    for series, amplitude in enumerate(AMPLITUDE_OF_KIND.values()):
        rows = slice(2000 * series, 2000 * (series + 1))
        causes = [np.ones(2000), np.sin(angle), np.cos(angle), columns["promo"][rows]]
        found, residuals, *_ = np.linalg.lstsq(np.stack(causes, 1), columns["y"][rows], rcond=None)
        assert np.hypot(found[1], found[2]) == pytest.approx(amplitude, abs=0.01)
        assert found[3] == pytest.approx(PROMO_EFFECT, abs=0.02)
        assert np.sqrt(residuals[0] / 2000) == pytest.approx(0.05, rel=0.1)


def test_seed_and_missing_share():
    first, again = seasonal_series(missing=0.2), seasonal_series(missing=0.2)
    np.testing.assert_array_equal(first["y"], again["y"])
    assert not np.array_equal(first["y"], seasonal_series(missing=0.2, seed=1)["y"], equal_nan=True)
    assert np.isnan(first["y"]).mean() == pytest.approx(0.2, abs=0.03)
    assert not np.isnan(seasonal_series()["y"]).any()


@pytest.mark.parametrize("wrong", [{"count": 0}, {"missing": 1.0}, {"noise": -1}, {"period": 0}])
def test_refuses(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        seasonal_series(**wrong)
