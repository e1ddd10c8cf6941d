// The C interface: calls are validated here, and handed to the kernels of one instruction set.
#include <atomic>
#include <cstring>

#include "base/features.h"
#include "base/kernels.h"
#include "base/message.h"
#include "base/validate.h"
#include "grukit.h"
#include "scan/validate.h"

namespace grukit {
namespace {

constexpr int kSets = 4;
constexpr const char *kNames[kSets] = {"avx512", "avx2", "neon", "scalar"};

// The kernels that this library has and this CPU can run, the best first.
class Choices {
 public:
  Choices() {
#if defined(GRUKIT_HAS_AVX512)
    if (features().avx512) add(avx512::kernels);
#endif
#if defined(GRUKIT_HAS_AVX2)
    if (features().avx2) add(avx2::kernels);
#endif
#if defined(GRUKIT_HAS_NEON)
    if (features().neon) add(neon::kernels);
#endif
    add(scalar::kernels);
    std::strcpy(extended_names_, names_);
    if (features().bf16) append(extended_names_, "bf16");
    if (features().vnni) append(extended_names_, "vnni");
  }

  const Kernels *best() const { return kernels_[0]; }

  const Kernels *find(const char *name) const {
    for (int i = 0; i < count_; ++i) {
      if (!std::strcmp(kernels_[i]->name, name)) return kernels_[i];
    }
    return nullptr;
  }

  // The extensions are AVX-512's.
  const char *names(const Kernels &in_use) const {
    return std::strcmp(in_use.name, "avx512") ? names_ : extended_names_;
  }

 private:
  void add(const Kernels &kernels) {
    kernels_[count_++] = &kernels;
    append(names_, kernels.name);
  }

  static void append(char *names, const char *name) {
    if (*names) std::strcat(names, " ");
    std::strcat(names, name);
  }

  const Kernels *kernels_[kSets];
  int count_ = 0;
  char names_[64] = "", extended_names_[64];
};

const Choices &choices() {
  static const Choices found;
  return found;
}

constinit std::atomic<const Kernels *> chosen{nullptr};

const Kernels &kernels() {
  const Kernels *now = chosen.load(std::memory_order_acquire);
  return now ? *now : *choices().best();
}

template <class Validate>
grukit_status validate_all(const grukit_call *calls, int64_t count, const Validate &validate) {
  if (count < 0) {
    return refuse(GRUKIT_BAD_CALL, "count must be at least 0, got %lld",
                  static_cast<long long>(count));
  }
  if (count > 0 && !calls) return refuse(GRUKIT_BAD_CALL, "calls must be given, got NULL");
  for (int64_t i = 0; i < count; ++i) {
    const grukit_status status = validate(calls[i]);
    if (status == GRUKIT_OK) continue;
    if (count > 1) name_call(i);
    return status;
  }
  return GRUKIT_OK;
}

// A stream that is of this cell, with the buffers that a step reads and writes.
grukit_status validate_step(const grukit_stream *stream, bool is_of_cell, const char *cell,
                            const void *x, const void *h) {
  if (!stream) return refuse(GRUKIT_BAD_CALL, "stream must be given, got NULL");
  if (!is_of_cell) {
    return refuse(GRUKIT_BAD_CALL, "stream must be of %s, got one of cell %lld", cell,
                  static_cast<long long>(stream->cell));
  }
  if (!x && stream->reads_x) return refuse(GRUKIT_BAD_CALL, "x must be given, got NULL");
  if (!h && stream->has_states) return refuse(GRUKIT_BAD_CALL, "h must be given, got NULL");
  return GRUKIT_OK;
}

}  // namespace
}  // namespace grukit

using namespace grukit;

int64_t grukit_abi() { return GRUKIT_ABI; }

const char *grukit_isa() { return kernels().name; }

const char *grukit_isas() { return choices().names(kernels()); }

grukit_status grukit_set_isa(const char *name) {
  bool known = false;
  for (const char *other : kNames) known |= name && !std::strcmp(name, other);
  if (!known) {
    return refuse(GRUKIT_BAD_CALL,
                  "the instruction set must be avx512, avx2, neon or scalar, got %.32s",
                  name ? name : "NULL");
  }
  const Kernels *wanted = choices().find(name);
  if (!wanted) {
    return refuse(GRUKIT_UNSUPPORTED,
                  "the instruction set must be one that this CPU and library have (%s), got %s",
                  choices().names(*choices().find("scalar")), name);
  }
  chosen.store(wanted, std::memory_order_release);
  return GRUKIT_OK;
}

const char *grukit_message() { return message(); }

int64_t grukit_threads(const grukit_call *calls, int64_t count, int64_t backward) {
  if (validate_all(calls, count, validate_facts) != GRUKIT_OK) return 0;
  return count ? kernels().threads(calls, count, backward != 0) : 1;
}

size_t grukit_packed_bytes(const grukit_call *call) {
  if (validate_all(call, 1, validate_features) != GRUKIT_OK) return 0;
  return kernels().packed_bytes(*call);
}

grukit_status grukit_pack(const grukit_call *call, void *packed) {
  if (const grukit_status status = validate_all(call, 1, validate_pack)) return status;
  if (!packed && kernels().packed_bytes(*call) > 0) {
    return refuse(GRUKIT_BAD_CALL, "packed must be given, got NULL");
  }
  return kernels().pack(*call, packed);
}

grukit_status grukit_forward(const grukit_call *calls, int64_t count) {
  if (const grukit_status status = validate_all(calls, count, validate_forward)) return status;
  return count ? kernels().forward(calls, count) : GRUKIT_OK;
}

grukit_status grukit_backward(const grukit_call *calls, int64_t count) {
  if (const grukit_status status = validate_all(calls, count, validate_backward)) return status;
  return count ? kernels().backward(calls, count) : GRUKIT_OK;
}

grukit_status grukit_forward_stack(const grukit_call *calls, int64_t count) {
  if (const grukit_status status = validate_all(calls, count, validate_forward)) return status;
  for (int64_t i = 0; i < count; ++i) {
    const grukit_status status = validate_layer(calls[i], i ? &calls[i - 1] : nullptr);
    if (status == GRUKIT_OK) continue;
    name_call(i);
    return status;
  }
  return count ? kernels().forward_stack(calls, count) : GRUKIT_OK;
}

grukit_status grukit_open(const grukit_call *call, grukit_stream **stream) {
  if (!stream) return refuse(GRUKIT_BAD_CALL, "the place of the stream must be given, got NULL");
  *stream = nullptr;
  if (const grukit_status status = validate_all(call, 1, validate_open)) return status;
  const Kernels &in_use = kernels();
  const grukit_status status = in_use.open(*call, stream);
  if (status != GRUKIT_OK) return status;
  (*stream)->kernels = &in_use;
  (*stream)->cell = call->cell;
  (*stream)->reads_x = call->batch > 0 && call->input > 0;
  (*stream)->has_states = call->batch > 0;
  return GRUKIT_OK;
}

void grukit_close(grukit_stream *stream) {
  if (stream) stream->kernels->close(stream);
}

grukit_status grukit_gru_step(grukit_stream *stream, const void *x, void *h, void *y) {
  const bool is_gru =
      stream && (stream->cell == GRUKIT_GRU_AFTER || stream->cell == GRUKIT_GRU_BEFORE);
  if (const grukit_status status = validate_step(stream, is_gru, "a GRU", x, h)) return status;
  return stream->kernels->step(stream, x, h, nullptr, y);
}

grukit_status grukit_rnn_step(grukit_stream *stream, const void *x, void *h, void *y) {
  const bool is_rnn =
      stream && (stream->cell == GRUKIT_RNN_TANH || stream->cell == GRUKIT_RNN_RELU);
  if (const grukit_status status = validate_step(stream, is_rnn, "an RNN", x, h)) return status;
  return stream->kernels->step(stream, x, h, nullptr, y);
}

grukit_status grukit_lstm_step(grukit_stream *stream, const void *x, void *h, void *c, void *y) {
  const bool is_lstm = stream && stream->cell == GRUKIT_LSTM;
  if (const grukit_status status = validate_step(stream, is_lstm, "an LSTM", x, h)) return status;
  if (!c && stream->has_states) return refuse(GRUKIT_BAD_CALL, "c must be given, got NULL");
  return stream->kernels->step(stream, x, h, c, y);
}

grukit_status grukit_scan_forward(const grukit_scan *scan) {
  if (const grukit_status status = validate_scan_forward(scan)) return status;
  return kernels().scan_forward(*scan);
}

grukit_status grukit_scan_backward(const grukit_scan *scan) {
  if (const grukit_status status = validate_scan_backward(scan)) return status;
  return kernels().scan_backward(*scan);
}
