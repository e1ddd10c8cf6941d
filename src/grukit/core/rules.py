"""Parameter rules as data, so that every message has one form: what, must be, got.

>>> check({"horizon": 0}, {"horizon": integer(at_least=1)})
Traceback (most recent call last):
grukit.core.errors.ParameterError: horizon must be an integer of at least 1, got 0
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from grukit.core.errors import ParameterError, must_be


@dataclass(frozen=True)
class Rule:
    """What a value must be, in words and as a test."""

    wanted: str
    holds: Callable[[Any], bool]


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def integer(at_least: int) -> Rule:
    """A whole number of at least `at_least`."""
    return Rule(
        f"an integer of at least {at_least}",
        lambda value: _is_integer(value) and value >= at_least,
    )


def number(
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Rule:
    """A finite real number within the bounds given."""
    bounds = []
    if at_least is not None:
        bounds.append(f"of at least {at_least}")
    if above is not None:
        bounds.append(f"above {above}")
    if below is not None:
        bounds.append(f"below {below}")
    if at_most is not None:
        bounds.append(f"of at most {at_most}")

    def holds(value: Any) -> bool:
        return (
            _is_number(value)
            and (at_least is None or value >= at_least)
            and (above is None or value > above)
            and (below is None or value < below)
            and (at_most is None or value <= at_most)
        )

    return Rule(" ".join(["a number", " and ".join(bounds)]).strip(), holds)


def one_of(*choices: Any) -> Rule:
    """One of the values named."""
    return Rule(
        "one of " + ", ".join(repr(choice) for choice in choices),
        lambda value: any(value is choice or value == choice for choice in choices),
    )


def text() -> Rule:
    """A string that is not empty."""
    return Rule("a non-empty string", lambda value: isinstance(value, str) and bool(value))


def flag() -> Rule:
    """True or False."""
    return Rule("True or False", lambda value: isinstance(value, bool))


def optional(rule: Rule) -> Rule:
    """None, or what `rule` wants."""
    return Rule(f"None or {rule.wanted}", lambda value: value is None or rule.holds(value))


def each(rule: Rule, at_least: int = 0) -> Rule:
    """A list or tuple of at least `at_least` members, each as `rule` wants."""
    size = f" of at least {at_least}" if at_least else ""
    return Rule(
        f"a list or tuple{size}, each member {rule.wanted}",
        lambda value: (
            isinstance(value, (list, tuple))
            and len(value) >= at_least
            and all(rule.holds(member) for member in value)
        ),
    )


def check(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Raise ParameterError for the first value that breaks its rule."""
    for name, rule in rules.items():
        if not rule.holds(values[name]):
            raise ParameterError(must_be(name, rule.wanted, values[name]))
