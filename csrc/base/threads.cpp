#include "base/threads.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace grukit {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

int64_t now() {
  return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
}

// How long a thread spins for the others of its run at least: a step of a small layer takes about
// as long. At most a part of a time slice.
constexpr microseconds kLeastSpin{20}, kMostSpin{1000};
// How long a worker spins for the next run. More would take cores away from what the process does
// between two calls; waking a worker that sleeps costs about 200 us.
constexpr microseconds kIdleSpin{50};

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // `yield` does nothing on most cores
#endif
}

// Whether `done` has come true before the time was up.
template <class Condition>
bool spin(microseconds time, const Condition &done) {
  constexpr int kBetweenLooksAtClock = 64;
  Clock::time_point end;
  for (int round = 0; round == 0 || Clock::now() < end; ++round) {
    for (int i = 0; i < kBetweenLooksAtClock; ++i) {
      if (done()) return true;
      pause();
    }
    if (round == 0) end = Clock::now() + time;
  }
  return false;
}

// Whether it had to let others run.
template <class Condition>
bool await(microseconds time, const Condition &done) {
  if (spin(time, done)) return false;
  while (!done()) sched_yield();
  return true;
}

// While it lives, numbers too small to be normal are 0 on this thread. A gradient that vanishes
// passes through them, and a CPU takes many times as long for each.
class FlushDenormals {
 public:
  FlushDenormals() : before_(control()) { set_control(before_ | kFlush); }
  ~FlushDenormals() { set_control(before_); }
  FlushDenormals(const FlushDenormals &) = delete;
  FlushDenormals &operator=(const FlushDenormals &) = delete;

 private:
#if defined(__x86_64__)
  using Control = unsigned;
  static constexpr Control kFlush = 0x8040;  // results, and what is read
  static Control control() { return _mm_getcsr(); }
  static void set_control(Control now) { _mm_setcsr(now); }
#elif defined(__aarch64__)
  using Control = uint64_t;
  static constexpr Control kFlush = Control{1} << 24;
  static Control control() {
    Control now;
    asm volatile("mrs %0, fpcr" : "=r"(now));
    return now;
  }
  static void set_control(Control now) { asm volatile("msr fpcr, %0" : : "r"(now)); }
#else
  using Control = int;
  static constexpr Control kFlush = 0;
  static Control control() { return 0; }
  static void set_control(Control) {}
#endif

  const Control before_;
};

struct Run {
  void (*work)(void *data, int64_t thread, int64_t threads);
  void *data;

  void part(int64_t thread, int64_t threads) const {
    const FlushDenormals flush;
    work(data, thread, threads);
  }
};

// The process's OpenMP runtime, if it has one with the entry points of GNU's; LLVM's and Intel's
// have them too. torch brings one along, and a second set of threads would fight it for the cores.
struct OpenMP {
  void (*parallel)(void (*region)(void *), void *data, unsigned threads, unsigned flags);
  int (*num_threads)();
  int (*thread_num)();

  OpenMP() {
    find("GOMP_parallel", parallel);
    find("omp_get_num_threads", num_threads);
    find("omp_get_thread_num", thread_num);
  }

  bool found() const {
    const void *home = library(parallel);
    return home && library(num_threads) == home && library(thread_num) == home;
  }

  void run(int64_t wanted, const Run &run) const {
    struct Region {
      const OpenMP *openmp;
      const Run *run;
    } region{this, &run};
    parallel(
        [](void *data) {
          const auto &[openmp, work] = *static_cast<const Region *>(data);
          work->part(openmp->thread_num(), openmp->num_threads());
        },
        &region, static_cast<unsigned>(wanted), 0);
  }

 private:
  template <class Function>
  static void find(const char *name, Function *&function) {
    function = reinterpret_cast<Function *>(dlsym(RTLD_DEFAULT, name));
  }

  template <class Function>
  static const void *library(Function *function) {
    Dl_info info;
    return function && dladdr(reinterpret_cast<void *>(function), &info) ? info.dli_fbase : nullptr;
  }
};

// A detached thread that never ends, and so is never destroyed: joining it as the process exits
// could wait for ever.
class Worker {
 public:
  static Worker *start() {
    auto *worker = new (std::nothrow) Worker;
    if (!worker) return nullptr;
    // Signals are for the threads that the application made.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    const int failed = pthread_create(&thread, &detached, live, worker);
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!failed) return worker;
    delete worker;
    return nullptr;
  }

  // `unfinished` is one less when the run is done, and neither is used after that.
  void take(const Run &run, int64_t thread, int64_t threads, std::atomic<int64_t> &unfinished) {
    run_ = &run;
    thread_ = thread;
    threads_ = threads;
    unfinished_ = &unfinished;
    {
      const std::lock_guard lock(mutex_);
      has_run_.store(true, std::memory_order_release);
    }
    wake_.notify_one();
  }

  Worker *next = nullptr;

 private:
  static void *live(void *worker) {
    for (;;) static_cast<Worker *>(worker)->work_once();
  }

  void work_once() {
    const auto has_run = [this] { return has_run_.load(std::memory_order_acquire); };
    if (!spin(kIdleSpin, has_run)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, has_run);
    }
    has_run_.store(false, std::memory_order_relaxed);
    run_->part(thread_, threads_);
    unfinished_->fetch_sub(1, std::memory_order_release);
  }

  const Run *run_ = nullptr;
  int64_t thread_ = 0, threads_ = 0;
  std::atomic<int64_t> *unfinished_ = nullptr;
  alignas(64) std::atomic<bool> has_run_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

// Our own threads; they are started when first wanted.
class Pool {
 public:
  void run(int64_t wanted, const Run &run) {
    int64_t threads = 1;
    for (Worker **place = &first_; threads < wanted; place = &(*place)->next, ++threads) {
      if (!*place) *place = Worker::start();
      if (!*place) break;
    }
    std::atomic<int64_t> unfinished{threads - 1};
    Worker *worker = first_;
    for (int64_t thread = 1; thread < threads; ++thread, worker = worker->next) {
      worker->take(run, thread, threads, unfinished);
    }
    run.part(0, threads);
    await(kLeastSpin, [&] { return unfinished.load(std::memory_order_acquire) == 0; });
  }

  void forget_workers() { first_ = nullptr; }

 private:
  Worker *first_ = nullptr;
};

// What a program may do between two calls. GNU's OpenMP spins for some milliseconds.
constexpr int64_t kClose = 100'000;

constinit std::atomic<int64_t> last_end{0};

// Held by the call that has the threads; it guards the rest.
constinit std::atomic<bool> busy{false};
constinit bool forked = false;
constinit Pool pool;

// A fork takes none of the threads along, and an OpenMP runtime would wait for its own for ever.
void begin_anew() {
  forked = true;
  pool.forget_workers();
  busy.store(false, std::memory_order_relaxed);
}

[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, begin_anew);

// Looked for at the first use, so that torch may be loaded after this library.
const OpenMP *openmp() {
  static const OpenMP runtime;
  static const OpenMP *const usable = runtime.found() ? &runtime : nullptr;
  return usable;
}

}  // namespace

void run_parallel(int64_t wanted, void (*work)(void *data, int64_t thread, int64_t threads),
                  void *data) {
  const Run run{work, data};
  if (wanted <= 1 || busy.exchange(true, std::memory_order_acquire)) {
    run.part(0, 1);
    return;
  }
  if (forked || !openmp()) {
    pool.run(wanted, run);
  } else {
    openmp()->run(wanted, run);
  }
  busy.store(false, std::memory_order_release);
}

Barrier::Barrier(double nanoseconds)
    : spin_(std::clamp(static_cast<int64_t>(nanoseconds / 1000), int64_t{kLeastSpin.count()},
                       int64_t{kMostSpin.count()})) {}

bool Barrier::wait(int64_t thread, int64_t threads) {
  if (threads <= 1) return false;
  auto &own = counts_[thread].meetings;
  const int64_t meeting = own.load(std::memory_order_relaxed) + 1;
  own.store(meeting, std::memory_order_release);
  return await(microseconds(spin_), [&] {
    for (int64_t other = 0; other < threads; ++other)
      if (counts_[other].meetings.load(std::memory_order_acquire) < meeting) return false;
    return true;
  });
}

void Progress::reach(int64_t point) { reached_.store(point, std::memory_order_release); }

void Progress::await(int64_t point) const {
  grukit::await(kMostSpin, [&] { return reached_.load(std::memory_order_acquire) >= point; });
}

namespace {

// A hiccup is over soon; where cores stay busy, every try costs a time slice, and the next comes
// after twice the time.
constexpr int64_t kLeastBusy = 10'000'000, kMostBusy = 320'000'000;

constinit std::atomic<int64_t> busy_until{0}, busy_for{0};

// Nanoseconds that runs have taken less than they should have: so many are kept at most, and so
// many may be owed, some wakings of a thread or a part of a time slice.
constexpr double kMostSaved = 2e6, kMostOwed = 5e5;

constinit std::atomic<double> saved{0};

}  // namespace

bool cores_are_busy() {
  const int64_t until = busy_until.load(std::memory_order_relaxed);
  return until != 0 && now() < until;
}

void tell_cores_are_busy() {
  const int64_t time = now(), last = busy_for.load(std::memory_order_relaxed);
  const bool again = time - busy_until.load(std::memory_order_relaxed) < last;
  const int64_t next = again ? std::min(2 * last, kMostBusy) : kLeastBusy;
  busy_for.store(next, std::memory_order_relaxed);
  busy_until.store(time + next, std::memory_order_relaxed);
}

void tell_run_took(double nanoseconds, double at_most) {
  const double balance = saved.load(std::memory_order_relaxed) + at_most - nanoseconds;
  const bool owes = balance < -kMostOwed;
  saved.store(owes ? 0 : std::min(balance, kMostSaved), std::memory_order_relaxed);
  if (owes) tell_cores_are_busy();
}

bool calls_are_close() { return now() - last_end.load(std::memory_order_relaxed) < kClose; }

namespace {

// The same while the threads are awake.
constexpr double WORTH_AN_AWAKE_THREAD = 6e3;
// Below so many, none at all while something else has a core: a time slice is about as long.
constexpr double WORTH_A_BUSY_CORE = 5e6;

}  // namespace

bool is_worth_a_thread(double nanoseconds) {
  if (nanoseconds < WORTH_AN_AWAKE_THREAD) return false;
  if (nanoseconds < WORTH_A_THREAD && !calls_are_close()) return false;
  return nanoseconds >= WORTH_A_BUSY_CORE || !cores_are_busy();
}

void tell_call_ended() { last_end.store(now(), std::memory_order_relaxed); }

Stopwatch::Stopwatch() : start_(now()) {}

double Stopwatch::nanoseconds() const { return static_cast<double>(now() - start_); }

}  // namespace grukit
