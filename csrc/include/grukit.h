/* grukit: recurrent layers over whole sequences, on a CPU, and the search for what was said.
 *
 * One C interface, for any language. Sizes: T time, B batch, I input, H hidden, P projected,
 * G the rows of all gates (GRU 3H, LSTM 4H, RNN H), K models. S is P where a projection acts on
 * the state (LSTM, RNN), else H; O is P with a projection, else H.
 *
 * Every buffer belongs to the caller, who keeps it alive for the duration of the call; nothing is
 * retained but by grukit_open and grukit_ctc_open. All are dense in row-major order (x alone may
 * have strides) and aligned to their element. What is written may not overlap anything else. NULL
 * means that a buffer is not there.
 *
 * Functions that can fail return a grukit_status. All may be called from any thread at once.
 */
#ifndef GRUKIT_H
#define GRUKIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GRUKIT_API __attribute__((visibility("default")))
#else
#define GRUKIT_API
#endif

/* Changes whenever this header does in a way that breaks a caller. */
#define GRUKIT_ABI 4

typedef enum {
  GRUKIT_OK = 0,
  GRUKIT_BAD_CALL = 1,      /* a size, a flag or a missing buffer: grukit_message says which */
  GRUKIT_NO_MEMORY = 2,     /* scratch memory could not be had */
  GRUKIT_UNSUPPORTED = 3    /* the CPU, or this library, cannot run such a call */
} grukit_status;

typedef enum {
  GRUKIT_GRU_AFTER = 0,  /* reset gate after the recurrent product: torch, cuDNN, Keras */
  GRUKIT_GRU_BEFORE = 1, /* reset gate before it: Cho et al. 2014, ONNX's default */
  GRUKIT_LSTM = 2,
  GRUKIT_RNN_TANH = 3,
  GRUKIT_RNN_RELU = 4
} grukit_cell;

typedef enum {
  GRUKIT_F32 = 0,
  GRUKIT_BF16 = 1 /* every floating buffer but the reserve; arithmetic and states in float32 */
} grukit_dtype;

typedef enum {
  GRUKIT_SAVE_NOTHING = 0,
  GRUKIT_SAVE_ALL = 1,
  GRUKIT_SAVE_STATES = 2 /* the backward recomputes the rest, chunk by chunk of time */
} grukit_save;

/* A call: one layer in one direction over a batch of sequences. Every field has eight bytes. */
typedef struct {
  int64_t cell;      /* grukit_cell */
  int64_t dtype;     /* grukit_dtype */
  int64_t quantized; /* 1: weights as int8, for inference; the state's scale is found out */
  int64_t models;    /* K; every buffer has a leading axis [K] if there is a model axis, else 1 */
  int64_t time, batch, input, hidden;
  int64_t projected; /* P, 0 without a projection */
  int64_t reverse;   /* 1: time runs from the last step that counts to the first */
  int64_t save;      /* grukit_save; what the reserve holds */
  int64_t threads;   /* at most so many; 1 if less */
  int64_t x_stride[3];      /* of x in elements: between models, steps and sequences */
  int64_t keep_is_rate[2];  /* 1: keep_h, keep_c is a single number for all */

  /* In. Rows of weights gate by gate: GRU reset, update, candidate; LSTM input, forget,
   * candidate, output. */
  const void *x;       /* [T, B, I], what stands past a length may be anything */
  const void *h0;      /* [B, S] */
  const void *w_ih;    /* [G, I] */
  const void *w_hh;    /* [G, O] */
  const void *b_ih;    /* [G], both biases or none */
  const void *b_hh;    /* [G] */
  const void *c0;      /* [B, H], LSTM */
  const void *w_hr;    /* [P, H] */
  const void *gain_ih; /* [G], both or none: layer norm of the products before the biases */
  const void *gain_hh; /* [G] */
  const void *gain_c;  /* [H], both or none: layer norm of c before its tanh */
  const void *bias_c;  /* [H] */
  const void *fresh_h; /* [B, S], the states at a reset; zero if NULL */
  const void *fresh_c; /* [B, H] */
  const void *drop_h;  /* [B, O], factors of what enters the recurrent products */
  const void *drop_n;  /* [B, H], factors of the candidate */
  const void *keep_h;  /* [T, B, S] or one number: how much of the old state is kept */
  const void *keep_c;  /* [T, B, H] or one number */
  const int64_t *lengths;   /* [B], clipped to 0..T; T if NULL */
  const uint8_t *resets;    /* [T, B], 1: a new sequence starts at this step */

  /* Out of the forward, in of the backward. */
  void *output;   /* [T, B, O], zero where a step does not count */
  void *h;        /* [B, S], forward alone */
  void *c;        /* [B, H], forward alone, LSTM */
  float *reserve; /* [slots, K, T, B, H]; slots: with SAVE_ALL the gates (GRU reset, update,
                     candidate, and the recurrent term of the candidate; LSTM input, forget,
                     candidate, output; RNN the state), then c of an LSTM, then h where it has the
                     size H and the output does not hold it exactly (bfloat16; a GRU's projection).
                     All slots are finite everywhere. NULL with SAVE_NOTHING. */

  /* In of the backward: gradients of output, h and c. */
  const void *d_output; /* [T, B, O], what stands past a length may be anything */
  const void *d_h;      /* [B, S] */
  const void *d_c;      /* [B, H] */

  /* Out of the backward: gradients of the above, in the same shapes; NULL if not wanted. Each is
   * overwritten. */
  void *dx, *dh0, *dw_ih, *dw_hh, *db_ih, *db_hh, *dc0, *dw_hr, *dgain_ih, *dgain_hh, *dgain_c,
      *dbias_c, *dfresh_h, *dfresh_c;

  /* What grukit_pack made of the weights of this call, or NULL: the forward packs them itself. */
  const void *packed;
} grukit_call;

/* GRUKIT_ABI of the library, to be compared with that of the header. */
GRUKIT_API int64_t grukit_abi(void);

/* Instruction sets: of the kernels that run ("scalar", "avx2", "avx512", "neon"), of those that
 * this CPU could run and extensions in use, separated by blanks ("avx512 avx2 scalar bf16 vnni"). */
GRUKIT_API const char *grukit_isa(void);
GRUKIT_API const char *grukit_isas(void);
/* Run the kernels of this set from now on: not while a call runs. UNSUPPORTED if the CPU can't. */
GRUKIT_API grukit_status grukit_set_isa(const char *name);

/* What was wrong with the last call of this thread that failed; valid until its next. */
GRUKIT_API const char *grukit_message(void);

/* The threads on which a call would run, of those it allows. */
GRUKIT_API int64_t grukit_threads(const grukit_call *call, int64_t count, int64_t backward);

/* Weights packed for the forward: bytes needed, a multiple of 64 and to be aligned to 64, and the
 * packing. The result depends on the CPU, the instruction set, the weights, and of the call on cell,
 * dtype, quantized, models, sizes of features and whether there is a gain_ih. 0 bytes for a call
 * that is not valid. */
GRUKIT_API size_t grukit_packed_bytes(const grukit_call *call);
GRUKIT_API grukit_status grukit_pack(const grukit_call *call, void *packed);

/* `count` calls that do not depend on each other (two directions, say), side by side where there
 * are threads. Results do not depend on the number of threads, and a sequence's output not on what
 * else is in its batch. Nothing is written if a call is not valid. */
GRUKIT_API grukit_status grukit_forward(const grukit_call *calls, int64_t count);
GRUKIT_API grukit_status grukit_backward(const grukit_call *calls, int64_t count);

/* Layers of a stack, the lowest first: the x of each but the first is the output of the one before,
 * as it lies there. A layer may begin while the one below still runs. */
GRUKIT_API grukit_status grukit_forward_stack(const grukit_call *calls, int64_t count);

/* A stream: one layer, a step at a time. grukit_open takes of the call the
 * cell, dtype, quantized, sizes, batch and the weights, which it copies; the masks and lengths must
 * be NULL, but for keep_h and keep_c as rates. A step allocates nothing and waits for no lock. A
 * large one, soon after another, is shared by as many threads as the call allows; the first of these
 * may have to start them. One stream serves one thread at a time. */
typedef struct grukit_stream grukit_stream;
GRUKIT_API grukit_status grukit_open(const grukit_call *call, grukit_stream **stream);
GRUKIT_API void grukit_close(grukit_stream *stream);
/* x [B, I] in; h [B, S] in and out; c [B, H] in and out, LSTM alone; y [B, O] out, or NULL. */
GRUKIT_API grukit_status grukit_gru_step(grukit_stream *stream, const void *x, void *h, void *y);
GRUKIT_API grukit_status grukit_rnn_step(grukit_stream *stream, const void *x, void *h, void *y);
GRUKIT_API grukit_status grukit_lstm_step(grukit_stream *stream, const void *x, void *h, void *c,
                                          void *y);

/* ---- The minGRU over time ----
 *
 * A GRU whose gates see the input alone (Feng et al. 2024, arXiv:2410.01201), given what the input
 * makes of them: z = sigmoid(gates of z), n = gates of n, h' = (1 - z) n + z h. A step is linear in h,
 * so that threads divide sequences, units and time. All in float32. */
typedef struct {
  int64_t models, time, batch, hidden; /* K, T, B, H; every buffer has a leading axis [K] */
  int64_t positive;     /* 1: n is v + 0.5 for v >= 0, else sigmoid(v), of its gates v */
  int64_t reverse;      /* 1: time runs from the last step that counts to the first */
  int64_t threads;      /* at most so many; 1 if less */
  int64_t keep_is_rate; /* 1: keep_h is a single number for all */

  /* In. */
  const float *gates;     /* [T, B, 2H], the sums inside z and n; finite past a length too. Of the
                             backward only where update and memory are NULL */
  const float *h0;        /* [B, H] */
  const float *fresh_h;   /* [B, H], the states at a reset; zero if NULL */
  const float *drop_n;    /* [B, H], factors of n, or NULL */
  const float *keep_h;    /* [T, B, H] or one number: how much of the old state is kept, or NULL */
  const int64_t *lengths; /* [B], clipped to 0..T; T if NULL */
  const uint8_t *resets;  /* [T, B], 1: a new sequence starts at this step; or NULL */

  /* Out of the forward, in of the backward. */
  float *output; /* [T, B, H], zero where a step does not count */
  float *h;      /* [B, H], forward alone */
  float *update; /* [T, B, H], z and n, zero where a step does not count; both or neither */
  float *memory; /* [T, B, H] */

  /* In of the backward: gradients of output and h. */
  const float *d_output; /* [T, B, H], what stands past a length may be anything */
  const float *d_h;      /* [B, H] */

  /* Out of the backward. */
  float *d_gates;  /* [T, B, 2H] */
  float *dh0;      /* [B, H] */
  float *dfresh_h; /* [B, H], or NULL */
} grukit_scan;

/* Results do not depend on the number of threads, and a sequence's not on its batch. */
GRUKIT_API grukit_status grukit_scan_forward(const grukit_scan *scan);
GRUKIT_API grukit_status grukit_scan_backward(const grukit_scan *scan);

/* ---- The search through the outputs of connectionist temporal classification (CTC) ----
 *
 * A network says for each frame how likely each of V tokens is; token 0 is the blank. The search
 * follows the best beginnings of texts, which are ranked by ln of their chance plus what models of
 * words and tokens and hot phrases add. docs/explanation/ctc.md has the equations. */

/* A tree or automaton: node n has the arcs from begin[n] to begin[n + 1], sorted by label. */
typedef struct {
  int64_t nodes;
  const int64_t *begin; /* [nodes + 1] */
  const int32_t *label; /* [begin[nodes]] */
  const int32_t *next;  /* [begin[nodes]], the node that an arc leads to */
} grukit_arcs;

/* Every field has eight bytes. */
typedef struct {
  int64_t vocabulary; /* V, with the blank */
  int64_t beam;       /* beginnings that are followed */
  double window;      /* one that scores so much less than the best is given up */
  double least;       /* ln of the least chance in a frame by which a token is added */
  /* How tokens are spelled: letters, of which 0 ends a word where one was begun. */
  const int64_t *letters_begin; /* [V + 1] */
  const int32_t *letters;       /* [letters_begin[V]] */
  /* Words: their tree, in letters, and an n-gram model; without one ngrams.nodes is 0. */
  double weight, bonus, unknown; /* of the model, for a word begun, against one that is not known */
  double unknown_chance;         /* ln of the chance of a word that is not known, alone */
  int64_t closed;                /* 1: known words alone */
  grukit_arcs lexicon;           /* node 0 is the root */
  const int32_t *word;           /* [lexicon.nodes], the number of the word that ends here, or -1 */
  const double *ahead;           /* [lexicon.nodes], ln chance of the likeliest word at or below */
  grukit_arcs ngrams;            /* nodes are states, labels words; state 0 has every word */
  const double *chance;          /* [arcs of ngrams], ln of the chance of a word */
  const double *backoff;         /* [ngrams.nodes], added where a state does not have the word */
  const int32_t *shorter;        /* [ngrams.nodes], the state that is asked then */
  int64_t start, unknown_word, end_word; /* a state, and two words, the last of them -1 without */
  /* Hot phrases, as the automaton of Aho and Corasick; nodes is 0 without. */
  grukit_arcs phrases;           /* labels are letters */
  const int32_t *fail;           /* [phrases.nodes], of node 0 it is 0 */
  const double *held, *complete; /* [phrases.nodes], bonus while here, and for coming here */
  int64_t phrases_start;         /* the node where a text begins */
  /* A model of tokens, which is asked through grukit_ctc_wanted. */
  int64_t asks_tokens; /* 1: there is one */
  double token_weight;
} grukit_ctc_rules;

/* Rules, which are copied, as many searches share them; a search keeps its rules alive. */
typedef struct grukit_ctc grukit_ctc;
GRUKIT_API grukit_status grukit_ctc_open(const grukit_ctc_rules *rules, grukit_ctc **ctc);
GRUKIT_API void grukit_ctc_close(grukit_ctc *ctc);

/* One recording. One search serves one thread at a time. */
typedef struct grukit_search grukit_search;
GRUKIT_API grukit_status grukit_search_open(const grukit_ctc *ctc, grukit_search **search);
GRUKIT_API void grukit_search_close(grukit_search *search);
GRUKIT_API grukit_status grukit_search_reset(grukit_search *search); /* begins anew, at frame 0 */

/* `count` searches go on, by frames[i] frames of log_probs[i], [frames[i], V] each: natural
 * logarithms, none of them NaN or plus infinity. taken[i] are those that were read: with a model of
 * tokens a search stops as soon as it wants chances. Results do not depend on the threads. */
GRUKIT_API grukit_status grukit_search_push(grukit_search *const *searches, int64_t count,
                                            const float *const *log_probs, const int64_t *frames,
                                            int64_t *taken, int64_t threads);

/* What a search wants of a model of tokens: for each of *count rows the row whose state comes
 * before (-1: that of no token), the token that comes after it, and where to keep the new state,
 * below 2 beam. The three have room for beam elements each. Then chances [*count, V]: ln of those
 * of the next token; that at the blank is the chance that the text ends. */
GRUKIT_API grukit_status grukit_search_wanted(grukit_search *search, int64_t *count,
                                              int32_t *before, int32_t *token, int32_t *row);
GRUKIT_API grukit_status grukit_search_give(grukit_search *search, const float *chances);

/* The texts so far, best first, or as they are if they end here. For each the number of its tokens,
 * ln of its chance, its score, and 0 if only known words may occur and its last one is not. The
 * four have room for beam elements. What grukit_search_read reads stays the same until the next call
 * of this search: of the text at `rank` the tokens, for each the frame where it is the likeliest,
 * and ln of its chance there. */
GRUKIT_API grukit_status grukit_search_rank(grukit_search *search, int64_t final, int64_t *count,
                                            int64_t *lengths, double *chances, double *scores,
                                            int64_t *whole);
GRUKIT_API grukit_status grukit_search_read(const grukit_search *search, int64_t rank,
                                            int32_t *tokens, int64_t *frames, double *peaks);

#ifdef __cplusplus
}
#endif
#endif
