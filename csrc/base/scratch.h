// Memory for the duration of a call, kept by the process for the next one.
//
// Fresh memory costs a page fault for every 4 KiB at its first use, which takes longer than many a
// kernel that then fills it. So at most 8 blocks, of 256 MiB together, are kept once freed.
#pragma once

#include <cstddef>

namespace grukit {

class Scratch {
 public:
  // Aligned to 64 bytes, not initialised; get() is null if there is none to be had. Filled with
  // NaN if built with GRUKIT_POISON or AddressSanitizer.
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;

  void *get() const { return memory_; }

 private:
  void *memory_;
  size_t bytes_;
};

}  // namespace grukit
