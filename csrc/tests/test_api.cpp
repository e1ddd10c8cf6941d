// The C interface over kernels that only note that they were called: what is refused, with which
// words, and which kernels run what is not.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include "base/features.h"
#include "base/kernels.h"
#include "check.h"
#include "grukit.h"

using namespace grukit;

namespace {

int times_run = 0;
const char *last_set = "";

template <const char *Set>
grukit_status note() {
  ++times_run;
  last_set = Set;
  return GRUKIT_OK;
}

template <const char *Set>
constexpr Kernels noting() {
  return {
      .name = Set,
      .threads = [](const grukit_call *, int64_t, bool) { return int64_t{note<Set>() + 2}; },
      .packed_bytes = [](const grukit_call &) { return size_t{64}; },
      .pack = [](const grukit_call &, void *) { return note<Set>(); },
      .forward = [](const grukit_call *, int64_t) { return note<Set>(); },
      .forward_stack = [](const grukit_call *, int64_t) { return note<Set>(); },
      .backward = [](const grukit_call *, int64_t) { return note<Set>(); },
      .open =
          [](const grukit_call &, grukit_stream **stream) {
            *stream = new grukit_stream;
            return note<Set>();
          },
      .close = [](grukit_stream *stream) { delete stream; },
      .step = [](grukit_stream *, const void *, void *, void *, void *) { return note<Set>(); },
  };
}

constexpr char kScalar[] = "scalar", kAvx2[] = "avx2", kAvx512[] = "avx512", kNeon[] = "neon";

}  // namespace

const Kernels grukit::scalar::kernels = noting<kScalar>();
const Kernels grukit::avx2::kernels = noting<kAvx2>();
const Kernels grukit::avx512::kernels = noting<kAvx512>();
const Kernels grukit::neon::kernels = noting<kNeon>();

namespace {

// Nobody reads or writes it.
float buffer[1];

grukit_call valid_call(grukit_cell cell) {
  grukit_call call{};
  call.cell = cell;
  call.models = 1;
  call.time = 5;
  call.batch = 3;
  call.input = 2;
  call.hidden = 4;
  call.x = call.h0 = call.w_ih = call.w_hh = buffer;
  call.output = call.h = buffer;
  if (cell == GRUKIT_LSTM) {
    call.c0 = buffer;
    call.c = buffer;
  }
  return call;
}

grukit_call valid_backward(grukit_cell cell) {
  grukit_call call = valid_call(cell);
  call.save = GRUKIT_SAVE_ALL;
  call.reserve = buffer;
  call.d_output = call.d_h = buffer;
  if (cell == GRUKIT_LSTM) call.d_c = buffer;
  call.dx = call.dh0 = call.dw_ih = call.dw_hh = buffer;
  return call;
}

grukit_call valid_stream(grukit_cell cell) {
  grukit_call call{};
  call.cell = cell;
  call.models = call.batch = call.input = call.hidden = 1;
  call.w_ih = call.w_hh = buffer;
  return call;
}

constexpr grukit_cell kCells[] = {GRUKIT_GRU_AFTER, GRUKIT_GRU_BEFORE, GRUKIT_LSTM, GRUKIT_RNN_TANH,
                                  GRUKIT_RNN_RELU};

grukit_status open_and_close(const grukit_call *call, int64_t) {
  grukit_stream *stream;
  const grukit_status status = grukit_open(call, &stream);
  CHECK((status == GRUKIT_OK) == (stream != nullptr));
  grukit_close(stream);
  return status;
}

grukit_status pack(const grukit_call *call, int64_t) { return grukit_pack(call, buffer); }

struct Entry {
  const char *name;
  grukit_status (*run)(const grukit_call *, int64_t);
  grukit_call (*valid)(grukit_cell);
};

constexpr Entry kForward{"forward", grukit_forward, valid_call},
    kBackward{"backward", grukit_backward, valid_backward}, kPack{"pack", pack, valid_call},
    kOpen{"open", open_and_close, valid_stream};

using Change = void (*)(grukit_call &);

// A valid call with one change, which must be accepted and reach the kernels.
void accepts(const Entry &entry, grukit_cell cell, Change change) {
  grukit_call call = entry.valid(cell);
  change(call);
  const int before = times_run;
  const grukit_status status = entry.run(&call, 1);
  CHECK(status == GRUKIT_OK, "%s of cell %d: %s", entry.name, cell, grukit_message());
  CHECK(times_run == before + 1, "%s of cell %d", entry.name, cell);
}

// A valid call with one change, which must be refused in these words and reach no kernels.
void refuses(const Entry &entry, grukit_cell cell, std::string_view message, Change change) {
  grukit_call call = entry.valid(cell);
  change(call);
  const int before = times_run;
  CHECK(entry.run(&call, 1) == GRUKIT_BAD_CALL, "%s: %s", entry.name, message.data());
  CHECK(grukit_message() == message, "%s: %s", entry.name, grukit_message());
  CHECK(times_run == before, "%s: %s", entry.name, message.data());
}

void test_valid_calls() {
  for (const Entry &entry : {kForward, kBackward, kPack, kOpen}) {
    for (grukit_cell cell : kCells) {
      accepts(entry, cell, [](grukit_call &) {});
      accepts(entry, cell, [](grukit_call &c) { c.dtype = GRUKIT_BF16; });
      accepts(entry, cell, [](grukit_call &c) { c.b_ih = c.b_hh = buffer; });
      accepts(entry, cell, [](grukit_call &c) { c.gain_ih = c.gain_hh = buffer; });
      accepts(entry, cell, [](grukit_call &c) { c.threads = -3; });
      accepts(entry, cell, [](grukit_call &c) {
        c.input = 0;
        c.x = c.w_ih = nullptr;
      });
      if (cell == GRUKIT_GRU_BEFORE) continue;
      accepts(entry, cell, [](grukit_call &c) {
        c.projected = 2;
        c.w_hr = buffer;
      });
    }
  }
  accepts(kForward, GRUKIT_GRU_AFTER, [](grukit_call &c) { c.quantized = 1; });
  accepts(kForward, GRUKIT_GRU_AFTER, [](grukit_call &c) { c.drop_n = c.drop_h = buffer; });
  accepts(kForward, GRUKIT_RNN_TANH, [](grukit_call &c) { c.save = GRUKIT_SAVE_STATES; });
  for (const Entry &entry : {kForward, kBackward}) {
    accepts(entry, GRUKIT_LSTM, [](grukit_call &c) {
      c.gain_c = c.bias_c = c.fresh_h = c.fresh_c = c.drop_h = c.drop_n = buffer;
      c.keep_h = c.keep_c = buffer;
      c.keep_is_rate[0] = c.keep_is_rate[1] = 1;
    });
  }
  accepts(kOpen, GRUKIT_LSTM, [](grukit_call &c) {
    c.keep_h = c.keep_c = buffer;
    c.keep_is_rate[0] = c.keep_is_rate[1] = 1;
  });
}

// No steps, or no sequences: the buffers without elements are NULL.
void test_empty_calls() {
  for (grukit_cell cell : kCells) {
    for (const Entry &entry : {kForward, kBackward}) {
      accepts(entry, cell, [](grukit_call &c) {
        c.time = 0;
        c.x = c.output = c.reserve = nullptr;
        c.d_output = nullptr;
      });
      accepts(entry, cell, [](grukit_call &c) {
        c.batch = 0;
        c.x = c.h0 = c.c0 = nullptr;
        c.output = c.h = c.c = c.reserve = nullptr;
        c.d_output = c.d_h = c.d_c = nullptr;
        c.dfresh_h = buffer;
      });
    }
    accepts(kOpen, cell, [](grukit_call &c) { c.batch = 0; });
  }
  const int before = times_run;
  CHECK(grukit_forward(nullptr, 0) == GRUKIT_OK && grukit_backward(nullptr, 0) == GRUKIT_OK);
  CHECK(times_run == before);
}

void test_sizes_and_flags() {
  constexpr auto gru = GRUKIT_GRU_AFTER;
  for (const Entry &entry : {kForward, kBackward, kPack, kOpen}) {
    refuses(entry, gru, "hidden must be at least 1, got 0", [](grukit_call &c) { c.hidden = 0; });
    refuses(entry, gru, "input must be at least 0, got -1", [](grukit_call &c) { c.input = -1; });
    refuses(entry, gru, "models must be at least 1, got 0", [](grukit_call &c) { c.models = 0; });
    refuses(entry, gru, "projected must be at least 0, got -2",
            [](grukit_call &c) { c.projected = -2; });
    refuses(entry, gru, "cell must be from 0 to 4, got 5", [](grukit_call &c) { c.cell = 5; });
    refuses(entry, gru, "dtype must be from 0 to 1, got -1", [](grukit_call &c) { c.dtype = -1; });
    refuses(entry, gru, "quantized must be from 0 to 1, got 2",
            [](grukit_call &c) { c.quantized = 2; });
    refuses(entry, GRUKIT_GRU_BEFORE, "projected of GRU_BEFORE must be 0, got 2",
            [](grukit_call &c) { c.projected = 2; });
  }
  for (const Entry &entry : {kForward, kBackward}) {
    refuses(entry, gru, "time must be at least 0, got -1", [](grukit_call &c) { c.time = -1; });
    refuses(entry, gru, "reverse must be from 0 to 1, got 2",
            [](grukit_call &c) { c.reverse = 2; });
    refuses(entry, gru, "save must be from 0 to 2, got 3", [](grukit_call &c) { c.save = 3; });
    refuses(entry, gru, "keep_is_rate[1] must be from 0 to 1, got 7",
            [](grukit_call &c) { c.keep_is_rate[1] = 7; });
    refuses(entry, gru, "save of a quantized call must be 0, got 1", [](grukit_call &c) {
      c.quantized = 1;
      c.save = GRUKIT_SAVE_ALL;
    });
  }
  for (const Entry &entry : {kForward, kBackward, kOpen}) {
    refuses(entry, gru, "batch must be at least 0, got -1", [](grukit_call &c) { c.batch = -1; });
  }
  refuses(kBackward, gru, "save of a backward must be from 1 to 2, got 0", [](grukit_call &c) {
    c.save = GRUKIT_SAVE_NOTHING;
    c.reserve = nullptr;
  });
  refuses(kOpen, gru, "models of a stream must be 1, got 2", [](grukit_call &c) { c.models = 2; });
  refuses(kOpen, gru, "reverse of a stream must be 0, got 1",
          [](grukit_call &c) { c.reverse = 1; });
}

void test_sizes_that_overflow() {
  const Change changes[] = {
      [](grukit_call &c) { c.hidden = INT64_MAX; },
      [](grukit_call &c) { c.hidden = int64_t{1} << 30; },
      [](grukit_call &c) { c.input = INT64_MAX; },
      [](grukit_call &c) { c.models = INT64_MAX; },
      [](grukit_call &c) { c.projected = INT64_MAX, c.w_hr = buffer; },
  };
  const auto refused = [](const Entry &entry, Change change) {
    grukit_call call = entry.valid(GRUKIT_GRU_AFTER);
    change(call);
    CHECK(entry.run(&call, 1) == GRUKIT_BAD_CALL, "%s", entry.name);
    CHECK(std::strstr(grukit_message(), "no buffer has 2^63 bytes"), "%s", grukit_message());
  };
  for (const Entry &entry : {kForward, kBackward, kPack, kOpen}) {
    for (Change change : changes) refused(entry, change);
  }
  for (const Entry &entry : {kForward, kBackward}) {
    refused(entry, [](grukit_call &c) { c.time = INT64_MAX; });
    refused(entry, [](grukit_call &c) { c.batch = INT64_MAX; });
    refused(entry, [](grukit_call &c) { c.time = c.batch = int64_t{1} << 31; });
  }
}

void test_missing_buffers() {
  constexpr auto gru = GRUKIT_GRU_AFTER, lstm = GRUKIT_LSTM;
  for (const Entry &entry : {kForward, kBackward}) {
    refuses(entry, gru, "x must be given, got NULL", [](grukit_call &c) { c.x = nullptr; });
    refuses(entry, gru, "h0 must be given, got NULL", [](grukit_call &c) { c.h0 = nullptr; });
    refuses(entry, lstm, "c0 must be given, got NULL", [](grukit_call &c) { c.c0 = nullptr; });
    refuses(entry, gru, "output must be given, got NULL",
            [](grukit_call &c) { c.output = nullptr; });
    refuses(entry, gru, "reserve must be given, got NULL", [](grukit_call &c) {
      c.save = GRUKIT_SAVE_ALL;
      c.reserve = nullptr;
    });
    refuses(entry, lstm, "reserve must be given, got NULL", [](grukit_call &c) {
      c.save = GRUKIT_SAVE_STATES;
      c.reserve = nullptr;
    });
  }
  for (const Entry &entry : {kForward, kBackward, kPack, kOpen}) {
    refuses(entry, gru, "w_ih must be given, got NULL", [](grukit_call &c) { c.w_ih = nullptr; });
    refuses(entry, gru, "w_hh must be given, got NULL", [](grukit_call &c) { c.w_hh = nullptr; });
    refuses(entry, gru, "w_hr must be given, got NULL", [](grukit_call &c) { c.projected = 2; });
  }
  refuses(kForward, gru, "h must be given, got NULL", [](grukit_call &c) { c.h = nullptr; });
  refuses(kForward, lstm, "c must be given, got NULL", [](grukit_call &c) { c.c = nullptr; });
  refuses(kBackward, gru, "d_output must be given, got NULL",
          [](grukit_call &c) { c.d_output = nullptr; });
  refuses(kBackward, gru, "d_h must be given, got NULL", [](grukit_call &c) { c.d_h = nullptr; });
  refuses(kBackward, lstm, "d_c must be given, got NULL", [](grukit_call &c) { c.d_c = nullptr; });
  const grukit_call call = valid_call(gru);
  CHECK(grukit_pack(&call, nullptr) == GRUKIT_BAD_CALL);
  CHECK(grukit_open(&call, nullptr) == GRUKIT_BAD_CALL);
  CHECK(grukit_forward(nullptr, 1) == GRUKIT_BAD_CALL);
  CHECK(grukit_message() == std::string_view("calls must be given, got NULL"));
  CHECK(grukit_forward(&call, -1) == GRUKIT_BAD_CALL);
  CHECK(grukit_packed_bytes(nullptr) == 0);
}

void test_buffers_that_make_no_sense() {
  constexpr auto gru = GRUKIT_GRU_AFTER, rnn = GRUKIT_RNN_RELU, lstm = GRUKIT_LSTM;
  for (const Entry &entry : {kForward, kBackward, kOpen}) {
    refuses(entry, gru, "b_ih and b_hh must be given both or neither, got b_hh alone",
            [](grukit_call &c) { c.b_hh = buffer; });
    refuses(entry, gru, "gain_ih and gain_hh must be given both or neither, got gain_ih alone",
            [](grukit_call &c) { c.gain_ih = buffer; });
    refuses(entry, lstm, "gain_c and bias_c must be given both or neither, got bias_c alone",
            [](grukit_call &c) { c.bias_c = buffer; });
    refuses(entry, rnn, "gain_c must be NULL but for an LSTM, got a buffer",
            [](grukit_call &c) { c.gain_c = c.bias_c = buffer; });
    refuses(entry, gru, "w_hr must be NULL where projected is 0, got a buffer",
            [](grukit_call &c) { c.w_hr = buffer; });
  }
  for (const Entry &entry : {kForward, kBackward}) {
    refuses(entry, gru, "c0 must be NULL but for an LSTM, got a buffer",
            [](grukit_call &c) { c.c0 = buffer; });
    refuses(entry, gru, "fresh_c must be NULL but for an LSTM, got a buffer",
            [](grukit_call &c) { c.fresh_c = buffer; });
    refuses(entry, rnn, "keep_c must be NULL but for an LSTM, got a buffer",
            [](grukit_call &c) { c.keep_c = buffer; });
    refuses(entry, rnn, "drop_n must be NULL for an RNN, got a buffer",
            [](grukit_call &c) { c.drop_n = buffer; });
  }
  refuses(kForward, gru, "c must be NULL but for an LSTM, got a buffer",
          [](grukit_call &c) { c.c = buffer; });
  refuses(kForward, gru, "reserve must be NULL where nothing is saved, got a buffer",
          [](grukit_call &c) { c.reserve = buffer; });
  refuses(kBackward, gru, "d_c must be NULL but for an LSTM, got a buffer",
          [](grukit_call &c) { c.d_c = buffer; });
  refuses(kBackward, gru, "db_hh must be NULL where b_hh is, got a buffer",
          [](grukit_call &c) { c.db_hh = buffer; });
  refuses(kBackward, gru, "dc0 must be NULL where c0 is, got a buffer",
          [](grukit_call &c) { c.dc0 = buffer; });
  refuses(kBackward, gru, "dfresh_h must be NULL where fresh_h is, got a buffer",
          [](grukit_call &c) { c.dfresh_h = buffer; });
  refuses(kOpen, gru, "drop_h must be NULL for a stream, got a buffer",
          [](grukit_call &c) { c.drop_h = buffer; });
  refuses(kOpen, gru, "keep_is_rate[0] must be 1, got 0",
          [](grukit_call &c) { c.keep_h = buffer; });
  refuses(kOpen, lstm, "keep_is_rate[1] must be 1, got 0",
          [](grukit_call &c) { c.keep_c = buffer; });
}

// Two layers, the upper with one change.
void test_stacks() {
  const auto stack = [](Change change) {
    grukit_call calls[] = {valid_call(GRUKIT_GRU_AFTER), valid_call(GRUKIT_GRU_AFTER)};
    for (grukit_call &call : calls) {
      call.models = 1;
      call.reverse = 0;
    }
    calls[1].input = calls[0].projected ? calls[0].projected : calls[0].hidden;
    calls[1].x_stride[1] = calls[1].batch * calls[1].input;
    calls[1].x_stride[2] = calls[1].input;
    change(calls[1]);
    return grukit_forward_stack(calls, 2);
  };
  const int before = times_run;
  CHECK(stack([](grukit_call &) {}) == GRUKIT_OK, "%s", grukit_message());
  CHECK(times_run == before + 1);
  const auto refused = [&](std::string_view message, Change change) {
    CHECK(stack(change) == GRUKIT_BAD_CALL, "%s", message.data());
    CHECK(std::string_view(grukit_message()).find(message) != std::string_view::npos, "%s",
          grukit_message());
    CHECK(times_run == before + 1);
  };
  refused("models of a stack must be 1, got 2", [](grukit_call &c) { c.models = 2; });
  refused("reverse of a stack must be 0, got 1", [](grukit_call &c) { c.reverse = 1; });
  refused("dtype of a layer must be 0, got 1", [](grukit_call &c) { c.dtype = GRUKIT_BF16; });
  refused("time of a layer", [](grukit_call &c) { ++c.time; });
  refused("batch of a layer", [](grukit_call &c) { ++c.batch; });
  refused("input of a layer", [](grukit_call &c) { ++c.input; });
  refused("x_stride[1] of a layer", [](grukit_call &c) { ++c.x_stride[1]; });
  refused("x_stride[2] of a layer", [](grukit_call &c) { ++c.x_stride[2]; });
  static float other[1];
  refused("x of a layer must be the output", [](grukit_call &c) { c.x = other; });
}

void test_messages() {
  grukit_call calls[2] = {valid_call(GRUKIT_GRU_AFTER), valid_call(GRUKIT_LSTM)};
  calls[1].hidden = 0;
  const int before = times_run;
  CHECK(grukit_forward(calls, 2) == GRUKIT_BAD_CALL);
  const std::string_view message = "call 1: hidden must be at least 1, got 0";
  CHECK(grukit_message() == message, "%s", grukit_message());
  CHECK(times_run == before);
  std::thread([] {
    CHECK(!*grukit_message());
    CHECK(grukit_forward(nullptr, 1) == GRUKIT_BAD_CALL);
  }).join();
  CHECK(grukit_message() == message, "%s", grukit_message());
}

void test_threads_and_packing() {
  grukit_call call = valid_call(GRUKIT_GRU_AFTER);
  CHECK(grukit_threads(&call, 1, 0) == 2);
  CHECK(grukit_packed_bytes(&call) == 64);
  call.time = -1;
  CHECK(grukit_threads(&call, 1, 0) == 0);
  CHECK(grukit_packed_bytes(&call) == 64, "the packing knows nothing of time");
  call.hidden = 0;
  CHECK(grukit_packed_bytes(&call) == 0);
}

bool is_in(std::string_view name, const std::string &names) {
  return (" " + names + " ").find(" " + std::string(name) + " ") != std::string::npos;
}

void test_instruction_sets() {
  const std::string best = grukit_isa(), names = grukit_isas();
  CHECK(names.starts_with(best), "%s of %s", best.c_str(), names.c_str());
  CHECK(is_in("scalar", names), "%s", names.c_str());
  CHECK(is_in("bf16", names) == (best == "avx512" && features().bf16), "%s", names.c_str());
  const grukit_call call = valid_call(GRUKIT_GRU_AFTER);
  for (const char *name : {kScalar, kAvx2, kAvx512, kNeon}) {
    const bool runs = is_in(name, names);
    CHECK(grukit_set_isa(name) == (runs ? GRUKIT_OK : GRUKIT_UNSUPPORTED), "%s", name);
    if (!runs) continue;
    CHECK(grukit_isa() == std::string_view(name));
    CHECK(grukit_forward(&call, 1) == GRUKIT_OK && last_set == std::string_view(name), "%s", name);
    CHECK(is_in("bf16", grukit_isas()) == (name == kAvx512 && features().bf16), "%s", name);
  }
  CHECK(!(is_in("avx2", names) && is_in("neon", names)));
  CHECK(grukit_set_isa("sse2") == GRUKIT_BAD_CALL);
  CHECK(grukit_message() == std::string_view("the instruction set must be avx512, avx2, neon or "
                                             "scalar, got sse2"));
  CHECK(grukit_set_isa(nullptr) == GRUKIT_BAD_CALL);
  CHECK(grukit_set_isa(best.c_str()) == GRUKIT_OK && grukit_isa() == best);
}

void test_streams() {
  const std::string best = grukit_isa();
  const grukit_call gru = valid_stream(GRUKIT_GRU_BEFORE), lstm = valid_stream(GRUKIT_LSTM);
  grukit_stream *stream;
  CHECK(grukit_open(&gru, &stream) == GRUKIT_OK);
  CHECK(grukit_set_isa("scalar") == GRUKIT_OK);
  CHECK(grukit_gru_step(stream, buffer, buffer, nullptr) == GRUKIT_OK);
  CHECK(last_set == best, "a stream keeps its kernels, got %s", last_set);
  CHECK(grukit_set_isa(best.c_str()) == GRUKIT_OK);

  const auto refused = [](grukit_status status, std::string_view message) {
    CHECK(status == GRUKIT_BAD_CALL, "%s", message.data());
    CHECK(grukit_message() == message, "%s", grukit_message());
  };
  const int before = times_run;
  refused(grukit_gru_step(nullptr, buffer, buffer, buffer), "stream must be given, got NULL");
  refused(grukit_gru_step(stream, nullptr, buffer, buffer), "x must be given, got NULL");
  refused(grukit_gru_step(stream, buffer, nullptr, buffer), "h must be given, got NULL");
  refused(grukit_rnn_step(stream, buffer, buffer, buffer),
          "stream must be of an RNN, got one of cell 1");
  refused(grukit_lstm_step(stream, buffer, buffer, buffer, buffer),
          "stream must be of an LSTM, got one of cell 1");
  grukit_close(stream);

  CHECK(grukit_open(&lstm, &stream) == GRUKIT_OK && times_run == before + 1);
  refused(grukit_lstm_step(stream, buffer, buffer, nullptr, buffer), "c must be given, got NULL");
  refused(grukit_gru_step(stream, buffer, buffer, buffer),
          "stream must be of a GRU, got one of cell 2");
  CHECK(grukit_lstm_step(stream, buffer, buffer, buffer, buffer) == GRUKIT_OK);
  CHECK(times_run == before + 2);
  grukit_close(stream);
  grukit_close(nullptr);

  grukit_call empty = lstm;
  empty.batch = 0;
  CHECK(grukit_open(&empty, &stream) == GRUKIT_OK);
  CHECK(grukit_lstm_step(stream, nullptr, nullptr, nullptr, nullptr) == GRUKIT_OK);
  grukit_close(stream);
}

}  // namespace

int main() {
  CHECK(grukit_abi() == GRUKIT_ABI);
  test_valid_calls();
  test_empty_calls();
  test_sizes_and_flags();
  test_sizes_that_overflow();
  test_missing_buffers();
  test_buffers_that_make_no_sense();
  test_stacks();
  test_messages();
  test_threads_and_packing();
  test_instruction_sets();
  test_streams();
  return grukit_test::failed_checks();
}
