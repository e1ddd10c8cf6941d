// A sequence forwards.
#pragma once

#include "rnn/common.h"

namespace grukit::GRUKIT_ISA {

// Rows of a projection over so many steps at once: enough for full speed, little to keep.
constexpr int64_t CHUNK_ROWS = 192;
constexpr int64_t AHEAD_ROWS = 32;
// In a stack a layer begins when the one below has so many.
constexpr int64_t WAVE_ROWS = 16;

template <class Cell, class E>
class Forward {
 public:
  Forward(const grukit_call &call, Plan plan, int64_t threads, Pieces pieces, Links links = {})
      : call_(call),
        s_(call),
        turns_{call.time, call.batch, call.reverse != 0, call.lengths, call.resets},
        plan_(plan),
        reserve_(call, sizeof(E) == 2),
        links_(links),
        chunk_(least(s_.time, most(1, (links.there()         ? WAVE_ROWS
                                       : plan == Plan::ahead ? AHEAD_ROWS
                                                             : CHUNK_ROWS) /
                                          most(s_.batch, 1)))),
        precision_(precision_of<E>(call)),
        weights_(s_, precision_,
                 call.packed ? static_cast<const float *>(call.packed)
                             : pieces.take<float>(Weights<Cell>::floats(s_, precision_))) {
    const int64_t rows = chunk_ * s_.batch, buffers = plan == Plan::ahead ? 2 : 1;
    for (int64_t i = 0; i < buffers; ++i) gates_of_x_[i] = pieces.take<float>(rows * s_.all.stride());
    take(pieces, of_x_, s_.all);
    for (int p = 0; p < Cell::PRODUCTS; ++p) {
      take(pieces, of_h_[p], s_.products[p]);
      sums_[p] = pieces.take<float>(s_.batch * s_.products[p].stride());
    }
    const int64_t states = s_.batch * s_.state_stride;
    state_[0] = pieces.take<float>(states);
    state_[1] = plan == Plan::units ? pieces.take<float>(states) : state_[0];
    c_ = Cell::HAS_C ? pieces.take<float>(states) : nullptr;
    const bool gru_projected = s_.projected && !Cell::PROJECTS_STATE;
    a_ = call.drop_h || gru_projected ? pieces.take<float>(states) : nullptr;
    const bool emits = s_.projected || Cell::PRODUCTS == 2 || call.gain_c;
    emitted_ = emits ? pieces.take<float>(states) : nullptr;
    projected_ = s_.projected ? pieces.take<float>(states) : nullptr;
    gain_c_ = call.gain_c ? pieces.take<float>(s_.state_stride) : nullptr;
    bias_c_ = call.gain_c ? pieces.take<float>(s_.state_stride) : nullptr;
    c_raw_ = call.gain_c ? pieces.take<float>(threads * s_.state_stride) : nullptr;
    for (int i = 0; i < 2; ++i)
      rate_[i] = has_rate(call, i) ? pieces.take<E>(s_.state_stride) : nullptr;
    x_ = sizeof(E) == 2 ? pieces.take<float>(threads * rows * x_stride()) : nullptr;
    left_ = pieces.take<const float *>(threads * pointers());
    right_ = pieces.take<float *>(threads * pointers());
    rooms_ = Rooms(pieces, precision_, threads, pointers(), most(s_.input, s_.state_stride));
    bytes_ = pieces.used();
  }

  int64_t bytes() const { return bytes_; }

  void run(const Member &member) {
    const int64_t thread = member.thread, threads = member.threads;
    prepare(thread, threads);
    member.meet();
    take_steps(member);
  }

  // What a call does once weights, biases and rates are in place.
  void take_steps(const Member &member) {
    const int64_t thread = member.thread, threads = member.threads;
    const Part part = part_of(s_, plan_, thread, threads, left_ + thread * pointers(),
                              right_ + thread * pointers());
    start(part);
    if (plan_ == Plan::ahead) {
      project(0, 0, thread, threads, part);
      member.meet();
    }
    for (int64_t turn = 0, buffer = 0; turn < s_.time; turn += chunk_, buffer ^= 1) {
      const int64_t last = least(s_.time, turn + chunk_);
      if (plan_ == Plan::ahead) {
        if (thread == 0)
          for (int64_t at = turn; at < last; ++at) step(at, turn, buffer, part);
        else if (last < s_.time)
          project(last, buffer ^ 1, thread - 1, threads - 1, part);
        if (threads == 1 && last < s_.time) project(last, buffer ^ 1, 0, 1, part);
        member.meet();
        continue;
      }
      if (links_.below) links_.below->await(last);
      project(turn, 0, thread, threads, part);
      if (plan_ == Plan::units) member.meet();
      for (int64_t at = turn; at < last; ++at) {
        const bool alone = plan_ == Plan::units && meetings_.alone(at);
        if (alone && thread != 0) break;
        step(at, turn, 0, alone ? part.whole(s_.blocks) : part);
        if (plan_ == Plan::units && !alone) meetings_.meet(member, at);
      }
      if (plan_ == Plan::units && meetings_.alone(last)) member.meet();
      if (links_.above) links_.above->reach(last);
    }
    finish(part);
  }

  void prepare(int64_t thread, int64_t threads) {
    if (!call_.packed) weights_.template pack<E>(s_, call_, thread, threads);
    if (thread != 0) return;
    gather<E>(of_x_, call_.b_ih, call_.gain_ih, s_.all);
    for (int p = 0; p < Cell::PRODUCTS; ++p)
      gather<E>(of_h_[p], call_.b_hh, call_.gain_hh, s_.products[p]);
    if (gain_c_) {
      copy_padded<E>(call_.gain_c, s_.hidden, gain_c_, s_.state_stride);
      copy_padded<E>(call_.bias_c, s_.hidden, bias_c_, s_.state_stride);
    }
    spread_rates(call_, s_.state_stride, rate_);
  }

 private:
  int64_t pointers() const { return chunk_ * s_.batch + 1; }
  int64_t x_stride() const { return round_up(s_.input, LANES); }

  void take(Pieces &pieces, Affine &affine, const Gates &gates) {
    affine.bias = pieces.take<float>(gates.stride());
    affine.gain = s_.normalized ? pieces.take<float>(gates.stride()) : nullptr;
  }

  template <class T>
  static const T *row(const void *values, int64_t index, int64_t size) {
    return values ? static_cast<const T *>(values) + index * size : nullptr;
  }

  float *state(int64_t which, int64_t b) const { return state_[which] + b * s_.state_stride; }
  static float *row_of(float *values, int64_t b, int64_t stride) {
    return values ? values + b * stride : nullptr;
  }

  void start(const Part &part) {
    if (plan_ == Plan::units && part.thread != 0) return;
    for (int64_t b = part.first; b < part.last; ++b) {
      clear_row(state(0, b));
      if (plan_ == Plan::units) clear_row(state(1, b));
      copy_row(row<E>(call_.h0, b, s_.state), s_.state, state(0, b));
      if (c_) {
        clear_row(row_of(c_, b, s_.state_stride));
        copy_row(row<E>(call_.c0, b, s_.hidden), s_.hidden, row_of(c_, b, s_.state_stride));
      }
      if (emitted_) clear_row(row_of(emitted_, b, s_.state_stride));
      if (a_) clear_row(row_of(a_, b, s_.state_stride));
    }
    if (s_.time) enter(0, 0, part.first, part.last, part.whole(s_.blocks), true);
  }

  void clear_row(float *row) const { std::memset(row, 0, s_.state_stride * sizeof(float)); }

  // Before a step: fresh states where a sequence starts, and what enters the recurrent product.
  void enter(int64_t turn, int64_t which, int64_t first, int64_t last, const Part &part,
             bool all) {
    const int64_t t = s_.step(turn);
    int64_t count = 0;
    for (int64_t b = first; b < last; ++b) {
      const bool starts = turns_.resets && turns_.counts(t, b) && turns_.starts(t, b);
      if (starts) {
        refresh(row<E>(call_.fresh_h, b, s_.state), s_.state, state(which, b), part);
        if (c_)
          refresh(row<E>(call_.fresh_c, b, s_.hidden), s_.hidden, row_of(c_, b, s_.state_stride),
                  part);
      }
      if ((starts || all) && s_.projected && !Cell::PROJECTS_STATE) {
        part.left[count] = state(which, b);
        part.right[count++] = row_of(projected_, b, s_.state_stride);
      }
    }
    if (count)
      product(weights_.w_hr, part.left, count, 0, weights_.w_hr.panels(), nullptr, From::zero,
              part.right, rooms_.of(part.thread));
    if (!a_) return;
    for (int64_t b = first; b < last; ++b) {
      const float *from = projected_ && !Cell::PROJECTS_STATE
                              ? row_of(projected_, b, s_.state_stride)
                              : state(which, b);
      const E *drop = row<E>(call_.drop_h, b, s_.output);
      float *to = row_of(a_, b, s_.state_stride);
      const bool whole = part.block == 0 && part.blocks_end == s_.blocks;
      const int64_t begin = whole ? 0 : part.block * LANES;
      const int64_t end = whole ? s_.output : least(part.blocks_end * LANES, s_.output);
      for (int64_t unit = begin; unit < end; unit += LANES)
        store(to + unit, factor(drop, unit, s_.output - unit, load(from + unit)));
    }
  }

  void refresh(const E *fresh, int64_t size, float *to, const Part &part) const {
    const bool whole = part.block == 0 && part.blocks_end == s_.blocks;
    const int64_t begin = whole ? 0 : part.block * LANES;
    const int64_t end = whole ? size : least(part.blocks_end * LANES, size);
    for (int64_t unit = begin; unit < end; unit += LANES)
      store(to + unit, fresh ? load(fresh + unit, size - unit) : Vector{});
  }

  // The input's share of the gates for the chunk that begins at `turn`.
  void project(int64_t turn, int64_t buffer, int64_t thread, int64_t threads, const Part &part) {
    const int64_t rows = least(chunk_, s_.time - turn) * s_.batch;
    float *xs = x_ ? x_ + part.thread * chunk_ * s_.batch * x_stride() : nullptr;
    int64_t count = 0;
    const auto add = [&](int64_t index) {
      const int64_t t = s_.step(turn + index / s_.batch), b = index % s_.batch;
      if (!turns_.counts(t, b)) return;
      const E *x = static_cast<const E *>(call_.x) + t * call_.x_stride[1] + b * call_.x_stride[2];
      if constexpr (sizeof(E) == 2) {
        copy_row(x, s_.input, xs + index * x_stride());
        part.left[count] = xs + index * x_stride();
      } else {
        part.left[count] = x;
      }
      part.right[count++] = gates_of_x_[buffer] + index * s_.all.stride();
    };
    if (plan_ == Plan::rows) {
      for (int64_t index = 0; index < rows; index += s_.batch)
        for (int64_t b = part.first; b < part.last; ++b) add(index + b);
    } else {
      const bool units = plan_ == Plan::units;
      const int64_t last = units ? rows : share(rows, thread + 1, threads);
      for (int64_t index = units ? 0 : share(rows, thread, threads); index < last; ++index)
        add(index);
    }
    const Panels panels = panels_of(weights_.w_ih, s_.all, part);
    product(weights_.w_ih, part.left, count, panels.first, panels.last, of_x_.bias,
            s_.normalized ? From::zero : From::row, part.right, rooms_.of(part.thread));
    if (s_.normalized)
      for (int64_t i = 0; i < count; ++i)
        normalize<Cell>(part.right[i], s_.all, of_x_, nullptr);
  }

  void step(int64_t turn, int64_t chunk_start, int64_t buffer, const Part &part) {
    const int64_t t = s_.step(turn), now = plan_ == Plan::units ? turn & 1 : 0;
    const int64_t next = plan_ == Plan::units ? now ^ 1 : 0;
    const bool gru_projected = s_.projected && !Cell::PROJECTS_STATE;
    int64_t count = 0;
    for (int64_t b = part.first; b < part.last; ++b) {
      if (!turns_.counts(t, b)) {
        skip(t, b, now, next, part);
        continue;
      }
      part.left[count] = a_ ? row_of(a_, b, s_.state_stride) : state(now, b);
      part.right[count++] = row_of(sums_[0], b, s_.products[0].stride());
    }
    recur(0, panels_of(weights_.w_hh[0], s_.products[0], part), count, part);
    const float *of_x = gates_of_x_[buffer] + (turn - chunk_start) * s_.batch * s_.all.stride();
    const auto each = [&](auto &&act) {
      for (int64_t b = part.first; b < part.last; ++b)
        if (turns_.counts(t, b)) act(b, row_at(t, b, of_x + b * s_.all.stride(), now, next, part));
    };
    if constexpr (Cell::PRODUCTS == 2) {
      count = 0;
      each([&](int64_t b, const Row<E> &row) {
        gates(Cell{}, row, s_.hidden, part.block, part.blocks_end, 0);
        part.left[count] = row.emitted;
        part.right[count++] = row_of(sums_[1], b, s_.products[1].stride());
      });
      recur(1, {0, weights_.w_hh[1].panels()}, count, part);
    }
    each([&](int64_t, const Row<E> &row) {
      gates(Cell{}, row, s_.hidden, part.block, part.blocks_end, Cell::PRODUCTS - 1);
    });
    if (s_.projected) project_state(t, part, gru_projected);
    if (turn + 1 < s_.time && (turns_.resets || a_))
      enter(turn + 1, next, part.first, part.last, part, false);
  }

  struct Panels {
    int64_t first, last;
  };

  // Those that hold the gates of a part's units.
  Panels panels_of(const Matrix &matrix, const Gates &gates, const Part &part) const {
    if (plan_ != Plan::units) return {0, matrix.panels()};
    const int64_t first = part.block * gates.count / VECTORS;
    if (part.block == part.blocks_end) return {first, first};
    const int64_t end = (part.blocks_end * gates.count + VECTORS - 1) / VECTORS;
    return {first, least(matrix.panels(), end)};
  }

  void recur(int p, Panels panels, int64_t count, const Part &part) {
    product(weights_.w_hh[p], part.left, count, panels.first, panels.last, of_h_[p].bias,
            s_.normalized ? From::zero : From::row, part.right, rooms_.of(part.thread));
    if (s_.normalized)
      for (int64_t i = 0; i < count; ++i)
        normalize<Cell>(part.right[i], s_.products[p], of_h_[p], nullptr);
  }

  Row<E> row_at(int64_t t, int64_t b, const float *of_x, int64_t now, int64_t next,
                const Part &part) const {
    const int64_t at = t * s_.batch + b;
    Row<E> row{};
    row.of_x = of_x;
    for (int p = 0; p < Cell::PRODUCTS; ++p)
      row.of_h[p] = sums_[p] + b * s_.products[p].stride();
    row.h_before = state(now, b);
    row.h = state(next, b);
    row.a = a_ ? a_ + b * s_.state_stride : state(now, b);
    row.drop_n = this->template row<E>(call_.drop_n, b, s_.hidden);
    row.keep_h = keep_at(0, call_.keep_h, at, s_.state);
    if (reserve_.kept)
      for (int slot = 0; slot < Cell::KEPT; ++slot) row.kept[slot] = reserve_.at(slot, at);
    if constexpr (Cell::HAS_C) {
      row.c = c_ + b * s_.state_stride;
      row.c_before = row.c;
      row.keep_c = keep_at(1, call_.keep_c, at, s_.hidden);
      row.kept_c = reserve_.c(at);
      row.gain_c = gain_c_;
      row.bias_c = bias_c_;
      if (c_raw_) row.c_raw = c_raw_ + part.thread * s_.state_stride;
    }
    if (emitted_) row.emitted = emitted_ + b * s_.state_stride;
    if (s_.projected && Cell::PROJECTS_STATE) {
      row.h = nullptr;
    } else {
      row.kept_h = reserve_.h(at);
      if (!s_.projected) row.output = static_cast<E *>(call_.output) + at * s_.output;
    }
    return row;
  }

  const E *keep_at(int which, const void *keep, int64_t at, int64_t size) const {
    return rate_[which] ? rate_[which] : row<E>(keep, at, size);
  }

  // A step that does not count.
  void skip(int64_t t, int64_t b, int64_t now, int64_t next, const Part &part) const {
    const int64_t begin = part.block * LANES, at = t * s_.batch + b;
    const int64_t units = least(part.blocks_end * LANES, s_.hidden) - begin;
    if (now != next)
      std::memcpy(state(next, b) + begin, state(now, b) + begin, units * sizeof(float));
    for (int64_t slot = 0; slot < reserve_.slots(); ++slot)
      std::memset(reserve_.at(slot, at) + begin, 0, units * sizeof(float));
    const int64_t outputs = s_.projected ? s_.output : units;
    std::memset(static_cast<E *>(call_.output) + at * s_.output + begin, 0, outputs * sizeof(E));
  }

  // A GRU projects its new state to the output, the others project what they emit to the state.
  void project_state(int64_t t, const Part &part, bool of_state) {
    int64_t count = 0;
    for (int64_t b = part.first; b < part.last; ++b) {
      if (!turns_.counts(t, b)) continue;
      part.left[count] = of_state ? state(0, b) : row_of(emitted_, b, s_.state_stride);
      part.right[count++] = row_of(projected_, b, s_.state_stride);
    }
    product(weights_.w_hr, part.left, count, 0, weights_.w_hr.panels(), nullptr, From::zero,
            part.right, rooms_.of(part.thread));
    for (int64_t b = part.first; b < part.last; ++b) {
      if (!turns_.counts(t, b)) continue;
      const int64_t at = t * s_.batch + b;
      E *output = static_cast<E *>(call_.output) + at * s_.output;
      const float *from = row_of(projected_, b, s_.state_stride);
      if (of_state) {
        write_row(from, s_.output, output);
        continue;
      }
      const E *keep = keep_at(0, call_.keep_h, at, s_.state);
      for (int64_t unit = 0; unit < s_.state; unit += LANES) {
        const int64_t units = s_.state - unit;
        const Vector h =
            zoned(keep, unit, units, load(from + unit), load(state(0, b) + unit));
        store(state(0, b) + unit, h * ones(units));
        store(output + unit, h, units);
      }
    }
  }

  void finish(const Part &part) {
    if (plan_ == Plan::units && part.thread != 0) return;
    const int64_t which = plan_ == Plan::units ? s_.time & 1 : 0;
    for (int64_t b = part.first; b < part.last; ++b) {
      write_row(state(which, b), s_.state, static_cast<E *>(call_.h) + b * s_.state);
      if (c_)
        write_row(row_of(c_, b, s_.state_stride), s_.hidden,
                  static_cast<E *>(call_.c) + b * s_.hidden);
    }
  }

  const grukit_call &call_;
  const Sizes<Cell> s_;
  const Turns turns_;
  const Plan plan_;
  const Reserve<Cell> reserve_;
  const Links links_;
  const int64_t chunk_;
  const Precision precision_;
  const Weights<Cell> weights_;
  Rooms rooms_;
  Meetings meetings_;
  float *gates_of_x_[2] = {};
  Affine of_x_, of_h_[Cell::PRODUCTS];
  float *sums_[Cell::PRODUCTS];
  float *state_[2], *c_, *a_, *emitted_, *projected_, *gain_c_, *bias_c_, *c_raw_, *x_;
  E *rate_[2];
  const float **left_;
  float **right_;
  int64_t bytes_;
};

}  // namespace grukit::GRUKIT_ISA
