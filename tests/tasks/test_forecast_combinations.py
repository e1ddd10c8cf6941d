"""Options of a forecaster together: every pair is refused at once, or works from fit to refit."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from grukit import FitConfig, Forecaster
from grukit.core.errors import ParameterError
from grukit.nn.by_name import LAYER_OF

HORIZON, LOOKBACK, HOURS = 3, 8, 192
TRAINED, START = 48, pd.Timestamp("2024-01-01")
ONE_EPOCH = FitConfig(epochs=1, batch_size=32, learning_rate=1e-2)

CHOICES = {
    "distribution": ("quantiles", "student_t", "mixture", "negative_binomial", "bernoulli"),
    "mode": ("direct", "recursive"),
    "network": ("auto", "steps", "segments"),
    "segment": (None, 2),
    "cell": (*LAYER_OF, "gru_d"),
    "ensemble": (1, 2),
    "scaling": ("window", "series", "last"),
    "calendar": (True, False),
    "differencing": (None, 0, 1),
    "series_embedding": (0, 2),
    "num_layers": (1, 2),
    "dropout": (0.0, 0.2),
    "covariates": ("none", "past", "future", "static", "issued", "every"),
    "rows": ("complete", "gaps", "ragged"),
}
CELLS, COUNTS = CHOICES["cell"], ("negative_binomial", "bernoulli")
REFUSED = {
    *((("mode", "recursive"), ("covariates", role)) for role in ("past", "issued", "every")),
    (("mode", "recursive"), ("network", "segments")),
    (("mode", "recursive"), ("cell", "gru_d")),
    (("mode", "recursive"), ("ensemble", 2)),
    (("mode", "recursive"), ("segment", 2)),
    (("network", "segments"), ("cell", "gru_d")),
    (("network", "steps"), ("segment", 2)),
    (("segment", 2), ("cell", "gru_d")),
    (("cell", "gru_d"), ("ensemble", 2)),
    (("distribution", "mixture"), ("ensemble", 2)),
    *((("distribution", name), ("differencing", 1)) for name in COUNTS),
    *((("distribution", name), ("scaling", "last")) for name in COUNTS),
}
ROLES = {
    "none": {},
    "past": {"past_covariates": ["wind"]},
    "future": {"future_covariates": ["promo"]},
    "static": {"static_covariates": ["kind"]},
    "issued": {"future_covariates": ["rain"], "issued_at": "issued_at"},
}
ROLES["every"] = {
    **ROLES["past"],
    **ROLES["static"],
    "future_covariates": ["promo", "rain"],
    "issued_at": "issued_at",
}


def pairs_of(case: dict) -> set:
    return set(combinations(case.items(), 2))


ALL_PAIRS = {
    ((one, value), (other, second))
    for one, other in combinations(CHOICES, 2)
    for value in CHOICES[one]
    for second in CHOICES[other]
}


def covering_cases() -> list[dict]:
    """Cases without a refused pair that hold every other: each begins with a pair still missing,
    and takes for each option the value that brings the most of those."""
    missing, cases = ALL_PAIRS - REFUSED, []
    order = {name: place for place, name in enumerate(CHOICES)}

    def ordered(case: dict) -> dict:
        return dict(sorted(case.items(), key=lambda item: order[item[0]]))

    while missing:
        case = dict(min(missing, key=repr))
        for name, values in CHOICES.items():
            if name not in case:
                tried = [ordered({**case, name: value}) for value in values]
                allowed = [one for one in tried if not pairs_of(one) & REFUSED]
                # In turn where they are equal, so that no value stands alone for the rest.
                turned = allowed[len(cases) % len(allowed) :] + allowed[: len(cases) % len(allowed)]
                case = max(turned, key=lambda one: len(pairs_of(one) & missing))
        cases.append(ordered(case))
        missing -= pairs_of(ordered(case))
    return cases


CASES = covering_cases()


def forecaster(covariates: str = "none", rows: str = "complete", **options) -> Forecaster:
    return Forecaster(
        HORIZON,
        lookback=LOOKBACK,
        hidden_size=4,
        levels=(0.1, 0.5, 0.9),
        training=ONE_EPOCH,
        **ROLES[covariates],
        **options,
    )


def hour(number: int) -> pd.Timestamp:
    return START + pd.Timedelta(hours=number)


def table(distribution: str, covariates: str, rows: str) -> pd.DataFrame:
    """Two series of eight days, and where they are wanted, what was issued about them."""
    random = np.random.default_rng(0)
    own = pd.MultiIndex.from_product([("a", "b"), range(HOURS)], names=["unique_id", "step"])
    frame = own.to_frame(index=False)
    wave = np.sin(frame.step * 2 * np.pi / 24) + (frame.unique_id == "b")
    y = {
        "negative_binomial": lambda: random.poisson(np.exp(wave)),
        "bernoulli": lambda: random.random(len(frame)) < (wave + 2) / 5,
    }.get(distribution, lambda: 10 + 3 * wave + random.standard_normal(len(frame)))()
    frame["ds"] = START + pd.to_timedelta(frame.step, unit="h")
    frame["y"] = np.asarray(y, np.float64)
    frame["wind"] = random.standard_normal(len(frame))
    frame["promo"] = frame.step % 5 == 0
    frame["kind"] = np.where(frame.unique_id == "a", "calm", "lively")
    if rows == "gaps":
        frame.loc[random.random(len(frame)) < 0.2, "y"] = np.nan
        frame.loc[random.random(len(frame)) < 0.2, "wind"] = np.nan
        frame = frame[~frame.step.isin([20, 21, 22, 60, 100])]
    if rows == "ragged":
        frame = frame[(frame.unique_id == "a") | frame.step.between(15, HOURS - 3)]
    if "issued_at" in ROLES[covariates]:
        issued = [
            frame[["unique_id", "ds", "step"]].assign(
                rain=np.cos(frame.step) + random.standard_normal(len(frame)) * age / 10,
                issued_at=frame.ds - pd.Timedelta(hours=age),
            )
            for age in (1, HORIZON + 1)
        ]
        frame = pd.concat([frame, *issued], ignore_index=True)
    used = [name for role in ROLES[covariates].values() for name in np.atleast_1d(role)]
    return frame[["unique_id", "ds", "y", *used]]


def split(frame: pd.DataFrame, number: int) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """What was known at an hour: the rows before it, and what was known of the steps ahead."""
    if "issued_at" in frame:
        frame = frame[frame.issued_at.isna() | (frame.issued_at < hour(number))]
    past, ahead = frame[frame.ds < hour(number)], frame[frame.ds >= hour(number)]
    if not {"promo", "rain"} & set(frame):
        return past, None
    return past, ahead[ahead.ds < hour(number + 6)].drop(columns=["y", "wind"], errors="ignore")


@pytest.mark.parametrize(
    "pair", sorted(REFUSED), ids=lambda pair: "-".join(str(value) for _, value in pair)
)
def test_refused_before_anything_is_read(pair):
    with pytest.raises(ParameterError, match=r"must be .*, got"):
        forecaster(**dict(pair)).fit("no such table.csv")


def test_every_pair_is_refused_or_tried():
    tried = set().union(*map(pairs_of, CASES))
    assert not tried & REFUSED
    assert tried | REFUSED == ALL_PAIRS
    assert len(CASES) < 60


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "-".join(str(value) for value in case.values())
)
def test_works_from_fit_to_refit(case, tmp_path):
    frame = table(case["distribution"], case["covariates"], case["rows"])
    past, ahead = split(frame, TRAINED)
    model = forecaster(**case).fit(past)
    forecast = model.predict(future=ahead)
    np.testing.assert_array_equal(forecast.values, model.predict(past, ahead).values)
    check_values(forecast.values, case)
    assert (np.diff(forecast.values, axis=-1) >= 0).all()
    paths = model.simulate(future=ahead, paths=5)
    assert paths.values.shape == (2, 5, HORIZON)
    check_values(paths.values, case)

    evaluation = model.evaluate(frame, start=hour(TRAINED), stride=8)
    for score in evaluation.scores:
        assert np.isfinite(list(score.metrics.values())).all()
    if case["distribution"] in COUNTS:
        with pytest.raises(ParameterError, match="adaptive must be False"):
            model.evaluate(frame, start=hour(TRAINED), stride=8, adaptive=True)
    else:
        adapted = model.evaluate(frame, start=hour(TRAINED), stride=8, adaptive=True)
        assert np.isfinite(list(adapted.scores[0].metrics.values())).all()
    backtest = model.backtest(frame, start=hour(TRAINED), stride=8)
    assert len(backtest) == evaluation.windows * HORIZON

    model.check_leaks(frame)
    if case["mode"] == "recursive" or case["distribution"] in COUNTS:
        with pytest.raises(ParameterError, match=r"must be .*, to explain a quantile, got"):
            model.explain(future=ahead)
    else:
        explained = model.explain(future=ahead, step=2)
        np.testing.assert_allclose(explained.forecast, forecast.values[:, 1, 1], rtol=1e-5)

    model.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    for again in (loaded.predict(future=ahead), loaded.predict(past, ahead)):
        np.testing.assert_array_equal(again.values, forecast.values)
    again = loaded.simulate(future=ahead, paths=5)
    np.testing.assert_array_equal(again.values, paths.values)

    later, ahead = split(frame, HOURS - 8)
    loaded.refit(later, validation=hour(HOURS - 16))
    check_values(loaded.predict(future=ahead).values, case)


def check_values(values: np.ndarray, case: dict) -> None:
    assert np.isfinite(values).all()
    if case["distribution"] in COUNTS:
        assert ((values >= 0) & (values == np.round(values))).all()
    if case["distribution"] == "bernoulli":
        assert values.max() <= 1
