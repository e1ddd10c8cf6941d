"""The coefficients of csrc/math/functions.h: python tools/fit_exponential.py

e^r = 1 + r + r^2 (c2 + c3 r + .. + c6 r^4) for |r| <= ln(2) / 2, with the least largest error of
e^r - 1, relative to itself, so that the tanh of a small number is as precise as that of a large
one. Lawson's method: least squares whose weights grow where the error is large.
"""

import numpy as np
import numpy.typing as npt

DEGREES = np.arange(2, 7)
BOUND = np.log(2) / 2 * 1.0001  # rounding to the nearest n may choose its neighbour at a tie
POINTS = 2000
ROUNDS = 400

Floats = npt.NDArray[np.float64]


def fit() -> tuple[Floats, float]:
    """c2 to c6 as floats, and the largest relative error that they leave."""
    r = BOUND * np.cos(np.linspace(0, np.pi, POINTS))  # POINTS is even, so that none is zero
    exact = np.expm1(r)
    powers = (r[:, None] / BOUND) ** DEGREES / exact[:, None]
    wanted = (exact - r) / exact
    weights = np.ones(POINTS)
    best, least = np.zeros(len(DEGREES)), np.inf
    for _ in range(ROUNDS):
        root = np.sqrt(weights)
        c = np.linalg.lstsq(powers * root[:, None], wanted * root, rcond=None)[0]
        error = np.abs(powers @ c - wanted)
        if error.max() < least:
            best, least = c, error.max()
        weights *= np.sqrt(error / error.max() + 1e-3)
        weights /= weights.sum()
    rounded = (best / BOUND**DEGREES).astype(np.float32).astype(np.float64)
    left = np.abs(powers @ (rounded * BOUND**DEGREES) - wanted)
    return rounded, float(left.max())


if __name__ == "__main__":
    coefficients, error = fit()
    for degree, value in zip(DEGREES, coefficients, strict=True):
        print(f"C{degree} = {np.float32(value)!s}f")
    print(f"largest relative error: {error * 2**24:.2f} * 2^-24")
