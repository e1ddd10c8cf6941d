// A sequence backwards, chunk by chunk of time: first the steps, then the products over all of
// the chunk's steps at once, which give the gradients of the weights and of x.
#pragma once

#include "rnn/lookback.h"
#include "rnn/products.h"

namespace grukit::GRUKIT_ISA {

template <class Cell, class E>
class Backward {
  static constexpr int PRODUCTS = Cell::PRODUCTS;

 public:
  Backward(const grukit_call &call, Plan plan, int64_t threads, Pieces pieces)
      : call_(call),
        s_(call),
        plan_(plan),
        chunk_(call, plan, threads, pieces),
        look_back_(chunk_, threads, pieces),
        products_(chunk_, threads, pieces) {
    for (int p = 0; p < PRODUCTS; ++p)
      w_hh_[p] = take_matrix(pieces, chunk_.precision, s_.products[p].width(), s_.output);
    w_hr_ = take_matrix(pieces, chunk_.precision, s_.output, s_.projected ? s_.hidden : 0);

    const auto take_states = [&](bool wanted) { return chunk_.take_states(pieces, wanted); };
    d_h_ = take_states(true);
    d_c_ = take_states(Cell::HAS_C);
    d_a_ = take_states(call.drop_h || chunk_.projects_output());
    d_emitted_ = take_states(chunk_.projects_state());
    d_term_ = take_states(PRODUCTS == 2);
    d_fresh_h_ = take_states(call.dfresh_h);
    d_fresh_c_ = take_states(call.dfresh_c);
    gain_c_ = call.gain_c ? pieces.take<float>(s_.state_stride) : nullptr;
    bias_c_ = call.gain_c ? pieces.take<float>(s_.state_stride) : nullptr;
    for (int i = 0; i < 2; ++i)
      rate_[i] = has_rate(call, i) ? pieces.take<E>(s_.state_stride) : nullptr;
    left_ = pieces.take<const float *>(threads * pointers());
    right_ = pieces.take<float *>(threads * pointers());
    bytes_ = pieces.used();
  }

  int64_t bytes() const { return bytes_; }

  void run(const Member &member) {
    const int64_t thread = member.thread, threads = member.threads;
    const Part part = part_of(s_, plan_, thread, threads, left_ + thread * pointers(),
                              right_ + thread * pointers());
    prepare(thread, threads);
    member.meet();
    start(part);
    member.meet();
    bool alone = false;
    const int64_t length = chunk_.length, chunks = length ? (s_.time + length - 1) / length : 0;
    for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
      const Span span{chunk * length, least(s_.time, (chunk + 1) * length), chunk == chunks - 1};
      look_back_.fill(span, part);
      if (chunk_.projects_output()) unproject_outputs(span, part);
      if (plan_ == Plan::units) member.meet();
      for (int64_t turn = span.last - 1; turn >= span.first; --turn) {
        const bool now_alone = plan_ == Plan::units && meetings_.alone(s_.time - 1 - turn);
        // The others have done their part of the last step.
        if (now_alone && !alone) member.meet();
        alone = now_alone;
        if (alone && thread != 0) break;
        step(turn, span, alone ? part.whole(s_.blocks) : part, member, alone);
      }
      if (s_.normalized) normalize_inputs(span, part);
      member.meet();
      products_.add(span, part);
      member.meet();
    }
    finish(part);
    products_.finish(thread, threads, chunks == 0);
  }

 private:
  // Of a thread: rows of a chunk, or columns of gates.
  int64_t pointers() const {
    return most(chunk_.rows(), most(s_.all.stride(), s_.state_stride)) + 1;
  }

  void prepare(int64_t thread, int64_t threads) {
    look_back_.prepare(thread, threads);
    products_.prepare(thread, threads);
    for (int p = 0; p < PRODUCTS; ++p)
      pack_share<E>(w_hh_[p], call_.w_hh, [&](int64_t k) { return s_.products[p].source(k); },
                    thread, threads);
    pack_share<E>(w_hr_, call_.w_hr, [](int64_t k) { return k; }, thread, threads);
    if (thread != 0) return;
    chunk_.gather_affine();
    if (gain_c_) {
      copy_padded<E>(call_.gain_c, s_.hidden, gain_c_, s_.state_stride);
      copy_padded<E>(call_.bias_c, s_.hidden, bias_c_, s_.state_stride);
    }
    spread_rates(call_, s_.state_stride, rate_);
  }

  void start(const Part &part) {
    if (plan_ == Plan::units && part.thread != 0) return;
    const auto fill = [&](float *rows, const void *values, int64_t b, int64_t size) {
      if (rows)
        copy_padded<E>(row_of<E>(values, b, size), size, chunk_.at(rows, b), s_.state_stride);
    };
    for (int64_t b = part.first; b < part.last; ++b) {
      look_back_.start(b);
      fill(d_h_, call_.d_h, b, s_.state);
      fill(d_c_, call_.d_c, b, s_.hidden);
      for (float *rows : {d_fresh_h_, d_fresh_c_, d_a_, d_emitted_, d_term_})
        fill(rows, nullptr, b, 0);
    }
  }

  // A GRU: from the output to the states that were projected to it.
  void unproject_outputs(const Span &span, const Part &part) {
    int64_t count = 0;
    chunk_.each_row(span, part, [&](int64_t, int64_t b, int64_t t, int64_t index) {
      if (!chunk_.before[index]) return;
      float *d_output = chunk_.at(chunk_.d_output, index);
      copy_padded<E>(row_of<E>(call_.d_output, t * s_.batch + b, s_.output), s_.output, d_output,
                     s_.state_stride);
      part.left[count] = d_output;
      part.right[count++] = chunk_.at(chunk_.d_h_output, index);
    });
    chunk_.apply(w_hr_, count, From::zero, part);
  }

  void step(int64_t turn, const Span &span, const Part &part, const Member &member, bool alone) {
    const int64_t t = s_.step(turn), base = (turn - span.first) * s_.batch;
    const auto each = [&](auto &&act) {
      for (int64_t b = part.first; b < part.last; ++b)
        if (chunk_.turns.counts(t, b)) act(b, base + b);
    };
    if (chunk_.projects_state()) unproject_state(t, base, part);
    each([&](int64_t b, int64_t index) {
      gates_back(Cell{}, row_at(t, b, index), s_.hidden, part.block, part.blocks_end, 0);
      normalize_row(chunk_.of_h[PRODUCTS - 1], s_.products[PRODUCTS - 1], index);
    });
    if constexpr (PRODUCTS == 2) {
      int64_t count = 0;
      each([&](int64_t b, int64_t index) {
        part.left[count] = chunk_.of_h[1].d_product + index * s_.products[1].stride();
        part.right[count++] = chunk_.at(d_term_, b);
      });
      chunk_.apply(w_hh_[1], count, From::zero, part);
      each([&](int64_t b, int64_t index) {
        if (d_a_) chunk_.clear_row(chunk_.at(d_a_, b));
        gates_back(Cell{}, row_at(t, b, index), s_.hidden, 0, s_.blocks, 1);
        normalize_row(chunk_.of_h[0], s_.products[0], index);
      });
    }
    if (plan_ == Plan::units && !alone) meetings_.meet(member, s_.time - 1 - turn);
    recurrent_back(base, t, part);
    if (!chunk_.turns.resets) return;
    each([&](int64_t b, int64_t) {
      if (!chunk_.turns.starts(t, b)) return;
      begin_anew(chunk_.at(d_h_, b), chunk_.at(d_fresh_h_, b), s_.state, part);
      if (d_c_) begin_anew(chunk_.at(d_c_, b), chunk_.at(d_fresh_c_, b), s_.hidden, part);
    });
  }

  // What reaches a fresh state goes there and no further.
  void begin_anew(float *d, float *d_fresh, int64_t size, const Part &part) const {
    const bool whole = part.block == 0 && part.blocks_end == s_.blocks;
    const int64_t begin = whole ? 0 : part.block * LANES;
    const int64_t end = whole ? size : least(part.blocks_end * LANES, size);
    for (int64_t unit = begin; unit < end; unit += LANES) {
      if (d_fresh) store(d_fresh + unit, load(d_fresh + unit) + load(d + unit));
      store(d + unit, Vector{});
    }
  }

  void normalize_row(const Side &side, const Gates &gates, int64_t index) {
    if (!s_.normalized) return;
    const int64_t row = index * gates.stride();
    normalize_back<Cell>(side.d + row, gates, side.affine.gain, side.hat + row,
                         side.normals[index], side.d_product + row);
  }

  void normalize_inputs(const Span &span, const Part &part) {
    chunk_.each_row(span, part, [&](int64_t, int64_t, int64_t, int64_t index) {
      if (chunk_.x[index]) normalize_row(chunk_.of_x, s_.all, index);
    });
  }

  // From the gates to what entered the recurrent product, and on to the old state.
  void recurrent_back(int64_t base, int64_t t, const Part &part) {
    int64_t count = 0;
    const bool adds = !d_a_ || PRODUCTS == 2;
    for (int64_t b = part.first; b < part.last; ++b) {
      if (!chunk_.turns.counts(t, b)) continue;
      part.left[count] = chunk_.of_h[0].d_product + (base + b) * s_.products[0].stride();
      part.right[count++] = chunk_.at(d_a_ ? d_a_ : d_h_, b);
    }
    const Matrix &w = w_hh_[0];
    const bool units = plan_ == Plan::units;
    const int64_t first = units ? part.block / VECTORS : 0;
    const int64_t last =
        units ? (part.block == part.blocks_end ? first : (part.blocks_end + VECTORS - 1) / VECTORS)
              : w.panels();
    product(w, part.left, count, first, last, nullptr, adds ? From::itself : From::zero, part.right,
            chunk_.rooms.of(part.thread));
    if (!d_a_) return;
    count = 0;
    for (int64_t b = part.first; b < part.last; ++b) {
      if (!chunk_.turns.counts(t, b)) continue;
      const E *drop = row_of<E>(call_.drop_h, b, s_.output);
      const bool goes_on = chunk_.projects_output();
      float *to = goes_on ? chunk_.at(chunk_.d_projected, base + b) : chunk_.at(d_h_, b);
      if (goes_on) chunk_.clear_row(to);
      for (int64_t unit = 0; unit < s_.output; unit += LANES) {
        const int64_t units_left = s_.output - unit;
        const Vector d = factor(drop, unit, units_left, load(chunk_.at(d_a_, b) + unit)) *
                         ones(units_left);
        store(to + unit, goes_on ? d : load(to + unit) + d);
      }
      if (!goes_on) continue;
      part.left[count] = to;
      part.right[count++] = chunk_.at(d_h_, b);
    }
    if (count) chunk_.apply(w_hr_, count, From::itself, part);
  }

  // An LSTM or RNN: from the projected state, after zoneout, to what was projected.
  void unproject_state(int64_t t, int64_t base, const Part &part) {
    int64_t count = 0;
    for (int64_t b = part.first; b < part.last; ++b) {
      if (!chunk_.turns.counts(t, b)) continue;
      RowBack<E> row{};
      row.d_h = chunk_.at(d_h_, b);
      row.d_output = row_of<E>(call_.d_output, t * s_.batch + b, s_.output);
      row.keep_h = keep_at(0, call_.keep_h, t * s_.batch + b, s_.state);
      float *projected = chunk_.at(chunk_.d_projected, base + b);
      chunk_.clear_row(projected);
      for (int64_t unit = 0; unit < s_.state; unit += LANES) {
        const int64_t units = least(s_.state - unit, LANES);
        store(projected + unit, d_of_new(row, unit, units));
      }
      part.left[count] = projected;
      part.right[count++] = chunk_.at(d_emitted_, b);
    }
    chunk_.apply(w_hr_, count, From::zero, part);
  }

  RowBack<E> row_at(int64_t t, int64_t b, int64_t index) const {
    const int64_t step = t * s_.batch + b;
    RowBack<E> row{};
    row.h_before = chunk_.before[index];
    row.a = chunk_.a[index];
    row.drop_n = row_of<E>(call_.drop_n, b, s_.hidden);
    row.keep_h = keep_at(0, call_.keep_h, step, s_.state);
    for (int slot = 0; slot < Cell::KEPT; ++slot) row.kept[slot] = chunk_.kept(slot, step, index);
    if (chunk_.projects_output())
      row.d_added = chunk_.at(chunk_.d_h_output, index);
    else
      row.d_output = row_of<E>(call_.d_output, step, s_.output);
    row.d_h = chunk_.at(d_h_, b);
    row.d_of_x = chunk_.of_x.d + index * s_.all.stride();
    for (int p = 0; p < PRODUCTS; ++p)
      row.d_of_h[p] = chunk_.of_h[p].d + index * s_.products[p].stride();
    row.d_a = chunk_.at(d_a_ ? d_a_ : d_h_, b);
    row.d_term = chunk_.at(d_term_, b);
    if constexpr (Cell::HAS_C) {
      row.c_before = chunk_.c_before[index];
      row.keep_c = keep_at(1, call_.keep_c, step, s_.hidden);
      row.d_c = chunk_.at(d_c_, b);
      row.gain_c = gain_c_;
      row.bias_c = bias_c_;
      row.hat_c = chunk_.at(chunk_.hat_c, index);
      row.d_norm_c = chunk_.at(chunk_.d_norm_c, index);
    }
    row.d_emitted = chunk_.at(d_emitted_, b);
    row.emitted = chunk_.at(chunk_.emitted, index);
    return row;
  }

  const E *keep_at(int which, const void *keep, int64_t step, int64_t size) const {
    return rate_[which] ? rate_[which] : row_of<E>(keep, step, size);
  }

  void finish(const Part &part) {
    if (plan_ == Plan::units && part.thread != 0) return;
    for (int64_t b = part.first; b < part.last; ++b) {
      const auto write = [&](const float *rows, int64_t size, void *to) {
        if (to) write_row(rows + b * s_.state_stride, size, static_cast<E *>(to) + b * size);
      };
      write(d_h_, s_.state, call_.dh0);
      write(d_c_, s_.hidden, call_.dc0);
      write(d_fresh_h_, s_.state, call_.dfresh_h);
      write(d_fresh_c_, s_.hidden, call_.dfresh_c);
    }
  }

  const grukit_call &call_;
  const Sizes<Cell> s_;
  const Plan plan_;
  Chunk<Cell, E> chunk_;
  LookBack<Cell, E> look_back_;
  Products<Cell, E> products_;
  Meetings meetings_;
  Matrix w_hh_[PRODUCTS], w_hr_;
  float *d_h_, *d_c_, *d_a_, *d_emitted_, *d_term_, *d_fresh_h_, *d_fresh_c_, *gain_c_, *bias_c_;
  E *rate_[2];
  const float **left_;
  float **right_;
  int64_t bytes_;
};

}  // namespace grukit::GRUKIT_ISA
