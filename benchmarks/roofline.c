/* What the cores can do at most: float32 multiply-adds, and reads of a buffer, on N threads at once.
 *
 *     roofline N SECONDS
 *
 * prints lines "flops THREADS RATE" and "read THREADS BYTES RATE": operations (a multiply-add is
 * two) and bytes a second of all threads together, the best of several windows of SECONDS each;
 * BYTES is the buffer of each thread, which it reads over and over.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
enum { WINDOWS = 5, MOST_THREADS = 64 };
static const size_t SMALLEST = (size_t)8 << 10, LARGEST = (size_t)64 << 20;

typedef float Vector __attribute__((vector_size(4 * LANES)));

/* The compiler must take the value for used, and not know what it is afterwards. */
#if defined(__x86_64__)
#define TOUCH(vector) __asm__ volatile("" : "+x"(vector))
#elif defined(__aarch64__)
#define TOUCH(vector) __asm__ volatile("" : "+w"(vector))
#else
#define TOUCH(vector) __asm__ volatile("" : "+m"(vector))
#endif

typedef struct {
  pthread_t thread;
  const Vector *buffer; /* NULL: multiply-adds */
  size_t bytes;
  double seconds;
  double rate;
} Task;

static atomic_int waiting;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* By name and not in an array, so that every compiler keeps them in registers. */
#define EIGHT(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define TWELVE(DO) EIGHT(DO) DO(8) DO(9) DO(10) DO(11)

/* Twelve chains, enough to hide the latency of a multiply-add; returns the operations done. */
static double multiply_adds(void) {
  enum { ROUNDS = 20000 };
  Vector factor = {0}, term = {0};
  TOUCH(factor);
  TOUCH(term);
#define START(i)      \
  Vector sum##i = term; \
  TOUCH(sum##i);
#define MULTIPLY_ADD(i) sum##i = sum##i * factor + term;
#define USE(i) TOUCH(sum##i);
  TWELVE(START)
  for (int round = 0; round < ROUNDS; ++round) {
    TWELVE(MULTIPLY_ADD)
  }
  TWELVE(USE)
  return 2.0 * LANES * 12 * ROUNDS;
}

/* Passes over a buffer, for about a megabyte; returns the bytes read. */
static double reads(const Vector *buffer, size_t bytes) {
  const size_t vectors = bytes / sizeof(Vector);
  const size_t passes = bytes < ((size_t)1 << 20) ? ((size_t)1 << 20) / bytes : 1;
#define ZERO(i) Vector sum##i = {0};
#define READ(i) sum##i += buffer[at + i];
  EIGHT(ZERO)
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t at = 0; at < vectors; at += 8) {
      EIGHT(READ)
    }
    EIGHT(USE)
  }
  return (double)passes * (double)bytes;
}

static void *work(void *argument) {
  Task *task = argument;
  double done = task->buffer ? reads(task->buffer, task->bytes) : multiply_adds();
  atomic_fetch_sub(&waiting, 1);
  while (atomic_load(&waiting) > 0) continue;
  const double start = now();
  done = 0;
  do {
    done += task->buffer ? reads(task->buffer, task->bytes) : multiply_adds();
  } while (now() - start < task->seconds);
  task->rate = done / (now() - start);
  return NULL;
}

static double best(Task *tasks, int threads) {
  double most = 0;
  for (int window = 0; window < WINDOWS; ++window) {
    atomic_store(&waiting, threads);
    for (int i = 0; i < threads; ++i) {
      if (pthread_create(&tasks[i].thread, NULL, work, &tasks[i])) exit(1);
    }
    double rate = 0;
    for (int i = 0; i < threads; ++i) {
      pthread_join(tasks[i].thread, NULL);
      rate += tasks[i].rate;
    }
    if (rate > most) most = rate;
  }
  return most;
}

int main(int count, char **arguments) {
  const int most = count == 3 ? atoi(arguments[1]) : 0;
  if (most < 1 || most > MOST_THREADS) {
    fprintf(stderr, "usage: roofline THREADS SECONDS, from 1 to %d threads\n", MOST_THREADS);
    return 2;
  }
  Task tasks[MOST_THREADS];
  Vector *buffers[MOST_THREADS];
  for (int i = 0; i < most; ++i) {
    if (posix_memalign((void **)&buffers[i], 4096, LARGEST)) return 1;
    for (size_t at = 0; at < LARGEST / sizeof(Vector); ++at) buffers[i][at] = (Vector){0};
    tasks[i].seconds = atof(arguments[2]);
  }
  for (int threads = 1; threads <= most; ++threads) {
    for (int i = 0; i < threads; ++i) tasks[i].buffer = NULL;
    printf("flops %d %.6g\n", threads, best(tasks, threads));
    for (size_t bytes = SMALLEST; bytes <= LARGEST; bytes *= 2) {
      for (int i = 0; i < threads; ++i) {
        tasks[i].buffer = buffers[i];
        tasks[i].bytes = bytes;
      }
      printf("read %d %zu %.6g\n", threads, bytes, best(tasks, threads));
    }
  }
  return 0;
}
