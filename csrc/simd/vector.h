// Vectors of the widest kind that the target has, in one notation: GNU vector extensions, whose
// operators (+ - * / < & | << and ?:) act on every lane. A sum of products contracts to a fused
// multiply-add where the target has one.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__)
#define GRUKIT_LANES 16
#elif defined(__AVX2__)
#define GRUKIT_LANES 8
#else
#define GRUKIT_LANES 4
#endif

namespace grukit::GRUKIT_ISA {

constexpr int64_t LANES = GRUKIT_LANES;

typedef float Vector __attribute__((vector_size(GRUKIT_LANES * 4)));
typedef int32_t Integers __attribute__((vector_size(GRUKIT_LANES * 4)));
typedef uint32_t Unsigned __attribute__((vector_size(GRUKIT_LANES * 4)));
typedef uint16_t Halves __attribute__((vector_size(GRUKIT_LANES * 2)));

// bfloat16: the upper half of a float.
struct bfloat16 {
  uint16_t bits;
};

#define GRUKIT_INLINE static inline __attribute__((always_inline))

GRUKIT_INLINE Vector set(float value) { return value - Vector{}; }

GRUKIT_INLINE Integers bits_of(Vector v) { return (Integers)v; }
GRUKIT_INLINE Vector of_bits(Integers v) { return (Vector)v; }

GRUKIT_INLINE Vector load(const float *from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

GRUKIT_INLINE void store(float *to, Vector v) { std::memcpy(to, &v, sizeof v); }

// The floats whose upper halves are v in bfloat16: rounded to nearest, ties to even; NaN stays NaN.
GRUKIT_INLINE Unsigned round_to_upper(Vector v) {
  const Unsigned bits = (Unsigned)v;
  return v == v ? bits + 0x7fff + ((bits >> 16) & 1) : bits | 0x400000;
}

}  // namespace grukit::GRUKIT_ISA

// What compilers make less of in that notation, for each target:
//   smaller(a, b), larger(a, b)  a < b ? a : b and a > b ? a : b; b where one is NaN
//   load(from, count)            the first `count` >= 0 lanes, the others zero; reads nothing else
//   store(to, v, count)          the first `count` >= 0 lanes; writes nothing else
//   load(from), store(to, v)     of bfloat16, and both with a count
#if defined(__AVX512F__)
#include "simd/avx512.h"
#elif defined(__AVX2__)
#include "simd/avx2.h"
#else
#include "simd/generic.h"
#endif

namespace grukit::GRUKIT_ISA {

template <int WIDTH, int... LANE>
GRUKIT_INLINE Vector add_neighbours(Vector v, std::integer_sequence<int, LANE...> lanes) {
  if constexpr (WIDTH > 0)
    return add_neighbours<WIDTH / 2>(v + __builtin_shufflevector(v, v, (LANE ^ WIDTH)...), lanes);
  return v;
}

// Halves are added to each other until one lane is left.
GRUKIT_INLINE float sum(Vector v) {
  return add_neighbours<LANES / 2>(v, std::make_integer_sequence<int, LANES>())[0];
}

}  // namespace grukit::GRUKIT_ISA
