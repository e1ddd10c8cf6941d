// Whether a scan is as grukit.h says. Each function refuses, with a message, what is not.
#pragma once

#include "grukit.h"

namespace grukit {

grukit_status validate_scan_forward(const grukit_scan *scan);
grukit_status validate_scan_backward(const grukit_scan *scan);

}  // namespace grukit
