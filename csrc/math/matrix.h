// Weights in the precision in which a product takes them: float32, bfloat16 with sums in float32,
// or int8 with exact sums and a scale per output.
#pragma once

#include "base/features.h"
#include "math/pack.h"

namespace grukit::GRUKIT_ISA {

enum class Precision { float32, bfloat16, int8 };

// Whether the CPU adds products of bfloat16 by itself; else they are computed in float32.
static bool has_pairs() { return LANES == 16 && features().bf16; }

constexpr int64_t words_of(Precision precision, int64_t depth) {
  return precision == Precision::float32   ? depth
         : precision == Precision::bfloat16 ? (depth + 1) / 2
                                            : (depth + 3) / 4;
}

// [K, N]; with int8 the scales and sums of its columns stand behind the panels.
struct Matrix {
  Precision precision;
  const float *values;
  int64_t depth, columns;

  static int64_t floats(Precision precision, int64_t depth, int64_t columns) {
    const int64_t width = round_up(columns, PANEL);
    return (words_of(precision, depth) + (precision == Precision::int8 ? 2 : 0)) * width;
  }

  Packed packed() const { return {values, words_of(precision, depth), columns}; }
  int64_t panels() const { return packed().panels(); }
  const float *scales() const { return packed().panel(panels()); }
  const float *sums() const { return scales() + round_up(columns, PANEL); }

  // Panel `index` from the weights [N, K], of which source(column) is the row.
  template <class E, class Source>
  void pack(const E *weights, Source source, int64_t index) const {
    float *panel = const_cast<float *>(packed().panel(index));
    const int64_t words = packed().depth;
    if (precision == Precision::int8) return pack_int8(weights, source, index, panel);
    if (precision == Precision::bfloat16)
      return pack_rows(words, source, [&](int64_t row, int64_t k, int64_t count) {
        return pairs_of(weights + row * depth, depth, k, count);
      }, index, panel);
    pack_rows(words, source, [&](int64_t row, int64_t k, int64_t count) {
      return load(weights + row * depth + k, count);
    }, index, panel);
  }

  // Panel `index` from a matrix [K, N] whose row k stands at row(k), or null for zeros.
  template <class E, class Row>
  void pack_transposed(Row row, int64_t index) const {
    float *panel = const_cast<float *>(packed().panel(index));
    if (precision == Precision::bfloat16)
      pack_column_pairs<E>(row, depth, columns, index, panel);
    else
      pack_columns<E>(row, depth, columns, index, panel);
  }

 private:
  template <class E, class Source>
  void pack_int8(const E *weights, Source source, int64_t index, float *panel) const {
    float *scales = const_cast<float *>(this->scales()), *sums = const_cast<float *>(this->sums());
    for (int64_t column = 0; column < PANEL; ++column) {
      const int64_t row = source(index * PANEL + column), place = index * PANEL + column;
      const E *from = weights + (row < 0 ? 0 : row) * depth;
      const int64_t count = row < 0 ? 0 : depth;
      float largest = 0, total = 0;
      for (int64_t k = 0; k < count; ++k) {
        const float size = __builtin_fabsf(value_of(from[k]));
        // Not `larger`: a NaN or infinity must reach the results.
        largest = size > largest || size != size ? size : largest;
      }
      const float inverse = largest > 0 ? 127 / largest : 0;
      for (int64_t word = 0; word < packed().depth; ++word) {
        int8_t bytes[4] = {};
        for (int64_t i = 0; i < 4 && 4 * word + i < count; ++i) {
          const float scaled = value_of(from[4 * word + i]) * inverse;
          bytes[i] = scaled == scaled ? static_cast<int8_t>(__builtin_rintf(scaled)) : 0;
          total += bytes[i];
        }
        std::memcpy(panel + word * PANEL + column, bytes, sizeof bytes);
      }
      scales[place] = largest / 127;
      sums[place] = 128 * total;
    }
  }
};

// Where the rows of a product are put into words.
struct Room {
  float *values, *scales;
  const float **rows;

  static int64_t stride(int64_t depth) { return round_up((depth + 1) / 2, LANES); }
};

// A row of floats as bfloat16.
static void round_row(const float *row, int64_t depth, float *words) {
  bfloat16 *halves = reinterpret_cast<bfloat16 *>(words);
  for (int64_t k = 0; k < depth; k += LANES)
    store(halves + k, load(row + k, least(LANES, depth - k)));
}

// A row of floats as unsigned bytes around 128, and its scale.
static float quantize_row(const float *row, int64_t depth, float *words) {
  typedef uint8_t Bytes __attribute__((vector_size(GRUKIT_LANES)));
  Vector largest{}, strange{};
  for (int64_t k = 0; k < depth; k += LANES) {
    const Vector value = load(row + k, least(LANES, depth - k));
    strange += value * 0;  // NaN where the value is that or infinite
    largest = larger(of_bits(bits_of(value) & INT32_MAX), largest);
  }
  float bound = 0, lanes[LANES];
  store(lanes, largest);
  for (float lane : lanes) bound = lane > bound ? lane : bound;
  const float inverse = bound > 0 ? 127 / bound : 0;
  uint8_t *bytes = reinterpret_cast<uint8_t *>(words);
  for (int64_t k = 0; k < depth; k += LANES) {
    const Vector scaled = load(row + k, least(LANES, depth - k)) * inverse;
    // The sum has no room for a fraction, and the byte in its lowest bits.
    const Vector inside = smaller(set(127), larger(set(-127), scaled));
    const Integers rounded = bits_of(inside + (12582912.0f + 128)) & 255;
    const Bytes found = __builtin_convertvector(rounded, Bytes);
    std::memcpy(bytes + k, &found, sizeof found);
  }
  return bound / 127 + sum(strange);
}

// result[i] from rows of floats times the panels first .. last - 1 of `right`; see multiply.
static void product(const Matrix &right, const float *const *rows, int64_t count, int64_t first,
                    int64_t last, const float *start, From from, float *const *result,
                    const Room &room, bool exact = false) {
  const Packed packed = right.packed();
  if (right.precision == Precision::float32)
    return multiply<Floats>(RowsOf{rows, 0}, count, packed, first, last, start, from, result,
                            exact);
  const int64_t stride = Room::stride(right.depth);
  for (int64_t i = 0; i < count; ++i) {
    room.rows[i] = room.values + i * stride;
    if (right.precision == Precision::bfloat16)
      round_row(rows[i], right.depth, room.values + i * stride);
    else
      room.scales[i] = quantize_row(rows[i], right.depth, room.values + i * stride);
  }
  const RowsOf left{room.rows, 0};
#if GRUKIT_LANES == 16
  if (right.precision == Precision::bfloat16)
    return multiply<Pairs>(left, count, packed, first, last, start, from, result, exact);
  if (features().vnni)
    multiply<Quads>(left, count, packed, first, last, nullptr, From::zero, result);
  else
#endif
    multiply<PlainQuads>(left, count, packed, first, last, nullptr, From::zero, result);
  const float *scales = right.scales(), *sums = right.sums();
  for (int64_t i = 0; i < count; ++i)
    for (int64_t column = first * PANEL; column < last * PANEL; column += LANES) {
      float *place = result[i] + column;
      const Vector total = __builtin_convertvector(bits_of(load(place)), Vector);
      const Vector found =
          (total - load(sums + column)) * (load(scales + column) * room.scales[i]);
      store(place, from == From::row ? found + load(start + column) : found);
    }
}

}  // namespace grukit::GRUKIT_ISA
