// Threads: those of the process's OpenMP runtime where it has one, else a pool of our own.
#pragma once

#include <atomic>
#include <cstdint>

namespace grukit {

// Runs work(data, thread, threads) for thread = 0 .. threads - 1 at the same time and returns when
// all are done. The caller is thread 0; `threads` is `wanted` or fewer: one where another call has
// the threads already.
void run_parallel(int64_t wanted, void (*work)(void *data, int64_t thread, int64_t threads),
                  void *data);

template <class Work>
void run_parallel(int64_t wanted, Work &&work) {
  run_parallel(
      wanted,
      [](void *data, int64_t thread, int64_t threads) {
        (*static_cast<std::remove_reference_t<Work> *>(data))(thread, threads);
      },
      const_cast<void *>(static_cast<const void *>(&work)));
}

// Where all threads of a run meet. Spins for a short while, then lets others run.
class Barrier {
 public:
  explicit Barrier(int64_t threads) : threads_(threads) {}
  void wait();

 private:
  const int64_t threads_;
  alignas(64) std::atomic<int64_t> waiting_{0};
  alignas(64) std::atomic<int64_t> round_{0};
};

}  // namespace grukit
