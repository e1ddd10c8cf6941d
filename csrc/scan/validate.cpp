#include "scan/validate.h"

#include "base/message.h"

namespace grukit {
namespace {

struct Buffer {
  const char *name;
  const void *address;
};

grukit_status validate(const grukit_scan *scan) {
  if (!scan) return refuse(GRUKIT_BAD_CALL, "scan must be given, got NULL");
  const struct {
    const char *name;
    int64_t least, value;
  } sizes[] = {{"models", 1, scan->models},
               {"time", 0, scan->time},
               {"batch", 0, scan->batch},
               {"hidden", 1, scan->hidden}};
  double elements = 2 * sizeof(float);
  for (const auto &size : sizes) {
    if (size.value < size.least) {
      return refuse(GRUKIT_BAD_CALL, "%s must be at least %lld, got %lld", size.name,
                    static_cast<long long>(size.least), static_cast<long long>(size.value));
    }
    elements *= static_cast<double>(size.value);
  }
  if (elements >= 0x1p63) {
    return refuse(GRUKIT_BAD_CALL, "the sizes must be such that no buffer has 2^63 bytes");
  }
  return GRUKIT_OK;
}

template <class Buffers>
grukit_status given(const Buffers &buffers, bool has_elements) {
  for (const Buffer &buffer : buffers) {
    if (has_elements && !buffer.address) {
      return refuse(GRUKIT_BAD_CALL, "%s must be given, got NULL", buffer.name);
    }
  }
  return GRUKIT_OK;
}

}  // namespace

grukit_status validate_scan_forward(const grukit_scan *scan) {
  if (const grukit_status status = validate(scan)) return status;
  const Buffer states[] = {{"h0", scan->h0}, {"h", scan->h}};
  if (const grukit_status status = given(states, scan->batch > 0)) return status;
  const Buffer steps[] = {{"gates", scan->gates}, {"output", scan->output}};
  if (const grukit_status status = given(steps, scan->time * scan->batch > 0)) return status;
  if (!scan->update != !scan->memory) {
    return refuse(GRUKIT_BAD_CALL, "update and memory must be given both or neither, got %s alone",
                  scan->update ? "update" : "memory");
  }
  return GRUKIT_OK;
}

grukit_status validate_scan_backward(const grukit_scan *scan) {
  if (const grukit_status status = validate(scan)) return status;
  const Buffer states[] = {{"h0", scan->h0}, {"d_h", scan->d_h}, {"dh0", scan->dh0}};
  if (const grukit_status status = given(states, scan->batch > 0)) return status;
  const Buffer steps[] = {
      {"output", scan->output}, {"d_output", scan->d_output}, {"d_gates", scan->d_gates}};
  const bool has_steps = scan->time * scan->batch > 0;
  if (const grukit_status status = given(steps, has_steps)) return status;
  if (!scan->update != !scan->memory || (has_steps && !scan->update && !scan->gates)) {
    return refuse(GRUKIT_BAD_CALL, "update and memory must be given, or gates, got neither");
  }
  return GRUKIT_OK;
}

}  // namespace grukit
