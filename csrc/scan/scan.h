// The minGRU over time, given what its inputs make of the gates: a scan, since a step is linear in
// the state, h' = c h + m, with c from 0 to 1. Nothing is divided and no logarithm taken, so that
// products of c may vanish and never overflow.
//
// Time is cut into chunks of CHUNK steps of each sequence. While a chunk is run, its linear map is
// found out as well, and the next chunk starts from what that map makes of the state before this
// one. Where sequences and units are too few for the threads, the maps of all chunks are found
// first, and then all chunks are run at once: the same numbers.
#pragma once

#include "base/scratch.h"
#include "base/threads.h"
#include "math/functions.h"

namespace grukit::GRUKIT_ISA {

constexpr int64_t CHUNK = 512;
// So many columns, each a unit of a sequence, are carried through time together.
constexpr int64_t WIDTH = 1024;
// Layers as wide as this have units enough for every thread, and their time is not cut.
constexpr int64_t WIDE = 512;

// Sequences and units of one model that are run together.
struct Tile {
  int64_t model, row, rows, unit, units;
};

// What is carried from step to step for each column of a tile. For the linear map of a chunk:
// `slope`, and `offset`, what a state of zero becomes.
struct Carried {
  float state[WIDTH], slope[WIDTH], offset[WIDTH], fresh[WIDTH];
};

static inline int64_t minimum(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t maximum(int64_t a, int64_t b) { return a > b ? a : b; }

// One call, as both passes see it. The k-th step of a sequence is that at time(k, length).
struct Steps {
  const grukit_scan &call;
  const int64_t sequences, hidden;  // of one model

  explicit Steps(const grukit_scan &of) : call(of), sequences(of.batch), hidden(of.hidden) {}

  int64_t length(int64_t model, int64_t row) const {
    if (!call.lengths) return call.time;
    return maximum(0, minimum(call.time, call.lengths[model * sequences + row]));
  }
  int64_t time(int64_t step, int64_t length) const {
    return call.reverse ? length - 1 - step : step;
  }
  // Whether the state before the step is fresh.
  bool starts(int64_t model, int64_t row, int64_t step, int64_t length) const {
    if (!call.resets || (call.reverse && step == 0)) return false;
    const int64_t t = time(step, length) + (call.reverse != 0);
    return call.resets[(model * call.time + t) * sequences + row];
  }
  // Where [K, T, B, H] has a step.
  int64_t at(int64_t model, int64_t t, int64_t row) const {
    return ((model * call.time + t) * sequences + row) * hidden;
  }
  int64_t state_at(int64_t model, int64_t row) const { return (model * sequences + row) * hidden; }
  int64_t chunks() const {
    return hidden < WIDE ? maximum(1, (call.time + CHUNK - 1) / CHUNK) : 1;
  }
  int64_t chunk_steps() const { return hidden < WIDE ? CHUNK : maximum(1, call.time); }
};

struct Gates {
  Vector z, n;
};

template <bool POSITIVE>
GRUKIT_INLINE Gates gates_of(Vector z, Vector n) {
  if constexpr (POSITIVE) {
    const Vector below = sigmoid(n);
    n = n >= set(0) ? n + 0.5f : below;
  }
  return {sigmoid(z), n};
}

// The derivative of n by what it is made of.
template <bool POSITIVE>
GRUKIT_INLINE Vector slope_of(Vector n) {
  if constexpr (POSITIVE) return n >= 0.5f ? set(1) : n * (1.0f - n);
  return set(1);
}

// How much of the old state zoneout keeps.
GRUKIT_INLINE Vector kept(const grukit_scan &call, int64_t at, int64_t count) {
  if (!call.keep_h) return set(0);
  return call.keep_is_rate ? set(*call.keep_h) : load(call.keep_h + at, count);
}

// The state after a step, from that before it.
struct Forward {
  static constexpr bool BACKWARD = false;

  // The state that a sequence begins with.
  static void begin(const Steps &steps, Tile tile, float *state) {
    for (int64_t row = 0; row < tile.rows; ++row)
      std::memcpy(state + row * tile.units,
                  steps.call.h0 + steps.state_at(tile.model, tile.row + row) + tile.unit,
                  tile.units * sizeof(float));
  }

  static void end(const Steps &steps, Tile tile, const float *state) {
    for (int64_t row = 0; row < tile.rows; ++row)
      std::memcpy(steps.call.h + steps.state_at(tile.model, tile.row + row) + tile.unit,
                  state + row * tile.units, tile.units * sizeof(float));
  }

  // One step of a sequence for the units of a tile. WRITES: the results; MAPS: the linear map too.
  template <bool POSITIVE, bool WRITES, bool MAPS>
  static void step(const Steps &steps, Tile tile, int64_t row, int64_t length, int64_t step,
                   Carried &carried, int64_t first) {
    const grukit_scan &call = steps.call;
    const int64_t t = steps.time(step, length);
    const int64_t at = steps.at(tile.model, t, row) + tile.unit;
    const int64_t state_at = steps.state_at(tile.model, row) + tile.unit;
    const float *gates = call.gates + 2 * (at - tile.unit) + tile.unit;
    const bool starts = steps.starts(tile.model, row, step, length);
    for (int64_t unit = 0; unit < tile.units; unit += LANES) {
      const int64_t count = minimum(LANES, tile.units - unit), column = first + unit;
      const Gates g = gates_of<POSITIVE>(load(gates + unit, count),
                                         load(gates + steps.hidden + unit, count));
      Vector m = g.n;
      if (call.drop_n) m *= load(call.drop_n + state_at + unit, count);
      const Vector k = kept(call, at + unit, count);
      const auto next = [&](Vector h) {
        const Vector made = g.z * h + (1.0f - g.z) * m;
        return k * h + (1.0f - k) * made;
      };
      Vector h = set(0);
      if (starts && call.fresh_h) h = load(call.fresh_h + state_at + unit, count);
      if constexpr (MAPS) {
        Vector offset = next(starts ? h : load(carried.offset + column, count));
        Vector slope = starts ? set(0)
                              : (k + (1.0f - k) * g.z) * load(carried.slope + column, count);
        store(carried.offset + column, offset, count);
        store(carried.slope + column, slope, count);
      }
      if constexpr (WRITES) {
        h = next(starts ? h : load(carried.state + column, count));
        store(carried.state + column, h, count);
        store(call.output + at + unit, h, count);
        if (call.update) {
          store(call.update + at + unit, g.z, count);
          store(call.memory + at + unit, g.n, count);
        }
      }
    }
  }

  // Steps that do not count.
  static void pad(const Steps &steps, Tile tile) {
    const grukit_scan &call = steps.call;
    for (int64_t row = tile.row; row < tile.row + tile.rows; ++row)
      for (int64_t t = steps.length(tile.model, row); t < call.time; ++t) {
        const int64_t at = steps.at(tile.model, t, row) + tile.unit;
        for (float *to : {call.output, call.update, call.memory})
          if (to) std::memset(to + at, 0, tile.units * sizeof(float));
      }
  }
};

// The gradient of the state before a step, from that of the state after it; steps run backwards.
struct Backward {
  static constexpr bool BACKWARD = true;

  static void begin(const Steps &steps, Tile tile, float *state) {
    for (int64_t row = 0; row < tile.rows; ++row)
      std::memcpy(state + row * tile.units,
                  steps.call.d_h + steps.state_at(tile.model, tile.row + row) + tile.unit,
                  tile.units * sizeof(float));
  }

  static void end(const Steps &steps, Tile tile, const float *state) {
    for (int64_t row = 0; row < tile.rows; ++row)
      std::memcpy(steps.call.dh0 + steps.state_at(tile.model, tile.row + row) + tile.unit,
                  state + row * tile.units, tile.units * sizeof(float));
  }

  template <bool POSITIVE, bool WRITES, bool MAPS>
  static void step(const Steps &steps, Tile tile, int64_t row, int64_t length, int64_t step,
                   Carried &carried, int64_t first) {
    const grukit_scan &call = steps.call;
    const int64_t t = steps.time(step, length);
    const int64_t at = steps.at(tile.model, t, row) + tile.unit;
    const int64_t state_at = steps.state_at(tile.model, row) + tile.unit;
    const bool starts = steps.starts(tile.model, row, step, length);
    const float *before = call.h0 + state_at;
    if (starts)
      before = call.fresh_h ? call.fresh_h + state_at : nullptr;
    else if (step > 0)
      before = call.output + steps.at(tile.model, steps.time(step - 1, length), row) + tile.unit;
    const int64_t gates_at = 2 * (at - tile.unit) + tile.unit;
    const float *gates = call.gates + gates_at;
    float *d_gates = call.d_gates + gates_at;
    for (int64_t unit = 0; unit < tile.units; unit += LANES) {
      const int64_t count = minimum(LANES, tile.units - unit), column = first + unit;
      const auto [z, n] =
          call.update ? Gates{load(call.update + at + unit, count),
                              load(call.memory + at + unit, count)}
                      : gates_of<POSITIVE>(load(gates + unit, count),
                                           load(gates + steps.hidden + unit, count));
      const Vector k = kept(call, at + unit, count), moves = 1.0f - k;
      const Vector carry = k + moves * z, d_output = load(call.d_output + at + unit, count);
      if constexpr (MAPS) {
        const Vector offset = carry * (load(carried.offset + column, count) + d_output);
        store(carried.offset + column, starts ? set(0) : offset, count);
        store(carried.slope + column,
              starts ? set(0) : carry * load(carried.slope + column, count), count);
      }
      if constexpr (WRITES) {
        const Vector h = before ? load(before + unit, count) : set(0);
        Vector shown = n, factor = slope_of<POSITIVE>(n);
        if (call.drop_n) {
          const Vector drop = load(call.drop_n + state_at + unit, count);
          shown *= drop;
          factor *= drop;
        }
        const Vector dh = load(carried.state + column, count) + d_output, made = dh * moves;
        const Vector rest = 1.0f - z;
        store(d_gates + unit, made * (h - shown) * (z * rest), count);
        store(d_gates + steps.hidden + unit, made * rest * factor, count);
        const Vector d_before = dh * carry;
        store(carried.state + column, starts ? set(0) : d_before, count);
        if (starts)
          store(carried.fresh + column, load(carried.fresh + column, count) + d_before, count);
      }
    }
  }

  static void pad(const Steps &steps, Tile tile) {
    const grukit_scan &call = steps.call;
    for (int64_t row = tile.row; row < tile.row + tile.rows; ++row)
      for (int64_t t = steps.length(tile.model, row); t < call.time; ++t) {
        float *d = call.d_gates + 2 * steps.at(tile.model, t, row) + tile.unit;
        std::memset(d, 0, tile.units * sizeof(float));
        std::memset(d + steps.hidden, 0, tile.units * sizeof(float));
      }
  }
};

// The chunk of a tile that is run as the `index`-th: its steps [from, to).
struct Chunk {
  int64_t from, to;

  template <class Pass>
  static Chunk of(const Steps &steps, int64_t index) {
    const int64_t size = steps.chunk_steps();
    const int64_t number = Pass::BACKWARD ? steps.chunks() - 1 - index : index;
    return {number * size, minimum(steps.call.time, (number + 1) * size)};
  }

  // Whether a sequence goes on in the chunk that is run next.
  template <class Pass>
  bool goes_on(int64_t length) const {
    return Pass::BACKWARD ? from > 0 && from < length : to < length;
  }
};

template <class Pass, bool POSITIVE, bool WRITES, bool MAPS>
static void run_chunk(const Steps &steps, Tile tile, Chunk chunk, Carried &carried) {
  for (int64_t i = chunk.from; i < chunk.to; ++i) {
    const int64_t step = Pass::BACKWARD ? chunk.to - 1 - (i - chunk.from) : i;
    for (int64_t row = 0; row < tile.rows; ++row) {
      const int64_t length = steps.length(tile.model, tile.row + row);
      if (step < length)
        Pass::template step<POSITIVE, WRITES, MAPS>(steps, tile, tile.row + row, length, step,
                                                    carried, row * tile.units);
    }
  }
}

static inline void fill(float *to, float value, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = value;
}

// What the map of a chunk makes of the states before it.
static void apply(const float *slope, const float *offset, float *state, int64_t count) {
  for (int64_t i = 0; i < count; i += LANES) {
    const int64_t some = minimum(LANES, count - i);
    store(state + i, load(slope + i, some) * load(state + i, some) + load(offset + i, some), some);
  }
}

// Gradients of the fresh states, of one chunk more.
static void add_fresh(const Steps &steps, Tile tile, const float *of_chunk) {
  for (int64_t row = 0; row < tile.rows; ++row) {
    float *to = steps.call.dfresh_h + steps.state_at(tile.model, tile.row + row) + tile.unit;
    for (int64_t i = 0; i < tile.units; ++i) to[i] += of_chunk[row * tile.units + i];
  }
}

// A tile from its first chunk to its last.
template <class Pass, bool POSITIVE>
static void run_tile(const Steps &steps, Tile tile) {
  Carried carried;
  float before[WIDTH];
  const int64_t columns = tile.rows * tile.units;
  Pass::pad(steps, tile);
  Pass::begin(steps, tile, carried.state);
  for (int64_t index = 0; index < steps.chunks(); ++index) {
    const Chunk chunk = Chunk::of<Pass>(steps, index);
    bool maps = false;
    for (int64_t row = 0; row < tile.rows; ++row)
      maps |= chunk.goes_on<Pass>(steps.length(tile.model, tile.row + row));
    fill(carried.fresh, 0, columns);
    if (maps) {
      std::memcpy(before, carried.state, columns * sizeof(float));
      fill(carried.slope, 1, columns);
      fill(carried.offset, 0, columns);
      run_chunk<Pass, POSITIVE, true, true>(steps, tile, chunk, carried);
      for (int64_t row = 0; row < tile.rows; ++row) {
        if (!chunk.goes_on<Pass>(steps.length(tile.model, tile.row + row))) continue;
        const int64_t at = row * tile.units;
        apply(carried.slope + at, carried.offset + at, before + at, tile.units);
        std::memcpy(carried.state + at, before + at, tile.units * sizeof(float));
      }
    } else {
      run_chunk<Pass, POSITIVE, true, false>(steps, tile, chunk, carried);
    }
    if (Pass::BACKWARD && steps.call.dfresh_h) add_fresh(steps, tile, carried.fresh);
  }
  Pass::end(steps, tile, carried.state);
}

// The same with a thread for each chunk. `room` has for each of them the states before it, the
// slopes and offsets of its map, and the gradients of fresh states: four rows of the tile's columns.
template <class Pass, bool POSITIVE>
static void run_chunks(const Steps &steps, Tile tile, int64_t threads, float *room) {
  const int64_t columns = tile.rows * tile.units, count = steps.chunks();
  const int64_t length = steps.length(tile.model, tile.row);
  const auto part = [&](int64_t index, int64_t which) {
    return room + (4 * index + which) * columns;
  };
  std::atomic<int64_t> next{0};
  run_parallel(threads, [&](int64_t, int64_t) {
    Carried carried;
    for (int64_t index; (index = next.fetch_add(1)) < count - 1;) {
      fill(carried.slope, 1, columns);
      fill(carried.offset, 0, columns);
      run_chunk<Pass, POSITIVE, false, true>(steps, tile, Chunk::of<Pass>(steps, index), carried);
      std::memcpy(part(index, 1), carried.slope, columns * sizeof(float));
      std::memcpy(part(index, 2), carried.offset, columns * sizeof(float));
    }
  });
  Pass::begin(steps, tile, part(0, 0));
  for (int64_t index = 0; index + 1 < count; ++index) {
    std::memcpy(part(index + 1, 0), part(index, 0), columns * sizeof(float));
    if (Chunk::of<Pass>(steps, index).template goes_on<Pass>(length))
      apply(part(index, 1), part(index, 2), part(index + 1, 0), columns);
  }
  next = 0;
  run_parallel(threads, [&](int64_t, int64_t) {
    Carried carried;
    for (int64_t index; (index = next.fetch_add(1)) < count;) {
      std::memcpy(carried.state, part(index, 0), columns * sizeof(float));
      fill(carried.fresh, 0, columns);
      run_chunk<Pass, POSITIVE, true, false>(steps, tile, Chunk::of<Pass>(steps, index), carried);
      std::memcpy(part(index, 0), carried.state, columns * sizeof(float));
      std::memcpy(part(index, 3), carried.fresh, columns * sizeof(float));
    }
  });
  Pass::pad(steps, tile);
  // The last chunk with a step in it has the end of the sequence.
  const int64_t last = Pass::BACKWARD ? count - 1
                                      : maximum(0, (length + steps.chunk_steps() - 1) /
                                                           steps.chunk_steps() - 1);
  Pass::end(steps, tile, part(last, 0));
  if (Pass::BACKWARD && steps.call.dfresh_h)
    for (int64_t index = 0; index < count; ++index) add_fresh(steps, tile, part(index, 3));
}

}  // namespace grukit::GRUKIT_ISA
