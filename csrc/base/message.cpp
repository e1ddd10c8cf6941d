#include "base/message.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace grukit {
namespace {

thread_local char text[320] = "";

}  // namespace

grukit_status refuse(grukit_status status, const char *format, ...) {
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return status;
}

void name_call(int64_t index) {
  char about[sizeof text];
  std::memcpy(about, text, sizeof text);
  const int length = std::snprintf(text, sizeof text, "call %lld: ", static_cast<long long>(index));
  std::snprintf(text + length, sizeof text - length, "%s", about);
}

const char *message() { return text; }

}  // namespace grukit
