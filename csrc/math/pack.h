// Weights and rows into words, and words into panels.
#pragma once

#include "math/gemm.h"

namespace grukit::GRUKIT_ISA {

GRUKIT_INLINE float value_of(float value) { return value; }
GRUKIT_INLINE float value_of(bfloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float found;
  std::memcpy(&found, &bits, sizeof found);
  return found;
}

template <int WIDTH, int... LANE>
GRUKIT_INLINE void swap_blocks(Vector &a, Vector &b, std::integer_sequence<int, LANE...>) {
  const Vector first = a;
  a = __builtin_shufflevector(first, b, (LANE & WIDTH ? LANES + LANE - WIDTH : LANE)...);
  b = __builtin_shufflevector(first, b, (LANE & WIDTH ? LANES + LANE : LANE + WIDTH)...);
}

// A square of words, by swapping ever larger blocks.
template <int WIDTH = 1>
GRUKIT_INLINE void transpose(Vector *square) {
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i)
    if (!(i & WIDTH))
      swap_blocks<WIDTH>(square[i], square[i + WIDTH],
                         std::make_integer_sequence<int, LANES>());
  if constexpr (2 * WIDTH < LANES) transpose<2 * WIDTH>(square);
}

// Panel `index` of the transpose of rows: source(column) is the row of a column, or -1 for none,
// and words(row, k, count) its words from k on.
template <class Source, class RowWords>
static void pack_rows(int64_t depth, Source source, RowWords words, int64_t index, float *to) {
  for (int64_t column = 0; column < PANEL; column += LANES) {
    int64_t rows[LANES];
    for (int64_t i = 0; i < LANES; ++i) rows[i] = source(index * PANEL + column + i);
    for (int64_t k = 0; k < depth; k += LANES) {
      const int64_t count = least(LANES, depth - k);
      Vector square[LANES];
      for (int64_t i = 0; i < LANES; ++i)
        square[i] = rows[i] < 0 ? Vector{} : words(rows[i], k, count);
      transpose(square);
      for (int64_t i = 0; i < count; ++i) store(to + (k + i) * PANEL + column, square[i]);
    }
  }
}

// Words k .. k + count - 1 of a row of so many bfloat16, two in a word.
GRUKIT_INLINE Vector pairs_of(const bfloat16 *row, int64_t size, int64_t k, int64_t count) {
  alignas(64) bfloat16 halves[2 * LANES] = {};
  std::memcpy(halves, row + 2 * k, least(2 * count, size - 2 * k) * sizeof(bfloat16));
  Vector words;
  std::memcpy(&words, halves, sizeof words);
  return words;
}

GRUKIT_INLINE Vector pairs_of(const float *row, int64_t size, int64_t k, int64_t count) {
  alignas(64) bfloat16 halves[2 * LANES] = {};
  const int64_t values = least(2 * count, size - 2 * k);
  store(halves, load(row + 2 * k, least(LANES, values)));
  if (values > LANES) store(halves + LANES, load(row + 2 * k + LANES, values - LANES));
  Vector words;
  std::memcpy(&words, halves, sizeof words);
  return words;
}

// Two rows as one of pairs.
GRUKIT_INLINE Vector pair(Vector first, Vector second) {
  return (Vector)(round_to_upper(first) >> 16 | (round_to_upper(second) & 0xffff0000u));
}

// Panel `index` of a matrix [K, N] whose row k stands at row(k), or is zero where that is null.
template <class E, class Row>
static void pack_columns(Row row, int64_t depth, int64_t columns, int64_t index, float *to) {
  const int64_t first = index * PANEL, width = least(PANEL, columns - first);
  for (int64_t k = 0; k < depth; ++k, to += PANEL) {
    const E *from = row(k);
    for (int64_t v = 0; v < PANEL; v += LANES)
      store(to + v, from && v < width ? load(from + first + v, width - v) : Vector{});
  }
}

// The same in pairs along k.
template <class E, class Row>
static void pack_column_pairs(Row row, int64_t depth, int64_t columns, int64_t index, float *to) {
  const int64_t first = index * PANEL, width = least(PANEL, columns - first);
  for (int64_t k = 0; k < depth; k += 2, to += PANEL) {
    const E *from = row(k), *next = k + 1 < depth ? row(k + 1) : nullptr;
    for (int64_t v = 0; v < PANEL; v += LANES)
      store(to + v, pair(from && v < width ? load(from + first + v, width - v) : Vector{},
                         next && v < width ? load(next + first + v, width - v) : Vector{}));
  }
}

}  // namespace grukit::GRUKIT_ISA
