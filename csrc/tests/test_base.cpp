// Threads and scratch memory: alone, at once, after a fork and at the exit, with our own threads
// and with OpenMP's.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <thread>
#include <vector>

#include "base/scratch.h"
#include "base/threads.h"
#include "check.h"

using namespace grukit;

#if defined(__has_feature)
#define GRUKIT_HAS_FEATURE(name) __has_feature(name)
#else
#define GRUKIT_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || GRUKIT_HAS_FEATURE(address_sanitizer)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif
#if defined(__SANITIZE_THREAD__) || GRUKIT_HAS_FEATURE(thread_sanitizer)
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif
#if defined(GRUKIT_EMULATED)
constexpr bool kEmulated = true;  // qemu cannot fork where there are threads, nor exec
#else
constexpr bool kEmulated = false;
#endif
// The lock of a sanitizer's allocator may be held as the process forks, and stays so in the child.
// test_base_plain is for forks.
constexpr bool kForks = !kEmulated && !kAddressSanitizer && !kThreadSanitizer;

// Memory that is not to be had would end the program.
extern "C" const char *__tsan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char *__asan_default_options() { return "allocator_may_return_null=1"; }

namespace {

// ---- threads

// The threads of one run, each of which must come once.
int64_t run_once(int64_t wanted) {
  std::vector<int> times(wanted, 0);
  std::vector<int64_t> of(wanted, 0);
  run_parallel(wanted, [&](int64_t thread, int64_t threads) {
    ++times[thread];
    of[thread] = threads;
  });
  const int64_t threads = of[0];
  CHECK(1 <= threads && threads <= wanted, "%ld of %ld", long(threads), long(wanted));
  for (int64_t thread = 0; thread < wanted; ++thread) {
    CHECK(times[thread] == (thread < threads), "thread %ld of %ld", long(thread), long(threads));
    CHECK(of[thread] == (thread < threads ? threads : 0));
  }
  return threads;
}

void test_each_thread_runs_once() {
  for (int64_t wanted : {1, 2, 3, 8, 5, 2, 1}) {
    for (int i = 0; i < 50; ++i) CHECK(run_once(wanted) == wanted);
  }
  const std::thread::id self = std::this_thread::get_id();
  run_parallel(3, [&](int64_t thread, int64_t) {
    CHECK((std::this_thread::get_id() == self) == (thread == 0), "thread %ld", long(thread));
  });
  CHECK(run_once(3) == 3);
}

void test_few_threads_run_directly() {
  for (int64_t wanted : {-1, 0, 1}) {
    int runs = 0;
    run_parallel(wanted,
                 [&](int64_t thread, int64_t threads) { runs += thread == 0 && threads == 1; });
    CHECK(runs == 1);
  }
}

void test_denormals_are_zero_within() {
  const volatile float least = std::numeric_limits<float>::min(), denormal = least / 2;
  for (int64_t wanted : {1, 4}) {
    run_parallel(wanted, [&](int64_t thread, int64_t) {
      CHECK(least * 0.5f == 0, "result on thread %ld", long(thread));
      CHECK(denormal * 4.0f == 0, "operand on thread %ld", long(thread));
    });
    CHECK(least * 0.5f == denormal && denormal > 0);
  }
}

void test_sleeping_threads_wake() {
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(run_once(4) == 4);
  }
}

void test_a_run_within_a_run_has_one_thread() {
  std::atomic<int> runs{0};
  run_parallel(2, [&](int64_t, int64_t) {
    run_parallel(2, [&](int64_t thread, int64_t threads) {
      CHECK(thread == 0 && threads == 1);
      ++runs;
    });
  });
  CHECK(runs == 2);
}

void test_barrier() {
  constexpr int kRounds = 1000;
  for (int64_t wanted = 1; wanted <= 8; ++wanted) {
    Barrier barrier;
    std::vector<int> round_of(wanted, -1);
    std::atomic<int> late{0};
    run_parallel(wanted, [&](int64_t thread, int64_t threads) {
      CHECK(threads == wanted);
      for (int round = 0; round < kRounds; ++round) {
        round_of[thread] = round;
        barrier.wait(thread, threads);
        for (int other : round_of) late += other != round;
        barrier.wait(thread, threads);
      }
    });
    CHECK(late == 0, "%d with %ld threads", late.load(), long(wanted));
  }
}

void test_callers_at_once() {
  std::atomic<int> teams{0}, most_teams{0}, wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        Barrier barrier;
        int64_t parts[4] = {0, 0, 0, 0};
        run_parallel(4, [&](int64_t thread, int64_t threads) {
          if (thread == 0 && threads > 1) {
            const int now = ++teams;
            if (now > most_teams) most_teams = now;
          }
          for (int64_t part = thread; part < 4; part += threads) parts[part] = part + i;
          barrier.wait(thread, threads);
          if (thread == 0 && threads > 1) --teams;
        });
        wrong += parts[0] + parts[1] + parts[2] + parts[3] != 6 + 4 * i;
      }
    });
  }
  for (std::thread &caller : callers) caller.join();
  CHECK(wrong == 0);
  CHECK(most_teams == 1, "%d teams at once", most_teams.load());
}

// ---- scratch memory

#if defined(GRUKIT_POISON)
constexpr bool kPoisons = true;
#else
constexpr bool kPoisons = kAddressSanitizer;
#endif

bool is_aligned(const Scratch &scratch) {
  return scratch.get() && reinterpret_cast<uintptr_t>(scratch.get()) % 64 == 0;
}

void test_scratch() {
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{4096}, size_t{5} << 20}) {
    const Scratch scratch(bytes);
    CHECK(is_aligned(scratch), "%zu bytes", bytes);
    std::memset(scratch.get(), 1, bytes);
    if (kPoisons) {
      const Scratch poisoned(bytes + 1);
      CHECK(static_cast<unsigned char *>(poisoned.get())[bytes] == 0xff);
    }
  }
  const Scratch impossible(SIZE_MAX / 2);
  CHECK(!impossible.get());
}

// The address of a block of so many bytes, which is free again.
void *place_of(size_t bytes) {
  const Scratch scratch(bytes);
  return scratch.get();
}

void test_scratch_is_used_again() {
  if (kAddressSanitizer) return;  // each block is new
  constexpr size_t kBytes = 40 << 20;
  void *small, *large;
  {
    const Scratch one(kBytes), other(kBytes + kBytes / 2);
    small = one.get();
    large = other.get();
    CHECK(small != large);
  }
  CHECK(place_of(kBytes) == small, "the smallest block that is large enough");
  CHECK(place_of(kBytes + 1) == large);
  CHECK(place_of(kBytes - 1) == small);
  {
    const Scratch one(kBytes), other(kBytes);
    CHECK(one.get() == small && other.get() == large);
  }
  const size_t far_smaller = kBytes / 4;
  CHECK(place_of(far_smaller) != small && place_of(far_smaller) != large);
}

// More blocks than are kept, and from several threads, each of which must have its own.
void test_scratch_of_many() {
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 100; ++i) {
        const size_t bytes = 1000 + 500 * (i % 5);
        const Scratch one(bytes), other(bytes), larger(bytes + 4096);
        for (const Scratch *scratch : {&one, &other, &larger}) {
          wrong += !is_aligned(*scratch);
          std::memset(scratch->get(), thread, bytes);
        }
        for (const Scratch *scratch : {&one, &other, &larger}) {
          const auto *values = static_cast<const unsigned char *>(scratch->get());
          for (size_t k = 0; k < bytes; ++k) wrong += values[k] != thread;
        }
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
  CHECK(wrong == 0);
}

// ---- processes

int exit_code(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

template <class Body>
int in_a_fork(const Body &body) {
  if (!kForks) return 0;
  const pid_t child = fork();
  if (child == 0) {
    const long before = grukit_test::failures;
    body();
    _exit(grukit_test::failures != before);
  }
  return exit_code(child);
}

void test_fork_after_use() {
  CHECK(run_once(4) == 4);
  place_of(1 << 16);
  const int code = in_a_fork([] {
    CHECK(run_once(4) == 4);
    CHECK(is_aligned(Scratch(1 << 16)));
    CHECK(in_a_fork([] { CHECK(run_once(3) == 3); }) == 0);
    CHECK(run_once(2) == 2);
  });
  CHECK(code == 0, "%d", code);
  CHECK(run_once(4) == 4);
}

// While other threads hold whatever there is to hold.
void test_fork_during_use() {
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 2; ++caller) {
    callers.emplace_back([&] {
      while (!stop) {
        run_once(2);
        place_of(1 << 16);
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    CHECK(in_a_fork([] {
            CHECK(run_once(2) == 2);
            CHECK(is_aligned(Scratch(1 << 16)));
          }) == 0);
  }
  stop = true;
  for (std::thread &caller : callers) caller.join();
}

// The exit code of this program in another mode, as a process of its own.
int run_self(const char *program, const char *mode) {
  if (kEmulated) return 0;
  const pid_t child = fork();
  if (child == 0) {
    execl(program, program, mode, static_cast<char *>(nullptr));
    _exit(127);
  }
  return exit_code(child);
}

void test_exit(const char *program) {
  CHECK(run_self(program, "exit") == 0, "while threads look for work");
  CHECK(run_self(program, "exit-later") == 0, "while threads sleep");
}

// OpenMP's threads, if there is such a library; false if not.
bool load_openmp() {
  return dlopen("libgomp.so.1", RTLD_NOW | RTLD_GLOBAL) ||
         dlopen("libomp.so.5", RTLD_NOW | RTLD_GLOBAL);
}

bool in_openmp() {
  const auto in_parallel = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_in_parallel"));
  return in_parallel && in_parallel();
}

void test_whose_threads(bool openmp) {
  run_parallel(2, [&](int64_t, int64_t) { CHECK(in_openmp() == openmp); });
  CHECK(in_a_fork([] { run_parallel(2, [](int64_t, int64_t) { CHECK(!in_openmp()); }); }) == 0);
}

void test_all(bool openmp) {
  test_few_threads_run_directly();
  test_each_thread_runs_once();
  test_denormals_are_zero_within();
  test_sleeping_threads_wake();
  test_a_run_within_a_run_has_one_thread();
  test_barrier();
  test_callers_at_once();
  test_whose_threads(openmp);
  test_scratch();
  test_scratch_is_used_again();
  test_scratch_of_many();
  test_fork_after_use();
  test_fork_during_use();
}

}  // namespace

int main(int count, char **arguments) {
  const std::string_view mode = count > 1 ? arguments[1] : "";
  if (mode == "exit" || mode == "exit-later") {
    run_once(4);
    if (mode == "exit-later") std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return grukit_test::failed_checks();
  }
  if (mode == "openmp") {
    if (!load_openmp()) {
      std::fprintf(stderr, "skipped: there is no OpenMP library\n");
      return 0;
    }
    test_all(true);
  } else {
    test_all(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    test_exit(arguments[0]);
    // ThreadSanitizer does not see how OpenMP's threads wait for each other.
    if (!kThreadSanitizer) {
      CHECK(run_self(arguments[0], "openmp") == 0, "with OpenMP's threads");
    }
  }
  return grukit_test::failed_checks();
}
