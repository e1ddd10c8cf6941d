#include "ctc/search.h"

#include <algorithm>
#include <cmath>

namespace grukit::ctc {
namespace {

// ln(e^a + e^b).
double log_add(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == kNever ? a : a + std::log1p(std::exp(b - a));
}

void add(Way &way, double chance, double best, int32_t times) {
  way.chance = log_add(way.chance, chance);
  if (best > way.best) {
    way.best = best;
    way.times = times;
  }
}

uint64_t key_of(int32_t prefix, int32_t token) {
  return uint64_t{static_cast<uint32_t>(prefix)} << 32 | static_cast<uint32_t>(token);
}

}  // namespace

double Search::Entry::chance() const { return log_add(blank.chance, token.chance); }

Search::Search(const Rules &rules) : rules_(rules), seen_(rules.vocabulary, kNone) {
  if (rules.asks_tokens) {
    rows_.resize(2 * rules.beam * rules.vocabulary);
    taken_rows_.resize(2 * rules.beam);
  }
  reset();
}

void Search::reset() {
  frame_ = 0;
  prefixes_.clear();
  times_.clear();
  longer_.clear();
  ranked_.clear();
  wanted_.clear();
  Entry first;
  first.blank.chance = first.blank.best = 0;
  first.context = rules_.first();
  beam_.assign(1, first);
  if (rules_.asks_tokens) wanted_.push_back({kNone, kNone, 0, 0});
}

void Search::step(const float *log_probs) {
  candidates_.clear();
  stay(log_probs);
  go_on(log_probs);
  choose();
  // A frame in which nothing can go on is passed over.
  if (!order_.empty()) commit(log_probs);
  ++frame_;
  ranked_.clear();
  if (prefixes_.is_full() || times_.is_full()) collect();
}

// Beginnings that stay as long as they are, together with those that become them.
void Search::stay(const float *x) {
  const int32_t count = static_cast<int32_t>(beam_.size());
  parents_.resize(count);
  for (int32_t place = 0; place < count; ++place) {
    const Entry &entry = beam_[place];
    const int32_t parent = entry.prefix == kNone ? kNone : prefixes_[entry.prefix].parent;
    parents_[place] = kNone;
    if (entry.prefix != kNone) {
      // The empty beginning has no node: it is looked for.
      for (int32_t other = 0; other < count; ++other) {
        if (beam_[other].prefix == parent) {
          parents_[place] = other;
          break;
        }
      }
    }
    Candidate new_one;
    new_one.from = place;
    new_one.added = 0;
    new_one.token_times = Times::kSame;
    new_one.context = entry.context;
    const Way &best = entry.best();
    add(new_one.blank, entry.chance() + x[0], best.best + x[0], best.times);
    if (entry.prefix != kNone) {
      const int32_t token = last(entry);
      const double own = x[token];
      Way &way = new_one.token;
      add(way, entry.token.chance + own, entry.token.best + own, entry.token.times);
      if (way.times != kNone && own > times_[way.times].value.peak) {
        new_one.token_times = Times::kLast;
      }
      if (parents_[place] != kNone && !(own < rules_.least)) {
        const Entry &shorter = beam_[parents_[place]];
        const bool again = last(shorter) == token;
        const Way &from = again ? shorter.blank : shorter.best();
        const double chance = again ? shorter.blank.chance : shorter.chance();
        const double before = way.best;
        add(way, chance + own, from.best + own, from.times);
        if (way.best > before) new_one.token_times = Times::kLonger;
      }
    }
    const double chance = log_add(new_one.blank.chance, new_one.token.chance);
    new_one.score = chance + rules_.score(new_one.context);
    candidates_.push_back(new_one);
  }
}

// Beginnings that become longer by a token, but for those that are followed already.
void Search::go_on(const float *x) {
  tokens_.clear();
  for (int32_t token = 1; token < rules_.vocabulary; ++token) {
    if (!(x[token] < rules_.least) && x[token] > kNever) tokens_.push_back(token);
  }
  const int32_t count = static_cast<int32_t>(beam_.size());
  std::fill(seen_.begin(), seen_.end(), kNone);
  for (int32_t place = 0; place < count; ++place) {
    for (int32_t other = 0; other < count; ++other) {
      if (parents_[other] == place) seen_[last(beam_[other])] = place;
    }
    const Entry &entry = beam_[place];
    const int32_t own = last(entry);
    const double all = entry.chance();
    for (const int32_t token : tokens_) {
      if (seen_[token] == place) continue;
      const bool again = token == own;
      const double chance = (again ? entry.blank.chance : all) + x[token];
      if (chance == kNever) continue;
      const Way &from = again ? entry.blank : entry.best();
      Candidate new_one;
      new_one.context = entry.context;
      if (!rules_.add(new_one.context, token)) continue;
      if (rules_.asks_tokens) {
        const double own_chance = rows_[entry.row * rules_.vocabulary + token];
        new_one.context.tokens += rules_.token_weight * own_chance;
      }
      new_one.from = place;
      new_one.added = token;
      new_one.token = {chance, from.best + x[token], from.times};
      new_one.token_times = Times::kLonger;
      new_one.score = chance + rules_.score(new_one.context);
      candidates_.push_back(new_one);
    }
  }
}

void Search::choose() {
  order_.clear();
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (candidates_[i].score > kNever) order_.push_back(static_cast<int32_t>(i));
  }
  const auto is_before = [&](int32_t a, int32_t b) {
    const double left = candidates_[a].score, right = candidates_[b].score;
    return left != right ? left > right : a < b;
  };
  const size_t most = static_cast<size_t>(rules_.beam);
  if (order_.size() > most) {
    std::nth_element(order_.begin(), order_.begin() + most, order_.end(), is_before);
    order_.resize(most);
  }
  std::sort(order_.begin(), order_.end(), is_before);
  if (order_.empty()) return;
  const double least = candidates_[order_[0]].score - rules_.window;
  while (!(candidates_[order_.back()].score >= least)) order_.pop_back();
}

void Search::commit(const float *x) {
  std::swap(beam_, before_);
  beam_.clear();
  wanted_.clear();
  for (const int32_t index : order_) {
    const Candidate &chosen = candidates_[index];
    const Entry &from = before_[chosen.from];
    Entry entry;
    entry.blank = chosen.blank;
    entry.token = chosen.token;
    entry.context = chosen.context;
    if (chosen.added) {
      entry.prefix = longer(from.prefix, chosen.added);
      if (rules_.asks_tokens) {
        wanted_.push_back({from.row, chosen.added, 0, static_cast<int32_t>(beam_.size())});
      }
    } else {
      entry.prefix = from.prefix;
      entry.row = from.row;
    }
    if (entry.token.best > kNever) {
      entry.token.times = times_of(chosen, x[last(entry)]);
    } else {
      entry.token.times = kNone;
    }
    beam_.push_back(entry);
  }
  if (!wanted_.empty()) want();
}

int32_t Search::times_of(const Candidate &candidate, double peak) {
  const int32_t from = candidate.token.times;
  switch (candidate.token_times) {
    case Times::kLast:
      return times_.add(times_[from].parent, {frame_, peak});
    case Times::kLonger:
      return times_.add(from, {frame_, peak});
    default:
      return from;
  }
}

int32_t Search::longer(int32_t prefix, int32_t token) {
  const auto [found, is_new] = longer_.try_emplace(key_of(prefix, token), prefixes_.size());
  if (is_new) prefixes_.add(prefix, token);
  return found->second;
}

// Rows for what is wanted: none that an entry has, nor one from which another comes. There are
// enough, since at most `beam` have one and at most `beam` want one.
void Search::want() {
  std::fill(taken_rows_.begin(), taken_rows_.end(), 0);
  for (const Entry &entry : beam_) {
    if (entry.row != kNone) taken_rows_[entry.row] = 1;
  }
  for (const Wanted &one : wanted_) taken_rows_[one.before] = 1;
  int32_t row = 0;
  for (Wanted &one : wanted_) {
    while (taken_rows_[row]) ++row;
    one.row = row++;
  }
}

int64_t Search::wanted(int32_t *before, int32_t *token, int32_t *row) const {
  for (size_t i = 0; i < wanted_.size(); ++i) {
    before[i] = wanted_[i].before;
    token[i] = wanted_[i].token;
    row[i] = wanted_[i].row;
  }
  return static_cast<int64_t>(wanted_.size());
}

void Search::give(const float *chances) {
  for (const Wanted &one : wanted_) {
    beam_[one.entry].row = one.row;
    std::copy_n(chances, rules_.vocabulary, rows_.begin() + one.row * rules_.vocabulary);
    chances += rules_.vocabulary;
  }
  wanted_.clear();
}

void Search::collect() {
  prefixes_.keep([&](const auto &each) {
    for (Entry &entry : beam_) each(entry.prefix);
  });
  longer_.clear();
  for (int32_t node = 0; node < prefixes_.size(); ++node) {
    longer_.emplace(key_of(prefixes_[node].parent, prefixes_[node].value), node);
  }
  times_.keep([&](const auto &each) {
    for (Entry &entry : beam_) {
      each(entry.blank.times);
      each(entry.token.times);
    }
  });
}

const std::vector<Ranked> &Search::rank(bool final) {
  ranked_.clear();
  for (size_t place = 0; place < beam_.size(); ++place) {
    const Entry &entry = beam_[place];
    Ranked one{static_cast<int32_t>(place), entry.chance(), 0, true};
    Context context = entry.context;
    double added = rules_.score(context);
    if (final) {
      one.whole = rules_.end(context);
      if (rules_.asks_tokens) {
        const double end = rows_[entry.row * rules_.vocabulary];
        context.tokens += rules_.token_weight * end;
      }
      added = ((context.words + context.ahead) + context.complete) + context.tokens;
    }
    one.score = one.chance + added;
    ranked_.push_back(one);
  }
  std::stable_sort(ranked_.begin(), ranked_.end(), [](const Ranked &a, const Ranked &b) {
    return a.whole != b.whole ? a.whole : a.score > b.score;
  });
  return ranked_;
}

int64_t Search::length(int64_t rank) const {
  int64_t count = 0;
  for (int32_t node = beam_[ranked_[rank].entry].prefix; node != kNone;) {
    node = prefixes_[node].parent;
    ++count;
  }
  return count;
}

void Search::read(int64_t rank, int32_t *tokens, int64_t *frames, double *peaks) const {
  const Entry &entry = beam_[ranked_[rank].entry];
  int32_t prefix = entry.prefix, time = entry.best().times;
  for (int64_t at = length(rank); at-- > 0;) {
    tokens[at] = prefixes_[prefix].value;
    frames[at] = times_[time].value.frame;
    peaks[at] = times_[time].value.peak;
    prefix = prefixes_[prefix].parent;
    time = times_[time].parent;
  }
}

}  // namespace grukit::ctc
