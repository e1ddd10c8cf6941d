// What a call must give: the equations step by step in double precision, and their derivatives by
// the chain rule, over every operation backwards. The papers are named in tests/nn/papers.py.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "problems.h"

namespace grukit_test {

// A number that was computed. `place` is its place on the tape, -1 for a constant.
struct Number {
  double value = 0;
  int64_t place = -1;
};
using Numbers = std::vector<Number>;

// All operations in their order, each as the slopes of its result with respect to what it read.
class Tape {
 public:
  Number add(double value, std::initializer_list<std::pair<Number, double>> slopes) {
    for (const auto &[number, slope] : slopes) reads(number, slope);
    return end(value);
  }
  void reads(Number number, double slope) {
    if (number.place >= 0) edges_.push_back({number.place, slope});
  }
  Number end(double value) {
    ends_.push_back(edges_.size());
    return {value, static_cast<int64_t>(ends_.size()) - 1};
  }
  // From the gradients of some numbers, one for each place, to those of all.
  void backward(std::vector<double> &gradients) const {
    for (size_t place = ends_.size(); place-- > 0;) {
      for (size_t edge = place ? ends_[place - 1] : 0; edge < ends_[place]; ++edge) {
        gradients[edges_[edge].place] += edges_[edge].slope * gradients[place];
      }
    }
  }
  size_t size() const { return ends_.size(); }
  void clear() {
    edges_.clear();
    ends_.clear();
  }

 private:
  struct Edge {
    int64_t place;
    double slope;
  };
  std::vector<Edge> edges_;
  std::vector<size_t> ends_;
};

inline Tape tape;

inline Number operator+(Number a, Number b) {
  return tape.add(a.value + b.value, {{a, 1}, {b, 1}});
}
inline Number operator-(Number a, Number b) {
  return tape.add(a.value - b.value, {{a, 1}, {b, -1}});
}
inline Number operator*(Number a, Number b) {
  return tape.add(a.value * b.value, {{a, b.value}, {b, a.value}});
}
inline Number sigmoid(Number a) {
  const double value = 1 / (1 + std::exp(-a.value));
  return tape.add(value, {{a, value * (1 - value)}});
}
inline Number tanh(Number a) {
  const double value = std::tanh(a.value);
  return tape.add(value, {{a, 1 - value * value}});
}
inline Number relu(Number a) {
  return tape.add(std::fmax(a.value, 0), {{a, a.value > 0 ? 1.0 : 0.0}});
}
inline Number inverse_root(Number a) {
  const double value = 1 / std::sqrt(a.value);
  return tape.add(value, {{a, -0.5 * value / a.value}});
}
inline Number mean(const Numbers &row) {
  double total = 0;
  for (Number number : row) {
    total += number.value;
    tape.reads(number, 1.0 / row.size());
  }
  return tape.end(total / row.size());
}
inline Number dot(const Number *a, const Numbers &b) {
  double total = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    total += a[i].value * b[i].value;
    tape.reads(a[i], b[i].value);
    tape.reads(b[i], a[i].value);
  }
  return tape.end(total);
}

// Ba et al. 2016: (a - mean) / sqrt(variance + 1e-5).
inline Numbers normalized(Numbers row) {
  const Number center = mean(row);
  Numbers squares;
  for (Number &number : row) {
    number = number - center;
    squares.push_back(number * number);
  }
  const Number scale = inverse_root(mean(squares) + Number{1e-5});
  for (Number &number : row) number = number * scale;
  return row;
}

// One model of a problem.
class Definition {
 public:
  Definition(const Problem &problem, int64_t model)
      : problem_(problem), facts_(problem.facts), model_(model), hidden_(facts_.hidden) {
    for (int field = 0; field < FIELDS; ++field) {
      if (!problem.given[field]) continue;
      const int64_t size = size_of(facts_, field) / models_of(facts_, field);
      const int64_t first = models_of(facts_, field) > 1 ? model * size : 0;
      for (int64_t i = 0; i < size; ++i) {
        const double value = problem.values[field][first + i];
        values_[field].push_back(field < DIFFERENTIABLE ? tape.add(value, {}) : Number{value});
      }
    }
    output.resize(facts_.time * facts_.batch * output_size(facts_));
    for (int64_t b = 0; b < facts_.batch; ++b) run(b);
  }

  Numbers output, h, c;  // [T, B, O], [B, S], [B, H]

  const Numbers &values(int field) const { return values_[field]; }

 private:
  void run(int64_t b) {
    Numbers old_h = state(H0, b, state_size(facts_)), old_c = state(C0, b, hidden_);
    const int64_t count = problem_.steps(model_, b);
    for (int64_t turn = 0; turn < count; ++turn) {
      const int64_t t = facts_.reverse ? count - 1 - turn : turn;
      // In reverse the sequence that starts at a step ends there, and the one before it begins.
      const int64_t start = facts_.reverse ? t + 1 : t;
      if (start < count && problem_.starts(model_, start, b)) {
        old_h = state(FRESH_H, b, state_size(facts_));
        old_c = state(FRESH_C, b, hidden_);
      }
      step(t, b, old_h, old_c);
    }
    h.insert(h.end(), old_h.begin(), old_h.end());
    if (facts_.cell == GRUKIT_LSTM) c.insert(c.end(), old_c.begin(), old_c.end());
  }

  void step(int64_t t, int64_t b, Numbers &old_h, Numbers &old_c) {
    const int64_t at = t * facts_.batch + b, rows = gates_of(facts_) * hidden_;
    const Numbers x = row(X, at, facts_.input);
    const bool is_gru = facts_.cell == GRUKIT_GRU_AFTER || facts_.cell == GRUKIT_GRU_BEFORE;
    Numbers a = is_gru ? projected(old_h) : old_h;
    multiply(a, DROP_H, b);
    Numbers now;
    if (is_gru) {
      now = gru(x, a, old_h, b);
    } else if (facts_.cell == GRUKIT_LSTM) {
      now = lstm(x, a, old_c, at, b);
    } else {
      now = sum(side(W_IH, 0, rows, x), side(W_HH, 0, rows, a));
      for (Number &unit : now) unit = facts_.cell == GRUKIT_RNN_TANH ? tanh(unit) : relu(unit);
    }
    if (!is_gru) now = projected(now);
    old_h = zoned_out(KEEP_H, at, old_h, now);
    const Numbers shown = is_gru ? projected(old_h) : old_h;
    for (size_t i = 0; i < shown.size(); ++i) output[at * shown.size() + i] = shown[i];
  }

  // Cho et al. 2014; layer norm takes reset and update together, the candidate alone.
  Numbers gru(const Numbers &x, const Numbers &a, const Numbers &old_h, int64_t b) {
    const int64_t two = 2 * hidden_, three = 3 * hidden_;
    Numbers gates = sum(side(W_IH, 0, two, x), side(W_HH, 0, two, a)), term;
    for (Number &gate : gates) gate = sigmoid(gate);
    if (facts_.cell == GRUKIT_GRU_AFTER) {
      term = side(W_HH, two, three, a);
      for (int64_t i = 0; i < hidden_; ++i) term[i] = gates[i] * term[i];
    } else {
      Numbers reset(hidden_);
      for (int64_t i = 0; i < hidden_; ++i) reset[i] = gates[i] * a[i];
      term = side(W_HH, two, three, reset);
    }
    Numbers n = sum(side(W_IH, two, three, x), term);
    for (Number &unit : n) unit = tanh(unit);
    multiply(n, DROP_N, b);
    for (int64_t i = 0; i < hidden_; ++i) {
      const Number z = gates[hidden_ + i];
      n[i] = (Number{1} - z) * n[i] + z * old_h[i];
    }
    return n;
  }

  // Hochreiter and Schmidhuber 1997, Gers et al. 2000. Zoneout of c comes after it was shown.
  Numbers lstm(const Numbers &x, const Numbers &a, Numbers &old_c, int64_t at, int64_t b) {
    const Numbers gates = sum(side(W_IH, 0, 4 * hidden_, x), side(W_HH, 0, 4 * hidden_, a));
    Numbers candidate(hidden_), cell(hidden_), now(hidden_);
    for (int64_t i = 0; i < hidden_; ++i) candidate[i] = tanh(gates[2 * hidden_ + i]);
    multiply(candidate, DROP_N, b);
    for (int64_t i = 0; i < hidden_; ++i) {
      cell[i] = sigmoid(gates[hidden_ + i]) * old_c[i] + sigmoid(gates[i]) * candidate[i];
    }
    Numbers shown = cell;
    if (problem_.given[GAIN_C]) {
      shown = normalized(shown);
      for (int64_t i = 0; i < hidden_; ++i) {
        shown[i] = shown[i] * values_[GAIN_C][i] + values_[BIAS_C][i];
      }
    }
    for (int64_t i = 0; i < hidden_; ++i) {
      now[i] = sigmoid(gates[3 * hidden_ + i]) * tanh(shown[i]);
    }
    old_c = zoned_out(KEEP_C, at, old_c, cell);
    return now;
  }

  // W a + b of some rows of W_IH or W_HH, or norm(W a) gain + b.
  Numbers side(int weights, int64_t first, int64_t last, const Numbers &a) const {
    const bool of_x = weights == W_IH;
    const Numbers &gain = values_[of_x ? GAIN_IH : GAIN_HH], &bias = values_[of_x ? B_IH : B_HH];
    const int64_t size = static_cast<int64_t>(a.size());
    Numbers found;
    for (int64_t i = first; i < last; ++i) {
      found.push_back(dot(values_[weights].data() + i * size, a));
    }
    if (problem_.given[GAIN_IH]) {
      found = normalized(found);
      for (int64_t i = first; i < last; ++i) found[i - first] = found[i - first] * gain[i];
    }
    if (problem_.given[B_IH]) {
      for (int64_t i = first; i < last; ++i) found[i - first] = found[i - first] + bias[i];
    }
    return found;
  }

  // Sak et al. 2014.
  Numbers projected(const Numbers &a) const {
    if (!problem_.given[W_HR]) return a;
    Numbers found;
    for (int64_t i = 0; i < facts_.projected; ++i) {
      found.push_back(dot(values_[W_HR].data() + i * hidden_, a));
    }
    return found;
  }

  // Krueger et al. 2017: a share of the old state stays.
  Numbers zoned_out(int keep, int64_t at, const Numbers &before, Numbers now) const {
    if (!problem_.given[keep]) return now;
    const bool rate = facts_.keep_is_rate[keep - KEEP_H];
    const int64_t size = static_cast<int64_t>(now.size());
    for (int64_t i = 0; i < size; ++i) {
      const Number stays = values_[keep][rate ? 0 : at * size + i];
      now[i] = stays * before[i] + (Number{1} - stays) * now[i];
    }
    return now;
  }

  static Numbers sum(Numbers a, const Numbers &b) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = a[i] + b[i];
    return a;
  }
  void multiply(Numbers &a, int field, int64_t b) const {
    if (!problem_.given[field]) return;
    const Numbers factors = row(field, b, static_cast<int64_t>(a.size()));
    for (size_t i = 0; i < a.size(); ++i) a[i] = a[i] * factors[i];
  }
  Numbers row(int field, int64_t index, int64_t size) const {
    const auto first = values_[field].begin() + index * size;
    return {first, first + size};
  }
  Numbers state(int field, int64_t b, int64_t size) const {
    return problem_.given[field] ? row(field, b, size) : Numbers(size);
  }

  const Problem &problem_;
  const grukit_call &facts_;
  const int64_t model_, hidden_;
  Numbers values_[FIELDS];
};

struct Expected {
  std::vector<double> output, h, c, gradients[DIFFERENTIABLE];
};

inline Expected expected(const Problem &problem) {
  Expected found;
  for (int64_t model = 0; model < problem.facts.models; ++model) {
    tape.clear();
    const Definition definition(problem, model);
    std::vector<double> gradients(tape.size());
    const auto take = [&](const Numbers &numbers, const std::vector<double> &all_given,
                          std::vector<double> &all) {
      const double *given = all_given.data() + model * numbers.size();
      for (size_t i = 0; i < numbers.size(); ++i) {
        all.push_back(numbers[i].value);
        if (numbers[i].place >= 0) gradients[numbers[i].place] += given[i];
      }
    };
    take(definition.output, problem.d_output, found.output);
    take(definition.h, problem.d_h, found.h);
    take(definition.c, problem.d_c, found.c);
    tape.backward(gradients);
    for (int field = 0; field < DIFFERENTIABLE; ++field) {
      for (Number number : definition.values(field)) {
        found.gradients[field].push_back(gradients[number.place]);
      }
    }
  }
  return found;
}

}  // namespace grukit_test
