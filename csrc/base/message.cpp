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
  char name[32];
  const int length = std::snprintf(name, sizeof name, "call %lld: ", static_cast<long long>(index));
  std::memmove(text + length, text, sizeof text - length - 1);
  std::memcpy(text, name, length);
}

const char *message() { return text; }

}  // namespace grukit
