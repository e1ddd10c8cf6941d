// What one instruction set offers: the same text, compiled once for each.
#pragma once

#include "grukit.h"

namespace grukit {

// Calls that reach these are valid.
struct Kernels {
  const char *name;
  int64_t (*threads)(const grukit_call *calls, int64_t count, bool backward);
  size_t (*packed_bytes)(const grukit_call &call);
  grukit_status (*pack)(const grukit_call &call, void *packed);
  grukit_status (*forward)(const grukit_call *calls, int64_t count);
  grukit_status (*forward_stack)(const grukit_call *calls, int64_t count);
  grukit_status (*backward)(const grukit_call *calls, int64_t count);
  grukit_status (*open)(const grukit_call &call, grukit_stream **stream);
  void (*close)(grukit_stream *stream);
  grukit_status (*step)(grukit_stream *stream, const void *x, void *h, void *c, void *y);
  grukit_status (*scan_forward)(const grukit_scan &scan);
  grukit_status (*scan_backward)(const grukit_scan &scan);
};

namespace scalar { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
namespace avx512 { extern const Kernels kernels; }
namespace neon { extern const Kernels kernels; }

}  // namespace grukit

// Every stream begins with this, which grukit_open fills in once the kernels have made the stream:
// a later choice of kernels does not matter to it.
struct grukit_stream {
  const grukit::Kernels *kernels = nullptr;
  int64_t cell = 0, dtype = 0;
  bool reads_x = false, has_states = false;  // x, the states have elements
};
