// A chunk of time while a sequence goes backwards: a row for each sequence at each of its steps.
// Looking back (lookback.h) fills in what was, the steps (backward.h) the gradients of the gates,
// and the products (products.h) read both.
#pragma once

#include "rnn/common.h"

namespace grukit::GRUKIT_ISA {

constexpr int64_t BACK_ROWS = 256;

// The turns first .. last - 1.
struct Span {
  int64_t first, last;
  bool fresh;  // the first that is taken: gradients begin with it
};

// One side of the gates: rows of the chunk.
struct Side {
  float *d;          // the gradient of what follows the bias
  float *d_product;  // of the product; the same without layer norm
  float *values;     // what the forward had, where it is computed again
  float *hat;
  Normal *normals;
  Affine affine;
};

// Row `index` of the caller's values, or null where there are none.
template <class E>
static const E *row_of(const void *values, int64_t index, int64_t size) {
  return values ? static_cast<const E *>(values) + index * size : nullptr;
}

// Room for weights [depth, columns] in panels; none without columns.
static Matrix take_matrix(Pieces &pieces, Precision precision, int64_t depth, int64_t columns) {
  const int64_t size = columns ? Matrix::floats(precision, depth, columns) : 0;
  return {precision, pieces.take<float>(size), depth, columns};
}

// A thread's share of the panels of a matrix whose row k is row source(k) of the weights.
template <class E, class Source>
static void pack_share(const Matrix &matrix, const void *weights, Source source, int64_t thread,
                       int64_t threads) {
  const auto row = [&](int64_t k) {
    const int64_t from = source(k);
    return from < 0 ? nullptr : static_cast<const E *>(weights) + from * matrix.columns;
  };
  for (int64_t panel = thread; panel < matrix.panels(); panel += threads)
    matrix.template pack_transposed<E>(row, panel);
}

template <class Cell, class E>
struct Chunk {
  static constexpr int PRODUCTS = Cell::PRODUCTS;
  static constexpr bool ROUNDED = sizeof(E) == 2;

  const grukit_call &call;
  const Sizes<Cell> s;
  const Turns turns;
  const Plan plan;
  const Reserve<Cell> reserve;
  const int64_t length;         // turns, at most
  const bool recomputes;        // the gates, since they were not kept
  const bool multiplies_again;  // takes the products of the forward again
  const Precision precision;
  Rooms rooms;

  Side of_x, of_h[PRODUCTS];
  // Where the rows are that entered each step (x, h, c), its product (a) and its second product;
  // null where a step does not count.
  const float **x, **before, **c_before, **a, **second;
  // Rows of units, where the call has them: what was projected to the state, the gradient of the
  // projection's results, of a GRU's output and what that gives its state; of a normalized c.
  float *emitted, *d_projected, *d_output, *d_h_output, *hat_c, *d_norm_c;
  float *gates_again[Cell::KEPT];

  Chunk(const grukit_call &call, Plan plan, int64_t threads, Pieces &pieces)
      : call(call),
        s(call),
        turns{call.time, call.batch, call.reverse != 0, call.lengths, call.resets},
        plan(plan),
        reserve(call, ROUNDED),
        length(least(s.time, most(1, BACK_ROWS / most(s.batch, 1)))),
        recomputes(call.save != GRUKIT_SAVE_ALL),
        multiplies_again(recomputes || s.normalized),
        precision(precision_of<E>(call)) {
    take(pieces, of_x, s.all);
    for (int p = 0; p < PRODUCTS; ++p) take(pieces, of_h[p], s.products[p]);
    // But for a GRU the gates are a sum of both sides.
    if (Cell::PROJECTS_STATE) of_h[0].d = of_x.d;
    if (Cell::PROJECTS_STATE && !s.normalized) of_h[0].d_product = of_x.d;

    for (const float ***entered : {&x, &before, &a, &second})
      *entered = pieces.take<const float *>(rows());
    c_before = Cell::HAS_C ? pieces.take<const float *>(rows()) : nullptr;
    emitted = take_rows(pieces, projects_state());
    d_projected = take_rows(pieces, s.projected);
    d_output = take_rows(pieces, projects_output());
    d_h_output = take_rows(pieces, projects_output());
    hat_c = take_rows(pieces, call.gain_c);
    d_norm_c = take_rows(pieces, call.gain_c);
    for (float *&gate : gates_again) gate = take_rows(pieces, recomputes);

    const int64_t deepest = most(most(s.input, s.state_stride), most(s.all.width(), s.output));
    rooms = Rooms(pieces, precision, threads, rows() + 1, deepest);
  }

  // A GRU projects its new state to the output, the others project what they emit to the state.
  bool projects_output() const { return !Cell::PROJECTS_STATE && s.projected; }
  bool projects_state() const { return Cell::PROJECTS_STATE && s.projected; }

  int64_t rows() const { return length * s.batch; }
  int64_t x_stride() const { return round_up(s.input, PANEL); }
  // Where the step at a turn stands in the caller's rows and in the reserve.
  int64_t step_at(int64_t turn, int64_t b) const { return s.step(turn) * s.batch + b; }

  // A row of units: of the chunk, or of states [B].
  float *at(float *rows, int64_t index) const {
    return rows ? rows + index * s.state_stride : nullptr;
  }
  void clear_row(float *row) const { std::memset(row, 0, s.state_stride * sizeof(float)); }

  float *take_rows(Pieces &pieces, bool wanted) const {
    return wanted ? pieces.take<float>(rows() * s.state_stride) : nullptr;
  }
  float *take_states(Pieces &pieces, bool wanted) const {
    return wanted ? pieces.take<float>(s.batch * s.state_stride) : nullptr;
  }

  const float *kept(int slot, int64_t step, int64_t index) const {
    return recomputes ? at(gates_again[slot], index) : reserve.gate(slot, step);
  }

  void gather_affine() const {
    gather<E>(of_x.affine, call.b_ih, call.gain_ih, s.all);
    for (int p = 0; p < PRODUCTS; ++p)
      gather<E>(of_h[p].affine, call.b_hh, call.gain_hh, s.products[p]);
  }

  // Calls act(turn, b, t, index) for a thread's share of the sequences' steps.
  template <class Act>
  void each_row(const Span &span, const Part &part, Act &&act) const {
    const int64_t rows = (span.last - span.first) * s.batch;
    if (plan == Plan::units) {
      const int64_t last = share(rows, part.thread + 1, part.threads);
      for (int64_t index = share(rows, part.thread, part.threads); index < last; ++index) {
        const int64_t turn = span.first + index / s.batch;
        act(turn, index % s.batch, s.step(turn), index);
      }
      return;
    }
    for (int64_t turn = span.first; turn < span.last; ++turn)
      for (int64_t b = part.first; b < part.last; ++b)
        act(turn, b, s.step(turn), (turn - span.first) * s.batch + b);
  }

  // The rows of part.left times a matrix, to those of part.right.
  void apply(const Matrix &matrix, int64_t count, From from, const Part &part,
             const float *start = nullptr, bool exact = false) const {
    product(matrix, part.left, count, 0, matrix.panels(), start, from, part.right,
            rooms.of(part.thread), exact);
  }

  // The gradients of a step that does not count.
  void clear_gradients(int64_t index) const {
    const auto zero = [&](const Side &side, const Gates &gates) {
      for (float *rows : {side.d, side.d_product, side.hat})
        if (rows) std::memset(rows + index * gates.stride(), 0, gates.stride() * sizeof(float));
    };
    zero(of_x, s.all);
    for (int p = 0; p < PRODUCTS; ++p) zero(of_h[p], s.products[p]);
    for (float *rows : {d_projected, d_output, d_h_output, hat_c, d_norm_c})
      if (rows) clear_row(at(rows, index));
  }

 private:
  void take(Pieces &pieces, Side &side, const Gates &gates) const {
    const int64_t floats = rows() * gates.stride();
    side.d = pieces.take<float>(floats);
    side.d_product = s.normalized ? pieces.take<float>(floats) : side.d;
    side.values = multiplies_again ? pieces.take<float>(floats) : nullptr;
    side.hat = s.normalized ? pieces.take<float>(floats) : nullptr;
    side.normals = s.normalized ? pieces.take<Normal>(rows()) : nullptr;
    side.affine.bias = pieces.take<float>(gates.stride());
    side.affine.gain = s.normalized ? pieces.take<float>(gates.stride()) : nullptr;
  }
};

}  // namespace grukit::GRUKIT_ISA
