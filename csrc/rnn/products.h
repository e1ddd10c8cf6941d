// The products over all of a chunk's steps at once, from the gradients of its gates: those of the
// weights, which add up over the chunks, and that of x.
#pragma once

#include "rnn/chunk.h"

namespace grukit::GRUKIT_ISA {

template <class Cell, class E>
class Products {
  static constexpr int PRODUCTS = Cell::PRODUCTS;

 public:
  Products(const Chunk<Cell, E> &chunk, int64_t threads, Pieces &pieces)
      : chunk_(chunk), call_(chunk.call), s_(chunk.s) {
    w_ih_ = take_matrix(pieces, chunk.precision, s_.all.width(), call_.dx ? s_.input : 0);
    const int64_t gates = Cell::GATES * s_.hidden, rows = chunk.rows();
    d_w_ih_ = take_weights(pieces, call_.dw_ih, gates * s_.input);
    d_w_hh_ = take_weights(pieces, call_.dw_hh, gates * s_.output);
    d_w_hr_ = take_weights(pieces, call_.dw_hr, s_.output * s_.hidden);
    take(pieces, d_of_x_, s_.all.stride(), s_.normalized);
    for (int p = 0; p < PRODUCTS; ++p)
      take(pieces, d_of_h_[p], s_.products[p].stride(), s_.normalized);
    if (call_.gain_c) take(pieces, d_of_c_, s_.state_stride, true);

    dx_rows_ = chunk.ROUNDED && call_.dx ? pieces.take<float>(rows * chunk.x_stride()) : nullptr;
    panel_ = pieces.take<float>(threads * rows * PANEL);
    dump_ = pieces.take<float>(threads * 2 * PANEL);
    const bool pairs = chunk.precision == Precision::bfloat16;
    pairs_size_ = (rows + 1) / 2 * most(s_.all.stride(), s_.state_stride);
    pairs_ = pairs ? pieces.take<float>(threads * pairs_size_) : nullptr;
  }

  void prepare(int64_t thread, int64_t threads) {
    pack_share<E>(w_ih_, call_.w_ih, [&](int64_t k) { return s_.all.source(k); }, thread, threads);
    if (thread != 0) return;
    clear(d_of_x_, s_.all.stride());
    for (int p = 0; p < PRODUCTS; ++p) clear(d_of_h_[p], s_.products[p].stride());
    clear(d_of_c_, s_.state_stride);
  }

  // A thread's share of a chunk.
  void add(const Span &span, const Part &part) {
    const Task task{(span.last - span.first) * s_.batch, span.fresh ? From::zero : From::itself,
                    part};
    side(task, chunk_.of_x, s_.all, chunk_.x, s_.input, d_w_ih_, d_of_x_);
    for (int p = 0; p < PRODUCTS; ++p)
      side(task, chunk_.of_h[p], s_.products[p], p ? chunk_.second : chunk_.a, s_.output, d_w_hh_,
           d_of_h_[p]);
    if (call_.dx) inputs(task, span);
    if (d_w_hr_) projection(task, span);
    if (call_.gain_c) {
      const Columns own = task.share_of(s_.blocks * LANES, LANES);
      add_columns(chunk_.d_norm_c, chunk_.hat_c, s_.state_stride, task.rows, own, d_of_c_.gain);
      add_columns(chunk_.d_norm_c, nullptr, s_.state_stride, task.rows, own, d_of_c_.bias);
    }
  }

  // A thread's share of the results; `nothing`: there was no chunk.
  void finish(int64_t thread, int64_t threads, bool nothing) {
    const int64_t gates = Cell::GATES * s_.hidden;
    finish_weights(d_w_ih_, call_.dw_ih, gates * s_.input, thread, threads, nothing);
    finish_weights(d_w_hh_, call_.dw_hh, gates * s_.output, thread, threads, nothing);
    finish_weights(d_w_hr_, call_.dw_hr, s_.output * s_.hidden, thread, threads, nothing);
    if (thread != 0) return;
    scatter(d_of_x_, s_.all, call_.db_ih, call_.dgain_ih);
    for (int p = 0; p < PRODUCTS; ++p)
      scatter(d_of_h_[p], s_.products[p], call_.db_hh, call_.dgain_hh);
    if (call_.dgain_c) write_row(d_of_c_.gain, s_.hidden, static_cast<E *>(call_.dgain_c));
    if (call_.dbias_c) write_row(d_of_c_.bias, s_.hidden, static_cast<E *>(call_.dbias_c));
  }

 private:
  struct Columns {
    int64_t first, last;
  };

  // What a thread does for one chunk.
  struct Task {
    int64_t rows;
    From from;  // of sums over the chunks
    const Part &part;

    Columns share_of(int64_t total, int64_t unit = 1) const {
      return {share(total / unit, part.thread, part.threads) * unit,
              share(total / unit, part.thread + 1, part.threads) * unit};
    }
  };

  float *take_weights(Pieces &pieces, void *wanted, int64_t size) const {
    if (!wanted) return nullptr;
    return chunk_.ROUNDED ? pieces.take<float>(size) : static_cast<float *>(wanted);
  }

  static void take(Pieces &pieces, Affine &sums, int64_t size, bool has_gain) {
    sums.bias = pieces.take<float>(size);
    sums.gain = has_gain ? pieces.take<float>(size) : nullptr;
  }

  static void clear(const Affine &sums, int64_t size) {
    for (float *values : {sums.bias, sums.gain})
      if (values) std::memset(values, 0, size * sizeof(float));
  }

  // total[column] += the sum over rows of values, or of values times others.
  static void add_columns(const float *values, const float *others, int64_t stride, int64_t rows,
                          Columns own, float *total) {
    for (int64_t column = own.first; column < own.last; column += LANES) {
      Vector found = load(total + column);
      for (int64_t row = 0; row < rows; ++row) {
        const Vector value = load(values + row * stride + column);
        found += others ? value * load(others + row * stride + column) : value;
      }
      store(total + column, found);
    }
  }

  void side(const Task &task, const Side &side, const Gates &gates, const float *const *inputs,
            int64_t size, float *d_weights, const Affine &sums) {
    const int64_t stride = gates.stride();
    const Columns own = task.share_of(gates.width(), LANES);
    add_columns(side.d, nullptr, stride, task.rows, own, sums.bias);
    if (sums.gain) add_columns(side.d, side.hat, stride, task.rows, own, sums.gain);
    if (d_weights && own.first < own.last)
      outer(task, side.d_product + own.first, stride, own.last - own.first, inputs, size,
            [&](int64_t column) {
              const int64_t source = gates.source(own.first + column);
              return source < 0 ? nullptr : d_weights + source * size;
            },
            task.from);
  }

  // result(i)[..] (+)= the sum over rows of d[row][i] times input[row], for i < columns.
  template <class Result>
  void outer(const Task &task, const float *d, int64_t stride, int64_t columns,
             const float *const *inputs, int64_t size, Result result, From from) {
    const Part &part = task.part;
    const int64_t rows = task.rows, width = round_up(columns, LANES);
    float *panel = panel_ + part.thread * chunk_.rows() * PANEL;
    float *dump = dump_ + part.thread * 2 * PANEL;
    const auto input = [&](int64_t row) { return inputs[row]; };
    float *pairs = pairs_ ? pairs_ + part.thread * pairs_size_ : nullptr;
    for (int64_t row = 0; pairs && row < rows; row += 2)
      for (int64_t column = 0; column < width; column += LANES) {
        const float *from = d + row * stride + column;
        store(pairs + row / 2 * width + column,
              pair(load(from), row + 1 < rows ? load(from + stride) : Vector{}));
      }
    for (int64_t index = 0; index * PANEL < size; ++index) {
      for (int64_t i = 0; i < columns; ++i) {
        float *row = result(i);
        part.right[i] = row ? row + index * PANEL : dump;
      }
      const int64_t wide = least(PANEL, size - index * PANEL);
      if (!pairs) {
        pack_columns<float>(input, rows, size, index, panel);
        multiply<Floats>(ColumnsOf{d, stride}, columns, Packed{panel, rows, wide}, 0, 1, nullptr,
                         from, part.right, true);
        continue;
      }
#if GRUKIT_LANES == 16
      pack_column_pairs<float>(input, rows, size, index, panel);
      multiply<Pairs>(ColumnsOf{pairs, width}, columns, Packed{panel, (rows + 1) / 2, wide}, 0, 1,
                      nullptr, from, part.right, true);
#endif
    }
  }

  void inputs(const Task &task, const Span &span) {
    const Columns own = task.share_of(task.rows);
    const Part &part = task.part;
    const auto place = [&](int64_t index) {
      const int64_t step = chunk_.step_at(span.first + index / s_.batch, index % s_.batch);
      return static_cast<E *>(call_.dx) + step * s_.input;
    };
    for (int64_t index = own.first; index < own.last; ++index) {
      part.left[index - own.first] = chunk_.of_x.d_product + index * s_.all.stride();
      if constexpr (sizeof(E) == 2)
        part.right[index - own.first] = dx_rows_ + index * chunk_.x_stride();
      else
        part.right[index - own.first] = place(index);
    }
    chunk_.apply(w_ih_, own.last - own.first, From::zero, part, nullptr, sizeof(E) == 4);
    if constexpr (sizeof(E) == 2)
      for (int64_t index = own.first; index < own.last; ++index)
        write_row(dx_rows_ + index * chunk_.x_stride(), s_.input, place(index));
  }

  void projection(const Task &task, const Span &span) {
    const Columns own = task.share_of(s_.output);
    if (own.first == own.last) return;
    const float **left = task.part.left;
    const auto add = [&](const float *d, const float *const *inputs, From from) {
      outer(task, d + own.first, s_.state_stride, own.last - own.first, inputs, s_.hidden,
            [&](int64_t column) { return d_w_hr_ + (own.first + column) * s_.hidden; }, from);
    };
    if (chunk_.projects_state()) {
      for (int64_t index = 0; index < task.rows; ++index)
        left[index] = chunk_.x[index] ? chunk_.at(chunk_.emitted, index) : nullptr;
      return add(chunk_.d_projected, left, task.from);
    }
    add(chunk_.d_projected, chunk_.before, task.from);
    for (int64_t index = 0; index < task.rows; ++index) {
      const int64_t step = chunk_.step_at(span.first + index / s_.batch, index % s_.batch);
      left[index] = chunk_.before[index] ? chunk_.reserve.h(step) : nullptr;
    }
    add(chunk_.d_output, left, From::itself);
  }

  void finish_weights(float *found, void *to, int64_t size, int64_t thread, int64_t threads,
                      bool nothing) const {
    if (!to) return;
    const int64_t first = share(size, thread, threads), last = share(size, thread + 1, threads);
    if (nothing)
      std::memset(static_cast<E *>(to) + first, 0, (last - first) * sizeof(E));
    else if (sizeof(E) == 2)
      write_row(found + first, last - first, static_cast<E *>(to) + first);
  }

  void scatter(const Affine &sums, const Gates &gates, void *d_bias, void *d_gain) const {
    const auto write = [&](const float *row, void *to) {
      if (!to) return;
      for (int64_t column = 0; column < gates.width(); ++column) {
        const int64_t source = gates.source(column);
        if (source >= 0) set_value(static_cast<E *>(to) + source, row[column]);
      }
    };
    write(sums.bias, d_bias);
    if (sums.gain) write(sums.gain, d_gain);
  }

  static void set_value(float *to, float value) { *to = value; }
  static void set_value(bfloat16 *to, float value) { store(to, set(value), 1); }

  const Chunk<Cell, E> &chunk_;
  const grukit_call &call_;
  const Sizes<Cell> s_;
  Matrix w_ih_;
  float *d_w_ih_, *d_w_hh_, *d_w_hr_;
  Affine d_of_x_, d_of_h_[PRODUCTS], d_of_c_{};
  float *dx_rows_, *panel_, *dump_, *pairs_;
  int64_t pairs_size_;
};

}  // namespace grukit::GRUKIT_ISA
