// CHECK(condition) or CHECK(condition, "%s is %d", name, value): prints what failed, and where.
// A test program ends with `return grukit_test::failed_checks();`: not 0 if a check failed, or if
// none was made.
#pragma once

#include <atomic>
#include <cstdarg>
#include <cstdio>

namespace grukit_test {

inline std::atomic<long> checks{0}, failures{0};

[[gnu::format(printf, 5, 6)]] inline void check(bool ok, const char *condition, const char *file,
                                                int line, const char *format, ...) {
  ++checks;
  constexpr long kMostPrinted = 20;
  if (ok || ++failures > kMostPrinted) return;
  char about[512];
  va_list values;
  va_start(values, format);
  std::vsnprintf(about, sizeof about, format, values);
  va_end(values);
  std::fprintf(stderr, "%s:%d: failed: %s  %s\n", file, line, condition, about);
}

inline int failed_checks() {
  std::fprintf(stderr, "%ld of %ld checks failed\n", failures.load(), checks.load());
  return failures > 0 || checks == 0;
}

}  // namespace grukit_test

// " " keeps a format from being empty, which GNU's compiler warns of.
#define CHECK(condition, ...) \
  grukit_test::check(static_cast<bool>(condition), #condition, __FILE__, __LINE__, " " __VA_ARGS__)
