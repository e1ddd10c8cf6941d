// Matrix products on packed weights.
//
// Every element is one sum in the order of k, each term added by one instruction, however many
// rows there are and whoever computes them. So a result does not depend on the number of threads
// nor on the other rows of a batch.
#pragma once

#include <type_traits>

#include "simd/vector.h"

namespace grukit::GRUKIT_ISA {

// A tile of the result is held in registers: ROWS rows of PANEL columns.
#if GRUKIT_LANES == 16
constexpr int ROWS = 6, VECTORS = 4;
#elif GRUKIT_LANES == 8
constexpr int ROWS = 6, VECTORS = 2;
#elif defined(__aarch64__)
constexpr int ROWS = 5, VECTORS = 4;
#else
constexpr int ROWS = 4, VECTORS = 2;
#endif
constexpr int64_t PANEL = VECTORS * LANES;
// Panels at once where there is one row, so that additions need not wait for each other.
constexpr int ABREAST = 4;
// Rows of a panel that are fetched early where each is used once, and the words of a matrix from
// which on it pays: what does not fit the second-level cache comes a tenth faster.
constexpr int64_t EARLY = 16, EARLY_FROM = 1 << 18;
// So much of a panel stays in the first-level cache while the rows pass by.
constexpr int64_t DEPTH = GRUKIT_LANES == 16 ? 128 : 256;

constexpr int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }
GRUKIT_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
GRUKIT_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// What a word of 32 bits in a row and in a panel holds, and how their product adds up. Words of
// all kinds travel as float and are never computed with as such, but by Floats.
struct Floats {
  using Sum = Vector;
  GRUKIT_INLINE Vector everywhere(const float *word) { return set(*word); }
  GRUKIT_INLINE Vector add(Vector sum, Vector row, Vector weights) { return sum + row * weights; }
};

struct Words {
  GRUKIT_INLINE Vector everywhere(const float *word) {
    int32_t bits;
    std::memcpy(&bits, word, sizeof bits);
    return of_bits(bits - Integers{});
  }
};

#if GRUKIT_LANES == 16
// Two bfloat16 each. The instructions stand as text since the rest of this file must run on CPUs
// that have only the foundation of AVX-512.
struct Pairs : Words {
  using Sum = Vector;
  GRUKIT_INLINE Vector add(Vector sum, Vector row, Vector weights) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(row), "v"(weights));
    return sum;
  }
};

// Four int8 each: of a row unsigned, of weights signed.
struct Quads : Words {
  using Sum = Integers;
  GRUKIT_INLINE Integers add(Integers sum, Vector row, Vector weights) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(row), "v"(weights));
    return sum;
  }
};
#endif

// The same for any CPU.
struct PlainQuads : Words {
  using Sum = Integers;
  GRUKIT_INLINE Integers add(Integers sum, Vector row, Vector weights) {
    const Integers left = bits_of(row), right = bits_of(weights);
    for (int byte = 0; byte < 4; ++byte)
      sum += (left >> 8 * byte & 255) * (right << (24 - 8 * byte) >> 24);
    return sum;
  }
};

// [K, N] in panels of PANEL columns: [panel][k][column], columns past N are zero.
struct Packed {
  const float *values;
  int64_t depth;    // K, in words
  int64_t columns;  // N

  int64_t panels() const { return (columns + PANEL - 1) / PANEL; }
  const float *panel(int64_t index) const { return values + index * depth * PANEL; }
};

constexpr int64_t packed_floats(int64_t depth, int64_t columns) {
  return depth * round_up(columns, PANEL);
}

// What the result starts from.
enum class From { zero, row, itself };

// The left factor as rows: element (i, k) is rows[i][k].
struct RowsOf {
  const float *const *rows;
  int64_t first;

  RowsOf after(int64_t k) const { return {rows, first + k}; }
  const float *row(int64_t i) const { return rows[i] + first; }
  RowsOf from(int64_t i) const { return {rows + i, first}; }
  static constexpr bool transposed = false;
  int64_t stride() const { return 0; }
};

// The left factor transposed: element (i, k) is values[k * stride + i].
struct ColumnsOf {
  const float *values;
  int64_t step;

  ColumnsOf after(int64_t k) const { return {values + k * step, step}; }
  const float *row(int64_t i) const { return values + i; }
  ColumnsOf from(int64_t i) const { return {values + i, step}; }
  static constexpr bool transposed = true;
  int64_t stride() const { return step; }
};

template <class Kind, int M, int P, bool FETCH = false, class Left>
static inline void tile(Left left, int64_t depth, const float *panel, int64_t panel_stride,
                        const float *start, From from, float *const *result, int64_t column,
                        const float *ahead = nullptr) {
  using Sum = typename Kind::Sum;
  Sum sums[M][P * VECTORS];
#pragma GCC unroll 32
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 32
    for (int v = 0; v < P * VECTORS; ++v)
      sums[m][v] = from == From::zero  ? Sum{}
                   : from == From::row ? (Sum)load(start + v * LANES)
                                       : (Sum)load(result[m] + column + v * LANES);
  const float *rows[M];
#pragma GCC unroll 32
  for (int m = 0; m < M; ++m) rows[m] = left.row(m);
  const int64_t stride = left.stride();
  const float *base = rows[0];
  for (int64_t k = 0; k < depth; ++k) {
    Vector weights[P * VECTORS];
#pragma GCC unroll 32
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 32
      for (int v = 0; v < VECTORS; ++v)
        weights[p * VECTORS + v] = load(panel + p * panel_stride + k * PANEL + v * LANES);
    if (ahead) __builtin_prefetch(ahead + k * LANES, 0, 2);
    if (FETCH)
#pragma GCC unroll 32
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 32
        for (int v = 0; v < VECTORS; ++v)
          __builtin_prefetch(panel + p * panel_stride + (k + EARLY) * PANEL + v * LANES);
#pragma GCC unroll 32
    for (int m = 0; m < M; ++m) {
      const Vector value = Kind::everywhere(Left::transposed ? base + m : rows[m] + k);
#pragma GCC unroll 32
      for (int v = 0; v < P * VECTORS; ++v) sums[m][v] = Kind::add(sums[m][v], value, weights[v]);
    }
    if (Left::transposed) base += stride;
  }
#pragma GCC unroll 32
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 32
    for (int v = 0; v < P * VECTORS; ++v) store(result[m] + column + v * LANES, (Vector)sums[m][v]);
}

template <class Kind, int M, class Left>
static void rows_of_tile(int64_t rows, Left left, int64_t depth, const float *panel,
                         const float *start, From from, float *const *result, int64_t column,
                         const float *ahead) {
  if constexpr (M > 0) {
    if (rows == M)
      return tile<Kind, M, 1>(left, depth, panel, 0, start, from, result, column, ahead);
    rows_of_tile<Kind, M - 1>(rows, left, depth, panel, start, from, result, column, ahead);
  }
}

// result[i][0 .. N) from the left factor times the panels first .. last - 1 of `right`. `start`
// is a row of N (in whole panels) for From::row. Result rows have room for whole panels, unless
// `exact`: then nothing past N is touched.
template <class Kind, class Left>
[[gnu::noinline]] static void multiply(Left left, int64_t rows, const Packed &right, int64_t first, int64_t last,
                     const float *start, From from, float *const *result, bool exact = false) {
  const int64_t depth = right.depth;
  const auto start_of = [&](int64_t panel) {
    return from == From::row ? start + panel * PANEL : nullptr;
  };
  if (rows == 1 && !exact) {
    int64_t panel = first;
    const auto row = [&](auto count, auto fetch) {
      tile<Kind, 1, decltype(count)::value, decltype(fetch)::value>(
          left, depth, right.panel(panel), depth * PANEL, start_of(panel), from, result,
          panel * PANEL);
      panel += count;
    };
    const auto abreast = [&](auto fetch) {
      while (last - panel >= ABREAST) row(std::integral_constant<int, ABREAST>(), fetch);
      if (last - panel == 3) row(std::integral_constant<int, 3>(), fetch);
      if (last - panel == 2) row(std::integral_constant<int, 2>(), fetch);
    };
    if (depth * (last - first) * PANEL >= EARLY_FROM)
      abreast(std::true_type());
    else
      abreast(std::false_type());
    first = panel;
  }
  // Tiles of nearly the same height: 8 rows are better as 4 and 4 than as 6 and 2.
  const int64_t tiles = (rows + ROWS - 1) / ROWS;
  for (int64_t panel = first; panel < last; ++panel) {
    const int64_t column = panel * PANEL, width = least(PANEL, right.columns - column);
    const bool edge = exact && width < PANEL;
    const int64_t chunk = tiles > 1 ? DEPTH : most(depth, 1);
    // While some tiles compute with weights from the first-level cache, the next come nearer.
    const int64_t fetching = tiles > 1 ? VECTORS : 0;
    int64_t k = 0;
    do {
      const int64_t count = least(chunk, depth - k);
      const From now = k ? From::itself : from;
      const float *weights = right.panel(panel) + k * PANEL;
      int64_t done = 0;
      for (int64_t index = 0; index < tiles; ++index) {
        const int64_t height = (rows - done) / (tiles - index);
        const auto part = left.from(done).after(k);
        if (!edge) {
          const float *ahead =
              index < fetching ? weights + count * PANEL + index * count * LANES : nullptr;
          rows_of_tile<Kind, ROWS>(height, part, count, weights, start_of(panel), now,
                                   result + done, column, ahead);
        } else {
          alignas(64) float room[ROWS][PANEL];
          float *places[ROWS];
          for (int64_t i = 0; i < height; ++i) {
            places[i] = room[i] - column;
            if (now == From::itself)
              for (int64_t v = 0; v < PANEL; v += LANES)
                store(room[i] + v, load(result[done + i] + column + v, most(width - v, 0)));
          }
          rows_of_tile<Kind, ROWS>(height, part, count, weights, start_of(panel), now, places,
                                   column, nullptr);
          for (int64_t i = 0; i < height; ++i)
            for (int64_t v = 0; v < width; v += LANES)
              store(result[done + i] + column + v, load(room[i] + v), width - v);
        }
        done += height;
      }
      k += chunk;
    } while (k < depth);
  }
}

}  // namespace grukit::GRUKIT_ISA
