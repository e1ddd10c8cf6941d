// The kernels of one instruction set: this text is compiled once for each.
#include "base/kernels.h"

#include <cstdlib>
#include <new>

#include "base/scratch.h"
#include "rnn/backward.h"
#include "rnn/forward.h"
#include "rnn/plan.h"
#include "scan/kernels.h"

#define GRUKIT_TEXT(name) #name
#define GRUKIT_TEXT_OF(name) GRUKIT_TEXT(name)

namespace grukit::GRUKIT_ISA {

// Calls act(cell, element) with a value of the types of a call.
template <class Act>
static auto with_types(const grukit_call &call, Act &&act) {
  const auto with_cell = [&](auto element) {
    switch (call.cell) {
      case GRUKIT_GRU_AFTER: return act(GruAfter{}, element);
      case GRUKIT_GRU_BEFORE: return act(GruBefore{}, element);
      case GRUKIT_LSTM: return act(Lstm{}, element);
      case GRUKIT_RNN_TANH: return act(Rnn<false>{}, element);
      default: return act(Rnn<true>{}, element);
    }
  };
  return call.dtype == GRUKIT_BF16 ? with_cell(bfloat16{}) : with_cell(float{});
}

// One model of one call, on so many threads.
template <class Engine>
static grukit_status run_one(const grukit_call &call, Choice choice) {
  const auto bytes = Engine(call, choice.plan, choice.threads, Pieces()).bytes();
  const Scratch memory(static_cast<size_t>(bytes));
  if (!memory.get()) return GRUKIT_NO_MEMORY;
  Engine engine(call, choice.plan, choice.threads, Pieces(memory.get()));
  Barrier barrier(choice.cost / most(call.time, 1));
  const Stopwatch watch;
  run_parallel(choice.threads, [&](int64_t thread, int64_t threads) {
    engine.run(Member{thread, threads, barrier});
  });
  choice.learn(watch.nanoseconds());
  return GRUKIT_OK;
}

static Choice choice_of(const grukit_call &call, bool backward) {
  return with_types(call,
                    [&](auto cell, auto) { return choose<decltype(cell)>(call, backward); });
}

static grukit_status run_model(const grukit_call &call, int64_t model, bool backward, bool alone) {
  return with_types(call, [&](auto cell, auto element) {
    using Cell = decltype(cell);
    using E = decltype(element);
    grukit_call own = of_model<Cell>(call, model);
    if (own.packed)
      own.packed = static_cast<const float *>(own.packed) +
                   model * Weights<Cell>::floats(Sizes<Cell>(own), precision_of<E>(own));
    const Choice choice = alone ? Choice{1, Plan::rows, 0} : choose<Cell>(own, backward);
    return backward ? run_one<Backward<Cell, E>>(own, choice) : run_one<Forward<Cell, E>>(own, choice);
  });
}

// Whether the threads take whole models instead of dividing each.
static int64_t side_by_side(const grukit_call *calls, int64_t count, bool backward) {
  int64_t models = 0, threads = 1;
  double cost = 0;
  for (int64_t i = 0; i < count; ++i) {
    models += calls[i].models;
    threads = most(threads, calls[i].threads);
    cost += calls[i].models * with_types(calls[i], [&](auto cell, auto) {
      return costs<decltype(cell)>(calls[i], backward).total;
    });
  }
  return models >= threads && threads > 1 && cost > WORTH_A_THREAD ? threads : 1;
}

static grukit_status run(const grukit_call *calls, int64_t count, bool backward) {
  int64_t models = 0;
  for (int64_t i = 0; i < count; ++i) models += calls[i].models;
  const int64_t threads = models > 1 ? side_by_side(calls, count, backward) : 1;
  std::atomic<int64_t> next{0}, failed{GRUKIT_OK};
  const auto take = [&](bool alone) {
    for (int64_t index; (index = next.fetch_add(1)) < models;) {
      const grukit_call *call = calls;
      while (index >= call->models) index -= call++->models;
      const grukit_status status = run_model(*call, index, backward, alone);
      if (status != GRUKIT_OK) failed.store(status);
    }
  };
  if (threads > 1)
    run_parallel(threads, [&](int64_t, int64_t) { take(true); });
  else
    take(false);
  return static_cast<grukit_status>(failed.load());
}

// One layer of a wave.
static grukit_status run_layer(const grukit_call &call, Links links) {
  return with_types(call, [&](auto cell, auto element) {
    using Engine = Forward<decltype(cell), decltype(element)>;
    grukit_call own = of_model<decltype(cell)>(call, 0);
    const auto bytes = Engine(own, Plan::rows, 1, Pieces(), links).bytes();
    const Scratch memory(static_cast<size_t>(bytes));
    if (!memory.get()) return GRUKIT_NO_MEMORY;
    Barrier barrier;
    Engine(own, Plan::rows, 1, Pieces(memory.get()), links).run(Member{0, 1, barrier});
    return GRUKIT_OK;
  });
}

constexpr int64_t MOST_LAYERS = 16;

// The threads of a wave, each of which takes a whole layer: one where the layers are run one after
// the other, since each of them divides well.
static Choice wave(const grukit_call *calls, int64_t count) {
  Choice found{1, Plan::rows, 0};
  if (count < 2 || count > MOST_LAYERS) return found;
  int64_t threads = 1;
  for (int64_t i = 0; i < count; ++i) {
    const Choice own = choice_of(calls[i], false);
    if (own.threads > 1 && own.plan != Plan::ahead) return found;
    found.cost += own.cost;
    threads = most(threads, calls[i].threads);
  }
  if (is_worth_a_thread(found.cost)) found.threads = least(threads, count);
  return found;
}

static grukit_status forward_stack(const grukit_call *calls, int64_t count) {
  const Choice choice = wave(calls, count);
  std::atomic<int64_t> next{0}, failed{GRUKIT_OK};
  Progress done[MOST_LAYERS];
  const Stopwatch watch;
  if (choice.threads > 1)
    run_parallel(choice.threads, [&](int64_t, int64_t) {
      // In this order, so that a thread never waits for a layer that nobody has begun.
      for (int64_t i; (i = next.fetch_add(1)) < count;) {
        const grukit_status status =
            run_layer(calls[i], {i ? &done[i - 1] : nullptr, i + 1 < count ? &done[i] : nullptr});
        if (status == GRUKIT_OK) continue;
        failed.store(status);
        done[i].reach(INT64_MAX);
      }
    });
  else
    for (int64_t i = 0; i < count && failed.load() == GRUKIT_OK; ++i)
      failed.store(run_model(calls[i], 0, false, false));
  choice.learn(watch.nanoseconds());
  tell_call_ended();
  return static_cast<grukit_status>(failed.load());
}

static grukit_status forward(const grukit_call *calls, int64_t count) {
  const grukit_status status = run(calls, count, false);
  tell_call_ended();
  return status;
}

static grukit_status backward(const grukit_call *calls, int64_t count) {
  const grukit_status status = run(calls, count, true);
  tell_call_ended();
  return status;
}

static int64_t threads(const grukit_call *calls, int64_t count, bool is_backward) {
  int64_t models = 0, found = 1;
  for (int64_t i = 0; i < count; ++i) models += calls[i].models;
  if (models > 1 && (found = side_by_side(calls, count, is_backward)) > 1) return found;
  for (int64_t i = 0; i < count; ++i)
    found = most(found, choice_of(calls[i], is_backward).threads);
  return found;
}

static size_t packed_bytes(const grukit_call &call) {
  return with_types(call, [&](auto cell, auto element) {
    using Cell = decltype(cell);
    const Precision precision = precision_of<decltype(element)>(call);
    const int64_t floats = call.models * Weights<Cell>::floats(Sizes<Cell>(call), precision);
    return static_cast<size_t>(round_up(floats * sizeof(float), 64));
  });
}

static grukit_status pack(const grukit_call &call, void *packed) {
  return with_types(call, [&](auto cell, auto element) {
    using Cell = decltype(cell);
    const Sizes<Cell> sizes(call);
    const Precision precision = precision_of<decltype(element)>(call);
    for (int64_t model = 0; model < call.models; ++model) {
      const grukit_call own = of_model<Cell>(call, model);
      Weights<Cell>(sizes, precision, static_cast<const float *>(packed) +
                                          model * Weights<Cell>::floats(sizes, precision))
          .template pack<decltype(element)>(sizes, own, 0, 1);
    }
    return GRUKIT_OK;
  });
}

template <class Cell, class E>
struct Stream : grukit_stream {
  grukit_call call;
  Barrier barrier;
  Forward<Cell, E> engine;
  E *nowhere;

  // The engine reads the call of the stream, not that of the caller.
  Stream(const grukit_call &given, Plan plan, Pieces pieces)
      : call(given), engine(call, plan, call.threads, pieces) {
    dtype = given.dtype;
  }
};

// Where the parts of a stream lie in one block of memory.
template <class Cell, class E>
static grukit_status open_stream(const grukit_call &given, grukit_stream **stream) {
  grukit_call call = given;
  call.time = 1;
  call.models = 1;
  call.save = GRUKIT_SAVE_NOTHING;
  call.reverse = 0;
  call.packed = nullptr;
  call.x_stride[1] = call.batch * call.input;
  call.x_stride[2] = call.input;
  // On one thread a step is the same by rows and by units.
  const int64_t threads = threads_of(call);
  const bool divides = can_divide_units<Cell>(call, threads);
  const Plan plan = divides ? Plan::units : Plan::rows;
  call.threads = divides ? threads : 1;
  using Own = Stream<Cell, E>;
  const int64_t room = Forward<Cell, E>(call, plan, call.threads, Pieces()).bytes();
  const auto layout = [&](Pieces &pieces, void *&self, void *&engine, E *&nowhere) {
    self = pieces.take<char>(sizeof(Own));
    engine = pieces.take<char>(room);
    nowhere = pieces.take<E>(most(1, call.batch * most(call.hidden, call.projected)));
  };
  void *self, *engine;
  E *nowhere;
  Pieces counted;
  layout(counted, self, engine, nowhere);
  void *memory = std::aligned_alloc(64, static_cast<size_t>(counted.used()));
  if (!memory) return GRUKIT_NO_MEMORY;
  Pieces pieces(memory);
  layout(pieces, self, engine, nowhere);
  auto *own = new (self) Own(call, plan, Pieces(engine));
  own->nowhere = nowhere;
  own->engine.prepare(0, 1);
  *stream = own;
  return GRUKIT_OK;
}

static grukit_status open(const grukit_call &call, grukit_stream **stream) {
  return with_types(call, [&](auto cell, auto element) {
    return open_stream<decltype(cell), decltype(element)>(call, stream);
  });
}

static void close(grukit_stream *stream) { std::free(stream); }

static grukit_status step(grukit_stream *stream, const void *x, void *h, void *c, void *y) {
  const auto take = [&](auto cell, auto element) {
    using E = decltype(element);
    auto &own = *static_cast<Stream<decltype(cell), E> *>(stream);
    own.call.x = x;
    own.call.h0 = own.call.h = h;
    own.call.c0 = own.call.c = c;
    own.call.output = y ? y : own.nowhere;
    Choice choice = choose<decltype(cell)>(own.call, false);
    if (choice.plan != Plan::units) choice.threads = 1;
    const Stopwatch watch;
    run_parallel(choice.threads, [&](int64_t thread, int64_t threads) {
      own.engine.take_steps(Member{thread, threads, own.barrier});
    });
    choice.learn(watch.nanoseconds());
    tell_call_ended();
    return GRUKIT_OK;
  };
  grukit_call types{};
  types.cell = stream->cell;
  types.dtype = stream->dtype;
  return with_types(types, take);
}

const Kernels kernels = {GRUKIT_TEXT_OF(GRUKIT_ISA), threads, packed_bytes, pack, forward,
                         forward_stack, backward, open, close, step, scan_forward,
                         scan_backward};

}  // namespace grukit::GRUKIT_ISA
