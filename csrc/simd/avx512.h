// AVX-512 F, BW and VL; see vector.h.
#pragma once

#include <immintrin.h>

#include "simd/vector.h"

namespace grukit::GRUKIT_ISA {

// gcc 12 warns of the undefined source that its intrinsics without a mask have.
constexpr __mmask16 ALL_LANES = 0xffff;

GRUKIT_INLINE Vector smaller(Vector a, Vector b) { return _mm512_maskz_min_ps(ALL_LANES, a, b); }
GRUKIT_INLINE Vector larger(Vector a, Vector b) { return _mm512_maskz_max_ps(ALL_LANES, a, b); }

GRUKIT_INLINE __mmask16 lanes_before(int64_t count) { return __mmask16((1u << count) - 1); }

// A whole vector takes no mask, since the next load of what a mask has stored may have to wait.
GRUKIT_INLINE Vector load(const float *from, int64_t count) {
  if (count >= LANES) return load(from);
  return _mm512_maskz_loadu_ps(lanes_before(count), from);
}

GRUKIT_INLINE void store(float *to, Vector v, int64_t count) {
  if (count >= LANES) return store(to, v);
  _mm512_mask_storeu_ps(to, lanes_before(count), v);
}

GRUKIT_INLINE Vector widened(__m256i halves) {
  return of_bits((Integers)_mm512_maskz_cvtepu16_epi32(ALL_LANES, halves) << 16);
}

GRUKIT_INLINE __m256i narrowed(Vector v) {
  return _mm512_maskz_cvtepi32_epi16(ALL_LANES, (__m512i)(round_to_upper(v) >> 16));
}

GRUKIT_INLINE Vector load(const bfloat16 *from) {
  return widened(_mm256_loadu_si256((const __m256i *)from));
}

GRUKIT_INLINE void store(bfloat16 *to, Vector v) {
  _mm256_storeu_si256((__m256i *)to, narrowed(v));
}

GRUKIT_INLINE Vector load(const bfloat16 *from, int64_t count) {
  if (count >= LANES) return load(from);
  return widened(_mm256_maskz_loadu_epi16(lanes_before(count), from));
}

GRUKIT_INLINE void store(bfloat16 *to, Vector v, int64_t count) {
  if (count >= LANES) return store(to, v);
  _mm256_mask_storeu_epi16(to, lanes_before(count), narrowed(v));
}

}  // namespace grukit::GRUKIT_ISA
