#include "base/scratch.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#define GRUKIT_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GRUKIT_ADDRESS_SANITIZER 1
#endif
#endif

namespace grukit {
namespace {

struct Block {
  void *memory = nullptr;
  size_t bytes = 0;
};

// Freed blocks. Whoever finds them in use by another thread does without, so that nobody waits,
// also not for a thread that a fork has left behind.
class FreeBlocks {
 public:
  // The smallest block of at least so many bytes, but none of more than twice as many: it would be
  // missing when it is asked for.
  Block take(size_t bytes) {
    Block found;
    if (!lock()) return found;
    Block *best = nullptr;
    for (Block &block : blocks_) {
      const bool fits = block.bytes >= bytes && block.bytes / 2 <= bytes;
      if (fits && (!best || block.bytes < best->bytes)) best = &block;
    }
    if (best) {
      found = *best;
      std::move(best + 1, blocks_ + kCount, best);
      blocks_[kCount - 1] = {};
      total_ -= found.bytes;
    }
    unlock();
    return found;
  }

  // Keeps the block in the place of the oldest ones.
  void give(Block block) {
    Block dropped[kCount];
    int drops = 0;
    if (block.bytes > kBytes || !lock()) {
      std::free(block.memory);
      return;
    }
    while (blocks_[kCount - 1].memory || total_ + block.bytes > kBytes) {
      Block *oldest = blocks_ + kCount - 1;
      while (!oldest->memory) --oldest;
      total_ -= oldest->bytes;
      dropped[drops++] = *oldest;
      *oldest = {};
    }
    std::move_backward(blocks_, blocks_ + kCount - 1, blocks_ + kCount);
    blocks_[0] = block;
    total_ += block.bytes;
    unlock();
    for (int i = 0; i < drops; ++i) std::free(dropped[i].memory);
  }

  void begin_anew_if_locked() {
    if (!locked_.load(std::memory_order_relaxed)) return;
    std::fill_n(blocks_, kCount, Block{});
    total_ = 0;
    unlock();
  }

 private:
  bool lock() { return !locked_.exchange(true, std::memory_order_acquire); }
  void unlock() { locked_.store(false, std::memory_order_release); }

  static constexpr int kCount = 8;
  static constexpr size_t kBytes = size_t{256} << 20;
  Block blocks_[kCount];  // the newest first
  size_t total_ = 0;
  std::atomic<bool> locked_{false};
};

constinit FreeBlocks free_blocks;

[[maybe_unused]] const int registered =
    pthread_atfork(nullptr, nullptr, [] { free_blocks.begin_anew_if_locked(); });

Block allocate(size_t bytes) {
  Block block{nullptr, bytes};
  if (posix_memalign(&block.memory, 64, bytes)) block.memory = nullptr;
  return block;
}

// AddressSanitizer sees a use past the end of a block only if the block is as large as asked for.
#if defined(GRUKIT_ADDRESS_SANITIZER)
Block take(size_t bytes) { return allocate(bytes); }
void give(Block block) { std::free(block.memory); }
#else
Block take(size_t bytes) {
  const Block block = free_blocks.take(bytes);
  return block.memory ? block : allocate(bytes);
}
void give(Block block) { free_blocks.give(block); }
#endif

}  // namespace

Scratch::Scratch(size_t bytes) {
  const Block block = take(std::max<size_t>(bytes, 1));
  memory_ = block.memory;
  bytes_ = block.bytes;
#if defined(GRUKIT_ADDRESS_SANITIZER) || defined(GRUKIT_POISON)
  if (memory_) std::memset(memory_, 0xff, bytes_);
#endif
}

Scratch::~Scratch() {
  if (memory_) give({memory_, bytes_});
}

}  // namespace grukit
