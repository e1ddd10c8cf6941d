// The scan of one instruction set: this text is compiled once for each.
#include "scan/kernels.h"

#include <atomic>

#include "scan/scan.h"

namespace grukit::GRUKIT_ISA {

// Tiles of a call: so many sequences and units in each, the last ones fewer.
struct Tiling {
  int64_t rows, units;

  int64_t rows_count(const grukit_scan &call) const { return (call.batch + rows - 1) / rows; }
  int64_t units_count(const grukit_scan &call) const { return (call.hidden + units - 1) / units; }
  int64_t count(const grukit_scan &call) const {
    return call.models * rows_count(call) * units_count(call);
  }

  Tile tile(const grukit_scan &call, int64_t index) const {
    const int64_t across = units_count(call), down = rows_count(call);
    const int64_t unit = index % across * units, row = index / across % down * rows;
    return {index / across / down, row, minimum(rows, call.batch - row), unit,
            minimum(units, call.hidden - unit)};
  }
};

// As wide as fits what is carried, unless the threads would have none: results are the same.
static Tiling tiling_of(const grukit_scan &call, int64_t threads) {
  Tiling tiling{1, minimum(call.hidden, WIDTH)};
  tiling.rows = maximum(1, minimum(call.batch, WIDTH / tiling.units));
  if (tiling.count(call) < threads) {
    const int64_t parts = (threads + call.models - 1) / call.models;
    tiling.rows = maximum(1, minimum(tiling.rows, call.batch / parts));
  }
  if (tiling.count(call) < threads) {
    const int64_t sequences = call.models * call.batch;
    const int64_t parts = (threads + sequences - 1) / sequences;
    const int64_t vectors = (call.hidden + LANES - 1) / LANES;
    tiling.units = minimum(tiling.units, maximum(1, vectors / parts) * LANES);
  }
  return tiling;
}

// Nanoseconds on one thread.
static double cost_of(const grukit_scan &call) {
  const double steps = static_cast<double>(call.models) * call.time * call.batch;
  return steps * (10 + 10 * ((call.hidden + LANES - 1) / LANES));
}

template <class Pass, bool POSITIVE>
static grukit_status run(const grukit_scan &call) {
  const Steps steps(call);
  const double cost = cost_of(call);
  int64_t threads = maximum(1, minimum(call.threads, kMostThreads));
  if (threads > 1 && !is_worth_a_thread(cost)) threads = 1;
  const Tiling tiling = tiling_of(call, threads);
  const int64_t count = tiling.count(call);
  // The maps of the chunks cost nearly as much as their states.
  if (count == 1 && threads > 2 && steps.chunks() > 2) {
    const Tile tile = tiling.tile(call, 0);
    const Scratch room(4 * steps.chunks() * tile.units * sizeof(float));
    if (!room.get()) return GRUKIT_NO_MEMORY;
    run_chunks<Pass, POSITIVE>(steps, tile, threads, static_cast<float *>(room.get()));
    return GRUKIT_OK;
  }
  const Stopwatch watch;
  std::atomic<int64_t> next{0};
  run_parallel(minimum(threads, count), [&](int64_t, int64_t) {
    for (int64_t index; (index = next.fetch_add(1)) < count;)
      run_tile<Pass, POSITIVE>(steps, tiling.tile(call, index));
  });
  if (minimum(threads, count) > 1) tell_run_took(watch.nanoseconds(), 2 * cost);
  return GRUKIT_OK;
}

template <class Pass>
static grukit_status run(const grukit_scan &call) {
  if (call.models * call.batch * call.hidden == 0) return GRUKIT_OK;
  const grukit_status status = call.positive ? run<Pass, true>(call) : run<Pass, false>(call);
  tell_call_ended();
  return status;
}

grukit_status scan_forward(const grukit_scan &call) { return run<Forward>(call); }

grukit_status scan_backward(const grukit_scan &call) {
  if (call.dfresh_h)
    std::memset(call.dfresh_h, 0, call.models * call.batch * call.hidden * sizeof(float));
  return run<Backward>(call);
}

}  // namespace grukit::GRUKIT_ISA
