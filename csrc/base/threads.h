// Threads: those of the process's OpenMP runtime where it has one, else a pool of our own.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace grukit {

// Runs work(data, thread, threads) for thread = 0 .. threads - 1 at the same time and returns when
// all are done. The caller is thread 0; `threads` is `wanted` or fewer: one where another call has
// the threads already, so also within `work`. `work` must not throw. Denormal numbers are 0 in it.
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

// At most so many meet.
constexpr int64_t kMostThreads = 64;

// Where all threads of a run meet: each tells the others how often it has come, and waits for them.
// Spins for a short while, or as long as they may differ in what they do between two meetings, then
// lets others run; tells whether it came to that.
//
// The rest is not inline: a function that several instruction sets share must exist once, compiled
// for the oldest CPU.
class Barrier {
 public:
  explicit Barrier(double nanoseconds = 0);
  bool wait(int64_t thread, int64_t threads);

 private:
  struct alignas(64) Count {
    std::atomic<int64_t> meetings{0};
  };

  const int64_t spin_;
  Count counts_[kMostThreads];
};

// How far work has come that another thread follows.
class Progress {
 public:
  void reach(int64_t point);
  // Until `point` is reached; spins for a short while, then lets others run.
  void await(int64_t point) const;

 private:
  alignas(64) std::atomic<int64_t> reached_{0};
};

// Whether threads have lately had to wait for each other long, since something else has the cores.
// Then work that lets them meet often is better done by one.
bool cores_are_busy();
void tell_cores_are_busy();
// What a run took that should have taken at most so long. A few hiccups are paid for by the runs
// between them; more tell that cores are busy.
void tell_run_took(double nanoseconds, double at_most);

// Whether calls follow each other closely. Then threads that have worked spin until the next, and
// are worth having for far less work.
bool calls_are_close();
void tell_call_ended();

// Below so many nanoseconds of work a second thread costs more than it brings.
constexpr double WORTH_A_THREAD = 60e3;
// Whether so many nanoseconds of work are worth a second thread now.
bool is_worth_a_thread(double nanoseconds);

class Stopwatch {
 public:
  Stopwatch();
  double nanoseconds() const;

 private:
  int64_t start_;
};

}  // namespace grukit
