// The minGRU over time: beside its equations in double precision, on any number of threads, in any
// batch, and through thousands of steps whose gates are nearly shut.
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "build.h"
#include "check.h"
#include "grukit.h"
#include "oracle.h"
#include "problems.h"

using namespace grukit_test;

namespace {

constexpr int kProblems = kEmulated ? 30 : kSanitized ? 80 : 300;

const std::vector<std::string> kSets = instruction_sets();

using Floats = std::vector<float>;

// A call with its numbers; of the masks those that are not empty are given.
struct Scan {
  grukit_scan facts{};
  Floats gates, h0, fresh, drop, keep, d_output, d_h;
  std::vector<int64_t> lengths;
  std::vector<uint8_t> resets;
  bool keeps_gates = true;
  std::string name;

  int64_t columns() const { return facts.models * facts.batch * facts.hidden; }
  int64_t steps() const { return facts.time * columns(); }
};

struct Results {
  Floats output, h, d_gates, dh0, dfresh;
};

Floats random_floats(Random &random, int64_t count, double most) {
  Floats found(count);
  for (float &value : found) value = static_cast<float>(random.uniform(-most, most));
  return found;
}

Scan random_scan(uint64_t seed) {
  Random random(seed);
  Scan s;
  grukit_scan &c = s.facts;
  const bool is_long = random.chance(0.1), is_wide = random.chance(0.05);
  c.models = random.chance(0.7) ? 1 : random.between(2, 3);
  c.time = is_long ? random.between(500, 1700) : random.between(0, 20);
  c.batch = is_long ? random.between(1, 3) : random.chance(0.05) ? 0 : random.between(1, 30);
  c.hidden = is_wide ? random.between(500, 1500) : random.between(1, is_long ? 9 : 70);
  if (is_wide) c.batch = random.between(0, 2);
  c.positive = random.chance(0.5);
  c.reverse = random.chance(0.5);
  c.threads = random.between(0, 5);
  s.gates = random_floats(random, 2 * s.steps(), 3);
  // Shut more often than not, so that what a chunk begins with matters to its end.
  if (is_long) for (float &value : s.gates) value += 8;
  s.h0 = random_floats(random, s.columns(), 1);
  if (random.chance(0.5)) s.fresh = random_floats(random, s.columns(), 1);
  if (random.chance(0.3)) s.drop = random_floats(random, s.columns(), 1);
  c.keep_is_rate = random.chance(0.5);
  if (random.chance(0.4)) {
    s.keep = random_floats(random, c.keep_is_rate ? 1 : s.steps(), 1);
    for (float &value : s.keep) value = value < 0 ? 0 : value > 0.75f ? 1 : 0.375f;
  }
  if (random.chance(0.5)) {
    for (int64_t i = 0; i < c.models * c.batch; ++i) {
      s.lengths.push_back(random.between(-2, c.time + 2));
    }
  }
  if (random.chance(0.5)) {
    const double often = is_long ? 0.002 : 0.3;
    for (int64_t i = 0; i < c.models * c.time * c.batch; ++i) s.resets.push_back(random.chance(often));
  }
  s.keeps_gates = random.chance(0.5);
  s.d_output = random_floats(random, s.steps(), 1);
  s.d_h = random_floats(random, s.columns(), 1);
  s.name = "scan " + std::to_string(seed);
  for (int64_t value : {c.models, c.time, c.batch, c.hidden, c.positive, c.reverse, c.threads}) {
    s.name += " " + std::to_string(value);
  }
  return s;
}

template <class Values>
auto *address(const Values &values) {
  return values.empty() ? nullptr : const_cast<typename Values::value_type *>(values.data());
}

// Forwards and backwards, in memory that is as large as it must be.
Results run(const Scan &s) {
  const float nan = std::nanf("");
  Results found{Floats(s.steps(), nan), Floats(s.columns(), nan), Floats(2 * s.steps(), nan),
                Floats(s.columns(), nan), Floats(s.columns(), nan)};
  Floats update(s.steps(), nan), memory(s.steps(), nan);
  grukit_scan call = s.facts;
  call.gates = address(s.gates);
  call.h0 = address(s.h0);
  call.fresh_h = address(s.fresh);
  call.drop_n = address(s.drop);
  call.keep_h = address(s.keep);
  call.lengths = address(s.lengths);
  call.resets = address(s.resets);
  call.output = found.output.data();
  call.h = found.h.data();
  if (s.keeps_gates) {
    call.update = update.data();
    call.memory = memory.data();
  }
  CHECK(grukit_scan_forward(&call) == GRUKIT_OK, "%s: %s", s.name.c_str(), grukit_message());
  if (s.keeps_gates) call.gates = nullptr;
  call.h = nullptr;
  call.d_output = s.d_output.data();
  call.d_h = s.d_h.data();
  call.d_gates = found.d_gates.data();
  call.dh0 = found.dh0.data();
  call.dfresh_h = found.dfresh.data();
  CHECK(grukit_scan_backward(&call) == GRUKIT_OK, "%s: %s", s.name.c_str(), grukit_message());
  return found;
}

bool same(const Floats &a, const Floats &b) {
  return a.size() == b.size() &&
         (a.empty() || !std::memcmp(a.data(), b.data(), a.size() * sizeof(float)));
}

bool same(const Results &a, const Results &b) {
  return same(a.output, b.output) && same(a.h, b.h) && same(a.d_gates, b.d_gates) &&
         same(a.dh0, b.dh0) && same(a.dfresh, b.dfresh);
}

Number blend(Number k, Number a, Number b) { return k * a + (Number{1} - k) * b; }

// The equations, and their derivatives by the tape.
Results oracle(const Scan &s) {
  const grukit_scan &c = s.facts;
  tape.clear();
  const auto leaves = [](const Floats &values) {
    Numbers found;
    for (float value : values) found.push_back(tape.add(value, {}));
    return found;
  };
  const Numbers gates = leaves(s.gates), h0 = leaves(s.h0), fresh = leaves(s.fresh);
  Results found{Floats(s.steps()), Floats(s.columns()), Floats(2 * s.steps()),
                Floats(s.columns()), Floats(s.columns())};
  std::vector<std::pair<Number, double>> seeds;
  for (int64_t row = 0; row < c.models * c.batch; ++row) {
    const int64_t model = row / c.batch, b = row % c.batch;
    int64_t length = s.lengths.empty() ? c.time : s.lengths[row];
    length = length < 0 ? 0 : length > c.time ? c.time : length;
    for (int64_t unit = 0; unit < c.hidden; ++unit) {
      const int64_t column = row * c.hidden + unit;
      Number h = h0[column];
      for (int64_t i = 0; i < length; ++i) {
        const int64_t t = c.reverse ? length - 1 - i : i, begins = t + c.reverse;
        const int64_t at = (model * c.time + t) * c.batch + b;
        if (!s.resets.empty() && begins < length && s.resets[at + c.reverse * c.batch]) {
          h = s.fresh.empty() ? Number{0} : fresh[column];
        }
        const Number z = sigmoid(gates[2 * at * c.hidden + unit]);
        Number n = gates[(2 * at + 1) * c.hidden + unit];
        if (c.positive) n = n.value >= 0 ? n + Number{0.5} : sigmoid(n);
        if (!s.drop.empty()) n = n * Number{s.drop[column]};
        Number made = blend(z, h, n);
        if (!s.keep.empty()) {
          made = blend(Number{s.keep[c.keep_is_rate ? 0 : at * c.hidden + unit]}, h, made);
        }
        h = made;
        found.output[at * c.hidden + unit] = static_cast<float>(h.value);
        seeds.push_back({h, s.d_output[at * c.hidden + unit]});
      }
      found.h[column] = static_cast<float>(h.value);
      seeds.push_back({h, s.d_h[column]});
    }
  }
  std::vector<double> gradients(tape.size());
  for (const auto &[number, d] : seeds) {
    if (number.place >= 0) gradients[number.place] += d;
  }
  tape.backward(gradients);
  const auto read = [&](const Numbers &numbers, Floats &to) {
    for (size_t i = 0; i < numbers.size(); ++i) {
      to[i] = static_cast<float>(gradients[numbers[i].place]);
    }
  };
  read(gates, found.d_gates);
  read(h0, found.dh0);
  read(fresh, found.dfresh);
  return found;
}

// The largest error, in units of the largest of both or one. Infinity for NaN.
double error(const Floats &got, const Floats &wanted) {
  double most = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double apart = std::fabs(double{got[i]} - wanted[i]);
    if (!(apart < INFINITY)) return INFINITY;
    most = std::fmax(most, apart / std::fmax(1, std::fabs(wanted[i])));
  }
  return most;
}

void test_it_is_the_equations() {
  double most = 0;
  for (int seed = 0; seed < kProblems; ++seed) {
    const Scan s = random_scan(seed);
    const Results wanted = oracle(s);
    for (const std::string &set : kSets) {
      grukit_set_isa(set.c_str());
      const Results got = run(s);
      const double worst =
          std::fmax(std::fmax(error(got.output, wanted.output), error(got.h, wanted.h)),
                    std::fmax(std::fmax(error(got.d_gates, wanted.d_gates),
                                        error(got.dh0, wanted.dh0)),
                              s.fresh.empty() ? 0 : error(got.dfresh, wanted.dfresh)));
      most = std::fmax(most, worst);
      // 1 - z has few digits left where the gates of long problems are nearly shut.
      CHECK(worst < (s.facts.time < 500 ? 1e-5 : 2e-4), "%s of %s: %g", set.c_str(), s.name.c_str(), worst);
    }
  }
  std::fprintf(stderr, "largest error of the scan: %.2g\n", most);
}

// As many as are worth it, and as few as one.
void test_threads_do_not_matter() {
  for (int seed = 0; seed < kProblems / 10; ++seed) {
    Random random(1000 + seed);
    for (const bool few : {false, true}) {
      Scan large = random_scan(seed);
      grukit_scan &c = large.facts;
      // So much that it is worth all threads; with one sequence of few units they divide time.
      c.models = 1;
      c.time = few ? 40000 : 700;
      c.batch = few ? 1 : 40;
      c.hidden = random.between(1, 20);
      large.gates = random_floats(random, 2 * large.steps(), 3);
      large.h0 = random_floats(random, large.columns(), 1);
      large.fresh = random_floats(random, large.columns(), 1);
      large.drop.clear();
      large.keep.clear();
      large.lengths.clear();
      for (int64_t b = 0; b < c.batch; ++b) large.lengths.push_back(random.between(c.time / 2, c.time));
      large.resets.clear();
      for (int64_t i = 0; i < c.time * c.batch; ++i) large.resets.push_back(random.chance(1e-3));
      large.d_output = random_floats(random, large.steps(), 1);
      large.d_h = random_floats(random, large.columns(), 1);
      for (const std::string &set : kSets) {
        grukit_set_isa(set.c_str());
        c.threads = 1;
        const Results alone = run(large);
        for (const int64_t threads : {2, 4}) {
          c.threads = threads;
          CHECK(same(run(large), alone), "%s on %d threads: %s", set.c_str(), int(threads),
                large.name.c_str());
        }
        if (kSanitized) break;
      }
    }
    if (seed >= 2 && kSanitized) return;
  }
}

// A sequence alone, and no longer than it is, gives what it gives in a batch.
void test_the_batch_does_not_matter() {
  for (int seed = 0; seed < kProblems; ++seed) {
    const Scan s = random_scan(4000 + seed);
    const grukit_scan &c = s.facts;
    if (c.models > 1 || !s.keep.empty() || c.batch == 0) continue;
    const Results whole = run(s);
    const int64_t b = seed % c.batch, length =
        s.lengths.empty() ? c.time : std::max<int64_t>(0, std::min(s.lengths[b], c.time));
    Scan one = s;
    one.facts.batch = 1;
    one.facts.time = length;
    const auto rows = [&](const Floats &from, int64_t steps, int64_t width) {
      Floats found;
      for (int64_t t = 0; t < steps && !from.empty(); ++t) {
        const auto first = from.begin() + (t * c.batch + b) * width;
        found.insert(found.end(), first, first + width);
      }
      return found;
    };
    one.gates = rows(s.gates, length, 2 * c.hidden);
    one.d_output = rows(s.d_output, length, c.hidden);
    for (auto part : {&Scan::h0, &Scan::fresh, &Scan::drop, &Scan::d_h}) {
      one.*part = rows(s.*part, 1, c.hidden);
    }
    one.lengths.clear();
    one.resets.clear();
    for (int64_t t = 0; t < length && !s.resets.empty(); ++t) {
      one.resets.push_back(s.resets[t * c.batch + b]);
    }
    const Results got = run(one);
    CHECK(same(got.output, rows(whole.output, length, c.hidden)) &&
              same(got.h, rows(whole.h, 1, c.hidden)) &&
              same(got.d_gates, rows(whole.d_gates, length, 2 * c.hidden)) &&
              same(got.dh0, rows(whole.dh0, 1, c.hidden)),
          "sequence %d of %s", int(b), s.name.c_str());
  }
}

// Products of what the steps keep end far below the smallest float, or never move.
void test_long_sequences_stay_right() {
  for (const float gate : {-30.0f, -3.0f, 12.0f, 30.0f}) {
    Scan s;
    s.facts.models = s.facts.batch = 1;
    s.facts.time = 10000;
    s.facts.hidden = 3;
    s.facts.positive = 1;
    s.facts.threads = 1;
    Random random(0);
    s.gates = random_floats(random, 2 * s.steps(), 1);
    for (int64_t i = 0; i < s.steps(); ++i) s.gates[i / 3 * 6 + i % 3] += gate;
    s.h0 = {1, 2, 3};
    s.d_output = random_floats(random, s.steps(), 1);
    s.d_h = {1, 1, 1};
    const Results wanted = oracle(s), got = run(s);
    // A z near 1 is rounded by up to 3e-8 in each of the steps.
    const double most = gate > 0 ? 3e-8 * s.facts.time : 1e-5;
    CHECK(error(got.output, wanted.output) < most && error(got.d_gates, wanted.d_gates) < most &&
              error(got.dh0, wanted.dh0) < most,
          "gates near %g: %g %g %g", double{gate}, error(got.output, wanted.output),
          error(got.d_gates, wanted.d_gates), error(got.dh0, wanted.dh0));
  }
}

void refused(grukit_status (*call)(const grukit_scan *), const grukit_scan *scan,
             const char *wanted) {
  CHECK(call(scan) == GRUKIT_BAD_CALL && std::strstr(grukit_message(), wanted), "%s is not in %s",
        wanted, grukit_message());
}

void test_bad_calls_are_refused() {
  float some[8] = {};
  grukit_scan call{};
  call.models = call.time = call.batch = call.hidden = 1;
  call.gates = call.h0 = call.d_output = call.d_h = some;
  call.output = call.h = some + 2;
  refused(grukit_scan_forward, nullptr, "scan must be given");
  const auto with = [&](auto grukit_scan::*field, auto value) {
    grukit_scan changed = call;
    changed.*field = value;
    return changed;
  };
  const grukit_scan no_models = with(&grukit_scan::models, 0);
  refused(grukit_scan_forward, &no_models, "models must be at least 1, got 0");
  const grukit_scan no_time = with(&grukit_scan::time, -1);
  refused(grukit_scan_backward, &no_time, "time must be at least 0, got -1");
  const grukit_scan no_units = with(&grukit_scan::hidden, 0);
  refused(grukit_scan_forward, &no_units, "hidden must be at least 1, got 0");
  const grukit_scan huge = with(&grukit_scan::time, INT64_MAX);
  refused(grukit_scan_forward, &huge, "2^63 bytes");
  const grukit_scan no_h0 = with(&grukit_scan::h0, nullptr);
  refused(grukit_scan_forward, &no_h0, "h0 must be given");
  const grukit_scan no_gates = with(&grukit_scan::gates, nullptr);
  refused(grukit_scan_forward, &no_gates, "gates must be given");
  const grukit_scan half = with(&grukit_scan::update, some);
  refused(grukit_scan_forward, &half, "both or neither, got update alone");
  refused(grukit_scan_backward, &call, "dh0 must be given");
  grukit_scan back = call;
  back.dh0 = back.d_gates = some + 4;
  back.gates = nullptr;
  refused(grukit_scan_backward, &back, "or gates, got neither");
}

}  // namespace

int main() {
  CHECK(!kSets.empty());
  test_bad_calls_are_refused();
  test_it_is_the_equations();
  test_threads_do_not_matter();
  test_the_batch_does_not_matter();
  test_long_sequences_stay_right();
  return failed_checks();
}
