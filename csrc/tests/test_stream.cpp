// Streams: step by step as the sequence is, from weights that they have copied, without allocating.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "build.h"
#include "check.h"
#include "grukit.h"
#include "problems.h"

using namespace grukit_test;

namespace {
std::atomic<int64_t> allocations{0};
}

// Where no sanitizer has replaced them.
#if defined(__GLIBC__) && !GRUKIT_SANITIZED
constexpr bool kCounts = true;
extern "C" {
void *__libc_malloc(size_t);
void *__libc_memalign(size_t, size_t);
void *malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
}
#else
constexpr bool kCounts = false;
#endif

namespace {

constexpr int kProblems = kEmulated ? 40 : kSanitized ? 100 : 400;

const std::vector<std::string> kSets = instruction_sets();

// A problem that a stream can run: one model, forwards in time, every step counts, no masks.
Problem stream_problem(uint64_t seed) {
  Random random(seed);
  const auto cell = static_cast<grukit_cell>(random.between(GRUKIT_GRU_AFTER, GRUKIT_RNN_RELU));
  Problem p = plain_problem(cell, random.chance(0.35) ? GRUKIT_BF16 : GRUKIT_F32, 1,
                            random.between(1, 8), random.between(0, 4), random.between(0, 20),
                            random.chance(0.1) ? random.between(100, 300) : random.between(1, 70));
  grukit_call &c = p.facts;
  if (cell != GRUKIT_GRU_BEFORE && random.chance(0.3)) c.projected = random.between(1, 40);
  c.quantized = random.chance(0.2);
  c.threads = random.between(1, 3);
  p.given[W_HR] = c.projected > 0;
  p.given[B_IH] = p.given[B_HH] = random.chance(0.7);
  p.given[GAIN_IH] = p.given[GAIN_HH] = random.chance(0.3);
  p.given[GAIN_C] = p.given[BIAS_C] = cell == GRUKIT_LSTM && random.chance(0.4);
  p.given[KEEP_H] = random.chance(0.3);
  p.given[KEEP_C] = cell == GRUKIT_LSTM && random.chance(0.3);
  c.keep_is_rate[0] = c.keep_is_rate[1] = 1;
  p.name = "stream " + std::to_string(seed);
  fill(p, random);
  return p;
}

struct Close {
  void operator()(grukit_stream *stream) const { grukit_close(stream); }
};
using Stream = std::unique_ptr<grukit_stream, Close>;

// Opens a stream from weights that are gone afterwards.
Stream open(const Problem &problem) {
  const Run weights(problem);
  grukit_call call = weights.call;
  call.x = call.h0 = call.c0 = nullptr;
  call.output = call.h = call.c = nullptr;
  grukit_stream *stream = nullptr;
  const grukit_status status = grukit_open(&call, &stream);
  CHECK(status == GRUKIT_OK, "%s: %s", problem.name.c_str(), grukit_message());
  return Stream(stream);
}

grukit_status step(grukit_stream *stream, int64_t cell, const void *x, void *h, void *c, void *y) {
  if (cell == GRUKIT_LSTM) return grukit_lstm_step(stream, x, h, c, y);
  return (cell <= GRUKIT_GRU_BEFORE ? grukit_gru_step : grukit_rnn_step)(stream, x, h, y);
}

// Every step is a forward of one step, bit for bit; `with_y`: whether the output is asked for.
void run_stream(const Problem &problem, bool with_y) {
  const grukit_call &facts = problem.facts;
  const Stream stream = open(problem);
  if (!stream) return;
  const int64_t element = element_size(facts), row = facts.batch * facts.input;
  const Run whole(problem);
  Buffer h(facts.batch * state_size(facts), element, true);
  Buffer c(facts.cell == GRUKIT_LSTM ? facts.batch * facts.hidden : 0, element, false);
  Buffer y(facts.batch * output_size(facts), element, true);
  std::memcpy(h.data(), whole.inputs[H0].data(), h.bytes());
  if (facts.cell == GRUKIT_LSTM) std::memcpy(c.data(), whole.inputs[C0].data(), c.bytes());

  Problem one = problem;
  one.facts.time = 1;
  one.facts.x_stride[0] = row;
  for (int64_t t = 0; t < facts.time; ++t) {
    const auto first = problem.values[X].begin() + t * row;
    one.values[X] = {first, first + row};
    one.values[H0].clear();
    one.values[C0].clear();
    for (int64_t i = 0; i < h.count(); ++i) one.values[H0].push_back(h.get(i));
    for (int64_t i = 0; i < c.count(); ++i) one.values[C0].push_back(c.get(i));
    Run forward(one);
    CHECK(forward.forward() == GRUKIT_OK, "%s: %s", problem.name.c_str(), grukit_message());

    y.poison();
    const int64_t before = allocations;
    const grukit_status status = step(stream.get(), facts.cell, forward.inputs[X].data(), h.data(),
                                      c.data(), with_y ? y.data() : nullptr);
    CHECK(allocations == before, "a step of %s has allocated", problem.name.c_str());
    CHECK(status == GRUKIT_OK, "%s: %s", problem.name.c_str(), grukit_message());
    CHECK(h.holds(forward.h) && c.holds(forward.c()), "%s: states after step %d of %s",
          grukit_isa(), int(t), problem.name.c_str());
    CHECK(!with_y || y.holds(forward.output), "%s: output of step %d of %s", grukit_isa(), int(t),
          problem.name.c_str());
  }
}

void test_a_step_is_a_forward_of_one_step() {
  for (int seed = 0; seed < kProblems; ++seed) {
    const Problem problem = stream_problem(seed);
    for (const std::string &set : kSets) {
      grukit_set_isa(set.c_str());
      run_stream(problem, seed % 4);
    }
  }
}

// States of float32 are handed on exactly, so that steps are the sequence, bit for bit.
void test_steps_are_the_sequence() {
  for (int seed = 0; seed < kProblems; ++seed) {
    const Problem problem = stream_problem(5000 + seed);
    const grukit_call &facts = problem.facts;
    if (facts.dtype != GRUKIT_F32) continue;
    for (const std::string &set : kSets) {
      grukit_set_isa(set.c_str());
      Run whole(problem);
      CHECK(whole.forward() == GRUKIT_OK, "%s: %s", problem.name.c_str(), grukit_message());
      const Stream stream = open(problem);
      char *h = whole.inputs[H0].data(), *c = whole.inputs[C0].data();
      Buffer output(whole.output.count(), 4, false);
      for (int64_t t = 0; t < facts.time; ++t) {
        step(stream.get(), facts.cell, whole.inputs[X].data() + t * facts.batch * facts.input * 4,
             h, c, output.data() + t * facts.batch * output_size(facts) * 4);
      }
      CHECK(output.holds(whole.output) && whole.inputs[H0].holds(whole.h) &&
                (!c || whole.inputs[C0].holds(whole.c())),
            "%s: %s", set.c_str(), problem.name.c_str());
    }
  }
}

void test_streams_of_several_threads() {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([thread] {
      for (int seed = thread; seed < kProblems / 4; seed += 3) {
        const Problem problem = stream_problem(seed);
        const Stream stream = open(problem);
        Run whole(problem);
        char *h = whole.inputs[H0].data(), *c = whole.inputs[C0].data();
        for (int64_t t = 0; t < problem.facts.time; ++t) {
          const grukit_status status =
              step(stream.get(), problem.facts.cell, whole.inputs[X].data(), h, c, nullptr);
          CHECK(status == GRUKIT_OK, "%s", problem.name.c_str());
        }
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
}

// A stream keeps the instruction set that it was opened with.
void test_the_instruction_set_may_change() {
  const Problem problem = stream_problem(1);
  for (const std::string &set : kSets) {
    grukit_set_isa(set.c_str());
    const Stream stream = open(problem);
    for (const std::string &other : kSets) {
      grukit_set_isa(other.c_str());
      const Run run(problem);
      CHECK(step(stream.get(), problem.facts.cell, run.inputs[X].data(), run.inputs[H0].data(),
                 run.inputs[C0].data(), nullptr) == GRUKIT_OK);
    }
  }
}

// Or else no allocation would be seen.
void test_allocations_are_counted() {
  const int64_t before = allocations;
  const Stream stream = open(stream_problem(1));
  CHECK(!kCounts || allocations > before);
}

}  // namespace

// Steps that share threads do not start them.
void start_threads() {
  Problem problem = plain_problem(GRUKIT_GRU_AFTER, GRUKIT_F32, 1, 200, 6, 100, 100);
  problem.facts.threads = 3;
  Random random(0);
  fill(problem, random);
  CHECK(Run(problem).forward() == GRUKIT_OK);
}

int main() {
  CHECK(!kSets.empty());
  start_threads();
  test_allocations_are_counted();
  test_a_step_is_a_forward_of_one_step();
  test_steps_are_the_sequence();
  test_streams_of_several_threads();
  test_the_instruction_set_may_change();
  return failed_checks();
}
