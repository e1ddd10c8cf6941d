// The search through the outputs of CTC: against the sum over all alignments, with everything that
// can be added to a score, on threads, and for calls that are not valid. That it finds what its
// reference finds is tested in Python.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "grukit.h"

namespace {

constexpr int64_t kTokens = 4;  // the blank, a space, a and b
using Text = std::vector<int32_t>;
using Frames = std::vector<float>;

struct Found {
  Text tokens;
  std::vector<int64_t> frames;
  std::vector<double> peaks;
  double chance, score;
  bool whole;
};

// Rules, with the buffers that they point to: words "a" and "ab" of bigrams, the phrase "ab a".
struct Problem {
  const int64_t letters_begin[kTokens + 1] = {0, 0, 1, 2, 3};
  const int32_t letters[3] = {0, 'a', 'b'};
  // root -a-> 1 -b-> 2
  const int64_t lexicon_begin[4] = {0, 1, 2, 2};
  const int32_t lexicon_label[2] = {'a', 'b'}, lexicon_next[2] = {1, 2};
  const int32_t word[3] = {-1, 0, 1};
  const double ahead[3] = {-0.5, -0.5, -1.0};
  // Words: 0 "a", 1 "ab", 2 unknown, 3 the end. State 1 is after "a", and has "ab" alone.
  const int64_t ngrams_begin[3] = {0, 4, 5};
  const int32_t ngrams_label[5] = {0, 1, 2, 3, 1}, ngrams_next[5] = {1, 0, 0, 0, 0};
  const double chance[5] = {-0.5, -1.0, -4.0, -2.0, -0.25};
  const double backoff[2] = {0, -0.125};
  const int32_t shorter[2] = {0, 0};
  // boundary, a, b, boundary, a, boundary
  const int64_t phrases_begin[8] = {0, 1, 2, 3, 4, 5, 6, 6};
  const int32_t phrases_label[6] = {0, 'a', 'b', 0, 'a', 0}, phrases_next[6] = {1, 2, 3, 4, 5, 6};
  const int32_t fail[7] = {0, 0, 0, 0, 1, 2, 1};
  const double held[7] = {0, 0, 0.5, 1.0, 1.5, 2.0, 0};
  const double complete[7] = {0, 0, 0, 0, 0, 0, 2.0};
  grukit_ctc_rules rules{};

  explicit Problem(int64_t beam) {
    rules.vocabulary = kTokens;
    rules.beam = beam;
    rules.window = std::numeric_limits<double>::infinity();
    rules.least = -std::numeric_limits<double>::infinity();
    rules.letters_begin = letters_begin;
    rules.letters = letters;
  }

  Problem &with_words() {
    rules.weight = 0.5;
    rules.bonus = 0.25;
    rules.unknown = 3;
    rules.unknown_chance = -4;
    rules.lexicon = {3, lexicon_begin, lexicon_label, lexicon_next};
    rules.word = word;
    rules.ahead = ahead;
    rules.ngrams = {2, ngrams_begin, ngrams_label, ngrams_next};
    rules.chance = chance;
    rules.backoff = backoff;
    rules.shorter = shorter;
    rules.unknown_word = 2;
    rules.end_word = 3;
    return *this;
  }

  Problem &with_phrases() {
    rules.phrases = {7, phrases_begin, phrases_label, phrases_next};
    rules.fail = fail;
    rules.held = held;
    rules.complete = complete;
    rules.phrases_start = 1;
    return *this;
  }

  Problem &with_tokens() {
    rules.asks_tokens = 1;
    rules.token_weight = 0.5;
    return *this;
  }
};

class Search {
 public:
  explicit Search(const grukit_ctc *ctc, int64_t beam) : beam_(beam) {
    CHECK(grukit_search_open(ctc, &search) == GRUKIT_OK);
  }
  ~Search() { grukit_search_close(search); }
  Search(const Search &) = delete;
  Search &operator=(const Search &) = delete;

  // Every token is as likely, and the end has a chance of its own.
  int64_t answer() {
    int64_t count;
    std::vector<int32_t> before(beam_), token(beam_), row(beam_);
    CHECK(grukit_search_wanted(search, &count, before.data(), token.data(), row.data()) ==
          GRUKIT_OK);
    std::vector<float> chances(count * kTokens, -1.5f);
    for (int64_t i = 0; i < count; ++i) {
      chances[i * kTokens] = -0.5f;
      CHECK(0 <= row[i] && row[i] < 2 * beam_);
      // So that states can be written one after the other.
      for (int64_t j = 0; j < count; ++j) CHECK(row[i] != before[j] && (i == j || row[i] != row[j]));
    }
    if (count) CHECK(grukit_search_give(search, chances.data()) == GRUKIT_OK);
    return count;
  }

  void push(const Frames &x, bool answers = false) {
    int64_t at = 0;
    const int64_t all = static_cast<int64_t>(x.size()) / kTokens;
    if (answers) answer();
    while (at < all) {
      const float *from = x.data() + at * kTokens;
      const int64_t frames = all - at;
      int64_t taken;
      CHECK(grukit_search_push(&search, 1, &from, &frames, &taken, 1) == GRUKIT_OK);
      CHECK(taken > 0);
      if (taken <= 0) return;
      at += taken;
      if (answers) answer();
    }
  }

  std::vector<Found> best(bool final) const {
    std::vector<int64_t> lengths(beam_), whole(beam_);
    std::vector<double> chances(beam_), scores(beam_);
    int64_t count = 0;
    CHECK(grukit_search_rank(search, final, &count, lengths.data(), chances.data(), scores.data(),
                             whole.data()) == GRUKIT_OK);
    std::vector<Found> found;
    for (int64_t i = 0; i < count; ++i) {
      Found one{Text(lengths[i]),       std::vector<int64_t>(lengths[i]),
                std::vector<double>(lengths[i]), chances[i], scores[i], whole[i] != 0};
      CHECK(grukit_search_read(search, i, one.tokens.data(), one.frames.data(),
                               one.peaks.data()) == GRUKIT_OK);
      found.push_back(one);
    }
    return found;
  }

  grukit_search *search = nullptr;

 private:
  int64_t beam_;
};

grukit_ctc *open(const Problem &problem) {
  grukit_ctc *ctc = nullptr;
  CHECK(grukit_ctc_open(&problem.rules, &ctc) == GRUKIT_OK, "%s", grukit_message());
  return ctc;
}

Frames posteriors(int64_t frames, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw(0, 2);
  Frames x(frames * kTokens);
  for (int64_t frame = 0; frame < frames; ++frame) {
    double sum = 0;
    float *row = &x[frame * kTokens];
    for (int64_t token = 0; token < kTokens; ++token) sum += std::exp(row[token] = draw(random));
    for (int64_t token = 0; token < kTokens; ++token) row[token] -= std::log(sum);
  }
  return x;
}

// Frames that say these tokens for certain, but for the blank that they say as well.
Frames saying(const Text &tokens) {
  Frames x(tokens.size() * kTokens, -std::numeric_limits<float>::infinity());
  for (size_t frame = 0; frame < tokens.size(); ++frame) x[frame * kTokens + tokens[frame]] = 0;
  return x;
}

std::map<Text, double> sums_of_all(const Frames &x) {
  const int64_t frames = static_cast<int64_t>(x.size()) / kTokens;
  std::map<Text, double> sums;
  int64_t ways = 1;
  for (int64_t frame = 0; frame < frames; ++frame) ways *= kTokens;
  for (int64_t way = 0; way < ways; ++way) {
    Text text;
    double chance = 0;
    int64_t rest = way, before = 0;
    for (int64_t frame = 0; frame < frames; ++frame, rest /= kTokens) {
      const int64_t token = rest % kTokens;
      chance += x[frame * kTokens + token];
      if (token && token != before) text.push_back(static_cast<int32_t>(token));
      before = token;
    }
    sums[text] += std::exp(chance);
  }
  return sums;
}

void test_all_alignments() {
  constexpr int64_t kBeam = 5000;
  const Problem problem(kBeam);
  grukit_ctc *ctc = open(problem);
  for (unsigned seed = 0; seed < 5; ++seed) {
    const Frames x = posteriors(6, seed);
    Search search(ctc, kBeam);
    search.push(x);
    const auto sums = sums_of_all(x);
    const auto found = search.best(true);
    CHECK(found.size() == sums.size(), "%zu of %zu", found.size(), sums.size());
    double before = 0;
    for (const Found &one : found) {
      const auto sum = sums.find(one.tokens);
      CHECK(sum != sums.end() && std::abs(std::log(sum->second) - one.chance) < 1e-9);
      CHECK(one.score == one.chance && one.score <= before && one.whole);
      CHECK(std::is_sorted(one.frames.begin(), one.frames.end()));
      before = one.score;
    }
  }
  grukit_ctc_close(ctc);
}

double score_of(Problem &problem, const Text &tokens, bool answers = false) {
  grukit_ctc *ctc = open(problem);
  Search search(ctc, problem.rules.beam);
  grukit_ctc_close(ctc);  // the search keeps the rules
  search.push(saying(tokens), answers);
  const auto found = search.best(true);
  CHECK(found.size() == 1 && found[0].chance == 0);
  return found[0].score;
}

void test_what_is_added() {
  Problem words(4), phrases(4), tokens(4), all(4), closed(4);
  words.with_words();
  phrases.with_phrases();
  tokens.with_tokens();
  all.with_words().with_phrases().with_tokens();
  // "ab a": ab, a, the end by backing off.
  const Text text = {2, 3, 1, 2}, other = {3, 2, 1, 2};
  const double of_words = 0.5 * (-1.0 - 0.5 + (-0.125 - 2.0)) + 2 * 0.25;
  CHECK(score_of(words, text) == of_words);
  CHECK(score_of(phrases, text) == 2.0);
  CHECK(score_of(tokens, text, true) == 0.5 * (4 * -1.5 - 0.5));
  CHECK(score_of(all, text, true) == of_words + 2.0 + 0.5 * (4 * -1.5 - 0.5));
  // "ba a": unknown, a, the end.
  CHECK(score_of(words, other) == 0.5 * (-4.0 - 0.5 + (-0.125 - 2.0)) + 2 * 0.25 - 3);
  CHECK(score_of(phrases, other) == 0.0);
  closed.with_words().rules.closed = 1;
  CHECK(score_of(closed, text) == of_words);
}

bool same(const std::vector<Found> &a, const std::vector<Found> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Found &x, const Found &y) {
    return x.tokens == y.tokens && x.frames == y.frames && x.peaks == y.peaks &&
           x.chance == y.chance && x.score == y.score && x.whole == y.whole;
  });
}

void test_threads() {
  constexpr int64_t kBeam = 8, kCount = 7;
  Problem problem(kBeam);
  grukit_ctc *ctc = open(problem.with_words().with_phrases());
  std::vector<Frames> x;
  for (unsigned i = 0; i < kCount; ++i) x.push_back(posteriors(40 * i, i));
  for (int64_t threads : {1, 2, 4}) {
    std::vector<std::unique_ptr<Search>> searches;
    std::vector<grukit_search *> handles;
    std::vector<const float *> from;
    std::vector<int64_t> frames, taken(kCount, -1);
    for (const Frames &one : x) {
      searches.push_back(std::make_unique<Search>(ctc, kBeam));
      handles.push_back(searches.back()->search);
      from.push_back(one.data());
      frames.push_back(static_cast<int64_t>(one.size()) / kTokens);
    }
    CHECK(grukit_search_push(handles.data(), kCount, from.data(), frames.data(), taken.data(),
                             threads) == GRUKIT_OK);
    CHECK(taken == frames);
    for (int64_t i = 0; i < kCount; ++i) {
      Search alone(ctc, kBeam);
      alone.push(x[i]);
      CHECK(same(alone.best(true), searches[i]->best(true)), "%ld threads", long(threads));
    }
  }
  grukit_ctc_close(ctc);
}

// Long enough for the trees to be swept, in several parts, and once more after a reset.
void test_long() {
  constexpr int64_t kBeam = 6;
  Problem problem(kBeam);
  grukit_ctc *ctc = open(problem.with_words().with_phrases().with_tokens());
  Search search(ctc, kBeam);
  const Frames x = posteriors(4000, 1);
  search.push(x, true);
  const auto first = search.best(true);
  CHECK(first.size() == kBeam && first[0].tokens.size() > 1000);
  CHECK(grukit_search_reset(search.search) == GRUKIT_OK);
  for (size_t at = 0; at < x.size(); at += 100 * kTokens) {
    search.push(Frames(x.begin() + at, x.begin() + at + 100 * kTokens), true);
  }
  CHECK(same(search.best(true), first));
  grukit_ctc_close(ctc);
}

void test_refusals() {
  grukit_ctc *ctc = nullptr;
  grukit_search *search = nullptr;
  CHECK(grukit_ctc_open(nullptr, &ctc) == GRUKIT_BAD_CALL && !ctc);
  Problem good(4);
  CHECK(grukit_ctc_open(&good.rules, nullptr) == GRUKIT_BAD_CALL);
  const auto refuses = [&](const Problem &problem, const char *part) {
    CHECK(grukit_ctc_open(&problem.rules, &ctc) == GRUKIT_BAD_CALL && !ctc);
    CHECK(std::strstr(grukit_message(), part), "%s", grukit_message());
  };
  {
    Problem bad(0);
    refuses(bad, "beam must be from 1");
  }
  {
    Problem bad(4);
    bad.with_words().rules.unknown_word = 9;
    refuses(bad, "unknown_word must be from 0 to below 4, got 9");
  }
  {
    Problem bad(4);
    const int32_t circle[2] = {0, 1};
    bad.with_words().rules.shorter = circle;
    refuses(bad, "shorter must lead to state 0, got 1");
  }
  {
    Problem bad(4);
    const int32_t circle[7] = {0, 2, 1, 0, 0, 0, 0};
    bad.with_phrases().rules.fail = circle;
    refuses(bad, "fail must lead to node 0");
  }
  {
    Problem bad(4);
    const int64_t falls[8] = {0, 1, 0, 3, 4, 5, 6, 6};
    bad.with_phrases().rules.phrases.begin = falls;
    refuses(bad, "phrases.begin must not fall, got 0 after 1");
  }
  {
    Problem bad(4);
    const int32_t far[6] = {1, 2, 3, 4, 5, 7};
    bad.with_phrases().rules.phrases.next = far;
    refuses(bad, "phrases.next must be nodes, got 7");
  }
  CHECK(grukit_search_open(nullptr, &search) == GRUKIT_BAD_CALL && !search);
  ctc = open(good.with_tokens());
  Search own(ctc, 4);
  const Frames x = posteriors(2, 0);
  const float *from = x.data();
  int64_t frames = -1, taken = 0;
  CHECK(grukit_search_push(&own.search, 1, &from, &frames, &taken, 1) == GRUKIT_BAD_CALL);
  CHECK(grukit_search_push(&own.search, -1, &from, &frames, &taken, 1) == GRUKIT_BAD_CALL);
  CHECK(grukit_search_push(nullptr, 0, nullptr, nullptr, nullptr, 1) == GRUKIT_OK);
  Frames bad = x;
  bad[5] = std::nanf("");
  from = bad.data();
  frames = 2;
  CHECK(grukit_search_push(&own.search, 1, &from, &frames, &taken, 1) == GRUKIT_BAD_CALL);
  CHECK(std::strstr(grukit_message(), "at frame 1"), "%s", grukit_message());
  int64_t count, lengths[4], whole[4];
  double chances[4], scores[4];
  CHECK(grukit_search_rank(own.search, 1, &count, lengths, chances, scores, whole) ==
        GRUKIT_BAD_CALL);
  CHECK(own.answer() == 1);
  CHECK(grukit_search_rank(own.search, 1, &count, lengths, chances, scores, whole) == GRUKIT_OK);
  CHECK(count == 1 && lengths[0] == 0 && chances[0] == 0 && whole[0] == 1);
  CHECK(grukit_search_read(own.search, 1, nullptr, nullptr, nullptr) == GRUKIT_BAD_CALL);
  CHECK(grukit_search_read(own.search, 0, nullptr, nullptr, nullptr) == GRUKIT_OK);
  grukit_ctc_close(ctc);
  grukit_ctc_close(nullptr);
  grukit_search_close(nullptr);
}

}  // namespace

int main() {
  test_all_alignments();
  test_what_is_added();
  test_threads();
  test_long();
  test_refusals();
  return grukit_test::failed_checks();
}
