/* Runs a layer that was trained in Python, without Python: reads its weights from a safetensors
 * file and streams. Every line of the input is a step, its I numbers separated by blanks; every
 * line of the output is what the layer gives for it.
 *
 *   cc -std=c11 -O2 -I INCLUDE examples/stream.c LIBRARY -Wl,-rpath,FOLDER -o stream
 *   ./stream gru layer.safetensors < steps.txt
 *
 * docs/how-to/from-c.md says where INCLUDE and LIBRARY are, and how to write the file. One layer in
 * one direction without other options: weight_ih_l0, weight_hh_l0, bias_ih_l0 and bias_hh_l0.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grukit.h"

static _Noreturn void fail(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("stream: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  va_end(values);
  exit(1);
}

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (!memory) fail("there is no memory for %zu elements of %zu bytes", count, size);
  return memory;
}

/* ---- The file: eight bytes with the length of a JSON object, the object, then the numbers. What
 * is in it is not trusted. The object says for every tensor {"dtype": "F32", "shape": [3, 2],
 * "data_offsets": [0, 24]}, the offsets from the first number on. */

enum { WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH, TENSORS };
static const char *const NAMES[TENSORS] = {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0",
                                           "bias_hh_l0"};

typedef struct {
  float *values; /* NULL if the file does not have it */
  int dims;
  uint64_t shape[2];
} Tensor;

typedef struct {
  const char *begin, *at, *end;
} Text;

typedef struct {
  const char *at;
  size_t length;
} Word;

static char next(Text *text) {
  while (text->at < text->end && strchr(" \t\r\n", *text->at) && *text->at) ++text->at;
  return text->at < text->end ? *text->at : '\0';
}

static bool accept(Text *text, char wanted) {
  if (next(text) != wanted || text->at == text->end) return false;
  ++text->at;
  return true;
}

static void expect(Text *text, char wanted) {
  if (!accept(text, wanted))
    fail("the header must have '%c' at its byte %td", wanted, text->at - text->begin);
}

static Word word(Text *text) {
  expect(text, '"');
  Word found = {text->at, 0};
  while (text->at < text->end && *text->at != '"') {
    if (*text->at == '\\' || (unsigned char)*text->at < ' ')
      fail("the header must not have escapes in its strings");
    ++text->at;
  }
  found.length = (size_t)(text->at - found.at);
  expect(text, '"');
  return found;
}

static bool is(Word found, const char *wanted) {
  return found.length == strlen(wanted) && !memcmp(found.at, wanted, found.length);
}

static uint64_t number(Text *text) {
  char digit = next(text);
  if (digit < '0' || digit > '9')
    fail("the header must have a whole number at its byte %td", text->at - text->begin);
  uint64_t found = 0;
  for (; text->at < text->end && (digit = *text->at) >= '0' && digit <= '9'; ++text->at) {
    if (found > (UINT64_MAX >> 4) / 10) fail("a number of the header is too large");
    found = found * 10 + (uint64_t)(digit - '0');
  }
  return found;
}

/* [a, b, ...] with at most `most` numbers; how many there are. */
static int numbers(Text *text, uint64_t *found, int most, const char *what) {
  int count = 0;
  expect(text, '[');
  if (accept(text, ']')) return 0;
  do {
    if (count == most) fail("%s must have at most %d numbers", what, most);
    found[count++] = number(text);
  } while (accept(text, ','));
  expect(text, ']');
  return count;
}

static void skip_metadata(Text *text) {
  expect(text, '{');
  if (accept(text, '}')) return;
  do {
    word(text);
    expect(text, ':');
    word(text);
  } while (accept(text, ','));
  expect(text, '}');
}

static void read_tensor(Text *text, const char *name, const char *data, uint64_t bytes,
                        Tensor *tensor) {
  Word dtype = {"", 0};
  uint64_t offsets[2] = {0, 0};
  int dims = -1, ends = 0;
  expect(text, '{');
  do {
    const Word key = word(text);
    expect(text, ':');
    if (is(key, "dtype")) dtype = word(text);
    else if (is(key, "shape")) dims = numbers(text, tensor->shape, 2, "a shape");
    else if (is(key, "data_offsets")) ends = numbers(text, offsets, 2, "data_offsets");
    else fail("%s must not have a key %.*s", name, (int)key.length, key.at);
  } while (accept(text, ','));
  expect(text, '}');
  if (!is(dtype, "F32")) fail("%s must be of dtype F32", name);
  if (dims < 1 || ends != 2) fail("%s must have a shape of 1 or 2 sizes and two offsets", name);
  uint64_t count = 1;
  for (int i = 0; i < dims; ++i) {
    const uint64_t size = tensor->shape[i];
    if (size > UINT32_MAX || (size && count > UINT32_MAX / size)) fail("%s is too large", name);
    count *= size;
  }
  if (offsets[0] > offsets[1] || offsets[1] > bytes || offsets[1] - offsets[0] != count * 4)
    fail("%s must lie in the file and have as many numbers as its shape says", name);
  tensor->dims = dims;
  tensor->values = allocate(count, sizeof(float));
  memcpy(tensor->values, data + offsets[0], count * sizeof(float));
}

/* The whole file; its size in `size`. */
static char *read_file(const char *path, uint64_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) fail("cannot open %s: %s", path, strerror(errno));
  size_t room = 1 << 16, used = 0, got;
  char *bytes = allocate(room, 1);
  while ((got = fread(bytes + used, 1, room - used, file)) > 0) {
    used += got;
    if (used < room) continue;
    if (room > SIZE_MAX / 2) fail("%s is too large", path);
    char *more = realloc(bytes, room *= 2);
    if (!more) fail("there is no memory for %s", path);
    bytes = more;
  }
  if (ferror(file)) fail("cannot read %s: %s", path, strerror(errno));
  fclose(file);
  *size = used;
  return bytes;
}

static void read_layer(const char *path, Tensor tensors[TENSORS]) {
  const uint32_t one = 1;
  if (!*(const char *)&one) fail("this machine must keep the lowest byte of a number first");
  uint64_t size, length = 0;
  char *bytes = read_file(path, &size);
  if (size >= 8) memcpy(&length, bytes, 8);
  if (size < 8 || length > size - 8) fail("%s must be a safetensors file, and whole", path);
  Text text = {bytes + 8, bytes + 8, bytes + 8 + length};
  expect(&text, '{');
  if (!accept(&text, '}')) {
    do {
      const Word name = word(&text);
      int index = 0;
      expect(&text, ':');
      if (is(name, "__metadata__")) {
        skip_metadata(&text);
        continue;
      }
      while (index < TENSORS && !is(name, NAMES[index])) ++index;
      if (index == TENSORS)
        fail("a plain layer must not have %.*s", (int)name.length, name.at);
      if (tensors[index].values) fail("%s must be there once", NAMES[index]);
      read_tensor(&text, NAMES[index], text.end, size - 8 - length, &tensors[index]);
    } while (accept(&text, ','));
    expect(&text, '}');
  }
  next(&text);
  if (text.at != text.end) fail("nothing must stand behind the object of the header");
  free(bytes);
}

/* ---- The layer */

static const struct {
  const char *name;
  grukit_cell cell;
  uint64_t gates;
} CELLS[] = {
    {"gru", GRUKIT_GRU_AFTER, 3},   {"gru-before", GRUKIT_GRU_BEFORE, 3},
    {"lstm", GRUKIT_LSTM, 4},       {"rnn", GRUKIT_RNN_TANH, 1},
    {"rnn-relu", GRUKIT_RNN_RELU, 1},
};

static grukit_call layer_of(const char *cell, const Tensor tensors[TENSORS]) {
  size_t kind = 0, kinds = sizeof CELLS / sizeof *CELLS;
  while (kind < kinds && strcmp(cell, CELLS[kind].name)) ++kind;
  if (kind == kinds) fail("the cell must be gru, gru-before, lstm, rnn or rnn-relu, got %s", cell);
  const Tensor *w_ih = &tensors[WEIGHT_IH], *w_hh = &tensors[WEIGHT_HH];
  if (!w_ih->values || !w_hh->values) fail("the file must have %s and %s", NAMES[0], NAMES[1]);
  if (w_ih->dims != 2 || w_hh->dims != 2) fail("the weights must have two dimensions");
  const uint64_t hidden = w_hh->shape[1], rows = CELLS[kind].gates * hidden;
  if (!hidden || w_hh->shape[0] != rows || w_ih->shape[0] != rows)
    fail("the weights of a %s must have %d rows for each of the %llu units", cell,
         (int)CELLS[kind].gates, (unsigned long long)hidden);
  for (int bias = BIAS_IH; bias <= BIAS_HH; ++bias)
    if (tensors[bias].values && (tensors[bias].dims != 1 || tensors[bias].shape[0] != rows))
      fail("%s must have as many elements as the weights have rows", NAMES[bias]);

  grukit_call call = {0};
  call.cell = CELLS[kind].cell;
  call.dtype = GRUKIT_F32;
  call.models = 1;
  call.batch = 1;
  call.input = (int64_t)w_ih->shape[1];
  call.hidden = (int64_t)hidden;
  call.w_ih = w_ih->values;
  call.w_hh = w_hh->values;
  call.b_ih = tensors[BIAS_IH].values;
  call.b_hh = tensors[BIAS_HH].values;
  return call;
}

/* The numbers of a line, exactly `count`. */
static void read_step(const char *line, long long which, float *values, int64_t count) {
  for (int64_t i = 0;; ++i) {
    char *end;
    const float value = strtof(line, &end);
    if (end == line) {
      line += strspn(line, " \t\r\n");
      const size_t word = strcspn(line, " \t\r\n");
      if (word)
        fail("step %lld must be numbers, got %.*s", which, word < 20 ? (int)word : 20, line);
      if (i < count)
        fail("step %lld must have %lld numbers, got %lld", which, (long long)count, (long long)i);
      return;
    }
    if (i == count) fail("step %lld must have %lld numbers, got more", which, (long long)count);
    values[i] = value;
    line = end;
  }
}

int main(int count, char **arguments) {
  if (count != 3) fail("usage: stream CELL FILE, with CELL gru, gru-before, lstm, rnn or rnn-relu");
  if (grukit_abi() != GRUKIT_ABI)
    fail("the library must be of interface %d, got %lld", GRUKIT_ABI, (long long)grukit_abi());
  Tensor tensors[TENSORS] = {{0}};
  read_layer(arguments[2], tensors);
  const grukit_call call = layer_of(arguments[1], tensors);

  grukit_stream *stream;
  if (grukit_open(&call, &stream)) fail("%s", grukit_message());
  for (int i = 0; i < TENSORS; ++i) free(tensors[i].values); /* the stream has its own */

  const size_t hidden = (size_t)call.hidden;
  float *x = allocate((size_t)call.input, sizeof(float));
  float *h = allocate(hidden, sizeof(float)), *c = allocate(hidden, sizeof(float));
  char *line = NULL;
  size_t room = 0;
  for (long long which = 1; getline(&line, &room, stdin) >= 0; ++which) {
    read_step(line, which, x, call.input);
    const grukit_status status = call.cell == GRUKIT_LSTM ? grukit_lstm_step(stream, x, h, c, NULL)
                                 : call.cell <= GRUKIT_GRU_BEFORE
                                     ? grukit_gru_step(stream, x, h, NULL)
                                     : grukit_rnn_step(stream, x, h, NULL);
    if (status) fail("%s", grukit_message());
    /* Without a projection the output is h. */
    for (size_t i = 0; i < hidden; ++i) printf("%s%.9g", i ? " " : "", h[i]);
    putchar('\n');
    if (fflush(stdout)) fail("cannot write: %s", strerror(errno));
  }
  if (ferror(stdin)) fail("cannot read the steps: %s", strerror(errno));
  free(line);
  free(x);
  free(h);
  free(c);
  grukit_close(stream);
  return 0;
}
