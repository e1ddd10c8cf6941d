// Memory for the duration of a call, kept by the process for the next one.
#pragma once

#include <cstddef>

namespace grukit {

class Scratch {
 public:
  // Aligned to 64 bytes, not initialised; get() is null if there is none to be had.
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
