// The rules of a search, as copies of the caller's, and what they add to the score of a text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "grukit.h"

namespace grukit::ctc {

struct Arcs {
  std::vector<int64_t> begin{0};
  std::vector<int32_t> label, next;

  // The arc of a node with this label, or -1.
  int64_t find(int32_t node, int32_t wanted) const {
    const auto first = label.begin() + begin[node], last = label.begin() + begin[node + 1];
    const auto found = std::lower_bound(first, last, wanted);
    return found != last && *found == wanted ? found - label.begin() : -1;
  }
};

// What the models know of a text, by which they judge how it goes on.
struct Context {
  double words = 0;     // of the words that ended, and the bonus of those begun
  double ahead = 0;     // of the word that was begun
  double complete = 0;  // of the phrases that are complete
  double tokens = 0;    // by the model of tokens
  int32_t state = 0;    // of the n-gram model
  int32_t node = 0;     // of the lexicon, or kOutside
  int32_t phrase = 0;   // of the phrases
  bool in_word = false;
};

constexpr int32_t kOutside = -1;

struct Rules {
  int64_t vocabulary = 0, beam = 0;
  double window = 0, least = 0;
  std::vector<int64_t> letters_begin;
  std::vector<int32_t> letters;
  double weight = 0, bonus = 0, unknown = 0, unknown_chance = 0;
  bool closed = false, has_words = false, has_phrases = false, asks_tokens = false;
  Arcs lexicon, ngrams, phrases;
  std::vector<int32_t> word, shorter, fail;
  std::vector<double> ahead, chance, backoff, held, complete;
  int32_t start = 0, unknown_word = 0, end_word = -1, phrases_start = 0;
  double token_weight = 0;

  Context first() const;
  // Lets a text go on by a token; false if it may not.
  bool add(Context &context, int32_t token) const;
  // Lets a text end; false if its last word is one that may not be.
  bool end(Context &context) const;

  double score(const Context &context) const {
    const double phrases = context.complete + (has_phrases ? held[context.phrase] : 0.0);
    return ((context.words + context.ahead) + phrases) + context.tokens;
  }

 private:
  bool end_word_of(Context &context) const;
  void add_word(Context &context, int32_t number) const;
  void add_to_phrase(Context &context, int32_t letter) const;
};

// Whether the caller's rules are as the header says; else refuses.
grukit_status validate(const grukit_ctc_rules &rules);
// May throw std::bad_alloc.
Rules copy(const grukit_ctc_rules &rules);

}  // namespace grukit::ctc
