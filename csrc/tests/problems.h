// Random calls: their numbers, and the memory in which they are run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "grukit.h"

namespace grukit_test {

// The floating buffers that a call reads, those with gradients first.
enum {
  X, H0, W_IH, W_HH, B_IH, B_HH, C0, W_HR, GAIN_IH, GAIN_HH, GAIN_C, BIAS_C, FRESH_H, FRESH_C,
  DROP_H, DROP_N, KEEP_H, KEEP_C, FIELDS, DIFFERENTIABLE = DROP_H
};
struct Field {
  const char *name;
  const void *grukit_call::*value;
  void *grukit_call::*gradient;
};
constexpr Field kFields[FIELDS] = {
    {"x", &grukit_call::x, &grukit_call::dx},
    {"h0", &grukit_call::h0, &grukit_call::dh0},
    {"w_ih", &grukit_call::w_ih, &grukit_call::dw_ih},
    {"w_hh", &grukit_call::w_hh, &grukit_call::dw_hh},
    {"b_ih", &grukit_call::b_ih, &grukit_call::db_ih},
    {"b_hh", &grukit_call::b_hh, &grukit_call::db_hh},
    {"c0", &grukit_call::c0, &grukit_call::dc0},
    {"w_hr", &grukit_call::w_hr, &grukit_call::dw_hr},
    {"gain_ih", &grukit_call::gain_ih, &grukit_call::dgain_ih},
    {"gain_hh", &grukit_call::gain_hh, &grukit_call::dgain_hh},
    {"gain_c", &grukit_call::gain_c, &grukit_call::dgain_c},
    {"bias_c", &grukit_call::bias_c, &grukit_call::dbias_c},
    {"fresh_h", &grukit_call::fresh_h, &grukit_call::dfresh_h},
    {"fresh_c", &grukit_call::fresh_c, &grukit_call::dfresh_c},
    {"drop_h", &grukit_call::drop_h, nullptr},
    {"drop_n", &grukit_call::drop_n, nullptr},
    {"keep_h", &grukit_call::keep_h, nullptr},
    {"keep_c", &grukit_call::keep_c, nullptr},
};

inline bool is_gru(const grukit_call &c) {
  return c.cell == GRUKIT_GRU_AFTER || c.cell == GRUKIT_GRU_BEFORE;
}
inline int64_t gates_of(const grukit_call &c) {
  return is_gru(c) ? 3 : c.cell == GRUKIT_LSTM ? 4 : 1;
}
inline int64_t output_size(const grukit_call &c) { return c.projected ? c.projected : c.hidden; }
inline int64_t state_size(const grukit_call &c) { return is_gru(c) ? c.hidden : output_size(c); }
inline int64_t element_size(const grukit_call &c) { return c.dtype == GRUKIT_BF16 ? 2 : 4; }

// [outer, B, inner], or without B.
struct Shape {
  int64_t outer, batch, inner;

  int64_t size() const { return outer * batch * inner; }
};
inline Shape shape_of(const grukit_call &c, int field) {
  const int64_t rows = gates_of(c) * c.hidden, k = c.models, steps = k * c.time;
  switch (field) {
    case X: return {steps, c.batch, c.input};
    case H0: case FRESH_H: return {k, c.batch, state_size(c)};
    case W_IH: return {k, 1, rows * c.input};
    case W_HH: return {k, 1, rows * output_size(c)};
    case C0: case FRESH_C: case DROP_N: return {k, c.batch, c.hidden};
    case W_HR: return {k, 1, c.projected * c.hidden};
    case GAIN_C: case BIAS_C: return {k, 1, c.hidden};
    case DROP_H: return {k, c.batch, output_size(c)};
    case KEEP_H:
      if (c.keep_is_rate[0]) return {1, 1, 1};
      return {steps, c.batch, state_size(c)};
    case KEEP_C:
      if (c.keep_is_rate[1]) return {1, 1, 1};
      return {steps, c.batch, c.hidden};
    default: return {k, 1, rows};
  }
}
inline int64_t size_of(const grukit_call &c, int field) { return shape_of(c, field).size(); }
// A rate is the same for all models.
inline int64_t models_of(const grukit_call &c, int field) {
  return field >= KEEP_H && c.keep_is_rate[field - KEEP_H] ? 1 : c.models;
}
// The slots of the reserve, as grukit.h says.
inline int64_t slots_of(const grukit_call &c) {
  if (c.save == GRUKIT_SAVE_NOTHING) return 0;
  const bool rounds = c.dtype == GRUKIT_BF16;
  const int64_t gates = is_gru(c) || c.cell == GRUKIT_LSTM ? 4 : 1;
  const bool has_h = is_gru(c) ? rounds || c.projected : rounds && !c.projected;
  return (c.save == GRUKIT_SAVE_ALL ? gates : 0) + (c.cell == GRUKIT_LSTM) + has_h;
}

// Those that run here, as grukit_set_isa takes them.
inline std::vector<std::string> instruction_sets() {
  std::istringstream names(grukit_isas());
  std::vector<std::string> found;
  for (std::string name; names >> name;) {
    if (grukit_set_isa(name.c_str()) == GRUKIT_OK) found.push_back(name);
  }
  return found;
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  int64_t between(int64_t first, int64_t last) {
    return first + static_cast<int64_t>(next() % static_cast<uint64_t>(last - first + 1));
  }
  bool chance(double probability) { return uniform(0, 1) < probability; }
  double uniform(double first, double last) {
    return first + (last - first) * static_cast<double>(next() >> 11) * 0x1p-53;
  }

 private:
  // Steele et al. 2014: splitmix64.
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

inline float float_of(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
// To nearest, ties to even.
inline uint16_t half_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// The sizes and options of a call, and its numbers as its dtype has them. x is dense here.
struct Problem {
  grukit_call facts{};  // without buffers
  bool given[FIELDS] = {}, has_lengths = false, has_resets = false;
  std::vector<double> values[FIELDS], d_output, d_h, d_c;
  std::vector<int64_t> lengths;  // [K, B]
  std::vector<uint8_t> resets;   // [K, T, B]
  std::string name;

  // How many steps of a sequence count.
  int64_t steps(int64_t model, int64_t b) const {
    if (!has_lengths) return facts.time;
    const int64_t length = lengths[model * facts.batch + b];
    return length < 0 ? 0 : length > facts.time ? facts.time : length;
  }
  bool starts(int64_t model, int64_t t, int64_t b) const {
    return has_resets && resets[(model * facts.time + t) * facts.batch + b];
  }
  std::vector<double> random_values(Random &random, int64_t count, double most) const {
    std::vector<double> found(count);
    for (double &value : found) {
      const float wanted = static_cast<float>(random.uniform(-most, most));
      value = facts.dtype == GRUKIT_BF16 ? float_of(half_of(wanted)) : wanted;
    }
    return found;
  }
};

// Fills a problem whose facts, `given` and the like are set.
inline void fill(Problem &p, Random &random) {
  const grukit_call &c = p.facts;
  for (int field = 0; field < FIELDS; ++field) {
    if (!p.given[field]) continue;
    const bool matrix = field == W_IH || field == W_HH || field == W_HR;
    const double columns = field == W_IH ? c.input + 1 : field == W_HH ? output_size(c) : c.hidden;
    const double most = matrix ? 1.5 / __builtin_sqrt(columns) : 1;
    p.values[field] = p.random_values(random, size_of(c, field), most);
    for (double &value : p.values[field]) {
      if (field == GAIN_IH || field == GAIN_HH || field == GAIN_C) value += 1.5;
      if (field == DROP_H || field == DROP_N) value = value > -0.5 ? 1.25 : 0;
      if (field == KEEP_H || field == KEEP_C) value = value < 0 ? 0 : value > 0.75 ? 1 : 0.375;
      if (c.dtype == GRUKIT_BF16) value = float_of(half_of(static_cast<float>(value)));
    }
  }
  const int64_t each = c.time * c.batch * c.input;
  if (c.x_stride[0] == 0) {
    for (int64_t i = each; i < c.models * each; ++i) p.values[X][i] = p.values[X][i - each];
  }
  const int64_t steps = c.models * c.time * c.batch, sequences = c.models * c.batch;
  p.d_output = p.random_values(random, steps * output_size(c), 1);
  p.d_h = p.random_values(random, sequences * state_size(c), 1);
  if (c.cell == GRUKIT_LSTM) p.d_c = p.random_values(random, sequences * c.hidden, 1);
  if (p.has_lengths) {
    for (int64_t i = 0; i < sequences; ++i) p.lengths.push_back(random.between(-2, c.time + 2));
  }
  if (p.has_resets) {
    for (int64_t i = 0; i < steps; ++i) p.resets.push_back(random.chance(0.3));
  }
  char text[256];
  std::snprintf(text, sizeof text,
                "%s: cell %d %s save %d K %d T %d B %d I %d H %d P %d%s threads %d options ",
                p.name.c_str(), int(c.cell), c.dtype == GRUKIT_BF16 ? "bf16" : "f32", int(c.save),
                int(c.models), int(c.time), int(c.batch), int(c.input), int(c.hidden),
                int(c.projected), c.reverse ? " reverse" : "", int(c.threads));
  p.name = text;
  for (int field = B_IH; field < FIELDS; ++field) {
    if (p.given[field]) p.name += std::string(kFields[field].name) + " ";
  }
  p.name += p.has_lengths ? "lengths " : "";
  p.name += p.has_resets ? "resets" : "";
}

// What every call has; strides of x as if it were dense.
inline Problem plain_problem(grukit_cell cell, grukit_dtype dtype, int64_t models, int64_t time,
                             int64_t batch, int64_t input, int64_t hidden) {
  Problem p;
  grukit_call &c = p.facts;
  c.cell = cell;
  c.dtype = dtype;
  c.models = models;
  c.time = time;
  c.batch = batch;
  c.input = input;
  c.hidden = hidden;
  c.threads = 1;
  c.x_stride[2] = input;
  c.x_stride[1] = batch * input;
  c.x_stride[0] = time * batch * input;
  for (int field : {X, H0, W_IH, W_HH}) p.given[field] = true;
  p.given[C0] = cell == GRUKIT_LSTM;
  return p;
}

// Sizes around the lanes of vectors, one in eight with several chunks of time.
inline Problem random_problem(uint64_t seed) {
  Random random(seed);
  const auto cell = static_cast<grukit_cell>(random.between(GRUKIT_GRU_AFTER, GRUKIT_RNN_RELU));
  const bool is_long = random.chance(0.125), is_lstm = cell == GRUKIT_LSTM;
  const int64_t time = is_long ? random.between(60, 90) : random.between(0, 8);
  const int64_t batch = is_long ? random.between(5, 9) : random.chance(0.05) ? 0
                                                                          : random.between(1, 9);
  const int64_t near_lanes = 4 * (int64_t{1} << random.between(0, 4)) + random.between(-1, 1);
  const int64_t hidden = is_long             ? random.between(1, 9)
                         : random.chance(0.5) ? near_lanes
                                              : random.between(1, 70);
  Problem p = plain_problem(cell, random.chance(0.35) ? GRUKIT_BF16 : GRUKIT_F32,
                            random.chance(0.6) ? 1 : random.between(2, 3), time, batch,
                            random.between(0, is_long ? 5 : 20), hidden);
  grukit_call &c = p.facts;
  if (cell != GRUKIT_GRU_BEFORE && random.chance(0.3)) {
    c.projected = random.between(1, is_long ? 9 : 40);
  }
  c.reverse = random.chance(0.4);
  c.save = random.chance(0.5) ? GRUKIT_SAVE_ALL : GRUKIT_SAVE_STATES;
  c.threads = random.between(0, 3);
  c.keep_is_rate[0] = random.chance(0.4);
  c.keep_is_rate[1] = random.chance(0.4);
  p.given[W_HR] = c.projected > 0;
  p.given[B_IH] = p.given[B_HH] = random.chance(0.7);
  p.given[GAIN_IH] = p.given[GAIN_HH] = random.chance(0.3);
  p.given[GAIN_C] = p.given[BIAS_C] = is_lstm && random.chance(0.4);
  p.given[FRESH_H] = random.chance(0.5);
  p.given[FRESH_C] = is_lstm && random.chance(0.5);
  p.given[DROP_H] = random.chance(0.35);
  p.given[DROP_N] = gates_of(c) > 1 && random.chance(0.35);
  p.given[KEEP_H] = random.chance(0.4);
  p.given[KEEP_C] = is_lstm && random.chance(0.4);
  p.has_lengths = random.chance(0.5);
  p.has_resets = random.chance(0.5);
  switch (random.between(0, 3)) {
    case 0:  // sequences first
      c.x_stride[1] = c.input;
      c.x_stride[2] = c.time * c.input;
      break;
    case 1:  // gaps
      c.x_stride[2] = c.input + 3;
      c.x_stride[1] = c.batch * c.x_stride[2] + 1;
      c.x_stride[0] = c.time * c.x_stride[1] + 2;
      break;
    case 2:  // one for all models
      c.x_stride[0] = 0;
  }
  p.name = "problem " + std::to_string(seed);
  fill(p, random);
  return p;
}

// One sequence of every model.
inline Problem one_sequence(const Problem &all, int64_t b) {
  Problem one = all;
  grukit_call &c = one.facts;
  c.batch = 1;
  c.x_stride[2] = c.input;
  c.x_stride[1] = c.input;
  c.x_stride[0] = c.time * c.input;
  for (int field = 0; field < FIELDS; ++field) {
    const Shape shape = shape_of(all.facts, field);
    if (!all.given[field] || shape_of(c, field).size() == shape.size()) continue;
    one.values[field].clear();
    for (int64_t outer = 0; outer < shape.outer; ++outer) {
      const auto row = all.values[field].begin() + (outer * shape.batch + b) * shape.inner;
      one.values[field].insert(one.values[field].end(), row, row + shape.inner);
    }
  }
  const auto pick = [&](auto &from, auto &to) {
    to.clear();
    for (size_t i = b; i < from.size(); i += all.facts.batch) to.push_back(from[i]);
  };
  pick(all.lengths, one.lengths);
  pick(all.resets, one.resets);
  return one;
}

// Elements at the very end of their memory, so that a sanitizer sees who passes it. NaN at first.
class Buffer {
 public:
  Buffer() = default;
  // `off`: put them one element further, where no vector is aligned.
  Buffer(int64_t count, int64_t element, bool off)
      : count_(count), element_(element), first_(off ? element : 0),
        memory_(new char[count * element + first_]) {
    poison();
  }
  void poison() { std::memset(data(), 0xff, bytes()); }
  char *data() const { return memory_.get() + first_; }
  int64_t count() const { return count_; }
  size_t bytes() const { return static_cast<size_t>(count_ * element_); }
  bool there() const { return memory_ != nullptr; }
  bool holds(const Buffer &other) const {
    if (bytes() != other.bytes()) return false;
    return bytes() == 0 || !std::memcmp(data(), other.data(), bytes());
  }
  double get(int64_t index) const {
    if (element_ == 4) return reinterpret_cast<const float *>(data())[index];
    return float_of(reinterpret_cast<const uint16_t *>(data())[index]);
  }
  void set(int64_t index, double value) {
    const float rounded = static_cast<float>(value);
    if (element_ == 4)
      reinterpret_cast<float *>(data())[index] = rounded;
    else
      reinterpret_cast<uint16_t *>(data())[index] = half_of(rounded);
  }

 private:
  int64_t count_ = 0, element_ = 4, first_ = 0;
  std::unique_ptr<char[]> memory_;
};

// A problem in memory. What does not count is NaN.
class Run {
 public:
  explicit Run(const Problem &problem) : call(problem.facts), problem_(problem) {
    const grukit_call &c = problem.facts;
    element_ = element_size(c);
    for (int field = 0; field < FIELDS; ++field) {
      if (!problem.given[field]) continue;
      if (field == X)
        lay_out_x();
      else
        inputs[field] = filled(problem.values[field]);
      call.*kFields[field].value = pointer(inputs[field]);
    }
    lengths_ = exact(problem.lengths);
    resets_ = exact(problem.resets);
    if (problem.has_lengths) call.lengths = lengths_.get();
    if (problem.has_resets) call.resets = resets_.get();
    const int64_t steps = c.models * c.time * c.batch, sequences = c.models * c.batch;
    output = buffer(steps * output_size(c), element_);
    h = buffer(sequences * state_size(c), element_);
    c_ = buffer(c.cell == GRUKIT_LSTM ? sequences * c.hidden : 0, element_);
    reserve = buffer(slots_of(c) * steps * c.hidden, 4);
    call.output = pointer(output);
    call.reserve = slots_of(c) ? reinterpret_cast<float *>(reserve.data()) : nullptr;
  }
  Run(const Run &) = delete;

  grukit_status forward() {
    results_of_forward();
    return grukit_forward(&call, 1);
  }
  // `wanted` [DIFFERENTIABLE]: which gradients, of those there are.
  grukit_status backward(const bool *wanted = nullptr) {
    results_of_backward(wanted);
    return grukit_backward(&call, 1);
  }

  void results_of_forward() {
    call.h = pointer(h);
    if (call.cell == GRUKIT_LSTM) call.c = pointer(c_);
    for (Buffer *result : {&output, &h, &c_, &reserve}) result->poison();
  }

  void results_of_backward(const bool *wanted = nullptr) {
    call.h = call.c = nullptr;
    call.packed = nullptr;
    const grukit_call &c = problem_.facts;
    d_output_ = filled(problem_.d_output);
    for (int64_t i = 0; i < d_output_.count(); ++i) {
      const int64_t row = i / output_size(c), b = row % c.batch, t = row / c.batch % c.time;
      if (t >= problem_.steps(row / c.batch / c.time, b)) d_output_.set(i, __builtin_nan(""));
    }
    d_h_ = filled(problem_.d_h);
    d_c_ = filled(problem_.d_c);
    call.d_output = pointer(d_output_);
    call.d_h = pointer(d_h_);
    if (c.cell == GRUKIT_LSTM) call.d_c = pointer(d_c_);
    for (int field = 0; field < DIFFERENTIABLE; ++field) {
      const bool is_wanted = problem_.given[field] && (!wanted || wanted[field]);
      gradients[field] = is_wanted ? buffer(size_of(c, field), element_) : Buffer();
      call.*kFields[field].gradient = is_wanted ? pointer(gradients[field]) : nullptr;
    }
  }

  // Packs the weights, for the forwards to come.
  grukit_status pack() {
    const size_t bytes = grukit_packed_bytes(&call);
    void *memory = nullptr;
    if (posix_memalign(&memory, 64, bytes)) return GRUKIT_NO_MEMORY;
    packed_.reset(static_cast<char *>(memory));
    const grukit_status status = grukit_pack(&call, memory);
    call.packed = packed_.get();
    return status;
  }

  // Whether every byte that was written is the same.
  bool same_results(const Run &other) const {
    bool same = output.holds(other.output) && h.holds(other.h) && c_.holds(other.c_) &&
                reserve.holds(other.reserve);
    for (int field = 0; field < DIFFERENTIABLE; ++field) {
      same = same && gradients[field].holds(other.gradients[field]);
    }
    return same;
  }

  const Buffer &c() const { return c_; }

  grukit_call call;
  Buffer inputs[FIELDS], output, h, reserve, gradients[DIFFERENTIABLE];

 private:
  struct Free {
    void operator()(char *memory) const { std::free(memory); }
  };

  // A buffer without elements may be anywhere.
  static char *pointer(const Buffer &buffer) {
    return buffer.there() && buffer.count() ? buffer.data() : nullptr;
  }
  Buffer buffer(int64_t count, int64_t element) {
    off_ = !off_;
    return Buffer(count, element, off_);
  }
  Buffer filled(const std::vector<double> &values) {
    Buffer found = buffer(static_cast<int64_t>(values.size()), element_);
    for (size_t i = 0; i < values.size(); ++i) found.set(i, values[i]);
    return found;
  }
  template <class T>
  static std::unique_ptr<T[]> exact(const std::vector<T> &values) {
    std::unique_ptr<T[]> found(new T[values.size()]);
    for (size_t i = 0; i < values.size(); ++i) found[i] = values[i];
    return found;
  }

  void lay_out_x() {
    const grukit_call &c = problem_.facts;
    const int64_t *stride = c.x_stride;
    const bool empty = c.time == 0 || c.batch == 0 || c.input == 0;
    const int64_t count = empty ? 0
                                : (c.models - 1) * stride[0] + (c.time - 1) * stride[1] +
                                      (c.batch - 1) * stride[2] + c.input;
    Buffer &x = inputs[X] = buffer(count, element_);
    for (int64_t model = 0, index = 0; model < c.models; ++model) {
      for (int64_t t = 0; t < c.time; ++t) {
        for (int64_t b = 0; b < c.batch; ++b) {
          for (int64_t i = 0; i < c.input; ++i, ++index) {
            const int64_t at = model * stride[0] + t * stride[1] + b * stride[2] + i;
            if (t < problem_.steps(model, b)) x.set(at, problem_.values[X][index]);
          }
        }
      }
    }
  }

  const Problem &problem_;
  int64_t element_;
  bool off_ = false;
  Buffer c_, d_output_, d_h_, d_c_;
  std::unique_ptr<int64_t[]> lengths_;
  std::unique_ptr<uint8_t[]> resets_;
  std::unique_ptr<char[], Free> packed_;
};

}  // namespace grukit_test
