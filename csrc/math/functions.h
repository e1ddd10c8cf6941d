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

// e^r - 1, in pairs of terms that need not wait for each other.
GRUKIT_INLINE Vector above_one(Vector r) {
  const Vector square = r * r;
  const Vector series = (C6 * square + (C5 * r + C4)) * square + (C3 * r + C2);
  return series * square + r;
}

// e^x = power + power * rest for x >= -88.3. The power is zero for n = -127 and finite always: n is
// at most 127, so that the rest of a larger x leads to infinity.
struct Exponential {
  Vector power, rest;
};

GRUKIT_INLINE Exponential split(Vector x) {
  const Vector rounded = smaller(set(ROUNDING + 127), x * 1.442695f + ROUNDING);
  const Vector n = rounded - ROUNDING;
  // ln 2 as a sum of which n times the first is exact
  const Vector r = n * -1.4286068e-6f + (n * -0.69314575f + x);
  return {power_of_two(rounded), above_one(r)};
}

// Error at most 1.2 ULP for |x| <= 87.3. Zero below -87.7, infinity above 88.8.
GRUKIT_INLINE Vector exponential(Vector x) {
  const auto [power, rest] = split(larger(set(-88.3f), x));
  return power * rest + power;
}

// 1 / (1 + e^-x), within [0, 1]. Error at most 2.5 ULP for x >= -87.3. Zero below -88.8.
GRUKIT_INLINE Vector sigmoid(Vector x) {
  const auto [power, rest] = split(-smaller(set(88.3f), x));
  return 1.0f / (power * rest + (power + 1.0f));
}

// Odd, within [-1, 1]. Error at most 2.7 ULP for all x.
//
// (e^2a - 1) / (e^2a + 1) for a = |x|; e^2a - 1 = 2^n (e^r - 1) + (2^n - 1) loses no digits of a
// small a.
GRUKIT_INLINE Vector tanh(Vector x) {
  const Integers sign = bits_of(x) & INT32_MIN;
  const Vector a = smaller(set(9.1f), of_bits(bits_of(x) & INT32_MAX));
  const Vector rounded = a * 2.88539f + ROUNDING, n = rounded - ROUNDING;
  const Vector r = n * -0.6931472f + (a + a), power = power_of_two(rounded);
  const Vector grown = power * above_one(r) + (power - 1.0f);
  return of_bits(bits_of(grown / (grown + 2.0f)) | sign);
}

}  // namespace grukit::GRUKIT_ISA
