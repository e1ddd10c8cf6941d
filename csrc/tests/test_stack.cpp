// Stacks: what each layer gives on the output of the one below, on whatever threads.
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

constexpr int kStacks = kEmulated ? 4 : kSanitized ? 20 : 60;

const std::vector<std::string> kSets = instruction_sets();

struct Stack {
  std::vector<Problem> problems;
  std::vector<std::unique_ptr<Run>> runs;

  // Up to five layers of any cells; some with more sequences and steps than a wave takes at once.
  explicit Stack(uint64_t seed) {
    Random random(seed);
    const auto dtype = random.chance(0.3) ? GRUKIT_BF16 : GRUKIT_F32;
    const int64_t layers = random.between(1, 5), time = random.between(0, 300);
    const int64_t batch = random.chance(0.2) ? random.between(0, 40) : random.between(1, 3);
    int64_t input = random.between(0, 20);
    for (int64_t layer = 0; layer < layers; ++layer) {
      const auto cell = static_cast<grukit_cell>(random.between(GRUKIT_GRU_AFTER, GRUKIT_RNN_RELU));
      Problem p = plain_problem(cell, dtype, 1, time, batch, input, random.between(1, 70));
      if (cell != GRUKIT_GRU_BEFORE && random.chance(0.2)) p.facts.projected = random.between(1, 40);
      p.given[W_HR] = p.facts.projected > 0;
      p.given[B_IH] = p.given[B_HH] = random.chance(0.7);
      p.given[GAIN_IH] = p.given[GAIN_HH] = random.chance(0.2);
      p.has_lengths = random.chance(0.3);
      p.has_resets = random.chance(0.3);
      p.facts.quantized = random.chance(0.2);
      p.name = "layer " + std::to_string(layer) + " of stack " + std::to_string(seed);
      fill(p, random);
      input = output_size(p.facts);
      problems.push_back(std::move(p));
    }
    for (const Problem &problem : problems) {
      runs.push_back(std::make_unique<Run>(problem));
      runs.back()->results_of_forward();
      if (runs.size() > 1) runs.back()->call.x = runs[runs.size() - 2]->call.output;
    }
  }

  std::vector<grukit_call> calls(int64_t threads) const {
    std::vector<grukit_call> found;
    for (const auto &run : runs) {
      found.push_back(run->call);
      found.back().threads = threads;
    }
    return found;
  }
};

void test_a_stack_is_its_layers() {
  for (const std::string &set : kSets) {
    grukit_set_isa(set.c_str());
    for (int seed = 0; seed < kStacks; ++seed) {
      const Stack wanted(seed);
      for (grukit_call &call : wanted.calls(1)) CHECK(grukit_forward(&call, 1) == GRUKIT_OK);
      for (int64_t threads : {1, 2, 3}) {
        const Stack found(seed);
        const auto calls = found.calls(threads);
        CHECK(grukit_forward_stack(calls.data(), static_cast<int64_t>(calls.size())) == GRUKIT_OK,
              "%s", grukit_message());
        for (size_t i = 0; i < calls.size(); ++i) {
          CHECK(found.runs[i]->same_results(*wanted.runs[i]), "%s: %d threads, %s", set.c_str(),
                int(threads), found.problems[i].name.c_str());
        }
      }
    }
  }
}

void test_stacks_of_several_threads() {
  const Stack wanted(4);
  for (grukit_call &call : wanted.calls(1)) CHECK(grukit_forward(&call, 1) == GRUKIT_OK);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int again = 0; again < 10; ++again) {
        const Stack found(4);
        const auto calls = found.calls(3);
        CHECK(grukit_forward_stack(calls.data(), static_cast<int64_t>(calls.size())) == GRUKIT_OK);
        CHECK(found.runs.back()->same_results(*wanted.runs.back()));
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
}

}  // namespace

int main() {
  test_a_stack_is_its_layers();
  test_stacks_of_several_threads();
  return failed_checks();
}
