// Any target; see vector.h.
#pragma once

#include "simd/vector.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace grukit::GRUKIT_ISA {

#if defined(__SSE2__)
// gcc makes a comparison and a selection of the conditional if an operand is constant.
GRUKIT_INLINE Vector smaller(Vector a, Vector b) { return _mm_min_ps(a, b); }
GRUKIT_INLINE Vector larger(Vector a, Vector b) { return _mm_max_ps(a, b); }
#else
GRUKIT_INLINE Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
GRUKIT_INLINE Vector larger(Vector a, Vector b) { return a > b ? a : b; }
#endif

GRUKIT_INLINE Vector load(const bfloat16 *from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  // Sixteen zero bits below each half; all targets are little-endian.
  return (Vector)__builtin_shufflevector(Halves{}, halves, 0, 4, 1, 5, 2, 6, 3, 7);
}

GRUKIT_INLINE void store(bfloat16 *to, Vector v) {
  const Halves halves = __builtin_convertvector(round_to_upper(v) >> 16, Halves);
  std::memcpy(to, &halves, sizeof halves);
}

template <typename Element>
GRUKIT_INLINE Vector load(const Element *from, int64_t count) {
  if (count >= LANES) return load(from);
  Element lanes[LANES] = {};
  for (int64_t lane = 0; lane < count; ++lane) lanes[lane] = from[lane];
  return load(lanes);
}

template <typename Element>
GRUKIT_INLINE void store(Element *to, Vector v, int64_t count) {
  if (count >= LANES) return store(to, v);
  Element lanes[LANES];
  store(lanes, v);
  for (int64_t lane = 0; lane < count; ++lane) to[lane] = lanes[lane];
}

}  // namespace grukit::GRUKIT_ISA
