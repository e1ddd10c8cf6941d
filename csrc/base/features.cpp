#include "base/features.h"

namespace grukit {
namespace {

// The builtins also ask whether the operating system saves the registers.
Features detect() {
  Features found{};
#if defined(__x86_64__)
  __builtin_cpu_init();
  found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  found.avx512 = found.avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512dq");
  found.bf16 = found.avx512 && __builtin_cpu_supports("avx512bf16");
  found.vnni = found.avx512 && __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
  found.neon = true;
#endif
  return found;
}

}  // namespace

const Features &features() {
  static const Features found = detect();
  return found;
}

}  // namespace grukit
