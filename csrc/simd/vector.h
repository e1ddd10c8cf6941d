// Vectors of the widest kind that the target has, in one notation: GNU vector extensions, whose
// operators (+ - * / < & | << and ?:) act on every lane. A sum of products contracts to a fused
// multiply-add where the target has one.
#pragma once

#include <cstdint>
#include <cstring>

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

// The first `count` lanes, the others zero; nothing else is read.
GRUKIT_INLINE Vector load(const float *from, int64_t count) {
  if (count >= LANES) return load(from);
  float lanes[LANES] = {};
  for (int64_t lane = 0; lane < count; ++lane) lanes[lane] = from[lane];
  return load(lanes);
}

GRUKIT_INLINE void store(float *to, Vector v, int64_t count) {
  if (count >= LANES) return store(to, v);
  float lanes[LANES];
  store(lanes, v);
  for (int64_t lane = 0; lane < count; ++lane) to[lane] = lanes[lane];
}

GRUKIT_INLINE Vector load(const bfloat16 *from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return of_bits(__builtin_convertvector(halves, Integers) << 16);
}

// Rounded to nearest, ties to even; NaN stays NaN.
GRUKIT_INLINE void store(bfloat16 *to, Vector v) {
  const Integers bits = bits_of(v);
  const Integers rounded = bits + 0x7fff + ((bits >> 16) & 1);
  const Integers chosen = v == v ? rounded : (bits | 0x400000);
  const Halves halves = __builtin_convertvector((chosen >> 16) & 0xffff, Halves);
  std::memcpy(to, &halves, sizeof halves);
}

GRUKIT_INLINE Vector load(const bfloat16 *from, int64_t count) {
  if (count >= LANES) return load(from);
  bfloat16 lanes[LANES] = {};
  for (int64_t lane = 0; lane < count; ++lane) lanes[lane] = from[lane];
  return load(lanes);
}

GRUKIT_INLINE void store(bfloat16 *to, Vector v, int64_t count) {
  if (count >= LANES) return store(to, v);
  bfloat16 lanes[LANES];
  store(lanes, v);
  for (int64_t lane = 0; lane < count; ++lane) to[lane] = lanes[lane];
}

GRUKIT_INLINE Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
GRUKIT_INLINE Vector larger(Vector a, Vector b) { return a > b ? a : b; }

GRUKIT_INLINE float sum(Vector v) {
  float lanes[LANES];
  store(lanes, v);
  for (int64_t width = LANES / 2; width; width /= 2)
    for (int64_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  return lanes[0];
}

}  // namespace grukit::GRUKIT_ISA
