"""Conformance suites: a new layer, backend or task is tested the moment it is written.

    check_layer(factory)        a recurrent layer keeps the contract of grukit.nn
    check_cell(factory)         a recurrent cell does, and its steps are those of its layer
    check_backend(backend)      a backend equals the definition of its op
    check_estimator(case)       a task has the manners of an estimator
    check_features(f, table)    a feature of a row is not made from later rows

Each runs many small named checks and raises AssertionError with all that failed. With pytest,
parametrize over `layer_checks()`, `cell_checks()`, `backend_checks()` or `estimator_checks()`, so
that every check is a test of its own. `grukit.testing.strategies` needs hypothesis.
"""

from grukit.testing.backends import backend_checks, check_backend
from grukit.testing.cells import cell_checks, check_cell
from grukit.testing.estimators import EstimatorCase, check_estimator, estimator_checks
from grukit.testing.features import check_features
from grukit.testing.gradients import gradients
from grukit.testing.layers import check_layer, layer_checks
from grukit.testing.parity import assert_close, compare
from grukit.testing.poison import poisoned_memory

__all__ = [
    "EstimatorCase",
    "assert_close",
    "backend_checks",
    "cell_checks",
    "check_backend",
    "check_cell",
    "check_estimator",
    "check_features",
    "check_layer",
    "compare",
    "estimator_checks",
    "gradients",
    "layer_checks",
    "poisoned_memory",
]
