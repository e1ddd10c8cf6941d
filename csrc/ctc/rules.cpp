#include "ctc/rules.h"

#include <cmath>

#include "base/message.h"

namespace grukit::ctc {
namespace {

constexpr int32_t kBoundary = 0;

using Number = long long;

grukit_status validate_arcs(const char *name, const grukit_arcs &arcs, int64_t least_nodes) {
  if (arcs.nodes < least_nodes || arcs.nodes > INT32_MAX) {
    return refuse(GRUKIT_BAD_CALL, "%s.nodes must be from %lld to %lld, got %lld", name,
                  Number(least_nodes), Number(INT32_MAX), Number(arcs.nodes));
  }
  if (arcs.nodes == 0) return GRUKIT_OK;
  if (!arcs.begin) return refuse(GRUKIT_BAD_CALL, "%s.begin must be given, got NULL", name);
  if (arcs.begin[0] != 0) {
    return refuse(GRUKIT_BAD_CALL, "%s.begin must start at 0, got %lld", name,
                  Number(arcs.begin[0]));
  }
  const int64_t count = arcs.begin[arcs.nodes];
  if (count > 0 && (!arcs.label || !arcs.next)) {
    return refuse(GRUKIT_BAD_CALL, "%s.label and next must be given, got NULL", name);
  }
  for (int64_t node = 0; node < arcs.nodes; ++node) {
    const int64_t first = arcs.begin[node], last = arcs.begin[node + 1];
    if (first > last || last > count) {
      return refuse(GRUKIT_BAD_CALL, "%s.begin must not fall, got %lld after %lld", name,
                    Number(last), Number(first));
    }
    for (int64_t arc = first; arc < last; ++arc) {
      if (arc > first && arcs.label[arc] <= arcs.label[arc - 1]) {
        return refuse(GRUKIT_BAD_CALL, "%s.label must rise in each node, got %ld after %ld", name,
                      long(arcs.label[arc]), long(arcs.label[arc - 1]));
      }
      if (arcs.next[arc] < 0 || arcs.next[arc] >= arcs.nodes) {
        return refuse(GRUKIT_BAD_CALL, "%s.next must be nodes, got %ld", name,
                      long(arcs.next[arc]));
      }
    }
  }
  return GRUKIT_OK;
}

grukit_status validate_range(const char *name, const int32_t *values, int64_t count, int64_t least,
                             int64_t end) {
  if (count > 0 && !values) return refuse(GRUKIT_BAD_CALL, "%s must be given, got NULL", name);
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] < least || values[i] >= end) {
      return refuse(GRUKIT_BAD_CALL, "%s must be from %lld to below %lld, got %ld", name,
                    Number(least), Number(end), long(values[i]));
    }
  }
  return GRUKIT_OK;
}

grukit_status validate_numbers(const char *name, const double *values, int64_t count) {
  if (count > 0 && !values) return refuse(GRUKIT_BAD_CALL, "%s must be given, got NULL", name);
  for (int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) {
      return refuse(GRUKIT_BAD_CALL, "%s must be finite, got %g", name, values[i]);
    }
  }
  return GRUKIT_OK;
}

// Every state must lead to state 0 by ever shorter ones, which has every word.
grukit_status validate_words(const grukit_ctc_rules &rules) {
  const grukit_arcs &ngrams = rules.ngrams;
  if (grukit_status bad = validate_arcs("lexicon", rules.lexicon, 1)) return bad;
  const int64_t words = ngrams.begin[1];
  if (grukit_status bad = validate_range("word", rules.word, rules.lexicon.nodes, -1, words)) {
    return bad;
  }
  for (int64_t arc = 0; arc < words; ++arc) {
    if (ngrams.label[arc] != arc) {
      return refuse(GRUKIT_BAD_CALL, "state 0 of ngrams must have every word, got %ld for %lld",
                    long(ngrams.label[arc]), Number(arc));
    }
  }
  if (grukit_status bad = validate_numbers("ahead", rules.ahead, rules.lexicon.nodes)) return bad;
  if (grukit_status bad = validate_numbers("chance", rules.chance, ngrams.begin[ngrams.nodes])) {
    return bad;
  }
  if (grukit_status bad = validate_numbers("backoff", rules.backoff, ngrams.nodes)) return bad;
  if (grukit_status bad = validate_range("shorter", rules.shorter, ngrams.nodes, 0, ngrams.nodes)) {
    return bad;
  }
  for (int64_t state = 1; state < ngrams.nodes; ++state) {
    int64_t at = state, steps = 0;
    while (at && ++steps <= 64) at = rules.shorter[at];
    if (at) return refuse(GRUKIT_BAD_CALL, "shorter must lead to state 0, got %lld", Number(at));
  }
  const int32_t start = static_cast<int32_t>(rules.start);
  const int32_t numbers[] = {static_cast<int32_t>(rules.unknown_word),
                             static_cast<int32_t>(rules.end_word)};
  if (grukit_status bad = validate_range("start", &start, 1, 0, ngrams.nodes)) return bad;
  if (grukit_status bad = validate_range("unknown_word", numbers, 1, 0, words)) return bad;
  return validate_range("end_word", numbers + 1, 1, -1, words);
}

grukit_status validate_phrases(const grukit_ctc_rules &rules) {
  const int64_t nodes = rules.phrases.nodes;
  if (grukit_status bad = validate_range("fail", rules.fail, nodes, 0, nodes)) return bad;
  for (int64_t node = 1; node < nodes; ++node) {
    int64_t at = node, steps = 0;
    while (at && ++steps <= nodes) at = rules.fail[at];
    if (at) return refuse(GRUKIT_BAD_CALL, "fail must lead to node 0, got %lld", Number(at));
  }
  if (grukit_status bad = validate_numbers("held", rules.held, nodes)) return bad;
  if (grukit_status bad = validate_numbers("complete", rules.complete, nodes)) return bad;
  const int32_t start = static_cast<int32_t>(rules.phrases_start);
  return validate_range("phrases_start", &start, 1, 0, nodes);
}

Arcs copy(const grukit_arcs &arcs) {
  Arcs own;
  if (arcs.nodes == 0) return own;
  const int64_t count = arcs.begin[arcs.nodes];
  own.begin.assign(arcs.begin, arcs.begin + arcs.nodes + 1);
  own.label.assign(arcs.label, arcs.label + count);
  own.next.assign(arcs.next, arcs.next + count);
  return own;
}

}  // namespace

Context Rules::first() const {
  Context context;
  context.state = start;
  context.phrase = phrases_start;
  return context;
}

bool Rules::add(Context &context, int32_t token) const {
  for (int64_t at = letters_begin[token]; at < letters_begin[token + 1]; ++at) {
    const int32_t letter = letters[at];
    if (letter == kBoundary) {
      if (!context.in_word) continue;
      if (!end_word_of(context) && closed) return false;
    } else {
      if (!context.in_word) {
        context.in_word = true;
        context.node = 0;
        context.words += bonus;
      }
      if (has_words && context.node != kOutside) {
        const int64_t arc = lexicon.find(context.node, letter);
        context.node = arc < 0 ? kOutside : lexicon.next[arc];
      }
    }
    if (has_phrases) add_to_phrase(context, letter);
  }
  context.ahead = 0;
  if (!has_words || !context.in_word) return true;
  if (context.node == kOutside) {
    context.ahead = weight * unknown_chance - unknown;
    return !closed;
  }
  context.ahead = weight * ahead[context.node];
  return true;
}

bool Rules::end(Context &context) const {
  bool known = true;
  if (context.in_word) {
    known = end_word_of(context);
    if (has_phrases) add_to_phrase(context, kBoundary);
  }
  context.ahead = 0;
  if (has_words && end_word >= 0) add_word(context, end_word);
  return known || !closed;
}

// Whether the word is known.
bool Rules::end_word_of(Context &context) const {
  context.in_word = false;
  if (!has_words) return true;
  const int32_t number = context.node == kOutside ? -1 : word[context.node];
  add_word(context, number < 0 ? unknown_word : number);
  if (number < 0) context.words -= unknown;
  return number >= 0;
}

void Rules::add_word(Context &context, int32_t number) const {
  double sum = 0;
  int32_t state = context.state;
  int64_t arc = ngrams.find(state, number);
  while (arc < 0) {
    sum += backoff[state];
    state = shorter[state];
    arc = ngrams.find(state, number);
  }
  context.state = ngrams.next[arc];
  context.words += weight * (sum + chance[arc]);
}

void Rules::add_to_phrase(Context &context, int32_t letter) const {
  int64_t arc = phrases.find(context.phrase, letter);
  while (arc < 0 && context.phrase != 0) {
    context.phrase = fail[context.phrase];
    arc = phrases.find(context.phrase, letter);
  }
  context.phrase = arc < 0 ? 0 : phrases.next[arc];
  context.complete += complete[context.phrase];
}

grukit_status validate(const grukit_ctc_rules &rules) {
  if (rules.vocabulary < 1 || rules.vocabulary > INT32_MAX) {
    return refuse(GRUKIT_BAD_CALL, "vocabulary must be from 1 to %lld, got %lld",
                  Number(INT32_MAX), Number(rules.vocabulary));
  }
  constexpr int64_t kMostBeam = 1 << 20;
  if (rules.beam < 1 || rules.beam > kMostBeam) {
    return refuse(GRUKIT_BAD_CALL, "beam must be from 1 to %lld, got %lld", Number(kMostBeam),
                  Number(rules.beam));
  }
  if (!(rules.window >= 0) || std::isnan(rules.least)) {
    return refuse(GRUKIT_BAD_CALL, "window must be at least 0 and least a number, got %g and %g",
                  rules.window, rules.least);
  }
  const double numbers[] = {rules.weight, rules.bonus, rules.unknown, rules.unknown_chance,
                            rules.token_weight};
  if (grukit_status bad = validate_numbers("every weight", numbers, 5)) return bad;
  if (!rules.letters_begin || rules.letters_begin[0] != 0) {
    return refuse(GRUKIT_BAD_CALL, "letters_begin must be given and start at 0");
  }
  for (int64_t token = 0; token < rules.vocabulary; ++token) {
    if (rules.letters_begin[token + 1] < rules.letters_begin[token]) {
      return refuse(GRUKIT_BAD_CALL, "letters_begin must not fall, got %lld after %lld",
                    Number(rules.letters_begin[token + 1]), Number(rules.letters_begin[token]));
    }
  }
  if (grukit_status bad = validate_range("letters", rules.letters,
                                         rules.letters_begin[rules.vocabulary], 0, INT32_MAX)) {
    return bad;
  }
  if (grukit_status bad = validate_arcs("ngrams", rules.ngrams, 0)) return bad;
  if (rules.ngrams.nodes) {
    if (grukit_status bad = validate_words(rules)) return bad;
  }
  if (grukit_status bad = validate_arcs("phrases", rules.phrases, 0)) return bad;
  return rules.phrases.nodes ? validate_phrases(rules) : GRUKIT_OK;
}

Rules copy(const grukit_ctc_rules &from) {
  Rules rules;
  rules.vocabulary = from.vocabulary;
  rules.beam = from.beam;
  rules.window = from.window;
  rules.least = from.least;
  rules.letters_begin.assign(from.letters_begin, from.letters_begin + from.vocabulary + 1);
  rules.letters.assign(from.letters, from.letters + from.letters_begin[from.vocabulary]);
  rules.weight = from.weight;
  rules.bonus = from.bonus;
  rules.unknown = from.unknown;
  rules.unknown_chance = from.unknown_chance;
  if (const int64_t states = from.ngrams.nodes) {
    const int64_t nodes = from.lexicon.nodes;
    rules.has_words = true;
    rules.closed = from.closed != 0;
    rules.lexicon = copy(from.lexicon);
    rules.word.assign(from.word, from.word + nodes);
    rules.ahead.assign(from.ahead, from.ahead + nodes);
    rules.ngrams = copy(from.ngrams);
    rules.chance.assign(from.chance, from.chance + from.ngrams.begin[states]);
    rules.backoff.assign(from.backoff, from.backoff + states);
    rules.shorter.assign(from.shorter, from.shorter + states);
    rules.start = static_cast<int32_t>(from.start);
    rules.unknown_word = static_cast<int32_t>(from.unknown_word);
    rules.end_word = static_cast<int32_t>(from.end_word);
  }
  if (const int64_t nodes = from.phrases.nodes) {
    rules.has_phrases = true;
    rules.phrases = copy(from.phrases);
    rules.fail.assign(from.fail, from.fail + nodes);
    rules.held.assign(from.held, from.held + nodes);
    rules.complete.assign(from.complete, from.complete + nodes);
    rules.phrases_start = static_cast<int32_t>(from.phrases_start);
  }
  rules.asks_tokens = from.asks_tokens != 0;
  rules.token_weight = from.token_weight;
  return rules;
}

}  // namespace grukit::ctc
