// One search: the beginnings that are followed, from frame to frame. The equations are those of
// src/grukit/ops/ctc/reference.py, in the same order, so that both find the same to the last bit.
#pragma once

#include <cstdint>
#include <limits>
#include <unordered_map>
#include <vector>

#include "ctc/paths.h"
#include "ctc/rules.h"

namespace grukit::ctc {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// The alignments of one kind: ln of the chance of all, and of the best, whose times end at `times`.
struct Way {
  double chance = kNever, best = kNever;
  int32_t times = kNone;
};

struct Ranked {
  int32_t entry;
  double chance, score;
  bool whole;
};

class Search {
 public:
  explicit Search(const Rules &rules);

  void reset();
  void step(const float *log_probs);
  bool wants_chances() const { return !wanted_.empty(); }
  int64_t wanted(int32_t *before, int32_t *token, int32_t *row) const;
  void give(const float *chances);
  const std::vector<Ranked> &rank(bool final);
  int64_t length(int64_t rank) const;
  void read(int64_t rank, int32_t *tokens, int64_t *frames, double *peaks) const;
  int64_t ranked() const { return static_cast<int64_t>(ranked_.size()); }

 private:
  struct Time {
    int64_t frame;
    double peak;
  };

  // A beginning that is followed. `row` is where the chances of its next token are, or kNone.
  struct Entry {
    int32_t prefix = kNone;
    Way blank, token;
    Context context;
    int32_t row = kNone;

    double chance() const;
    const Way &best() const { return token.best > blank.best ? token : blank; }
  };

  // How the times of a way come from those of the way that it goes on from.
  enum class Times : int8_t { kSame, kLast, kLonger };

  struct Candidate {
    double score;
    int32_t from;       // the entry that it is, or that it goes on from
    int32_t added;      // the token by which it is longer, or 0
    Way blank, token;   // their times are those that they go on from
    Times token_times;
    Context context;
  };

  struct Wanted {
    int32_t before, token, row, entry;
  };

  int32_t last(const Entry &entry) const {
    return entry.prefix == kNone ? 0 : prefixes_[entry.prefix].value;
  }
  void stay(const float *log_probs);
  void go_on(const float *log_probs);
  void choose();
  void commit(const float *log_probs);
  int32_t times_of(const Candidate &candidate, double peak);
  int32_t longer(int32_t prefix, int32_t token);
  void want();
  void collect();

  const Rules &rules_;
  int64_t frame_ = 0;
  std::vector<Entry> beam_, before_;
  Paths<int32_t> prefixes_;  // by their last tokens
  Paths<Time> times_;
  std::unordered_map<uint64_t, int32_t> longer_;  // prefixes, by the shorter one and the token
  std::vector<int32_t> parents_;  // of each entry the place of the one that is shorter by a token
  std::vector<int32_t> tokens_;   // those that may be added in this frame
  std::vector<int32_t> seen_;     // of each token the entry that has it already
  std::vector<Candidate> candidates_;
  std::vector<int32_t> order_;
  std::vector<Wanted> wanted_;
  std::vector<float> rows_;
  std::vector<char> taken_rows_;
  std::vector<Ranked> ranked_;
};

}  // namespace grukit::ctc
