// Exponential, sigmoid and tanh of every lane, without branches, so that calls on several vectors
// interleave. Errors are in units in the last place (ULP) of the true result; NaN stays NaN.
//
// All come from e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln(2) / 2, and
// e^r = 1 + r + r^2 (c2 + c3 r + .. + c6 r^4), fitted by tools/fit_exponential.py.
#pragma once

#include "simd/vector.h"

namespace grukit::GRUKIT_ISA {

constexpr float C2 = 0.49999997f, C3 = 0.16666543f, C4 = 0.0416672f, C5 = 0.0083665205f,
                C6 = 0.0013882521f;

// x + ROUNDING has no room for a fraction, and n + 127, the exponent of 2^n, in its low bits.
constexpr float ROUNDING = 0x1.8p23f + 127;

GRUKIT_INLINE Vector power_of_two(Vector rounded) { return of_bits(bits_of(rounded) << 23); }

// c2 + c3 r + .. + c6 r^4
GRUKIT_INLINE Vector series(Vector r) { return (((C6 * r + C5) * r + C4) * r + C3) * r + C2; }

GRUKIT_INLINE Vector clamped(Vector x, float least, float most) {
  return larger(set(least), smaller(set(most), x));
}

// e^x for -88.3 <= x <= 88.5; n = -127 gives zero, n = 128 infinity.
GRUKIT_INLINE Vector exponential_in_range(Vector x) {
  const Vector rounded = x * 1.442695f + ROUNDING, n = rounded - ROUNDING;
  // ln 2 as a sum of which n times the first is exact
  const Vector r = n * -1.4286068e-6f + (n * -0.69314575f + x);
  return ((series(r) * r + 1.0f) * r + 1.0f) * power_of_two(rounded);
}

// Error at most 1.2 ULP for |x| <= 87.3. Zero below -87.7, infinity above 88.4.
GRUKIT_INLINE Vector exponential(Vector x) {
  return exponential_in_range(clamped(x, -88.3f, 88.5f));
}

// 1 / (1 + e^-x), within [0, 1]. Error at most 2.5 ULP for x >= -87.3. Zero below -88.4.
GRUKIT_INLINE Vector sigmoid(Vector x) {
  return 1.0f / (1.0f + exponential_in_range(-clamped(x, -88.5f, 88.3f)));
}

// Odd, within [-1, 1]. Error at most 3 ULP for all x.
//
// (e^d - 1) / (e^d + 1) for d = 2 |x|; e^d - 1 = 2^n (e^r - 1) + (2^n - 1) loses no digits of a
// small d.
GRUKIT_INLINE Vector tanh(Vector x) {
  const Integers sign = bits_of(x) & INT32_MIN;
  const Vector size = of_bits(bits_of(x) & INT32_MAX), d = smaller(set(18.2f), size + size);
  const Vector rounded = d * 1.442695f + ROUNDING, n = rounded - ROUNDING;
  const Vector r = n * -0.6931472f + d, power = power_of_two(rounded);
  const Vector above_one = power * (series(r) * (r * r) + r) + (power - 1.0f);
  return of_bits(bits_of(above_one / (above_one + 2.0f)) | sign);
}

}  // namespace grukit::GRUKIT_ISA
