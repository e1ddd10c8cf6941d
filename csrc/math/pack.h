// Weights into panels.
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

// Panel `index` of the transpose of rows [N, K]: source(column) is the row for a column, or -1.
template <class E, class Source>
static void pack_rows(const E *rows, int64_t depth, Source source, int64_t index, float *to) {
  constexpr int64_t SIDE = 8;
  for (int64_t column = 0; column < PANEL; column += SIDE) {
    const E *from[SIDE];
    bool all = true;
    for (int64_t i = 0; i < SIDE; ++i) {
      const int64_t row = source(index * PANEL + column + i);
      from[i] = row < 0 ? nullptr : rows + row * depth;
      all = all && from[i];
    }
    float *place = to + column;
    if (all)
      for (int64_t k = 0; k < depth; ++k, place += PANEL)
        for (int64_t i = 0; i < SIDE; ++i) place[i] = value_of(from[i][k]);
    else
      for (int64_t k = 0; k < depth; ++k, place += PANEL)
        for (int64_t i = 0; i < SIDE; ++i) place[i] = from[i] ? value_of(from[i][k]) : 0;
  }
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

}  // namespace grukit::GRUKIT_ISA
