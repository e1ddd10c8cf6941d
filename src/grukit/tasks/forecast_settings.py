"""What the settings of a forecaster must be, alone and together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import Rule, check, each, flag, integer, number, one_of, optional, text
from grukit.data.frames import Columns
from grukit.data.windows import WindowShape
from grukit.nn.by_name import LAYER_OF
from grukit.results import check_levels
from grukit.tasks.forecast_families import FAMILIES
from grukit.training.fit import FitConfig

if TYPE_CHECKING:
    from grukit.tasks.forecasting import Forecaster

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
SEED = Rule(
    "an integer of at least 0 and below 2**63",
    lambda value: integer(at_least=0).holds(value) and value < 2**63,
)
_RULES = {
    "horizon": integer(at_least=1),
    "lookback": optional(integer(at_least=1)),
    "time": text(),
    "target": text(),
    "series": optional(text()),
    "freq": optional(text()),
    "past_covariates": each(text()),
    "future_covariates": each(text()),
    "static_covariates": each(text()),
    "issued_at": optional(text()),
    "levels": each(number(above=0, below=1), at_least=1),
    "distribution": one_of(*FAMILIES),
    "mode": one_of("direct", "recursive"),
    "network": one_of("auto", "steps", "segments"),
    "segment": optional(integer(at_least=1)),
    "cell": one_of(*LAYER_OF, "gru_d"),
    "hidden_size": integer(at_least=1),
    "num_layers": integer(at_least=1),
    "dropout": number(at_least=0, below=1),
    "series_embedding": integer(at_least=0),
    "ensemble": integer(at_least=1),
    "scaling": one_of("series", "window", "last"),
    "calendar": flag(),
    "differencing": optional(integer(at_least=0)),
    "training": Rule(
        "None or a FitConfig", lambda value: value is None or isinstance(value, FitConfig)
    ),
    "seed": SEED,
}
_ONE, _NONE = Rule("1", lambda value: value == 1), Rule("None", lambda value: value is None)
# Nothing is taken away from counts and events.
_NO_DIFFERENCES = {
    "differencing": Rule("None or 0", lambda value: not value),
    "scaling": one_of("series", "window"),
}
# What the others must be where one setting has a certain value.
_TOGETHER = {
    ("mode", "recursive"): {
        "past_covariates": Rule("empty", lambda columns: not len(columns)),
        # Taught at every step of the lookback, it would read there what was issued later.
        "issued_at": _NONE,
        "network": one_of("auto", "steps"),
        "segment": _NONE,
        "cell": one_of(*LAYER_OF),
        "ensemble": _ONE,
    },
    ("network", "steps"): {"segment": _NONE},
    # Its gaps are those of steps, and it has no model axis.
    ("cell", "gru_d"): {"network": one_of("auto", "steps"), "segment": _NONE, "ensemble": _ONE},
    # The components of one mixture are not those of another.
    ("distribution", "mixture"): {"ensemble": _ONE},
    ("distribution", "negative_binomial"): _NO_DIFFERENCES,
    ("distribution", "bernoulli"): _NO_DIFFERENCES,
}


def check_settings(settings: Forecaster) -> None:
    """Raise ParameterError for a setting outside its rule, or beside one it does not go with."""
    given = vars(settings)
    check(given, _RULES)
    if 0.5 not in check_levels(settings.levels):
        raise ParameterError(must_be("levels", "a list with 0.5 in it", tuple(settings.levels)))
    for (name, value), rules in _TOGETHER.items():
        if given[name] == value:
            for other, rule in rules.items():
                if not rule.holds(given[other]):
                    wanted = f"{rule.wanted} with {name}={value!r}"
                    raise ParameterError(must_be(other, wanted, given[other]))


def window_shape(settings: Forecaster, lookback: int) -> WindowShape:
    """Of the windows; ParameterError if differencing looks further back than they do."""
    family, lag = FAMILIES[settings.distribution], settings.differencing
    if lag is None:
        lag = 1 if family.continuous else 0
    if lag > lookback:
        raise ParameterError(must_be("differencing", f"at most the lookback, {lookback}", lag))
    return WindowShape(
        lookback=int(lookback),
        horizon=int(settings.horizon),
        scaling="series" if family.unit == "none" else settings.scaling,
        differencing=int(lag),
        unit=family.unit,
    )


def columns_of(settings: Forecaster) -> Columns:
    """The roles of a table's columns."""
    return Columns(
        time=settings.time,
        target=settings.target,
        series=settings.series,
        past=tuple(settings.past_covariates),
        future=tuple(settings.future_covariates),
        static=tuple(settings.static_covariates),
        issued=settings.issued_at,
    )
