// What the forward and the backward share: a call's buffers, weights in panels, layer norm.
#pragma once

#include "base/threads.h"
#include "math/matrix.h"
#include "rnn/gates.h"

namespace grukit::GRUKIT_ISA {

constexpr int64_t share(int64_t total, int64_t thread, int64_t threads) {
  return total * thread / threads;
}

// The part of a call that belongs to one model.
template <class Cell>
static grukit_call of_model(const grukit_call &call, int64_t model) {
  grukit_call own = call;
  const Sizes<Cell> s(call);
  const int64_t bytes = call.dtype == GRUKIT_BF16 ? 2 : 4, rows = Cell::GATES * s.hidden;
  const int64_t steps = s.time * s.batch, states = s.batch * s.state, units = s.batch * s.hidden;
  const auto move = [&](auto &pointer, int64_t size) {
    using Pointer = std::remove_reference_t<decltype(pointer)>;
    if (pointer) pointer = (Pointer)((uintptr_t)pointer + model * size * bytes);
  };
  move(own.x, call.x_stride[0]);
  // Without inputs x may be missing; but a step that counts has an address, of which none is read.
  if (!own.x) own.x = own.w_hh;
  move(own.dx, steps * s.input);
  const auto move_both = [&](auto &value, auto &gradient, int64_t size) {
    move(value, size);
    move(gradient, size);
  };
  move_both(own.h0, own.dh0, states);
  move_both(own.w_ih, own.dw_ih, rows * s.input);
  move_both(own.w_hh, own.dw_hh, rows * s.output);
  move_both(own.b_ih, own.db_ih, rows);
  move_both(own.b_hh, own.db_hh, rows);
  move_both(own.c0, own.dc0, units);
  move_both(own.w_hr, own.dw_hr, s.output * s.hidden);
  move_both(own.gain_ih, own.dgain_ih, rows);
  move_both(own.gain_hh, own.dgain_hh, rows);
  move_both(own.gain_c, own.dgain_c, s.hidden);
  move_both(own.bias_c, own.dbias_c, s.hidden);
  move_both(own.fresh_h, own.dfresh_h, states);
  move_both(own.fresh_c, own.dfresh_c, units);
  move(own.drop_h, s.batch * s.output);
  move(own.drop_n, units);
  if (!call.keep_is_rate[0]) move(own.keep_h, s.time * states);
  if (!call.keep_is_rate[1]) move(own.keep_c, s.time * units);
  if (own.lengths) own.lengths += model * s.batch;
  if (own.resets) own.resets += model * steps;
  move_both(own.output, own.d_output, steps * s.output);
  move_both(own.h, own.d_h, states);
  move_both(own.c, own.d_c, units);
  if (own.reserve) own.reserve += model * steps * s.hidden;
  return own;
}

// Whether keep_h (0) or keep_c (1) is there, and a single number.
static bool has_rate(const grukit_call &call, int which) {
  return call.keep_is_rate[which] && (which ? call.keep_c : call.keep_h);
}

// The rows of the reserve.
template <class Cell>
struct Reserve {
  float *values;
  int64_t slot, row, kept;  // floats in a slot and in a row, gates that are kept
  bool has_h;

  Reserve(const grukit_call &call, bool rounded)
      : values(call.save == GRUKIT_SAVE_NOTHING ? nullptr : call.reserve),
        slot(call.models * call.time * call.batch * call.hidden),
        row(call.hidden),
        kept(call.save == GRUKIT_SAVE_ALL ? Cell::KEPT : 0),
        has_h(Cell::PROJECTS_STATE ? rounded && !call.projected : rounded || call.projected) {}

  int64_t slots() const { return values ? kept + Cell::HAS_C + has_h : 0; }
  float *at(int64_t index, int64_t step) const { return values + index * slot + step * row; }
  float *gate(int64_t index, int64_t step) const {
    return values && kept ? at(index, step) : nullptr;
  }
  float *c(int64_t step) const { return values && Cell::HAS_C ? at(kept, step) : nullptr; }
  float *h(int64_t step) const {
    return values && has_h ? at(kept + Cell::HAS_C, step) : nullptr;
  }
};

// The precision of a call's products, for buffers of E. Layer norm would make the rounding of what
// enters a product larger than that of the results.
template <class E>
static Precision precision_of(const grukit_call &call) {
  if (call.quantized) return Precision::int8;
  const bool pairs = sizeof(E) == 2 && has_pairs() && !call.gain_ih;
  return pairs ? Precision::bfloat16 : Precision::float32;
}

// That of the input's product. It is taken for all steps at once and bound by arithmetic, not by
// bytes; and inputs as int8 would cost more accuracy than all the rest.
static Precision input_precision(Precision precision) {
  if (precision != Precision::int8) return precision;
  return has_pairs() ? Precision::bfloat16 : Precision::float32;
}

// The weights of the forward in panels.
template <class Cell>
struct Weights {
  Matrix w_ih, w_hh[Cell::PRODUCTS], w_hr;

  static int64_t floats(const Sizes<Cell> &s, Precision precision) {
    int64_t total = Matrix::floats(input_precision(precision), s.input, s.all.width());
    for (const Gates &gates : s.products)
      total += Matrix::floats(precision, s.output, gates.width());
    return total + (s.projected ? Matrix::floats(precision, s.hidden, s.output) : 0);
  }

  Weights(const Sizes<Cell> &s, Precision precision, const float *base) {
    const auto next = [&](Precision own, int64_t depth, int64_t columns) {
      const Matrix found{own, base, depth, columns};
      base += Matrix::floats(own, depth, columns);
      return found;
    };
    w_ih = next(input_precision(precision), s.input, s.all.width());
    for (int p = 0; p < Cell::PRODUCTS; ++p)
      w_hh[p] = next(precision, s.output, s.products[p].width());
    if (s.projected) w_hr = next(precision, s.hidden, s.output);
  }

  template <class E>
  void pack(const Sizes<Cell> &s, const grukit_call &call, int64_t thread, int64_t threads) const {
    int64_t turn = 0;
    const auto one = [&](const Matrix &matrix, const void *weights, auto source) {
      for (int64_t panel = 0; panel < matrix.panels(); ++panel)
        if (turn++ % threads == thread)
          matrix.pack(static_cast<const E *>(weights), source, panel);
    };
    one(w_ih, call.w_ih, [&](int64_t column) { return s.all.source(column); });
    for (int p = 0; p < Cell::PRODUCTS; ++p)
      one(w_hh[p], call.w_hh, [&](int64_t column) { return s.products[p].source(column); });
    if (s.projected)
      one(w_hr, call.w_hr, [&](int64_t column) { return column < s.output ? column : -1; });
  }
};

// Room of each thread for the rows of a product, so many of at most such a depth.
struct Rooms {
  float *values = nullptr, *scales = nullptr;
  const float **rows = nullptr;
  int64_t count = 0, size = 0;

  Rooms() = default;
  Rooms(Pieces &pieces, Precision precision, int64_t threads, int64_t count, int64_t depth)
      : count(count), size(count * Room::stride(depth)) {
    if (precision == Precision::float32) return;
    values = pieces.take<float>(threads * size);
    scales = pieces.take<float>(threads * count);
    rows = pieces.take<const float *>(threads * count);
  }

  Room of(int64_t thread) const {
    return {values + thread * size, scales + thread * count, rows + thread * count};
  }
};

// A vector [G] as a row of gates, zero where it is not there.
template <class E>
static void gather(const void *values, const Gates &gates, float *row) {
  std::memset(row, 0, gates.stride() * sizeof(float));
  if (!values) return;
  for (int64_t block = 0; block < gates.blocks; ++block)
    for (int gate = 0; gate < gates.count; ++gate) {
      const E *from = static_cast<const E *>(values) + (gates.first + gate) * gates.hidden;
      const int64_t unit = block * LANES;
      store(row + (block * gates.count + gate) * LANES, load(from + unit, gates.hidden - unit));
    }
}

template <class E>
static void copy_row(const E *from, int64_t count, float *to) {
  for (int64_t unit = 0; unit < count; unit += LANES)
    store(to + unit, load(from + unit, count - unit));
}

template <class E>
static void write_row(const float *from, int64_t count, E *to) {
  for (int64_t unit = 0; unit < count; unit += LANES)
    store(to + unit, load(from + unit, count - unit), count - unit);
}

// The biases and gains of one side, as rows of gates.
struct Affine {
  float *bias, *gain;
};

template <class E>
static void gather(Affine to, const void *bias, const void *gain, const Gates &gates) {
  gather<E>(bias, gates, to.bias);
  if (to.gain) gather<E>(gain, gates, to.gain);
}

// Layer norm takes the gates 0 .. joint - 1 together, and those after them.
template <class Cell>
constexpr int joint(int count) {
  return Cell::GATES == 3 && count == 3 ? 2 : count;
}

struct Normal {
  Moments parts[2];
};

// A row of a product -> norm(row) gain + bias; `hat`, if there, gets norm(row).
template <class Cell>
static Normal normalize(float *row, const Gates &gates, Affine affine, float *hat) {
  const int split = joint<Cell>(gates.count);
  Normal found{};
  found.parts[0] = moments(row, gates, 0, split);
  if (split < gates.count) found.parts[1] = moments(row, gates, split, gates.count);
  for (int64_t block = 0; block < gates.blocks; ++block) {
    const Vector there = ones(gates.hidden - block * LANES);
    for (int gate = 0; gate < gates.count; ++gate) {
      const int64_t at = (block * gates.count + gate) * LANES;
      const Moments &of = found.parts[gate >= split];
      const Vector normal = (load(row + at) - of.mean) * of.scale * there;
      if (hat) store(hat + at, normal);
      store(row + at, normal * load(affine.gain + at) + load(affine.bias + at));
    }
  }
  return found;
}

// The gradient of a product, for that of norm(product) gain + bias.
template <class Cell>
static void normalize_back(const float *d, const Gates &gates, const float *gain, const float *hat,
                           const Normal &of, float *d_product) {
  const int split = joint<Cell>(gates.count);
  for (int part = 0; part < (split < gates.count ? 2 : 1); ++part) {
    const int first = part ? split : 0, last = part ? gates.count : split;
    Vector total{}, along{};
    for (int64_t block = 0; block < gates.blocks; ++block)
      for (int gate = first; gate < last; ++gate) {
        const int64_t at = (block * gates.count + gate) * LANES;
        const Vector scaled = load(d + at) * load(gain + at);
        total += scaled;
        along += scaled * load(hat + at);
      }
    const float size = static_cast<float>(gates.hidden * (last - first));
    const float mean = sum(total) / size, slope = sum(along) / size;
    for (int64_t block = 0; block < gates.blocks; ++block) {
      const Vector there = ones(gates.hidden - block * LANES);
      for (int gate = first; gate < last; ++gate) {
        const int64_t at = (block * gates.count + gate) * LANES;
        store(d_product + at, (load(d + at) * load(gain + at) - mean - load(hat + at) * slope) *
                                  of.parts[part].scale * there);
      }
    }
  }
}

// One of the threads that run a call together.
struct Member {
  int64_t thread, threads;
  Barrier &barrier;

  bool meet() const { return barrier.wait(thread, threads); }
};

// A layer's place in a stack that runs as a wave: the turns that the layer below has taken, and its
// own for the layer above; null at the ends.
struct Links {
  const Progress *below = nullptr;
  Progress *above = nullptr;

  bool there() const { return below || above; }
};

// Steps after each of which the threads meet. Where something else has a core, every meeting costs
// a time slice: then the first thread takes the rest of the steps alone.
class Meetings {
 public:
  // Of step number `step`, counted from the first that is taken.
  bool alone(int64_t step) const { return step >= alone_from_.load(std::memory_order_relaxed); }
  void meet(const Member &member, int64_t step) {
    const bool slow = member.meet();
    if (member.thread != 0 || !slow || ++slow_ != PATIENCE) return;
    tell_cores_are_busy();
    // All see it by then, having met once more.
    alone_from_.store(step + 2, std::memory_order_relaxed);
  }

 private:
  static constexpr int PATIENCE = 4;
  int slow_ = 0;
  std::atomic<int64_t> alone_from_{INT64_MAX};
};

// How the threads divide a sequence.
enum class Plan {
  rows,   // each takes some sequences
  units,  // each takes some units of every sequence, and they meet after every step
  ahead   // one takes the steps, the others the products that need not wait for them
};

// What one thread computes of a step: sequences, and blocks of units. `left` and `right` are its
// room for the rows of products.
struct Part {
  int64_t thread, threads, first, last, block, blocks_end;
  const float **left;
  float **right;

  // The same sequences with every unit.
  Part whole(int64_t blocks) const {
    Part part = *this;
    part.block = 0;
    part.blocks_end = blocks;
    return part;
  }
};

template <class Cell>
static Part part_of(const Sizes<Cell> &s, Plan plan, int64_t thread, int64_t threads,
                    const float **left, float **right) {
  Part part{thread, threads, 0, s.batch, 0, s.blocks, left, right};
  if (plan == Plan::rows) {
    part.first = share(s.batch, thread, threads);
    part.last = share(s.batch, thread + 1, threads);
  } else if (plan == Plan::units) {
    // So many blocks fill whole panels.
    const int64_t groups = (s.blocks + VECTORS - 1) / VECTORS;
    part.block = least(s.blocks, share(groups, thread, threads) * VECTORS);
    part.blocks_end = least(s.blocks, share(groups, thread + 1, threads) * VECTORS);
  } else if (thread != 0) {
    part.first = part.last = 0;
  }
  return part;
}

// A row with zeros behind it.
template <class E>
static void copy_padded(const void *from, int64_t count, float *to, int64_t stride) {
  std::memset(to, 0, stride * sizeof(float));
  if (from) copy_row(static_cast<const E *>(from), count, to);
}

// The rates of zoneout as rows like those of masks, where they are single numbers.
template <class E>
static void spread_rates(const grukit_call &call, int64_t stride, E *const *rates) {
  const void *keeps[] = {call.keep_h, call.keep_c};
  for (int which = 0; which < 2; ++which)
    for (int64_t unit = 0; rates[which] && unit < stride; ++unit)
      rates[which][unit] = *static_cast<const E *>(keeps[which]);
}

}  // namespace grukit::GRUKIT_ISA
