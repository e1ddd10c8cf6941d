// AVX2; see vector.h.
#pragma once

#include <immintrin.h>

#include "simd/vector.h"

namespace grukit::GRUKIT_ISA {

GRUKIT_INLINE Vector smaller(Vector a, Vector b) { return _mm256_min_ps(a, b); }
GRUKIT_INLINE Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }

GRUKIT_INLINE Vector load(const float *from, int64_t count) {
  if (count >= LANES) return load(from);
  const Integers there = (int32_t)count > Integers{0, 1, 2, 3, 4, 5, 6, 7};
  return _mm256_maskload_ps(from, (__m256i)there);
}

// In halves, since masked stores are slow on some CPUs.
GRUKIT_INLINE void store(float *to, Vector v, int64_t count) {
  if (count >= LANES) return store(to, v);
  __m128 rest = _mm256_castps256_ps128(v);
  if (count & 4) {
    _mm_storeu_ps(to, rest);
    rest = _mm256_extractf128_ps(v, 1);
    to += 4;
  }
  if (count & 2) {
    _mm_storel_pi((__m64 *)to, rest);
    rest = _mm_movehl_ps(rest, rest);
    to += 2;
  }
  if (count & 1) _mm_store_ss(to, rest);
}

GRUKIT_INLINE Vector load(const bfloat16 *from) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
  return of_bits((Integers)wide << 16);
}

GRUKIT_INLINE void store(bfloat16 *to, Vector v) {
  const __m256i wide = (__m256i)(round_to_upper(v) >> 16);
  const __m128i halves =
      _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  _mm_storeu_si128((__m128i *)to, halves);
}

GRUKIT_INLINE Vector load(const bfloat16 *from, int64_t count) {
  if (count >= LANES) return load(from);
  bfloat16 lanes[LANES] = {};
  std::memcpy(lanes, from, count * sizeof *from);
  return load(lanes);
}

GRUKIT_INLINE void store(bfloat16 *to, Vector v, int64_t count) {
  if (count >= LANES) return store(to, v);
  bfloat16 lanes[LANES];
  store(lanes, v);
  std::memcpy(to, lanes, count * sizeof *to);
}

}  // namespace grukit::GRUKIT_ISA
