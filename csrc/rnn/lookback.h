// What a chunk's steps had before them, and what the forward did not keep of them: everything that
// does not wait for a gradient.
#pragma once

#include "rnn/chunk.h"

namespace grukit::GRUKIT_ISA {

template <class Cell, class E>
class LookBack {
 public:
  LookBack(const Chunk<Cell, E> &chunk, int64_t threads, Pieces &pieces)
      : chunk_(chunk),
        call_(chunk.call),
        s_(chunk.s),
        weights_(s_, chunk.precision,
                 multiplies()
                     ? pieces.take<float>(Weights<Cell>::floats(s_, chunk.precision))
                     : nullptr) {
    a_rows_ = chunk.take_rows(pieces, call_.drop_h || chunk.projects_output());
    before_rows_ = chunk.take_rows(pieces, chunk.ROUNDED && !chunk.reserve.has_h);
    x_rows_ = chunk.ROUNDED ? pieces.take<float>(chunk.rows() * chunk.x_stride()) : nullptr;
    h0_ = chunk.take_states(pieces, true);
    fresh_h_ = chunk.take_states(pieces, true);
    c0_ = chunk.take_states(pieces, Cell::HAS_C);
    fresh_c_ = chunk.take_states(pieces, Cell::HAS_C);
    nowhere_ = pieces.take<float>(threads * s_.state_stride);
  }

  void prepare(int64_t thread, int64_t threads) {
    if (multiplies()) weights_.template pack<E>(s_, call_, thread, threads);
  }

  // The states with which sequences begin.
  void start(int64_t b) {
    const auto fill = [&](float *rows, const void *values, int64_t size) {
      if (rows)
        copy_padded<E>(row_of<E>(values, b, size), size, chunk_.at(rows, b), s_.state_stride);
    };
    fill(h0_, call_.h0, s_.state);
    fill(fresh_h_, call_.fresh_h, s_.state);
    fill(c0_, call_.c0, s_.hidden);
    fill(fresh_c_, call_.fresh_c, s_.hidden);
  }

  void fill(const Span &span, const Part &part) {
    chunk_.each_row(span, part, [&](int64_t turn, int64_t b, int64_t t, int64_t index) {
      chunk_.x[index] = chunk_.before[index] = chunk_.a[index] = chunk_.second[index] = nullptr;
      if (!chunk_.turns.counts(t, b)) return chunk_.clear_gradients(index);
      chunk_.x[index] = x_at(t, b, index);
      chunk_.before[index] = h_before(turn, b, t, index);
      if constexpr (Cell::HAS_C) chunk_.c_before[index] = c_before(turn, b, t);
      // Where r a is, or will be once the gates are computed again.
      if constexpr (Cell::PRODUCTS == 2)
        chunk_.second[index] = chunk_.kept(3, t * s_.batch + b, index);
      chunk_.a[index] = a_rows_ ? chunk_.at(a_rows_, index) : chunk_.before[index];
    });
    if (chunk_.projects_output()) project(span, part);
    if (call_.drop_h) drop(span, part);
    if (chunk_.multiplies_again) multiply_again(span, part);
  }

 private:
  bool multiplies() const { return chunk_.multiplies_again || chunk_.projects_output(); }

  const float *x_at(int64_t t, int64_t b, int64_t index) {
    const E *x = static_cast<const E *>(call_.x) + t * call_.x_stride[1] + b * call_.x_stride[2];
    if constexpr (sizeof(E) == 4) return x;
    float *row = x_rows_ + index * chunk_.x_stride();
    copy_row(x, s_.input, row);
    return row;
  }

  const float *h_before(int64_t turn, int64_t b, int64_t t, int64_t index) {
    if (chunk_.turns.starts(t, b)) return chunk_.at(fresh_h_, b);
    if (chunk_.turns.first(t, b)) return chunk_.at(h0_, b);
    const int64_t step = chunk_.step_at(turn - 1, b);
    if (chunk_.reserve.has_h) return chunk_.reserve.h(step);
    const E *output = static_cast<const E *>(call_.output) + step * s_.output;
    if constexpr (sizeof(E) == 4) return output;
    float *row = chunk_.at(before_rows_, index);
    copy_row(output, s_.output, row);
    return row;
  }

  const float *c_before(int64_t turn, int64_t b, int64_t t) const {
    if (chunk_.turns.starts(t, b)) return chunk_.at(fresh_c_, b);
    if (chunk_.turns.first(t, b)) return chunk_.at(c0_, b);
    return chunk_.reserve.c(chunk_.step_at(turn - 1, b));
  }

  // A GRU's projection of the states before the steps.
  void project(const Span &span, const Part &part) {
    int64_t count = 0;
    chunk_.each_row(span, part, [&](int64_t, int64_t, int64_t, int64_t index) {
      if (!chunk_.before[index]) return;
      part.left[count] = chunk_.before[index];
      part.right[count++] = chunk_.at(a_rows_, index);
    });
    chunk_.apply(weights_.w_hr, count, From::zero, part);
  }

  void drop(const Span &span, const Part &part) {
    chunk_.each_row(span, part, [&](int64_t, int64_t b, int64_t, int64_t index) {
      if (!chunk_.a[index]) return;
      const float *from = chunk_.projects_output() ? chunk_.a[index] : chunk_.before[index];
      const E *mask = row_of<E>(call_.drop_h, b, s_.output);
      for (int64_t unit = 0; unit < s_.output; unit += LANES)
        store(chunk_.at(a_rows_, index) + unit,
              factor(mask, unit, s_.output - unit, load(from + unit, s_.output - unit)));
    });
  }

  // The products again, and from them the gates where they were not kept.
  void multiply_again(const Span &span, const Part &part) {
    side_again(span, part, chunk_.of_x, s_.all, weights_.w_ih, chunk_.x);
    side_again(span, part, chunk_.of_h[0], s_.products[0], weights_.w_hh[0], chunk_.a);
    if (chunk_.recomputes) gates_again(span, part, 0);
    if constexpr (Cell::PRODUCTS == 2) {
      side_again(span, part, chunk_.of_h[1], s_.products[1], weights_.w_hh[1], chunk_.second);
      if (chunk_.recomputes) gates_again(span, part, 1);
    }
  }

  void side_again(const Span &span, const Part &part, const Side &side, const Gates &gates,
                  const Matrix &weights, const float *const *inputs) {
    int64_t count = 0;
    chunk_.each_row(span, part, [&](int64_t, int64_t, int64_t, int64_t index) {
      if (!inputs[index]) return;
      part.left[count] = inputs[index];
      part.right[count++] = side.values + index * gates.stride();
    });
    chunk_.apply(weights, count, s_.normalized ? From::zero : From::row, part, side.affine.bias);
    if (!s_.normalized) return;
    chunk_.each_row(span, part, [&](int64_t, int64_t, int64_t, int64_t index) {
      if (!inputs[index]) return;
      const int64_t row = index * gates.stride();
      std::memset(side.hat + row, 0, gates.stride() * sizeof(float));
      side.normals[index] =
          normalize<Cell>(side.values + row, gates, side.affine, side.hat + row);
    });
  }

  void gates_again(const Span &span, const Part &part, int stage) {
    chunk_.each_row(span, part, [&](int64_t, int64_t b, int64_t, int64_t index) {
      if (!chunk_.a[index]) return;
      Row<E> row{};
      row.of_x = chunk_.of_x.values + index * s_.all.stride();
      for (int p = 0; p < Cell::PRODUCTS; ++p)
        row.of_h[p] = chunk_.of_h[p].values + index * s_.products[p].stride();
      row.h_before = chunk_.before[index];
      row.a = chunk_.a[index];
      row.drop_n = row_of<E>(call_.drop_n, b, s_.hidden);
      for (int slot = 0; slot < Cell::KEPT; ++slot)
        row.kept[slot] = chunk_.at(chunk_.gates_again[slot], index);
      // States are known; the new ones go nowhere.
      row.emitted = row.h = chunk_.at(nowhere_, part.thread);
      if constexpr (Cell::HAS_C) {
        row.c_before = chunk_.c_before[index];
        row.c = row.h;
      }
      gates(Cell{}, row, s_.hidden, 0, s_.blocks, stage);
    });
  }

  const Chunk<Cell, E> &chunk_;
  const grukit_call &call_;
  const Sizes<Cell> s_;
  const Weights<Cell> weights_;
  float *a_rows_, *before_rows_, *x_rows_;
  float *h0_, *fresh_h_, *c0_, *fresh_c_, *nowhere_;
};

}  // namespace grukit::GRUKIT_ISA
