// The C interface of the search. Nothing is thrown through it.
#include <atomic>
#include <memory>
#include <new>

#include "base/message.h"
#include "base/threads.h"
#include "ctc/rules.h"
#include "ctc/search.h"
#include "grukit.h"

using namespace grukit;
using namespace grukit::ctc;

struct grukit_ctc {
  std::shared_ptr<const Rules> rules;
};

struct grukit_search {
  std::shared_ptr<const Rules> rules;
  Search search;

  explicit grukit_search(std::shared_ptr<const Rules> shared)
      : rules(std::move(shared)), search(*rules) {}
};

namespace {

template <class Work>
grukit_status guarded(const Work &work) {
  try {
    return work();
  } catch (const std::bad_alloc &) {
    return refuse(GRUKIT_NO_MEMORY, "there is no memory for the search");
  }
}

grukit_status missing(const char *what) {
  return refuse(GRUKIT_BAD_CALL, "%s must be given, got NULL", what);
}

grukit_status waiting() {
  return refuse(GRUKIT_BAD_CALL, "the chances of the next tokens must be given first");
}

grukit_status validate_push(grukit_search *const *searches, int64_t count,
                            const float *const *log_probs, const int64_t *frames,
                            const int64_t *taken) {
  if (count < 0) {
    return refuse(GRUKIT_BAD_CALL, "count must be at least 0, got %lld",
                  static_cast<long long>(count));
  }
  if (count > 0 && (!searches || !log_probs || !frames || !taken)) {
    return missing("searches, log_probs, frames and taken");
  }
  for (int64_t i = 0; i < count; ++i) {
    if (!searches[i]) return missing("every search");
    if (frames[i] < 0) {
      return refuse(GRUKIT_BAD_CALL, "frames must be at least 0, got %lld",
                    static_cast<long long>(frames[i]));
    }
    if (frames[i] > 0 && !log_probs[i]) return missing("log_probs");
    const int64_t values = frames[i] * searches[i]->rules->vocabulary;
    for (int64_t at = 0; at < values; ++at) {
      if (log_probs[i][at] < std::numeric_limits<float>::infinity()) continue;
      return refuse(GRUKIT_BAD_CALL, "log_probs must be numbers, got %g at frame %lld",
                    static_cast<double>(log_probs[i][at]),
                    static_cast<long long>(at / searches[i]->rules->vocabulary));
    }
  }
  return GRUKIT_OK;
}

}  // namespace

grukit_status grukit_ctc_open(const grukit_ctc_rules *rules, grukit_ctc **ctc) {
  if (!ctc) return missing("the place of the rules");
  *ctc = nullptr;
  if (!rules) return missing("rules");
  if (const grukit_status status = validate(*rules)) return status;
  return guarded([&] {
    *ctc = new grukit_ctc{std::make_shared<const Rules>(ctc::copy(*rules))};
    return GRUKIT_OK;
  });
}

void grukit_ctc_close(grukit_ctc *ctc) { delete ctc; }

grukit_status grukit_search_open(const grukit_ctc *ctc, grukit_search **search) {
  if (!search) return missing("the place of the search");
  *search = nullptr;
  if (!ctc) return missing("ctc");
  return guarded([&] {
    *search = new grukit_search(ctc->rules);
    return GRUKIT_OK;
  });
}

void grukit_search_close(grukit_search *search) { delete search; }

grukit_status grukit_search_reset(grukit_search *search) {
  if (!search) return missing("search");
  return guarded([&] {
    search->search.reset();
    return GRUKIT_OK;
  });
}

grukit_status grukit_search_push(grukit_search *const *searches, int64_t count,
                                 const float *const *log_probs, const int64_t *frames,
                                 int64_t *taken, int64_t threads) {
  if (const grukit_status bad = validate_push(searches, count, log_probs, frames, taken)) {
    return bad;
  }
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  run_parallel(std::min({threads, count, kMostThreads}), [&](int64_t, int64_t) {
    for (int64_t i; (i = next.fetch_add(1)) < count;) {
      taken[i] = 0;
      try {
        const int64_t vocabulary = searches[i]->rules->vocabulary;
        Search &search = searches[i]->search;
        while (taken[i] < frames[i] && !search.wants_chances()) {
          search.step(log_probs[i] + taken[i]++ * vocabulary);
        }
      } catch (const std::bad_alloc &) {
        failed = true;
      }
    }
  });
  return failed ? refuse(GRUKIT_NO_MEMORY, "there is no memory for the search") : GRUKIT_OK;
}

grukit_status grukit_search_wanted(grukit_search *search, int64_t *count, int32_t *before,
                                   int32_t *token, int32_t *row) {
  if (!search) return missing("search");
  if (!count || !before || !token || !row) return missing("count, before, token and row");
  *count = search->search.wanted(before, token, row);
  return GRUKIT_OK;
}

grukit_status grukit_search_give(grukit_search *search, const float *chances) {
  if (!search) return missing("search");
  if (!chances) return missing("chances");
  search->search.give(chances);
  return GRUKIT_OK;
}

grukit_status grukit_search_rank(grukit_search *search, int64_t final, int64_t *count,
                                 int64_t *lengths, double *chances, double *scores,
                                 int64_t *whole) {
  if (!search) return missing("search");
  if (!count || !lengths || !chances || !scores || !whole) {
    return missing("count, lengths, chances, scores and whole");
  }
  if (search->search.wants_chances()) return waiting();
  return guarded([&] {
    const auto &ranked = search->search.rank(final != 0);
    *count = static_cast<int64_t>(ranked.size());
    for (int64_t i = 0; i < *count; ++i) {
      lengths[i] = search->search.length(i);
      chances[i] = ranked[i].chance;
      scores[i] = ranked[i].score;
      whole[i] = ranked[i].whole;
    }
    return GRUKIT_OK;
  });
}

grukit_status grukit_search_read(const grukit_search *search, int64_t rank, int32_t *tokens,
                                 int64_t *frames, double *peaks) {
  if (!search) return missing("search");
  const int64_t ranked = search->search.ranked();
  if (rank < 0 || rank >= ranked) {
    return refuse(GRUKIT_BAD_CALL, "rank must be from 0 to below %lld, got %lld",
                  static_cast<long long>(ranked), static_cast<long long>(rank));
  }
  if (search->search.length(rank) > 0 && (!tokens || !frames || !peaks)) {
    return missing("tokens, frames and peaks");
  }
  search->search.read(rank, tokens, frames, peaks);
  return GRUKIT_OK;
}
