// The scan that one instruction set offers. Calls that reach it are valid.
#pragma once

#include "grukit.h"

namespace grukit::GRUKIT_ISA {

grukit_status scan_forward(const grukit_scan &call);
grukit_status scan_backward(const grukit_scan &call);

}  // namespace grukit::GRUKIT_ISA
