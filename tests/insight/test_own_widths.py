from __future__ import annotations

import pytest

from grukit.insight.own_widths import Size, nearest_width, size_of
from grukit.testing.estimators import CASES


@pytest.mark.parametrize("constant", [0, 10_000, 2_000_000], ids="constant {}".format)
@pytest.mark.parametrize("shape", [(3, 20), (4, 300), (1, 5), (0, 256), (2, 100)], ids=str)
def test_a_width_is_found_in_few_tries_to_a_hundredth(shape, constant):
    square, linear = shape
    tried = []

    def count(width: int) -> int:
        tried.append(width)
        return constant + square * width**2 + linear * width

    recurrent = 3 * 512 * (512 + 128)
    wanted = Size(constant + recurrent, recurrent)
    found = nearest_width(wanted, 700, count)
    assert abs(constant + square * found**2 + linear * found - wanted.parameters) < recurrent / 100
    assert len(set(tried)) == len(tried) <= 5


def test_where_no_width_is_near_it_is_the_nearest():
    assert nearest_width(Size(130, 130), 9, lambda width: 100 * width) == 1
    assert nearest_width(Size(160, 160), 1, lambda width: 100 * width) == 2
    assert nearest_width(Size(10, 10), 5, lambda width: 100 * width) == 1


@pytest.mark.parametrize("task", CASES)
def test_a_network_is_known_without_training_it(task):
    case = CASES[task]
    data, model = case.data(), case.make()
    size = size_of(model, (data,))
    fitted = case.fitted().network_
    assert size.parameters == sum(own.numel() for own in fitted.parameters())
    assert 100 < size.recurrent < size.parameters
