// A sequence backwards, chunk by chunk of time: first the steps, then the products over all of
// the chunk's steps at once, which give the gradients of the weights and of x.
#pragma once

#include "rnn/common.h"

namespace grukit::GRUKIT_ISA {

constexpr int64_t BACK_ROWS = 256;

template <class Cell, class E>
class Backward {
  static constexpr int PRODUCTS = Cell::PRODUCTS;
  static constexpr bool IS_GRU = !Cell::PROJECTS_STATE;

 public:
  Backward(const grukit_call &call, Plan plan, int64_t threads, Pieces pieces)
      : call_(call),
        s_(call),
        turns_{call.time, call.batch, call.reverse != 0, call.lengths, call.resets},
        plan_(plan),
        reserve_(call, sizeof(E) == 2),
        chunk_(least(s_.time, most(1, BACK_ROWS / most(s_.batch, 1)))),
        recomputes_(call.save != GRUKIT_SAVE_ALL),
        again_(recomputes_ || s_.normalized),
        precision_(precision_of<E>(call)),
        weights_(s_, precision_,
                 again_ || (IS_GRU && s_.projected)
                     ? pieces.take<float>(Weights<Cell>::floats(s_, precision_))
                     : nullptr) {
    const int64_t rows = chunk_ * s_.batch, states = s_.batch * s_.state_stride;
    matrix_room(pieces, back_ih_, s_.all.width(), call.dx ? s_.input : 0);
    for (int p = 0; p < PRODUCTS; ++p)
      matrix_room(pieces, back_hh_[p], s_.products[p].width(), s_.output);
    matrix_room(pieces, back_hr_, s_.output, s_.projected ? s_.hidden : 0);

    take(pieces, of_x_, s_.all, rows);
    for (int p = 0; p < PRODUCTS; ++p)
      take(pieces, of_h_[p], s_.products[p], rows);
    // But for a GRU the gates are a sum of both sides.
    if (!IS_GRU) of_h_[0].d = of_x_.d;
    if (!IS_GRU && !s_.normalized) of_h_[0].d_product = of_x_.d;

    const auto take_rows = [&](bool wanted) {
      return wanted ? pieces.take<float>(rows * s_.state_stride) : nullptr;
    };
    const bool rounded = sizeof(E) == 2, projects = s_.projected;
    for (int i = 0; i < Cell::KEPT; ++i) kept_[i] = take_rows(recomputes_);
    a_rows_ = take_rows(call.drop_h || (IS_GRU && projects));
    before_rows_ = take_rows(rounded && !reserve_.has_h);
    emitted_ = take_rows(projects && !IS_GRU);
    d_projected_ = take_rows(projects);
    d_output_ = take_rows(IS_GRU && projects);
    d_h_output_ = take_rows(IS_GRU && projects);
    hat_c_ = take_rows(call.gain_c);
    d_norm_c_ = take_rows(call.gain_c);
    x_rows_ = rounded ? pieces.take<float>(rows * x_stride()) : nullptr;
    dx_rows_ = rounded && call.dx ? pieces.take<float>(rows * x_stride()) : nullptr;

    const auto take_states = [&](bool wanted) {
      return wanted ? pieces.take<float>(states) : nullptr;
    };
    d_h_ = take_states(true);
    d_c_ = take_states(Cell::HAS_C);
    d_a_ = take_states(call.drop_h || (IS_GRU && projects));
    d_emitted_ = take_states(projects && !IS_GRU);
    d_term_ = take_states(PRODUCTS == 2);
    d_fresh_h_ = take_states(call.dfresh_h);
    d_fresh_c_ = take_states(call.dfresh_c);
    h0_ = take_states(true);
    fresh_h_ = take_states(true);
    c0_ = take_states(Cell::HAS_C);
    fresh_c_ = take_states(Cell::HAS_C);
    gain_c_ = call.gain_c ? pieces.take<float>(s_.state_stride) : nullptr;
    bias_c_ = call.gain_c ? pieces.take<float>(s_.state_stride) : nullptr;
    d_gain_c_ = call.gain_c ? pieces.take<float>(s_.state_stride) : nullptr;
    d_bias_c_ = call.gain_c ? pieces.take<float>(s_.state_stride) : nullptr;
    nowhere_ = pieces.take<float>(threads * s_.state_stride);
    for (int i = 0; i < 2; ++i)
      rate_[i] = has_rate(call, i) ? pieces.take<E>(s_.state_stride) : nullptr;

    const int64_t gates = Cell::GATES * s_.hidden;
    d_w_ih_ = weight_room(pieces, call.dw_ih, gates * s_.input);
    d_w_hh_ = weight_room(pieces, call.dw_hh, gates * s_.output);
    d_w_hr_ = weight_room(pieces, call.dw_hr, s_.output * s_.hidden);

    x_ = pieces.take<const float *>(rows);
    before_ = pieces.take<const float *>(rows);
    a_ = pieces.take<const float *>(rows);
    if (Cell::HAS_C) c_before_ = pieces.take<const float *>(rows);
    second_ = pieces.take<const float *>(rows);

    left_ = pieces.take<const float *>(threads * pointers());
    right_ = pieces.take<float *>(threads * pointers());
    panel_ = pieces.take<float>(threads * rows * PANEL);
    dump_ = pieces.take<float>(threads * 2 * PANEL);
    const int64_t deepest =
        most(most(s_.input, s_.state_stride), most(s_.all.width(), s_.output));
    rooms_ = Rooms(pieces, precision_, threads, rows + 1, deepest);
    const bool pairs = precision_ == Precision::bfloat16;
    pairs_size_ = (rows + 1) / 2 * most(s_.all.stride(), s_.state_stride);
    pairs_ = pairs ? pieces.take<float>(threads * pairs_size_) : nullptr;
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
    const int64_t chunks = chunk_ ? (s_.time + chunk_ - 1) / chunk_ : 0;
    for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
      const Chunk now{chunk * chunk_, least(s_.time, (chunk + 1) * chunk_),
                      chunk == chunks - 1};
      look_back(now, part);
      if (plan_ == Plan::units) member.meet();
      for (int64_t turn = now.last - 1; turn >= now.first; --turn) {
        const bool now_alone = plan_ == Plan::units && meetings_.alone(s_.time - 1 - turn);
        if (now_alone && !alone) member.meet();  // The others have done their part of the last step.
        alone = now_alone;
        if (alone && thread != 0) break;
        step(turn, now, alone ? part.whole(s_.blocks) : part, member, alone);
      }
      if (s_.normalized) normalize_inputs(now, part);
      member.meet();
      products(now, thread, threads, part);
      member.meet();
    }
    finish(part, thread, threads, chunks == 0);
  }

 private:
  struct Chunk {
    int64_t first, last;  // turns
    bool fresh;           // the first that is taken: gradients begin with it
  };
  // One side of the gates: rows of the chunk.
  struct Side {
    float *d;           // the gradient of what follows the bias
    float *d_product;   // of the product; the same without layer norm
    float *values;      // what the forward had, where it is computed again
    float *hat;
    Normal *normals;
    Affine affine;
    float *d_bias, *d_gain;
  };

  void matrix_room(Pieces &pieces, Matrix &matrix, int64_t depth, int64_t columns) const {
    const int64_t size = columns ? Matrix::floats(precision_, depth, columns) : 0;
    matrix = {precision_, pieces.take<float>(size), depth, columns};
  }

  float *weight_room(Pieces &pieces, void *wanted, int64_t size) const {
    if (!wanted) return nullptr;
    return sizeof(E) == 2 ? pieces.take<float>(size) : static_cast<float *>(wanted);
  }

  void take(Pieces &pieces, Side &side, const Gates &gates, int64_t rows) {
    const int64_t floats = rows * gates.stride();
    side.d = pieces.take<float>(floats);
    side.d_product = s_.normalized ? pieces.take<float>(floats) : side.d;
    side.values = again_ ? pieces.take<float>(floats) : nullptr;
    side.hat = s_.normalized ? pieces.take<float>(floats) : nullptr;
    side.normals = s_.normalized ? pieces.take<Normal>(rows) : nullptr;
    side.affine.bias = pieces.take<float>(gates.stride());
    side.affine.gain = s_.normalized ? pieces.take<float>(gates.stride()) : nullptr;
    side.d_bias = pieces.take<float>(gates.stride());
    side.d_gain = s_.normalized ? pieces.take<float>(gates.stride()) : nullptr;
  }

  // Of a thread: rows of a chunk, or columns of gates.
  int64_t pointers() const {
    return most(chunk_ * s_.batch, most(s_.all.stride(), s_.state_stride)) + 1;
  }
  int64_t x_stride() const { return round_up(s_.input, PANEL); }
  float *at(float *rows, int64_t index) const {
    return rows ? rows + index * s_.state_stride : nullptr;
  }
  template <class T>
  static const T *row(const void *values, int64_t index, int64_t size) {
    return values ? static_cast<const T *>(values) + index * size : nullptr;
  }
  void clear_row(float *row) const { std::memset(row, 0, s_.state_stride * sizeof(float)); }

  void prepare(int64_t thread, int64_t threads) {
    if (again_ || (IS_GRU && s_.projected)) weights_.template pack<E>(s_, call_, thread, threads);
    int64_t turn = 0;
    const auto pack = [&](const Matrix &matrix, const void *weights, auto source) {
      for (int64_t panel = 0; panel < matrix.panels(); ++panel)
        if (turn++ % threads == thread)
          matrix.template pack_transposed<E>(
              [&](int64_t k) {
                const int64_t row = source(k);
                return row < 0 ? nullptr : static_cast<const E *>(weights) + row * matrix.columns;
              },
              panel);
    };
    pack(back_ih_, call_.w_ih, [&](int64_t k) { return s_.all.source(k); });
    for (int p = 0; p < PRODUCTS; ++p)
      pack(back_hh_[p], call_.w_hh, [&](int64_t k) { return s_.products[p].source(k); });
    pack(back_hr_, call_.w_hr, [](int64_t k) { return k; });
    if (thread != 0) return;
    gather<E>(of_x_.affine, call_.b_ih, call_.gain_ih, s_.all);
    for (int p = 0; p < PRODUCTS; ++p)
      gather<E>(of_h_[p].affine, call_.b_hh, call_.gain_hh, s_.products[p]);
    clear(of_x_, s_.all);
    for (int p = 0; p < PRODUCTS; ++p) clear(of_h_[p], s_.products[p]);
    if (gain_c_) {
      copy_padded<E>(call_.gain_c, s_.hidden, gain_c_, s_.state_stride);
      copy_padded<E>(call_.bias_c, s_.hidden, bias_c_, s_.state_stride);
      clear_row(d_gain_c_);
      clear_row(d_bias_c_);
    }
    spread_rates(call_, s_.state_stride, rate_);
  }

  void clear(const Side &side, const Gates &gates) const {
    std::memset(side.d_bias, 0, gates.stride() * sizeof(float));
    if (side.d_gain) std::memset(side.d_gain, 0, gates.stride() * sizeof(float));
  }

  void start(const Part &part) {
    if (plan_ == Plan::units && part.thread != 0) return;
    const auto fill = [&](float *rows, const void *values, int64_t b, int64_t size) {
      if (rows) copy_padded<E>(row<E>(values, b, size), size, at(rows, b), s_.state_stride);
    };
    for (int64_t b = part.first; b < part.last; ++b) {
      fill(d_h_, call_.d_h, b, s_.state);
      fill(d_c_, call_.d_c, b, s_.hidden);
      fill(h0_, call_.h0, b, s_.state);
      fill(fresh_h_, call_.fresh_h, b, s_.state);
      fill(c0_, call_.c0, b, s_.hidden);
      fill(fresh_c_, call_.fresh_c, b, s_.hidden);
      for (float *rows : {d_fresh_h_, d_fresh_c_, d_a_, d_emitted_, d_term_})
        fill(rows, nullptr, b, 0);
    }
  }

  // Calls act(turn, b, t, index) for a thread's share of the sequences' steps in a chunk.
  template <class Act>
  void each_row(const Chunk &chunk, const Part &part, Act &&act) const {
    const int64_t rows = (chunk.last - chunk.first) * s_.batch;
    if (plan_ == Plan::units) {
      const int64_t last = share(rows, part.thread + 1, part.threads);
      for (int64_t index = share(rows, part.thread, part.threads); index < last; ++index) {
        const int64_t turn = chunk.first + index / s_.batch;
        act(turn, index % s_.batch, s_.step(turn), index);
      }
      return;
    }
    for (int64_t turn = chunk.first; turn < chunk.last; ++turn)
      for (int64_t b = part.first; b < part.last; ++b)
        act(turn, b, s_.step(turn), (turn - chunk.first) * s_.batch + b);
  }

  // Everything of a chunk that does not wait for a gradient: the states before each step, what
  // entered the products, and what the forward did not keep.
  void look_back(const Chunk &chunk, const Part &part) {
    each_row(chunk, part, [&](int64_t turn, int64_t b, int64_t t, int64_t index) {
      const bool counts = turns_.counts(t, b);
      x_[index] = before_[index] = a_[index] = second_[index] = nullptr;
      if (!counts) return clear_gradients(index);
      const E *x = static_cast<const E *>(call_.x) + t * call_.x_stride[1] + b * call_.x_stride[2];
      if constexpr (sizeof(E) == 2) {
        copy_row(x, s_.input, x_rows_ + index * x_stride());
        x_[index] = x_rows_ + index * x_stride();
      } else {
        x_[index] = x;
      }
      before_[index] = a_[index] = h_before(turn, b, t, index);
      if constexpr (Cell::HAS_C)
        c_before_[index] = turns_.starts(t, b)  ? at(fresh_c_, b)
                           : turns_.first(t, b) ? at(c0_, b)
                                                : reserve_.c(step_at(turn - 1, b));
      if (a_rows_) a_[index] = at(a_rows_, index);
    });
    if (IS_GRU && s_.projected) project(chunk, part);
    if (call_.drop_h)
      each_row(chunk, part, [&](int64_t, int64_t b, int64_t, int64_t index) {
        if (!a_[index]) return;
        const float *from = s_.projected && IS_GRU ? a_[index] : before_[index];
        const E *drop = row<E>(call_.drop_h, b, s_.output);
        for (int64_t unit = 0; unit < s_.output; unit += LANES)
          store(at(a_rows_, index) + unit,
                factor(drop, unit, s_.output - unit, load(from + unit, s_.output - unit)));
      });
    if (again_) recompute(chunk, part);
    if (PRODUCTS == 2)
      each_row(chunk, part, [&](int64_t, int64_t, int64_t t, int64_t index) {
        if (a_[index]) second_[index] = kept(3, t * s_.batch + index % s_.batch, index);
      });
  }

  int64_t step_at(int64_t turn, int64_t b) const { return s_.step(turn) * s_.batch + b; }

  const float *kept(int slot, int64_t step, int64_t index) const {
    return recomputes_ ? at(kept_[slot], index) : reserve_.gate(slot, step);
  }

  const float *h_before(int64_t turn, int64_t b, int64_t t, int64_t index) {
    if (turns_.starts(t, b)) return at(fresh_h_, b);
    if (turns_.first(t, b)) return at(h0_, b);
    const int64_t step = step_at(turn - 1, b);
    if (reserve_.has_h) return reserve_.h(step);
    const E *output = static_cast<const E *>(call_.output) + step * s_.output;
    if constexpr (sizeof(E) == 4) return output;
    copy_row(output, s_.output, at(before_rows_, index));
    return at(before_rows_, index);
  }

  void clear_gradients(int64_t index) {
    const auto zero = [&](const Side &side, const Gates &gates) {
      for (float *rows : {side.d, side.d_product})
        std::memset(rows + index * gates.stride(), 0, gates.stride() * sizeof(float));
      if (side.hat) std::memset(side.hat + index * gates.stride(), 0, gates.stride() * sizeof(float));
    };
    zero(of_x_, s_.all);
    for (int p = 0; p < PRODUCTS; ++p) zero(of_h_[p], s_.products[p]);
    for (float *rows : {d_projected_, d_output_, d_h_output_, hat_c_, d_norm_c_})
      if (rows) clear_row(at(rows, index));
  }

  // A GRU's projection: of the states before the steps, and back from the output.
  void project(const Chunk &chunk, const Part &part) {
    int64_t count = 0;
    each_row(chunk, part, [&](int64_t, int64_t, int64_t, int64_t index) {
      if (!before_[index]) return;
      part.left[count] = before_[index];
      part.right[count++] = at(a_rows_, index);
    });
    apply(weights_.w_hr, count, From::zero, part);
    count = 0;
    each_row(chunk, part, [&](int64_t, int64_t b, int64_t t, int64_t index) {
      if (!before_[index]) return;
      clear_row(at(d_output_, index));
      copy_row(row<E>(call_.d_output, t * s_.batch + b, s_.output), s_.output,
               at(d_output_, index));
      part.left[count] = at(d_output_, index);
      part.right[count++] = at(d_h_output_, index);
    });
    apply(back_hr_, count, From::zero, part);
  }

  // The products again, and from them the gates where they were not kept.
  void recompute(const Chunk &chunk, const Part &part) {
    side_again(chunk, part, of_x_, s_.all, weights_.w_ih, x_);
    side_again(chunk, part, of_h_[0], s_.products[0], weights_.w_hh[0], a_);
    const auto gates_again = [&](int stage) {
      if (!recomputes_) return;
      each_row(chunk, part, [&](int64_t, int64_t b, int64_t, int64_t index) {
        if (!a_[index]) return;
        Row<E> row{};
        row.of_x = of_x_.values + index * s_.all.stride();
        for (int p = 0; p < PRODUCTS; ++p)
          row.of_h[p] = of_h_[p].values + index * s_.products[p].stride();
        row.h_before = before_[index];
        row.a = a_[index];
        row.drop_n = this->template row<E>(call_.drop_n, b, s_.hidden);
        for (int slot = 0; slot < Cell::KEPT; ++slot) row.kept[slot] = at(kept_[slot], index);
        // States are known; the new ones go nowhere.
        row.emitted = row.h = at(nowhere_, part.thread);
        if constexpr (Cell::HAS_C) {
          row.c_before = c_before_[index];
          row.c = row.h;
        }
        gates(Cell{}, row, s_.hidden, 0, s_.blocks, stage);
      });
    };
    gates_again(0);
    if constexpr (PRODUCTS == 2) {
      each_row(chunk, part, [&](int64_t, int64_t, int64_t t, int64_t index) {
        if (a_[index]) second_[index] = kept(3, t * s_.batch + index % s_.batch, index);
      });
      side_again(chunk, part, of_h_[1], s_.products[1], weights_.w_hh[1], second_);
      gates_again(1);
    }
  }

  void side_again(const Chunk &chunk, const Part &part, const Side &side, const Gates &gates,
                  const Matrix &weights, const float *const *inputs) {
    int64_t count = 0;
    each_row(chunk, part, [&](int64_t, int64_t, int64_t, int64_t index) {
      if (!inputs[index]) return;
      part.left[count] = inputs[index];
      part.right[count++] = side.values + index * gates.stride();
    });
    apply(weights, count, s_.normalized ? From::zero : From::row, part, side.affine.bias);
    if (!s_.normalized) return;
    each_row(chunk, part, [&](int64_t, int64_t, int64_t, int64_t index) {
      if (!inputs[index]) return;
      const int64_t row = index * gates.stride();
      std::memset(side.hat + row, 0, gates.stride() * sizeof(float));
      side.normals[index] =
          normalize<Cell>(side.values + row, gates, side.affine, side.hat + row);
    });
  }

  void step(int64_t turn, const Chunk &chunk, const Part &part, const Member &member,
            bool alone) {
    const int64_t t = s_.step(turn), base = (turn - chunk.first) * s_.batch;
    const auto each = [&](auto &&act) {
      for (int64_t b = part.first; b < part.last; ++b)
        if (turns_.counts(t, b)) act(b, base + b);
    };
    if (s_.projected && !IS_GRU) unproject_state(t, base, part);
    each([&](int64_t b, int64_t index) {
      gates_back(Cell{}, row_at(t, b, index), s_.hidden, part.block, part.blocks_end, 0);
      if (s_.normalized && PRODUCTS == 1) normalize_row(0, index);
      if (PRODUCTS == 2) normalize_row(1, index);
    });
    if constexpr (PRODUCTS == 2) {
      int64_t count = 0;
      each([&](int64_t b, int64_t index) {
        part.left[count] = of_h_[1].d_product + index * s_.products[1].stride();
        part.right[count++] = at(d_term_, b);
      });
      apply(back_hh_[1], count, From::zero, part);
      each([&](int64_t b, int64_t index) {
        if (d_a_) clear_row(at(d_a_, b));
        gates_back(Cell{}, row_at(t, b, index), s_.hidden, 0, s_.blocks, 1);
        normalize_row(0, index);
      });
    }
    if (plan_ == Plan::units && !alone) meetings_.meet(member, s_.time - 1 - turn);
    recurrent_back(base, t, part);
    if (!turns_.resets) return;
    each([&](int64_t b, int64_t) {
      if (!turns_.starts(t, b)) return;
      begin_anew(at(d_h_, b), at(d_fresh_h_, b), s_.state, part);
      if (d_c_) begin_anew(at(d_c_, b), at(d_fresh_c_, b), s_.hidden, part);
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

  void normalize_row(int p, int64_t index) {
    if (!s_.normalized) return;
    const int64_t row = index * s_.products[p].stride();
    const Side &side = of_h_[p];
    normalize_back<Cell>(side.d + row, s_.products[p], side.affine.gain, side.hat + row,
                         side.normals[index], side.d_product + row);
  }

  void normalize_inputs(const Chunk &chunk, const Part &part) {
    each_row(chunk, part, [&](int64_t, int64_t, int64_t, int64_t index) {
      const int64_t row = index * s_.all.stride();
      if (x_[index])
        normalize_back<Cell>(of_x_.d + row, s_.all, of_x_.affine.gain, of_x_.hat + row,
                             of_x_.normals[index], of_x_.d_product + row);
    });
  }

  // From the gates to what entered the recurrent product, and on to the old state.
  void recurrent_back(int64_t base, int64_t t, const Part &part) {
    int64_t count = 0;
    const bool adds = !d_a_ || PRODUCTS == 2;
    for (int64_t b = part.first; b < part.last; ++b) {
      if (!turns_.counts(t, b)) continue;
      part.left[count] = of_h_[0].d_product + (base + b) * s_.products[0].stride();
      part.right[count++] = at(d_a_ ? d_a_ : d_h_, b);
    }
    const Matrix &w = back_hh_[0];
    const bool units = plan_ == Plan::units;
    const int64_t first = units ? part.block / VECTORS : 0;
    const int64_t last =
        units ? (part.block == part.blocks_end ? first : (part.blocks_end + VECTORS - 1) / VECTORS)
              : w.panels();
    product(w, part.left, count, first, last, nullptr, adds ? From::itself : From::zero, part.right,
            rooms_.of(part.thread));
    if (!d_a_) return;
    count = 0;
    for (int64_t b = part.first; b < part.last; ++b) {
      if (!turns_.counts(t, b)) continue;
      const E *drop = row<E>(call_.drop_h, b, s_.output);
      const bool goes_on = IS_GRU && s_.projected;
      float *to = goes_on ? at(d_projected_, base + b) : at(d_h_, b);
      if (goes_on) clear_row(to);
      for (int64_t unit = 0; unit < s_.output; unit += LANES) {
        const int64_t units_left = s_.output - unit;
        const Vector d = factor(drop, unit, units_left, load(at(d_a_, b) + unit)) *
                         ones(units_left);
        store(to + unit, goes_on ? d : load(to + unit) + d);
      }
      if (!goes_on) continue;
      part.left[count] = to;
      part.right[count++] = at(d_h_, b);
    }
    if (count)
      apply(back_hr_, count, From::itself, part);
  }

  // An LSTM or RNN: from the projected state, after zoneout, to what was projected.
  void unproject_state(int64_t t, int64_t base, const Part &part) {
    int64_t count = 0;
    for (int64_t b = part.first; b < part.last; ++b) {
      if (!turns_.counts(t, b)) continue;
      RowBack<E> row{};
      row.d_h = at(d_h_, b);
      row.d_output = this->template row<E>(call_.d_output, t * s_.batch + b, s_.output);
      row.keep_h = keep_at(0, call_.keep_h, t * s_.batch + b, s_.state);
      float *projected = at(d_projected_, base + b);
      clear_row(projected);
      for (int64_t unit = 0; unit < s_.state; unit += LANES) {
        const int64_t units = least(s_.state - unit, LANES);
        store(projected + unit, d_of_new(row, unit, units));
      }
      part.left[count] = projected;
      part.right[count++] = at(d_emitted_, b);
    }
    apply(back_hr_, count, From::zero, part);
  }

  RowBack<E> row_at(int64_t t, int64_t b, int64_t index) const {
    const int64_t step = t * s_.batch + b;
    RowBack<E> row{};
    row.h_before = before_[index];
    row.a = a_[index];
    row.drop_n = this->template row<E>(call_.drop_n, b, s_.hidden);
    row.keep_h = keep_at(0, call_.keep_h, step, s_.state);
    for (int slot = 0; slot < Cell::KEPT; ++slot) row.kept[slot] = kept(slot, step, index);
    if (IS_GRU && s_.projected)
      row.d_added = at(d_h_output_, index);
    else
      row.d_output = this->template row<E>(call_.d_output, step, s_.output);
    row.d_h = at(d_h_, b);
    row.d_of_x = of_x_.d + index * s_.all.stride();
    for (int p = 0; p < PRODUCTS; ++p) row.d_of_h[p] = of_h_[p].d + index * s_.products[p].stride();
    row.d_a = at(d_a_ ? d_a_ : d_h_, b);
    row.d_term = at(d_term_, b);
    if constexpr (Cell::HAS_C) {
      row.c_before = c_before_[index];
      row.keep_c = keep_at(1, call_.keep_c, step, s_.hidden);
      row.d_c = at(d_c_, b);
      row.gain_c = gain_c_;
      row.bias_c = bias_c_;
      row.hat_c = at(hat_c_, index);
      row.d_norm_c = at(d_norm_c_, index);
    }
    row.d_emitted = at(d_emitted_, b);
    row.emitted = at(emitted_, index);
    return row;
  }

  const E *keep_at(int which, const void *keep, int64_t step, int64_t size) const {
    return rate_[which] ? rate_[which] : row<E>(keep, step, size);
  }

  // The rows of part.left times a matrix, to those of part.right.
  void apply(const Matrix &matrix, int64_t count, From from, const Part &part,
             const float *start = nullptr, bool exact = false) const {
    product(matrix, part.left, count, 0, matrix.panels(), start, from, part.right,
            rooms_.of(part.thread), exact);
  }

  // What needs the gradients of the gates at all steps of a chunk.
  void products(const Chunk &chunk, int64_t thread, int64_t threads, const Part &part) {
    const int64_t rows = (chunk.last - chunk.first) * s_.batch;
    side_products(chunk, of_x_, s_.all, x_, s_.input, d_w_ih_, rows, thread, threads, part);
    for (int p = 0; p < PRODUCTS; ++p)
      side_products(chunk, of_h_[p], s_.products[p], p ? second_ : a_, s_.output, d_w_hh_, rows,
                    thread, threads, part);
    if (call_.dx) inputs_back(chunk, rows, thread, threads, part);
    if (d_w_hr_) projection_products(chunk, rows, thread, threads, part);
    if (gain_c_) {
      const int64_t first = share(s_.blocks, thread, threads) * LANES;
      const int64_t last = share(s_.blocks, thread + 1, threads) * LANES;
      add_columns(d_norm_c_, hat_c_, s_.state_stride, rows, first, last, d_gain_c_);
      add_columns(d_norm_c_, nullptr, s_.state_stride, rows, first, last, d_bias_c_);
    }
  }

  // total[column] += the sum over rows of values, or of values times others.
  static void add_columns(const float *values, const float *others, int64_t stride, int64_t rows,
                          int64_t first, int64_t last, float *total) {
    for (int64_t column = first; column < last; column += LANES) {
      Vector found = load(total + column);
      for (int64_t row = 0; row < rows; ++row) {
        const Vector value = load(values + row * stride + column);
        found += others ? value * load(others + row * stride + column) : value;
      }
      store(total + column, found);
    }
  }

  void side_products(const Chunk &chunk, const Side &side, const Gates &gates,
                     const float *const *inputs, int64_t size, float *d_weights, int64_t rows,
                     int64_t thread, int64_t threads, const Part &part) {
    const int64_t vectors = gates.width() / LANES, stride = gates.stride();
    const int64_t first = share(vectors, thread, threads) * LANES;
    const int64_t last = share(vectors, thread + 1, threads) * LANES;
    add_columns(side.d, nullptr, stride, rows, first, last, side.d_bias);
    if (side.d_gain) add_columns(side.d, side.hat, stride, rows, first, last, side.d_gain);
    if (d_weights && first < last)
      outer(side.d_product + first, stride, last - first, inputs, size, rows,
            [&](int64_t column) {
              const int64_t source = gates.source(first + column);
              return source < 0 ? nullptr : d_weights + source * size;
            },
            chunk.fresh ? From::zero : From::itself, part);
  }

  // result(i)[..] (+)= the sum over rows of d[row][i] times input[row], for i < columns.
  template <class Result>
  void outer(const float *d, int64_t stride, int64_t columns, const float *const *inputs,
             int64_t size, int64_t rows, Result result, From from, const Part &part) {
    float *panel = panel_ + part.thread * chunk_ * s_.batch * PANEL;
    float *dump = dump_ + part.thread * 2 * PANEL;
    const auto input = [&](int64_t row) { return inputs[row]; };
    const int64_t width = round_up(columns, LANES);
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

  void inputs_back(const Chunk &chunk, int64_t rows, int64_t thread, int64_t threads,
                   const Part &part) {
    const int64_t first = share(rows, thread, threads), last = share(rows, thread + 1, threads);
    const auto place = [&](int64_t index) {
      const int64_t step = step_at(chunk.first + index / s_.batch, index % s_.batch);
      return static_cast<E *>(call_.dx) + step * s_.input;
    };
    for (int64_t index = first; index < last; ++index) {
      part.left[index - first] = of_x_.d_product + index * s_.all.stride();
      if constexpr (sizeof(E) == 2)
        part.right[index - first] = dx_rows_ + index * x_stride();
      else
        part.right[index - first] = place(index);
    }
    apply(back_ih_, last - first, From::zero, part, nullptr, sizeof(E) == 4);
    if constexpr (sizeof(E) == 2)
      for (int64_t index = first; index < last; ++index)
        write_row(dx_rows_ + index * x_stride(), s_.input, place(index));
  }

  void projection_products(const Chunk &chunk, int64_t rows, int64_t thread, int64_t threads,
                           const Part &part) {
    const int64_t first = share(s_.output, thread, threads);
    const int64_t last = share(s_.output, thread + 1, threads);
    if (first == last) return;
    const auto result = [&](int64_t column) { return d_w_hr_ + (first + column) * s_.hidden; };
    const From from = chunk.fresh ? From::zero : From::itself;
    if (!IS_GRU) {
      rows_of(emitted_, rows, x_, part);
      outer(d_projected_ + first, s_.state_stride, last - first, part.left, s_.hidden, rows, result,
            from, part);
      return;
    }
    outer(d_projected_ + first, s_.state_stride, last - first, before_, s_.hidden, rows, result,
          from, part);
    for (int64_t index = 0; index < rows; ++index)
      part.left[index] = before_[index] ? reserve_.h(step_at(chunk.first + index / s_.batch,
                                                            index % s_.batch))
                                        : nullptr;
    outer(d_output_ + first, s_.state_stride, last - first, part.left, s_.hidden, rows, result,
          From::itself, part);
  }

  // The rows of a buffer, null where a step does not count.
  void rows_of(float *values, int64_t rows, const float *const *counted, const Part &part) const {
    for (int64_t index = 0; index < rows; ++index)
      part.left[index] = counted[index] ? at(values, index) : nullptr;
  }

  void finish(const Part &part, int64_t thread, int64_t threads, bool nothing) {
    if (plan_ != Plan::units || part.thread == 0)
      for (int64_t b = part.first; b < part.last; ++b) {
        const auto write = [&](const float *rows, int64_t size, void *to) {
          if (to) write_row(rows + b * s_.state_stride, size, static_cast<E *>(to) + b * size);
        };
        write(d_h_, s_.state, call_.dh0);
        write(d_c_, s_.hidden, call_.dc0);
        write(d_fresh_h_, s_.state, call_.dfresh_h);
        write(d_fresh_c_, s_.hidden, call_.dfresh_c);
      }
    const int64_t gates = Cell::GATES * s_.hidden;
    finish_weights(d_w_ih_, call_.dw_ih, gates * s_.input, thread, threads, nothing);
    finish_weights(d_w_hh_, call_.dw_hh, gates * s_.output, thread, threads, nothing);
    finish_weights(d_w_hr_, call_.dw_hr, s_.output * s_.hidden, thread, threads, nothing);
    if (thread != 0) return;
    scatter(of_x_, s_.all, call_.db_ih, call_.dgain_ih);
    for (int p = 0; p < PRODUCTS; ++p)
      scatter(of_h_[p], s_.products[p], call_.db_hh, call_.dgain_hh);
    if (call_.dgain_c) write_row(d_gain_c_, s_.hidden, static_cast<E *>(call_.dgain_c));
    if (call_.dbias_c) write_row(d_bias_c_, s_.hidden, static_cast<E *>(call_.dbias_c));
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

  void scatter(const Side &side, const Gates &gates, void *d_bias, void *d_gain) const {
    const auto write = [&](const float *row, void *to) {
      if (!to) return;
      for (int64_t column = 0; column < gates.width(); ++column) {
        const int64_t source = gates.source(column);
        if (source >= 0) set_value(static_cast<E *>(to) + source, row[column]);
      }
    };
    write(side.d_bias, d_bias);
    if (side.d_gain) write(side.d_gain, d_gain);
  }

  static void set_value(float *to, float value) { *to = value; }
  static void set_value(bfloat16 *to, float value) { store(to, set(value), 1); }

  const grukit_call &call_;
  const Sizes<Cell> s_;
  const Turns turns_;
  const Plan plan_;
  const Reserve<Cell> reserve_;
  const int64_t chunk_;
  const bool recomputes_, again_;
  const Precision precision_;
  const Weights<Cell> weights_;
  Matrix back_ih_, back_hh_[PRODUCTS], back_hr_;
  Rooms rooms_;
  Meetings meetings_;
  Side of_x_, of_h_[PRODUCTS];
  float *kept_[Cell::KEPT];
  float *a_rows_, *before_rows_, *emitted_, *d_projected_, *d_output_, *d_h_output_, *hat_c_,
      *d_norm_c_, *x_rows_, *dx_rows_;
  float *d_h_, *d_c_, *d_a_, *d_emitted_, *d_term_, *d_fresh_h_, *d_fresh_c_;
  float *h0_, *fresh_h_, *c0_, *fresh_c_, *gain_c_, *bias_c_, *d_gain_c_, *d_bias_c_, *nowhere_;
  E *rate_[2];
  float *d_w_ih_, *d_w_hh_, *d_w_hr_;
  const float **x_, **before_, **a_, **c_before_ = nullptr, **second_;
  const float **left_;
  float **right_;
  float *panel_, *dump_, *pairs_;
  int64_t pairs_size_;
  int64_t bytes_;
};

}  // namespace grukit::GRUKIT_ISA
