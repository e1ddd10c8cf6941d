// How a call's numbers lie in memory while it runs.
//
// The gates of a unit stand side by side: a row of gates is [block][gate][lane], where a block is
// LANES units. So whoever computes some units needs one piece of the weights and of the row.
#pragma once

#include "grukit.h"
#include "math/gemm.h"

namespace grukit::GRUKIT_ISA {

constexpr int MOST_GATES = 4;

// What the engine needs to know of a cell.
struct GruAfter {
  static constexpr int GATES = 3, KEPT = 4, PRODUCTS = 1;
  static constexpr int PRODUCT_GATES[] = {3};
  static constexpr bool HAS_C = false, PROJECTS_STATE = false;
};
struct GruBefore {
  static constexpr int GATES = 3, KEPT = 4, PRODUCTS = 2;
  static constexpr int PRODUCT_GATES[] = {2, 1};
  static constexpr bool HAS_C = false, PROJECTS_STATE = false;
};
struct Lstm {
  static constexpr int GATES = 4, KEPT = 4, PRODUCTS = 1;
  static constexpr int PRODUCT_GATES[] = {4};
  static constexpr bool HAS_C = true, PROJECTS_STATE = true;
};
template <bool RELU>
struct Rnn {
  static constexpr int GATES = 1, KEPT = 1, PRODUCTS = 1;
  static constexpr int PRODUCT_GATES[] = {1};
  static constexpr bool HAS_C = false, PROJECTS_STATE = true;
};

// Gates gathered in rows: all of a cell, or those of one of its products.
struct Gates {
  int first, count;      // of the cell's gates
  int64_t hidden, blocks;

  int64_t width() const { return blocks * count * LANES; }
  // Whole panels, and a little more so that rows do not fall into the same places of a cache.
  int64_t stride() const { return round_up(width(), PANEL) + LANES; }
  // Where the row of weights for a column is, or -1 for a column of padding.
  int64_t source(int64_t column) const {
    const int64_t lane = column % LANES, gate = column / LANES % count;
    const int64_t unit = column / LANES / count * LANES + lane;
    return unit < hidden && column < width() ? (first + gate) * hidden + unit : -1;
  }
};

// The sizes of a call.
template <class Cell>
struct Sizes {
  int64_t time, batch, input, hidden, blocks, output, state, state_stride;
  Gates all, products[Cell::PRODUCTS];
  bool projected, normalized, reverse;

  explicit Sizes(const grukit_call &call)
      : time(call.time),
        batch(call.batch),
        input(call.input),
        hidden(call.hidden),
        blocks((call.hidden + LANES - 1) / LANES),
        output(call.projected ? call.projected : call.hidden),
        state(Cell::PROJECTS_STATE ? output : hidden),
        // Results of products are stored in whole panels.
        state_stride(round_up(most(output, hidden), PANEL) + LANES),
        all{0, Cell::GATES, hidden, blocks},
        projected(call.projected != 0),
        normalized(call.gain_ih != nullptr),
        reverse(call.reverse != 0) {
    int first = 0;
    for (int p = 0; p < Cell::PRODUCTS; ++p) {
      products[p] = {first, Cell::PRODUCT_GATES[p], hidden, blocks};
      first += Cell::PRODUCT_GATES[p];
    }
  }

  // The step that is taken as number `turn`.
  int64_t step(int64_t turn) const { return reverse ? time - 1 - turn : turn; }
};

// Which steps count, and before which the states are fresh.
struct Turns {
  int64_t time, batch;
  bool reverse;
  const int64_t *lengths;
  const uint8_t *resets;

  bool counts(int64_t t, int64_t b) const { return !lengths || t < lengths[b]; }
  bool starts(int64_t t, int64_t b) const {
    const int64_t at = reverse ? t + 1 : t;
    return resets && at < time && counts(at, b) && resets[at * batch + b];
  }
  // Whether step t is the first that is taken of a sequence.
  bool first(int64_t t, int64_t b) const {
    if (!reverse) return t == 0;
    return t == (lengths ? least(lengths[b], time) : time) - 1;
  }
};

// Memory handed out in pieces: first counted, with no base, then given.
class Pieces {
 public:
  explicit Pieces(void *base = nullptr) : base_(static_cast<char *>(base)) {}
  template <class T>
  T *take(int64_t count) {
    char *found = base_ + used_;
    used_ += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
    return base_ ? reinterpret_cast<T *>(found) : nullptr;
  }
  int64_t used() const { return used_; }

 private:
  char *base_;
  int64_t used_ = 0;
};

}  // namespace grukit::GRUKIT_ISA
