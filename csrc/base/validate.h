// Whether a call is as grukit.h says. Each function refuses, with a message, what is not.
#pragma once

#include "grukit.h"

namespace grukit {

// Everything that grukit_packed_bytes looks at.
grukit_status validate_features(const grukit_call &call);
// All sizes and flags, and none of the buffers.
grukit_status validate_facts(const grukit_call &call);

grukit_status validate_pack(const grukit_call &call);
grukit_status validate_forward(const grukit_call &call);
grukit_status validate_backward(const grukit_call &call);
// What a layer of a stack must be beside a forward call, for the layer below it or null.
grukit_status validate_layer(const grukit_call &call, const grukit_call *below);
grukit_status validate_open(const grukit_call &call);

}  // namespace grukit
