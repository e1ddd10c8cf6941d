// Random calls against the definition in double precision, forwards and backwards, on every
// instruction set; and that results do not depend on threads, nor on what else runs.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "build.h"
#include "check.h"
#include "grukit.h"
#include "oracle.h"
#include "problems.h"

using namespace grukit_test;

namespace {

constexpr bool kSlow = kEmulated || kSanitized;
constexpr int kProblems = kEmulated ? 60 : kSanitized ? 120 : 500;

const std::vector<std::string> kSets = instruction_sets();

// Errors are measured beside the largest number that a buffer must hold, or 1.
double relative_error(const Buffer &found, const std::vector<double> &wanted, int64_t *worst_at) {
  double largest = 1, worst = 0;
  for (double value : wanted) largest = std::fmax(largest, std::fabs(value));
  for (int64_t i = 0; i < found.count(); ++i) {
    const double error = std::fabs(found.get(i) - wanted[i]) / largest;
    if (error <= worst) continue;
    worst = error;
    *worst_at = i;
    if (std::isnan(error)) return INFINITY;
  }
  return worst;
}

void check_close(const Problem &problem, const std::string &what, const Buffer &found,
                 const std::vector<double> &wanted, double tolerance) {
  CHECK(found.count() == static_cast<int64_t>(wanted.size()), "%s of %s", what.c_str(),
        problem.name.c_str());
  int64_t at = 0;
  const double error = relative_error(found, wanted, &at);
  CHECK(error <= tolerance, "%s: %s[%lld] is %g and must be %g; %s", grukit_isa(), what.c_str(),
        static_cast<long long>(at), found.count() ? found.get(at) : 0,
        wanted.empty() ? 0 : wanted[at], problem.name.c_str());
}

void check_ok(grukit_status status, const Problem &problem) {
  CHECK(status == GRUKIT_OK, "%s: %s", grukit_message(), problem.name.c_str());
}

// Rounding: of float32 over some steps and through layer norm; of bfloat16 results, and of the
// bytes of a quantized call.
double tolerance(const Problem &problem) {
  if (problem.facts.quantized) return 0.06;
  return problem.facts.dtype == GRUKIT_BF16 ? 0x1p-7 : problem.given[GAIN_IH] ? 1e-4 : 1e-5;
}

double gradient_tolerance(const Problem &problem) {
  const grukit_call &c = problem.facts;
  if (c.dtype == GRUKIT_F32) return 4 * tolerance(problem);
  // Rounding may take a sum to the other side of zero, where the slope is another.
  if (c.cell == GRUKIT_RNN_RELU) return 0.3;
  // The backward has the states before each step as the output has rounded them.
  const bool rounded = c.projected && !is_gru(c);
  return rounded && problem.given[GAIN_IH] ? 0.2 : 4 * tolerance(problem);
}

void check_forward(const Run &run, const Problem &problem, const Expected &wanted) {
  const double most = tolerance(problem);
  check_close(problem, "output", run.output, wanted.output, most);
  check_close(problem, "h", run.h, wanted.h, most);
  check_close(problem, "c", run.c(), wanted.c, most);
  bool finite = true;
  for (int64_t i = 0; i < run.reserve.count(); ++i) {
    finite = finite && std::isfinite(run.reserve.get(i));
  }
  CHECK(finite, "reserve of %s", problem.name.c_str());
}

// A backward that wants some of the gradients gives the same ones.
void check_some_gradients(Run &run, const Problem &problem, Random &random) {
  Buffer all[DIFFERENTIABLE];
  for (int field = 0; field < DIFFERENTIABLE; ++field) all[field] = std::move(run.gradients[field]);
  bool wanted[DIFFERENTIABLE];
  const double share = random.uniform(0, 1);
  for (bool &is : wanted) is = random.chance(share);
  check_ok(run.backward(wanted), problem);
  for (int field = 0; field < DIFFERENTIABLE; ++field) {
    if (!run.gradients[field].there()) continue;
    CHECK(run.gradients[field].holds(all[field]), "%s: some gradients, d%s of %s", grukit_isa(),
          kFields[field].name, problem.name.c_str());
  }
}

// What else is in the batch does not matter.
void check_one_sequence(const Run &run, const Problem &problem, Random &random) {
  const grukit_call &c = problem.facts;
  if (c.batch < 2) return;
  const int64_t b = random.between(0, c.batch - 1);
  const Problem one = one_sequence(problem, b);
  Run alone(one);
  check_ok(alone.forward(), one);
  const auto same = [&](const Buffer &all, const Buffer &own, int64_t size) {
    for (int64_t row = 0; size && row < own.count() / size; ++row) {
      const size_t bytes = size * element_size(c);
      if (std::memcmp(all.data() + (row * c.batch + b) * bytes, own.data() + row * bytes, bytes))
        return false;
    }
    return true;
  };
  CHECK(same(run.output, alone.output, output_size(c)) && same(run.h, alone.h, state_size(c)) &&
            same(run.c(), alone.c(), c.hidden),
        "%s: sequence %lld alone differs, of %s", grukit_isa(), static_cast<long long>(b),
        problem.name.c_str());
}

// Where errors grow so much from step to step, no two correct programs agree.
bool is_chaotic(const Expected &wanted) {
  for (int field : {X, H0, C0}) {
    for (double value : wanted.gradients[field]) {
      if (std::fabs(value) > 1000) return true;
    }
  }
  return false;
}

void test_random_calls() {
  int chaotic = 0;
  for (int seed = 0; seed < kProblems; ++seed) {
    const Problem problem = random_problem(seed);
    const Expected wanted = expected(problem);
    if (is_chaotic(wanted)) {
      ++chaotic;
      continue;
    }
    for (const std::string &set : kSets) {
      grukit_set_isa(set.c_str());
      Random random(seed);
      Run run(problem);
      if (random.chance(0.5)) check_ok(run.pack(), problem);
      check_ok(run.forward(), problem);
      check_forward(run, problem, wanted);
      check_ok(run.backward(), problem);
      for (int field = 0; field < DIFFERENTIABLE; ++field) {
        if (!problem.given[field]) continue;
        check_close(problem, std::string("d") + kFields[field].name, run.gradients[field],
                    wanted.gradients[field], gradient_tolerance(problem));
      }
      check_some_gradients(run, problem, random);
      check_one_sequence(run, problem, random);
    }
  }
  CHECK(chaotic < kProblems / 10, "%d of %d", chaotic, kProblems);
}

// Layer norm would enlarge the rounding of the bytes without bound.
void test_quantized_calls() {
  for (int seed = 2000; seed < 2000 + kProblems / 5; ++seed) {
    Problem problem = random_problem(seed);
    if (problem.given[GAIN_IH] || problem.given[GAIN_C]) continue;
    problem.facts.quantized = 1;
    problem.facts.save = GRUKIT_SAVE_NOTHING;
    const Expected wanted = expected(problem);
    if (is_chaotic(wanted)) continue;
    for (const std::string &set : kSets) {
      grukit_set_isa(set.c_str());
      Random random(seed);
      Run run(problem);
      if (random.chance(0.5)) check_ok(run.pack(), problem);
      check_ok(run.forward(), problem);
      check_forward(run, problem, wanted);
      check_one_sequence(run, problem, random);
    }
  }
}

// Without a reserve the results are the same.
void test_nothing_saved() {
  for (int seed = 1000; seed < 1000 + kProblems / 10; ++seed) {
    const Problem saving = random_problem(seed);
    Problem problem = saving;
    problem.facts.save = GRUKIT_SAVE_NOTHING;
    for (const std::string &set : kSets) {
      grukit_set_isa(set.c_str());
      Run run(problem), saved(saving);
      check_ok(run.forward(), problem);
      check_ok(saved.forward(), saving);
      CHECK(run.output.holds(saved.output) && run.h.holds(saved.h) && run.c().holds(saved.c()),
            "%s: %s", set.c_str(), problem.name.c_str());
    }
  }
}

// Calls with work enough for threads, for each of the ways to divide it.
std::vector<Problem> large_problems() {
  struct Sizes {
    const char *name;
    grukit_cell cell;
    int64_t models, time, batch, input, hidden, projected;
    bool drops;
  };
  const Sizes sizes[] = {
      {"units", GRUKIT_GRU_AFTER, 1, 12, 1, 3, 256, 0, false},
      {"units", GRUKIT_LSTM, 1, 12, 2, 5, 200, 0, false},
      {"units", GRUKIT_RNN_TANH, 1, 30, 1, 3, 410, 0, false},
      {"rows", GRUKIT_GRU_AFTER, 1, 30, 9, 20, 70, 0, false},
      {"rows", GRUKIT_GRU_AFTER, 1, 30, 7, 20, 70, 33, false},
      {"rows", GRUKIT_LSTM, 1, 30, 8, 3, 60, 33, true},
      {"rows", GRUKIT_GRU_BEFORE, 1, 40, 7, 30, 65, 0, false},
      {"ahead", GRUKIT_GRU_BEFORE, 1, 300, 1, 70, 70, 0, false},
      {"ahead", GRUKIT_GRU_AFTER, 1, 400, 1, 128, 40, 0, true},
      {"ahead", GRUKIT_LSTM, 1, 300, 1, 80, 50, 21, false},
      {"models", GRUKIT_LSTM, 3, 20, 3, 9, 50, 0, false},
      {"models", GRUKIT_GRU_AFTER, 5, 30, 2, 9, 50, 0, false},
  };
  std::vector<Problem> found;
  for (const Sizes &s : sizes) {
    for (int options = 0; options < 4; options += kSlow ? 3 : 1) {
      const bool noisy = options & 1, rounded = options & 2;
      Random random(100 + options);
      Problem p = plain_problem(s.cell, rounded ? GRUKIT_BF16 : GRUKIT_F32, s.models,
                                kSlow ? s.time / 2 : s.time, s.batch, s.input, s.hidden);
      p.facts.projected = s.projected;
      p.facts.save = options < 2 ? GRUKIT_SAVE_ALL : GRUKIT_SAVE_STATES;
      p.facts.reverse = noisy;
      p.given[W_HR] = s.projected > 0;
      p.given[B_IH] = p.given[B_HH] = true;
      p.given[DROP_H] = s.drops;
      p.given[FRESH_H] = p.given[KEEP_H] = p.has_lengths = p.has_resets = noisy;
      p.name = s.name;
      fill(p, random);
      found.push_back(std::move(p));
    }
  }
  return found;
}

// Whether a call would run on several threads. While something else has the cores none does, for a
// short time after that was seen: waits for its end, though not often.
bool is_divided(const grukit_call &call, bool backward) {
  static int times = 1000;
  while (grukit_threads(&call, 1, backward) == 1 && times-- > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return grukit_threads(&call, 1, backward) > 1;
}

void test_threads_do_not_matter() {
  int divided[2] = {0, 0};
  for (const Problem &problem : large_problems()) {
    for (const std::string &set : kSets) {
      grukit_set_isa(set.c_str());
      Run alone(problem);
      check_ok(alone.forward(), problem);
      check_ok(alone.backward(), problem);
      for (int64_t threads : {2, 3}) {
        Run run(problem);
        run.call.threads = threads;
        divided[0] += is_divided(run.call, false);
        check_ok(run.forward(), problem);
        divided[1] += is_divided(run.call, true);
        check_ok(run.backward(), problem);
        CHECK(run.same_results(alone), "%s: %d threads, %s", set.c_str(), int(threads),
              problem.name.c_str());
      }
    }
  }
  std::fprintf(stderr, "on several threads: %d forwards, %d backwards\n", divided[0], divided[1]);
  CHECK(divided[0] > 0 && divided[1] > 0);
}

// The results of large problems, one by one.
std::vector<std::unique_ptr<Run>> one_by_one(const std::vector<Problem> &problems) {
  std::vector<std::unique_ptr<Run>> found;
  for (const Problem &problem : problems) {
    found.push_back(std::make_unique<Run>(problem));
    check_ok(found.back()->forward(), problem);
    check_ok(found.back()->backward(), problem);
  }
  return found;
}

void test_two_calls_at_once() {
  const std::vector<Problem> problems = large_problems();
  for (const std::string &set : kSets) {
    grukit_set_isa(set.c_str());
    const auto alone = one_by_one(problems);
    for (size_t i = 0; i < problems.size(); ++i) {
      const size_t other = (i * 7 + 5) % problems.size();
      for (int64_t threads : {1, 3}) {
        Run one(problems[i]), two(problems[other]);
        one.call.threads = two.call.threads = threads;
        one.results_of_forward();
        two.results_of_forward();
        grukit_call calls[] = {one.call, two.call};
        check_ok(grukit_forward(calls, 2), problems[i]);
        one.results_of_backward();
        two.results_of_backward();
        calls[0] = one.call;
        calls[1] = two.call;
        check_ok(grukit_backward(calls, 2), problems[i]);
        CHECK(one.same_results(*alone[i]) && two.same_results(*alone[other]),
              "%s: %d threads, %s; %s", set.c_str(), int(threads), problems[i].name.c_str(),
              problems[other].name.c_str());
      }
    }
  }
}

// Four threads of the caller's, each with calls of its own that ask for threads as well.
void test_calls_from_several_threads() {
  const std::vector<Problem> problems = large_problems();
  const auto alone = one_by_one(problems);
  std::vector<std::thread> callers;
  for (size_t caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (size_t i = caller; i < problems.size(); i += 3) {
        Run run(problems[i]);
        run.call.threads = 2;
        check_ok(run.forward(), problems[i]);
        check_ok(run.backward(), problems[i]);
        CHECK(run.same_results(*alone[i]), "at once: %s", problems[i].name.c_str());
      }
    });
  }
  for (std::thread &caller : callers) caller.join();
}

// A call that does not count a single step, or has none, hands the states on.
void test_no_steps() {
  for (const std::string &set : kSets) {
    grukit_set_isa(set.c_str());
    Problem problem = plain_problem(GRUKIT_LSTM, GRUKIT_F32, 1, 3, 2, 4, 5);
    problem.has_lengths = true;
    problem.facts.save = GRUKIT_SAVE_ALL;
    problem.name = "no steps";
    Random random(3);
    fill(problem, random);
    problem.lengths = {0, -7};
    Run run(problem);
    check_ok(run.forward(), problem);
    CHECK(run.h.holds(run.inputs[H0]) && run.c().holds(run.inputs[C0]), "%s", set.c_str());
    check_ok(run.backward(), problem);
    for (int64_t i = 0; i < run.gradients[W_HH].count(); ++i) {
      CHECK(run.gradients[W_HH].get(i) == 0, "%s: dw_hh[%d]", set.c_str(), int(i));
    }
  }
}

}  // namespace

int main() {
  CHECK(!kSets.empty());
  test_threads_do_not_matter();
  test_random_calls();
  test_quantized_calls();
  test_nothing_saved();
  test_two_calls_at_once();
  test_calls_from_several_threads();
  test_no_steps();
  return failed_checks();
}
