from __future__ import annotations

import pytest
import torch

from grukit.testing import assert_close, compare, gradients, poisoned_memory

ORACLE = torch.tensor([0.1, -0.7, 1.9], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_plain_version_passes(dtype):
    compare(ORACLE.to(dtype), ORACLE, ORACLE.to(dtype))


@pytest.mark.parametrize(
    ("dtype", "error"),
    [(torch.float64, 1e-14), (torch.float32, 1e-5), (torch.bfloat16, 0.05), (torch.float16, 0.01)],
)
def test_an_error_beyond_rounding_is_caught(dtype, error):
    plain = ORACLE.to(dtype)
    with pytest.raises(AssertionError, match=r"dx is [\d.e-]+ from the float64 oracle"):
        compare((ORACLE + error).to(dtype), ORACLE, plain, what="dx")


def test_the_tolerance_is_a_multiple_of_the_plain_versions_error():
    plain = (ORACLE + 1e-3).float()
    compare((ORACLE + 2.9e-3).float(), ORACLE, plain)
    with pytest.raises(AssertionError, match=r"3 times the plain version's 0\.001"):
        compare((ORACLE + 3.1e-3).float(), ORACLE, plain)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_one_value_that_is_no_number_is_caught(value):
    spoilt = ORACLE.clone()
    spoilt[1] = value
    with pytest.raises(AssertionError):
        compare(spoilt, ORACLE, ORACLE)
    with pytest.raises(AssertionError):
        assert_close(spoilt, ORACLE, "output")


def test_another_shape_or_dtype_is_caught():
    with pytest.raises(AssertionError, match=r"of shape \[3\], got \[1\]"):
        compare(ORACLE[:1], ORACLE, ORACLE)
    with pytest.raises(AssertionError, match=r"of shape \[3\], got \[\]"):
        assert_close(ORACLE[0], ORACLE, "output")
    with pytest.raises(AssertionError, match=r"must be torch\.float32, got torch\.float64"):
        compare(ORACLE, ORACLE, ORACLE.float())


def test_assert_close_says_by_how_much():
    assert_close(ORACLE + 1e-11, ORACLE, "output")
    with pytest.raises(AssertionError, match=r"output differs by 0\.5, allowed is 1e-10"):
        assert_close(ORACLE + 0.5, ORACLE, "output")


def test_gradients_of_several_outputs():
    a, b, unused = (torch.tensor(v, requires_grad=True) for v in (2.0, 3.0, 5.0))
    inputs = {"a": a, "b": b, "unused": unused}
    found = gradients([a * b, a, torch.tensor(1.0)], inputs, [torch.tensor(v) for v in (10, 1, 1)])
    assert found == {"da": 31, "db": 20, "dunused": 0}


def test_gradients_of_constants_are_zero():
    a = torch.ones(2, requires_grad=True)
    found = gradients([torch.zeros(3)], {"a": a}, [torch.ones(3)])
    assert torch.equal(found["da"], torch.zeros(2))


def test_poisoned_memory():
    like = torch.zeros(2, 2)
    with poisoned_memory():
        fresh = [
            torch.empty(3),
            torch.empty(3, dtype=torch.bfloat16),
            like.new_empty(3),
            torch.empty_like(like),
            torch.empty_strided((2,), (1,)),
            torch.zeros(0).resize_(3),
        ]
        assert torch.empty(1, dtype=torch.int64).item() == torch.iinfo(torch.int64).max
    assert all(tensor.isnan().all() for tensor in fresh)


@pytest.mark.parametrize("before", [False, True])
def test_poisoned_memory_ends_as_it_began_even_after_an_error(before):
    torch.use_deterministic_algorithms(before)
    try:
        with pytest.raises(ZeroDivisionError), poisoned_memory():
            _ = 1 / 0
        assert torch.are_deterministic_algorithms_enabled() is before
    finally:
        torch.use_deterministic_algorithms(False)
