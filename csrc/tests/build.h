// How a test was built, for what sanitizers and emulation slow down or do not allow.
#pragma once

#if defined(__has_feature)
#define GRUKIT_HAS_FEATURE(name) __has_feature(name)
#else
#define GRUKIT_HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || GRUKIT_HAS_FEATURE(address_sanitizer) || \
    defined(__SANITIZE_THREAD__) || GRUKIT_HAS_FEATURE(thread_sanitizer)
#define GRUKIT_SANITIZED 1
#else
#define GRUKIT_SANITIZED 0
#endif

namespace grukit_test {

constexpr bool kSanitized = GRUKIT_SANITIZED;
#if defined(GRUKIT_EMULATED)
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

}  // namespace grukit_test
