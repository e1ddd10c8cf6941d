// What was wrong with a call, for grukit_message.
#pragma once

#include "grukit.h"

namespace grukit {

// Keeps the message, as of printf, for this thread and returns `status`. Messages have one form:
// what, must be, got.
[[gnu::format(printf, 2, 3)]] grukit_status refuse(grukit_status status, const char *format, ...);

// Says before the message of this thread that it is about the call with this index.
void name_call(int64_t index);

const char *message();

}  // namespace grukit
