// One step of a cell for one sequence: what stands between the products, unit by unit.
// The equations are those of src/grukit/ops/*/reference.py.
#pragma once

#include "math/functions.h"
#include "rnn/layout.h"

namespace grukit::GRUKIT_ISA {

// One sequence at one step. Rows of gates are laid out as layout.h says; the others are plain rows
// of units. E is the dtype of the caller's buffers. NULL: not there.
template <class E>
struct Row {
  const float *of_x;         // gates from the input
  const float *of_h[2];      // gates from the recurrent products
  const float *h_before, *c_before;
  const float *a;            // what entered the recurrent product
  const E *drop_n, *keep_h, *keep_c;
  const float *gain_c, *bias_c;
  float *kept[4], *kept_c, *kept_h;
  E *output;
  float *h, *c;              // the new state, may be h_before and c_before
  float *emitted;            // instead of h, output and kept_h: what is projected to the state
  float *c_raw;              // room for one row, where c is normalized
};

template <class E>
GRUKIT_INLINE Vector factor(const E *mask, int64_t unit, int64_t count, Vector value) {
  return mask ? value * load(mask + unit, count) : value;
}

// Zoneout: a share `keep` of the old state stays.
template <class E>
GRUKIT_INLINE Vector zoned(const E *keep, int64_t unit, int64_t count, Vector now, Vector before) {
  if (!keep) return now;
  const Vector share = load(keep + unit, count);
  return now * (1 - share) + before * share;
}

template <class E>
GRUKIT_INLINE void emit(const Row<E> &row, int64_t unit, int64_t count, Vector h) {
  store(row.h + unit, h);
  if (row.output) store(row.output + unit, h, count);
  if (row.kept_h) store(row.kept_h + unit, h, count);
}

template <class E>
GRUKIT_INLINE void keep(const Row<E> &row, int slot, int64_t unit, int64_t count, Vector value) {
  if (row.kept[slot]) store(row.kept[slot] + unit, value, count);
}

// h = (1 - z) n + z h_before, with zoneout.
template <class E>
GRUKIT_INLINE void mix(const Row<E> &row, int64_t unit, int64_t count, Vector z, Vector n,
                       Vector before) {
  const Vector fresh = factor(row.drop_n, unit, count, n);
  emit(row, unit, count,
       zoned(row.keep_h, unit, count, fresh + z * (before - fresh), before));
}

// The gates of blocks first .. last - 1. A cell with two products has two stages.
template <class E>
static void gates(GruAfter, const Row<E> &row, int64_t hidden, int64_t first, int64_t last, int) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t unit = block * LANES, count = least(hidden - unit, LANES);
    const float *of_x = row.of_x + 3 * unit, *of_h = row.of_h[0] + 3 * unit;
    const Vector r = sigmoid(load(of_x) + load(of_h));
    const Vector z = sigmoid(load(of_x + LANES) + load(of_h + LANES));
    const Vector term = load(of_h + 2 * LANES);
    const Vector n = tanh(load(of_x + 2 * LANES) + r * term);
    keep(row, 0, unit, count, r);
    keep(row, 1, unit, count, z);
    keep(row, 2, unit, count, n);
    keep(row, 3, unit, count, term);
    mix(row, unit, count, z, n, load(row.h_before + unit, count));
  }
}

// Stage 0 leaves r a in `emitted`, which enters the second product.
template <class E>
static void gates(GruBefore, const Row<E> &row, int64_t hidden, int64_t first, int64_t last,
                  int stage) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t unit = block * LANES, count = least(hidden - unit, LANES);
    const float *of_x = row.of_x + 3 * unit, *of_h = row.of_h[0] + 2 * unit;
    if (stage == 0) {
      const Vector r = sigmoid(load(of_x) + load(of_h));
      const Vector term = r * load(row.a + unit, count);
      keep(row, 0, unit, count, r);
      keep(row, 3, unit, count, term);
      store(row.emitted + unit, term);
    } else {
      const Vector z = sigmoid(load(of_x + LANES) + load(of_h + LANES));
      const Vector n = tanh(load(of_x + 2 * LANES) + load(row.of_h[1] + unit));
      keep(row, 1, unit, count, z);
      keep(row, 2, unit, count, n);
      mix(row, unit, count, z, n, load(row.h_before + unit, count));
    }
  }
}

// Mean and 1 / deviation of a row of units. As in torch: the variance is that of all, plus 1e-5.
struct Moments {
  float mean, scale;
};
constexpr float EPSILON = 1e-5f;

GRUKIT_INLINE Vector ones(int64_t count) {
  alignas(64) static const float table[2 * LANES] = {
#if GRUKIT_LANES == 16
      1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#elif GRUKIT_LANES == 8
      1, 1, 1, 1, 1, 1, 1, 1
#else
      1, 1, 1, 1
#endif
  };
  return load(table + (count >= LANES ? 0 : LANES - count));
}

// Of the gates first .. last - 1 of a row of gates together.
static Moments moments(const float *row, const Gates &gates, int first, int last) {
  Vector total{}, squares{};
  for (int64_t block = 0; block < gates.blocks; ++block)
    for (int gate = first; gate < last; ++gate)
      total += load(row + (block * gates.count + gate) * LANES);
  const float size = static_cast<float>(gates.hidden * (last - first)), mean = sum(total) / size;
  for (int64_t block = 0; block < gates.blocks; ++block) {
    const Vector there = ones(gates.hidden - block * LANES);
    for (int gate = first; gate < last; ++gate) {
      const Vector off = (load(row + (block * gates.count + gate) * LANES) - mean) * there;
      squares += off * off;
    }
  }
  return {mean, 1 / __builtin_sqrtf(sum(squares) / size + EPSILON)};
}

template <class E>
static void gates(Lstm, const Row<E> &row, int64_t hidden, int64_t first, int64_t last, int) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t unit = block * LANES, count = least(hidden - unit, LANES);
    const float *of_x = row.of_x + 4 * unit, *of_h = row.of_h[0] + 4 * unit;
    const Vector i = sigmoid(load(of_x) + load(of_h));
    const Vector f = sigmoid(load(of_x + LANES) + load(of_h + LANES));
    const Vector g = tanh(load(of_x + 2 * LANES) + load(of_h + 2 * LANES));
    const Vector o = sigmoid(load(of_x + 3 * LANES) + load(of_h + 3 * LANES));
    const Vector before = load(row.c_before + unit, count);
    const Vector c = f * before + i * factor(row.drop_n, unit, count, g);
    keep(row, 0, unit, count, i);
    keep(row, 1, unit, count, f);
    keep(row, 2, unit, count, g);
    keep(row, 3, unit, count, o);
    const Vector stays = zoned(row.keep_c, unit, count, c, before);
    store(row.c + unit, stays);
    if (row.kept_c) store(row.kept_c + unit, stays, count);
    if (row.gain_c) {
      store(row.c_raw + unit, c);
      store(row.emitted + unit, o);
    } else {
      const Vector h = o * tanh(c);
      if (row.emitted)
        store(row.emitted + unit, h);
      else
        emit(row, unit, count,
             zoned(row.keep_h, unit, count, h, load(row.h_before + unit, count)));
    }
  }
  if (!row.gain_c) return;
  // All units here, since they are normalized together; `emitted` holds o.
  const Gates alone{0, 1, hidden, (hidden + LANES - 1) / LANES};
  const Moments of_c = moments(row.c_raw, alone, 0, 1);
  for (int64_t unit = 0; unit < hidden; unit += LANES) {
    const int64_t count = least(hidden - unit, LANES);
    const Vector hat = (load(row.c_raw + unit) - of_c.mean) * of_c.scale;
    const Vector h = load(row.emitted + unit) *
                     tanh(hat * load(row.gain_c + unit) + load(row.bias_c + unit));
    store(row.emitted + unit, h * ones(count));
    if (row.h)
      emit(row, unit, count,
           zoned(row.keep_h, unit, count, h * ones(count), load(row.h_before + unit, count)));
  }
}

template <bool RELU, class E>
static void gates(Rnn<RELU>, const Row<E> &row, int64_t hidden, int64_t first, int64_t last, int) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t unit = block * LANES, count = least(hidden - unit, LANES);
    const Vector total = load(row.of_x + unit) + load(row.of_h[0] + unit);
    // As torch.relu, NaN stays NaN.
    const Vector h = RELU ? (total < 0 ? Vector{} : total) : tanh(total);
    keep(row, 0, unit, count, h);
    if (row.emitted)
      store(row.emitted + unit, h);
    else
      emit(row, unit, count, zoned(row.keep_h, unit, count, h, load(row.h_before + unit, count)));
  }
}

// One sequence at one step, backwards. D of something is its gradient.
template <class E>
struct RowBack {
  const float *h_before, *c_before, *a;
  const E *drop_n, *keep_h, *keep_c;
  const float *gain_c, *bias_c;
  const float *kept[4];
  const E *d_output;         // adds to d_h
  const float *d_added;      // the same in float
  const float *d_emitted;    // instead of d_h: of what was projected to the state
  float *d_h, *d_c;          // of the new state in, of the old one out, as far as it acts directly
  float *d_of_x, *d_of_h[2]; // gates; one buffer where they are the same
  const float *d_term;       // of the input of the second product
  float *d_a;                // adds up; may be d_h
  float *hat_c, *d_norm_c;   // where c is normalized: its hat, and the gradient of what follows it
  float *emitted;            // out: what was projected to the state
};

// The gradient of the new state before zoneout; leaves in d_h what zoneout passes to the old one.
template <class E>
GRUKIT_INLINE Vector d_of_new(const RowBack<E> &row, int64_t unit, int64_t count) {
  if (row.d_emitted) return load(row.d_emitted + unit);
  Vector d = load(row.d_h + unit);
  if (row.d_output) d += load(row.d_output + unit, count);
  if (row.d_added) d += load(row.d_added + unit, count);
  if (!row.keep_h) {
    store(row.d_h + unit, Vector{});
    return d;
  }
  const Vector share = load(row.keep_h + unit, count);
  store(row.d_h + unit, d * share);
  return d * (1 - share);
}

GRUKIT_INLINE void add(float *to, Vector value) { store(to, load(to) + value); }

template <class E>
static void gates_back(GruAfter, const RowBack<E> &row, int64_t hidden, int64_t first,
                       int64_t last, int) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t unit = block * LANES, count = least(hidden - unit, LANES);
    const Vector r = load(row.kept[0] + unit, count), z = load(row.kept[1] + unit, count);
    const Vector n = load(row.kept[2] + unit, count), term = load(row.kept[3] + unit, count);
    const Vector d = d_of_new(row, unit, count), before = load(row.h_before + unit, count);
    const Vector d_n = factor(row.drop_n, unit, count, d * (1 - z)) * (1 - n * n);
    const Vector d_z = d * (before - factor(row.drop_n, unit, count, n)) * (z * (1 - z));
    const Vector d_r = d_n * term * (r * (1 - r));
    float *of_x = row.d_of_x + 3 * unit, *of_h = row.d_of_h[0] + 3 * unit;
    store(of_x, d_r);
    store(of_x + LANES, d_z);
    store(of_x + 2 * LANES, d_n);
    store(of_h, d_r);
    store(of_h + LANES, d_z);
    store(of_h + 2 * LANES, d_n * r);
    add(row.d_h + unit, d * z);
  }
}

template <class E>
static void gates_back(GruBefore, const RowBack<E> &row, int64_t hidden, int64_t first,
                       int64_t last, int stage) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t unit = block * LANES, count = least(hidden - unit, LANES);
    float *of_x = row.d_of_x + 3 * unit, *of_h = row.d_of_h[0] + 2 * unit;
    if (stage == 0) {
      const Vector z = load(row.kept[1] + unit, count), n = load(row.kept[2] + unit, count);
      const Vector d = d_of_new(row, unit, count), before = load(row.h_before + unit, count);
      const Vector d_n = factor(row.drop_n, unit, count, d * (1 - z)) * (1 - n * n);
      const Vector d_z = d * (before - factor(row.drop_n, unit, count, n)) * (z * (1 - z));
      store(of_x + LANES, d_z);
      store(of_x + 2 * LANES, d_n);
      store(of_h + LANES, d_z);
      store(row.d_of_h[1] + unit, d_n);
      add(row.d_h + unit, d * z);
    } else {
      const Vector r = load(row.kept[0] + unit, count), d_term = load(row.d_term + unit);
      const Vector d_r = d_term * load(row.a + unit, count) * (r * (1 - r));
      store(of_x, d_r);
      store(of_h, d_r);
      add(row.d_a + unit, d_term * r);
    }
  }
}

template <class E>
static void gates_back(Lstm, const RowBack<E> &row, int64_t hidden, int64_t first, int64_t last,
                       int) {
  // With a normalized c the gradient of c needs sums over all units first.
  Moments of_c{}, of_d{};
  if (row.gain_c) {
    const Gates alone{0, 1, hidden, (hidden + LANES - 1) / LANES};
    for (int64_t unit = 0; unit < hidden; unit += LANES) {
      const int64_t count = least(hidden - unit, LANES);
      const Vector c = load(row.kept[1] + unit, count) * load(row.c_before + unit, count) +
                       load(row.kept[0] + unit, count) *
                           factor(row.drop_n, unit, count, load(row.kept[2] + unit, count));
      store(row.hat_c + unit, c);
    }
    of_c = moments(row.hat_c, alone, 0, 1);
    Vector total{}, along{};
    for (int64_t unit = 0; unit < hidden; unit += LANES) {
      const int64_t count = least(hidden - unit, LANES);
      const Vector gain = load(row.gain_c + unit), there = ones(count);
      const Vector hat = (load(row.hat_c + unit) - of_c.mean) * of_c.scale * there;
      const Vector squashed = tanh(hat * gain + load(row.bias_c + unit));
      const Vector o = load(row.kept[3] + unit, count);
      // d_of_new may be asked once only, so it waits in d_norm_c and the sigmoid's part is done.
      const Vector d = d_of_new(row, unit, count);
      if (row.emitted) store(row.emitted + unit, o * squashed);
      store(row.d_of_x + 4 * unit + 3 * LANES, d * squashed * (o * (1 - o)));
      const Vector d_norm = d * o * (1 - squashed * squashed) * there;
      store(row.hat_c + unit, hat);
      store(row.d_norm_c + unit, d_norm);
      total += d_norm * gain;
      along += d_norm * gain * hat;
    }
    const float size = static_cast<float>(hidden);
    of_d = {sum(total) / size, sum(along) / size};
  }
  for (int64_t block = first; block < last; ++block) {
    const int64_t unit = block * LANES, count = least(hidden - unit, LANES);
    const Vector i = load(row.kept[0] + unit, count), f = load(row.kept[1] + unit, count);
    const Vector g = load(row.kept[2] + unit, count), o = load(row.kept[3] + unit, count);
    const Vector before = load(row.c_before + unit, count);
    const Vector fresh = factor(row.drop_n, unit, count, g);
    float *of_x = row.d_of_x + 4 * unit;
    Vector d_c = load(row.d_c + unit), stays{};
    if (row.keep_c) {
      const Vector share = load(row.keep_c + unit, count);
      stays = d_c * share;
      d_c *= 1 - share;
    }
    if (row.gain_c) {
      d_c += (load(row.d_norm_c + unit) * load(row.gain_c + unit) - of_d.mean -
              load(row.hat_c + unit) * of_d.scale) *
             of_c.scale * ones(count);
    } else {
      const Vector squashed = tanh(f * before + i * fresh), d = d_of_new(row, unit, count);
      if (row.emitted) store(row.emitted + unit, o * squashed);
      store(of_x + 3 * LANES, d * squashed * (o * (1 - o)));
      d_c += d * o * (1 - squashed * squashed);
    }
    store(of_x, d_c * fresh * (i * (1 - i)));
    store(of_x + LANES, d_c * before * (f * (1 - f)));
    store(of_x + 2 * LANES, factor(row.drop_n, unit, count, d_c * i) * (1 - g * g));
    store(row.d_c + unit, d_c * f + stays);
  }
}

template <bool RELU, class E>
static void gates_back(Rnn<RELU>, const RowBack<E> &row, int64_t hidden, int64_t first,
                       int64_t last, int) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t unit = block * LANES, count = least(hidden - unit, LANES);
    const Vector h = load(row.kept[0] + unit, count), d = d_of_new(row, unit, count);
    // As in torch, the slope is one where h is NaN.
    const Vector slope = RELU ? (h <= 0 ? Vector{} : set(1)) : 1 - h * h;
    if (row.emitted) store(row.emitted + unit, h);
    store(row.d_of_x + unit, d * slope);
  }
}

}  // namespace grukit::GRUKIT_ISA
