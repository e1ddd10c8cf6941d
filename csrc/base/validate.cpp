#include "base/validate.h"

#include <algorithm>

#include "base/message.h"

#define GRUKIT_REQUIRE(check) \
  if (const grukit_status status = (check)) return status

namespace grukit {
namespace {

constexpr auto bad = GRUKIT_BAD_CALL;

grukit_status at_least(int64_t least, const char *name, int64_t value) {
  if (value >= least) return GRUKIT_OK;
  return refuse(bad, "%s must be at least %lld, got %lld", name, static_cast<long long>(least),
                static_cast<long long>(value));
}

grukit_status between(int64_t first, int64_t last, const char *name, int64_t value) {
  if (first <= value && value <= last) return GRUKIT_OK;
  return refuse(bad, "%s must be from %lld to %lld, got %lld", name, static_cast<long long>(first),
                static_cast<long long>(last), static_cast<long long>(value));
}

grukit_status equal(int64_t wanted, const char *name, int64_t value) {
  if (value == wanted) return GRUKIT_OK;
  return refuse(bad, "%s must be %lld, got %lld", name, static_cast<long long>(wanted),
                static_cast<long long>(value));
}

grukit_status given(const char *name, const void *buffer) {
  return buffer ? GRUKIT_OK : refuse(bad, "%s must be given, got NULL", name);
}

// A buffer without elements may be anywhere.
grukit_status given(const char *name, const void *buffer, bool has_elements) {
  return has_elements ? given(name, buffer) : GRUKIT_OK;
}

grukit_status absent(const char *name, const void *buffer, const char *where) {
  return buffer ? refuse(bad, "%s must be NULL %s, got a buffer", name, where) : GRUKIT_OK;
}

grukit_status both_or_neither(const char *one_name, const void *one, const char *other_name,
                              const void *other) {
  if (!one == !other) return GRUKIT_OK;
  return refuse(bad, "%s and %s must be given both or neither, got %s alone", one_name, other_name,
                one ? one_name : other_name);
}

struct Sizes {
  explicit Sizes(const grukit_call &call)
      : is_lstm(call.cell == GRUKIT_LSTM),
        is_gru(call.cell == GRUKIT_GRU_AFTER || call.cell == GRUKIT_GRU_BEFORE),
        gates(is_gru    ? 3
              : is_lstm ? 4
                        : 1),
        output(call.projected ? call.projected : call.hidden),
        state(is_gru ? call.hidden : output) {}

  bool is_lstm, is_gru;
  int64_t gates, output, state;
};

// No buffer, nor what a kernel makes of one, may have more bytes than an int64_t counts. A row of
// any has at most I + O + 8 H elements: the inputs, the output, gates and states.
grukit_status check_products(const grukit_call &call) {
  const Sizes sizes(call);
  const double columns = 8.0 * call.hidden + call.input + sizes.output;
  const double rows = std::max(static_cast<double>(call.time) * call.batch,
                               static_cast<double>(sizes.gates) * call.hidden);
  if (8.0 * call.models * rows * columns < 0x1p63) return GRUKIT_OK;
  return refuse(bad,
                "the sizes must be such that no buffer has 2^63 bytes, got models %lld, "
                "time %lld, batch %lld, input %lld, hidden %lld, projected %lld",
                static_cast<long long>(call.models), static_cast<long long>(call.time),
                static_cast<long long>(call.batch), static_cast<long long>(call.input),
                static_cast<long long>(call.hidden), static_cast<long long>(call.projected));
}

grukit_status check_weights(const grukit_call &call) {
  GRUKIT_REQUIRE(given("w_ih", call.w_ih, call.input > 0));
  GRUKIT_REQUIRE(given("w_hh", call.w_hh));
  if (call.projected > 0) return given("w_hr", call.w_hr);
  return absent("w_hr", call.w_hr, "where projected is 0");
}

grukit_status check_parameters(const grukit_call &call) {
  GRUKIT_REQUIRE(check_weights(call));
  GRUKIT_REQUIRE(both_or_neither("b_ih", call.b_ih, "b_hh", call.b_hh));
  GRUKIT_REQUIRE(both_or_neither("gain_ih", call.gain_ih, "gain_hh", call.gain_hh));
  GRUKIT_REQUIRE(both_or_neither("gain_c", call.gain_c, "bias_c", call.bias_c));
  if (call.cell == GRUKIT_LSTM) return GRUKIT_OK;
  return absent("gain_c", call.gain_c, "but for an LSTM");
}

// What the forward and the backward read.
grukit_status check_inputs(const grukit_call &call) {
  const Sizes sizes(call);
  const bool sequences = call.batch > 0, steps = sequences && call.time > 0;
  GRUKIT_REQUIRE(given("x", call.x, steps && call.input > 0));
  GRUKIT_REQUIRE(given("h0", call.h0, sequences));
  GRUKIT_REQUIRE(check_parameters(call));
  if (sizes.is_lstm) {
    GRUKIT_REQUIRE(given("c0", call.c0, sequences));
  } else {
    GRUKIT_REQUIRE(absent("c0", call.c0, "but for an LSTM"));
    GRUKIT_REQUIRE(absent("fresh_c", call.fresh_c, "but for an LSTM"));
    GRUKIT_REQUIRE(absent("keep_c", call.keep_c, "but for an LSTM"));
  }
  if (!sizes.is_lstm && !sizes.is_gru) {
    GRUKIT_REQUIRE(absent("drop_n", call.drop_n, "for an RNN"));
  }
  return GRUKIT_OK;
}

// With SAVE_STATES there may be nothing to keep but the output.
grukit_status check_reserve(const grukit_call &call) {
  if (call.save == GRUKIT_SAVE_NOTHING) {
    return absent("reserve", call.reserve, "where nothing is saved");
  }
  const Sizes sizes(call);
  const bool rounds = call.dtype != GRUKIT_F32, projects = call.projected > 0;
  const bool keeps_h = sizes.is_gru ? rounds || projects : rounds && !projects;
  const bool keeps = call.save == GRUKIT_SAVE_ALL || sizes.is_lstm || keeps_h;
  return given("reserve", call.reserve, keeps && call.time > 0 && call.batch > 0);
}

// Of what is not there nobody can have a gradient.
grukit_status check_gradients(const grukit_call &call) {
  const struct {
    const char *name;
    const void *gradient;
    const char *of_name;
    const void *of;
    bool of_sequences;
  } gradients[] = {
      {"db_ih", call.db_ih, "b_ih", call.b_ih, false},
      {"db_hh", call.db_hh, "b_hh", call.b_hh, false},
      {"dc0", call.dc0, "c0", call.c0, true},
      {"dw_hr", call.dw_hr, "w_hr", call.w_hr, false},
      {"dgain_ih", call.dgain_ih, "gain_ih", call.gain_ih, false},
      {"dgain_hh", call.dgain_hh, "gain_hh", call.gain_hh, false},
      {"dgain_c", call.dgain_c, "gain_c", call.gain_c, false},
      {"dbias_c", call.dbias_c, "bias_c", call.bias_c, false},
      {"dfresh_h", call.dfresh_h, "fresh_h", call.fresh_h, true},
      {"dfresh_c", call.dfresh_c, "fresh_c", call.fresh_c, true},
  };
  for (const auto &[name, gradient, of_name, of, of_sequences] : gradients) {
    const bool has_elements = !of_sequences || call.batch > 0;
    if (gradient && !of && has_elements) {
      return refuse(bad, "%s must be NULL where %s is, got a buffer", name, of_name);
    }
  }
  return GRUKIT_OK;
}

}  // namespace

grukit_status validate_features(const grukit_call &call) {
  GRUKIT_REQUIRE(between(GRUKIT_GRU_AFTER, GRUKIT_RNN_RELU, "cell", call.cell));
  GRUKIT_REQUIRE(between(GRUKIT_F32, GRUKIT_BF16, "dtype", call.dtype));
  GRUKIT_REQUIRE(between(0, 1, "quantized", call.quantized));
  GRUKIT_REQUIRE(at_least(1, "models", call.models));
  GRUKIT_REQUIRE(at_least(0, "input", call.input));
  GRUKIT_REQUIRE(at_least(1, "hidden", call.hidden));
  GRUKIT_REQUIRE(at_least(0, "projected", call.projected));
  if (call.cell == GRUKIT_GRU_BEFORE) {
    GRUKIT_REQUIRE(equal(0, "projected of GRU_BEFORE", call.projected));
  }
  grukit_call features = call;
  features.time = features.batch = 0;
  return check_products(features);
}

grukit_status validate_facts(const grukit_call &call) {
  GRUKIT_REQUIRE(validate_features(call));
  GRUKIT_REQUIRE(at_least(0, "time", call.time));
  GRUKIT_REQUIRE(at_least(0, "batch", call.batch));
  GRUKIT_REQUIRE(between(0, 1, "reverse", call.reverse));
  GRUKIT_REQUIRE(between(GRUKIT_SAVE_NOTHING, GRUKIT_SAVE_STATES, "save", call.save));
  GRUKIT_REQUIRE(between(0, 1, "keep_is_rate[0]", call.keep_is_rate[0]));
  GRUKIT_REQUIRE(between(0, 1, "keep_is_rate[1]", call.keep_is_rate[1]));
  if (call.quantized) GRUKIT_REQUIRE(equal(0, "save of a quantized call", call.save));
  return check_products(call);
}

grukit_status validate_pack(const grukit_call &call) {
  GRUKIT_REQUIRE(validate_features(call));
  return check_weights(call);
}

grukit_status validate_forward(const grukit_call &call) {
  GRUKIT_REQUIRE(validate_facts(call));
  GRUKIT_REQUIRE(check_inputs(call));
  GRUKIT_REQUIRE(check_reserve(call));
  GRUKIT_REQUIRE(given("output", call.output, call.batch > 0 && call.time > 0));
  GRUKIT_REQUIRE(given("h", call.h, call.batch > 0));
  if (call.cell == GRUKIT_LSTM) return given("c", call.c, call.batch > 0);
  return absent("c", call.c, "but for an LSTM");
}

grukit_status validate_backward(const grukit_call &call) {
  GRUKIT_REQUIRE(validate_facts(call));
  GRUKIT_REQUIRE(between(GRUKIT_SAVE_ALL, GRUKIT_SAVE_STATES, "save of a backward", call.save));
  GRUKIT_REQUIRE(check_inputs(call));
  GRUKIT_REQUIRE(check_reserve(call));
  GRUKIT_REQUIRE(given("output", call.output, call.batch > 0 && call.time > 0));
  GRUKIT_REQUIRE(given("d_output", call.d_output, call.batch > 0 && call.time > 0));
  GRUKIT_REQUIRE(given("d_h", call.d_h, call.batch > 0));
  if (call.cell == GRUKIT_LSTM) {
    GRUKIT_REQUIRE(given("d_c", call.d_c, call.batch > 0));
  } else {
    GRUKIT_REQUIRE(absent("d_c", call.d_c, "but for an LSTM"));
  }
  return check_gradients(call);
}

grukit_status validate_layer(const grukit_call &call, const grukit_call *below) {
  GRUKIT_REQUIRE(equal(1, "models of a stack", call.models));
  GRUKIT_REQUIRE(equal(0, "reverse of a stack", call.reverse));
  if (!below) return GRUKIT_OK;
  const int64_t inputs = below->projected ? below->projected : below->hidden;
  GRUKIT_REQUIRE(equal(below->dtype, "dtype of a layer", call.dtype));
  GRUKIT_REQUIRE(equal(below->time, "time of a layer", call.time));
  GRUKIT_REQUIRE(equal(below->batch, "batch of a layer", call.batch));
  GRUKIT_REQUIRE(equal(inputs, "input of a layer", call.input));
  GRUKIT_REQUIRE(equal(call.batch * inputs, "x_stride[1] of a layer", call.x_stride[1]));
  GRUKIT_REQUIRE(equal(inputs, "x_stride[2] of a layer", call.x_stride[2]));
  if (call.x == below->output) return GRUKIT_OK;
  return refuse(bad, "x of a layer must be the output of the layer below, got another buffer");
}

grukit_status validate_open(const grukit_call &call) {
  GRUKIT_REQUIRE(validate_features(call));
  GRUKIT_REQUIRE(equal(1, "models of a stream", call.models));
  GRUKIT_REQUIRE(at_least(0, "batch", call.batch));
  GRUKIT_REQUIRE(equal(0, "reverse of a stream", call.reverse));
  grukit_call step = call;
  step.time = 1;
  GRUKIT_REQUIRE(check_products(step));
  GRUKIT_REQUIRE(check_parameters(call));
  GRUKIT_REQUIRE(absent("lengths", call.lengths, "for a stream"));
  GRUKIT_REQUIRE(absent("resets", call.resets, "for a stream"));
  GRUKIT_REQUIRE(absent("drop_h", call.drop_h, "for a stream"));
  GRUKIT_REQUIRE(absent("drop_n", call.drop_n, "for a stream"));
  if (call.keep_h) GRUKIT_REQUIRE(equal(1, "keep_is_rate[0]", call.keep_is_rate[0]));
  if (!call.keep_c) return GRUKIT_OK;
  if (call.cell != GRUKIT_LSTM) return absent("keep_c", call.keep_c, "but for an LSTM");
  return equal(1, "keep_is_rate[1]", call.keep_is_rate[1]);
}

}  // namespace grukit
