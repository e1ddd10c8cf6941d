/* A stream of one GRU layer through the C interface alone: its time a step, and its last state.
 *
 *     stream_step LIBRARY IN OUT INPUT HIDDEN QUANTIZED THREADS WARM SECONDS
 *
 * IN holds w_ih, w_hh, b_ih, b_hh, x [INPUT] and h0 [HIDDEN], OUT the state after the first step,
 * all float32. Prints the microseconds of a step: the median over stretches of a hundred, after
 * WARM seconds, for SECONDS.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "grukit.h"

enum { STRETCH = 100, MOST = 100000 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  return 1;
}

int main(int count, char **arguments) {
  if (count != 10) return fail("stream_step takes nine arguments");
  void *library = dlopen(arguments[1], RTLD_NOW);
  if (!library) return fail(dlerror());
  grukit_status (*open)(const grukit_call *, grukit_stream **);
  grukit_status (*step)(grukit_stream *, const void *, void *, void *);
  void (*close)(grukit_stream *);
  const char *(*message)(void);
  *(void **)&open = dlsym(library, "grukit_open");
  *(void **)&step = dlsym(library, "grukit_gru_step");
  *(void **)&close = dlsym(library, "grukit_close");
  *(void **)&message = dlsym(library, "grukit_message");
  if (!open || !step || !close || !message) return fail("the library is not grukit's");

  const size_t input = strtoul(arguments[4], NULL, 10), hidden = strtoul(arguments[5], NULL, 10);
  const size_t sizes[] = {3 * hidden * input, 3 * hidden * hidden, 3 * hidden,
                          3 * hidden,         input,               hidden};
  float *parts[6];
  FILE *in = fopen(arguments[2], "rb");
  if (!in) return fail("IN cannot be read");
  for (int i = 0; i < 6; ++i) {
    parts[i] = malloc(sizes[i] * sizeof(float));
    if (!parts[i] || fread(parts[i], sizeof(float), sizes[i], in) != sizes[i]) {
      return fail("IN is too short");
    }
  }
  fclose(in);

  grukit_call call;
  memset(&call, 0, sizeof call);
  call.cell = GRUKIT_GRU_AFTER;
  call.quantized = strtol(arguments[6], NULL, 10);
  call.threads = strtol(arguments[7], NULL, 10);
  call.models = call.time = call.batch = 1;
  call.input = (int64_t)input;
  call.hidden = (int64_t)hidden;
  call.w_ih = parts[0];
  call.w_hh = parts[1];
  call.b_ih = parts[2];
  call.b_hh = parts[3];
  grukit_stream *stream = NULL;
  if (open(&call, &stream) != GRUKIT_OK) return fail(message());

  const float *x = parts[4];
  float *h = parts[5];
  if (step(stream, x, h, NULL) != GRUKIT_OK) return fail(message());
  FILE *out = fopen(arguments[3], "wb");
  if (!out || fwrite(h, sizeof(float), hidden, out) != hidden || fclose(out)) {
    return fail("OUT cannot be written");
  }

  const double warm = atof(arguments[8]), seconds = atof(arguments[9]);
  double start = now();
  while (now() - start < warm) step(stream, x, h, NULL);
  static double times[MOST];
  size_t measured = 0;
  start = now();
  while (measured < MOST && (measured < 1 || now() - start < seconds)) {
    const double before = now();
    for (int i = 0; i < STRETCH; ++i) step(stream, x, h, NULL);
    times[measured++] = (now() - before) / STRETCH;
  }
  qsort(times, measured, sizeof(double), by_size);
  printf("%.6g\n", 1e6 * times[measured / 2]);
  close(stream);
  return 0;
}
