// Threads and plan of a call, chosen once, from what it costs. The constants were measured; see
// docs/explanation/native-core.md.
#pragma once

#include "rnn/common.h"

namespace grukit::GRUKIT_ISA {

// A step worth dividing, with two meetings of the threads in it.
constexpr double WORTH_MEETING = 1500;

struct Costs {
  double products, step, total;  // nanoseconds: over all steps at once, of one step, of all
};

template <class Cell>
static Costs costs(const grukit_call &call, bool backward) {
  const Sizes<Cell> s(call);
  const double rows = static_cast<double>(s.time * s.batch), width = s.all.width();
  // Multiplications and bytes in a nanosecond, and bytes of a weight.
  const double multiply = LANES * 6, read = 80;
  const double size = call.quantized ? 1 : call.dtype == GRUKIT_BF16 && has_pairs() ? 2 : 4;
  const double recurrent = width * s.output, inputs = width * s.input;
  Costs found;
  found.products = rows * (backward ? 2 * inputs + recurrent : inputs) / multiply;
  const double arithmetic = s.batch * recurrent / multiply * size / 4;
  const double bytes = recurrent * size / read;
  found.step = (arithmetic > bytes ? arithmetic : bytes) + s.batch * width * 1.5 / LANES + 80;
  found.total = found.products + found.step * s.time;
  return found;
}

struct Choice {
  int64_t threads;
  Plan plan;
  double cost;  // nanoseconds on one thread

  // After a run that took so many.
  void learn(double taken) const {
    if (threads > 1) tell_run_took(taken, 2 * cost);
  }
};

// Those that may run a call.
static int64_t threads_of(const grukit_call &call) {
  return most(least(call.threads, kMostThreads), 1);
}

// Whether the threads can each take some units.
template <class Cell>
static bool can_divide_units(const grukit_call &call, int64_t threads) {
  return Cell::PRODUCTS == 1 && !call.gain_ih && !call.projected && !call.drop_h &&
         !call.gain_c && call.hidden >= PANEL * threads;
}

template <class Cell>
static Choice choose(const grukit_call &call, bool backward) {
  const Costs cost = costs<Cell>(call, backward);
  const int64_t threads = threads_of(call);
  const Choice alone{1, Plan::rows, cost.total};
  if (threads == 1 || !is_worth_a_thread(cost.total)) return alone;
  const bool few_rows = call.batch < 2 * ROWS * threads;
  if (few_rows && cost.step > WORTH_MEETING && can_divide_units<Cell>(call, threads))
    return {threads, Plan::units, cost.total};
  if (call.batch >= threads) return {threads, Plan::rows, cost.total};
  if (!is_worth_a_thread(cost.products)) return alone;
  return {threads, backward ? Plan::rows : Plan::ahead, cost.total};
}

}  // namespace grukit::GRUKIT_ISA
