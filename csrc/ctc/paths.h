// Lists that share their beginnings, as a tree of their ends: what no list needs is given back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace grukit::ctc {

// The empty list.
constexpr int32_t kNone = -1;

template <class Value>
class Paths {
 public:
  struct Node {
    int32_t parent;
    Value value;
  };

  int32_t add(int32_t parent, const Value &value) {
    nodes_.push_back({parent, value});
    return static_cast<int32_t>(nodes_.size()) - 1;
  }

  Node &operator[](int32_t node) { return nodes_[node]; }
  const Node &operator[](int32_t node) const { return nodes_[node]; }
  int32_t size() const { return static_cast<int32_t>(nodes_.size()); }
  bool is_full() const { return nodes_.size() >= limit_; }

  void clear() {
    nodes_.clear();
    limit_ = kLeast;
  }

  // Keeps the lists that end in `ends` and tells each where it is now. Parents come before their
  // children, and do so afterwards.
  template <class Ends>
  void keep(const Ends &for_each_end) {
    now_.assign(nodes_.size(), kNone);
    for_each_end([&](int32_t &end) {
      if (end != kNone) now_[end] = 0;
    });
    for (size_t node = nodes_.size(); node-- > 0;) {
      if (now_[node] != kNone && nodes_[node].parent != kNone) now_[nodes_[node].parent] = 0;
    }
    int32_t count = 0;
    for (size_t node = 0; node < nodes_.size(); ++node) {
      if (now_[node] == kNone) continue;
      Node own = nodes_[node];
      if (own.parent != kNone) own.parent = now_[own.parent];
      nodes_[count] = own;
      now_[node] = count++;
    }
    nodes_.resize(count);
    for_each_end([&](int32_t &end) {
      if (end != kNone) end = now_[end];
    });
    limit_ = std::max(kLeast, 2 * nodes_.size());
  }

 private:
  static constexpr size_t kLeast = 4096;

  std::vector<Node> nodes_;
  std::vector<int32_t> now_;
  size_t limit_ = kLeast;
};

}  // namespace grukit::ctc
