"""The libraries, each set up as its own documentation advises for speed.

A library is a function of a problem and a number of threads. It makes everything that is made
once (weights, compilation) and returns the call to be timed, and how to read its result. It raises
Refused for what it does not have, and ImportError where it is not installed.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from problems import RESULTS, WEIGHTS, Arrays, Problem


class Refused(Exception):
    """Why a library has no answer to a problem."""


class Ready(NamedTuple):
    """call: what is timed. arrays: its result by the names and in the shapes of torch's.

    notes: what a row should say of how it runs.
    """

    call: Callable[[], Any]
    arrays: Callable[[Any], Arrays]
    notes: dict[str, Any] = {}  # noqa: RUF012


def torch_(problem: Problem, threads: int) -> Ready:
    """torch.nn, without a graph in inference (inference_mode)."""
    import torch

    torch.set_num_threads(threads)
    return of_layer(torch_layer(problem), problem)


def torch_int8(problem: Problem, threads: int) -> Ready:
    """torch.ao.quantization.quantize_dynamic."""
    import torch

    if problem.use == "training":
        raise Refused("int8 is for inference")
    torch.set_num_threads(threads)
    layer = torch_layer(problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its deprecation
        # It replaces what is in a module, and not the module itself.
        (quantized,) = torch.ao.quantization.quantize_dynamic(
            torch.nn.Sequential(layer), {type(layer)}, torch.qint8
        )
    return of_layer(quantized, problem)


def grukit(problem: Problem, threads: int) -> Ready:
    """grukit.nn, with the backend that it chooses itself."""
    import torch

    torch.set_num_threads(threads)
    layer = grukit_layer(problem)
    return of_layer(layer, problem, notes=native_notes(problem, threads))


def grukit_bf16(problem: Problem, threads: int) -> Ready:
    """grukit.nn in bfloat16, native or not at all."""
    import torch

    torch.set_num_threads(threads)
    layer = grukit_layer(problem, torch.bfloat16, backend="native")
    return of_layer(layer, problem, torch.bfloat16)


def grukit_int8(problem: Problem, threads: int) -> Ready:
    """The int8 form of a layer of grukit.nn."""
    import torch

    torch.set_num_threads(threads)
    from grukit.nn import quantize

    if problem.use == "training":
        raise Refused("int8 is for inference")
    return of_layer(quantize(grukit_layer(problem)), problem)


def torch_layer(problem: Problem, dtype: Any = None) -> Any:
    """The layer of torch.nn with the weights of a problem."""
    import torch

    return with_weights(getattr(torch.nn, problem.kind), problem, dtype)


def grukit_layer(problem: Problem, dtype: Any = None, **options: Any) -> Any:
    """The layer of grukit.nn with the weights of a problem."""
    from grukit import nn

    return with_weights(getattr(nn, problem.kind), problem, dtype, **options)


def with_weights(kind: Any, problem: Problem, dtype: Any, **options: Any) -> Any:
    """A layer that has torch's parameters, with the weights of a problem."""
    import torch

    hidden = problem.size[2]
    layer = kind(hidden, hidden, dtype=dtype or torch.float32, **options)
    with torch.no_grad():
        for parameter, name in zip(layer.parameters(), WEIGHTS, strict=True):
            parameter.copy_(torch.from_numpy(problem.arrays[name]))
    return layer.train(problem.use == "training")


def of_layer(layer: Any, problem: Problem, dtype: Any = None, notes: Any = None) -> Ready:
    """Forward and backward, inference or a step of a layer in the manner of torch.nn."""
    import torch

    def tensor(name: str) -> Any:
        return torch.from_numpy(problem.arrays[name]).to(dtype or torch.float32)

    def arrays(found: Any) -> Arrays:
        names = RESULTS[problem.use]
        pairs = zip(names, found, strict=True)
        parts = {name: part.detach().to(torch.float64).numpy() for name, part in pairs}
        return {name: part[0] if name == "h" else part for name, part in parts.items()}

    x = tensor("x")
    if problem.use == "training":
        d_output = tensor("d_output")
        x.requires_grad_()
        inputs = [x, *layer.parameters()]

        def call() -> Any:
            output, _ = layer(x)
            return output, *torch.autograd.grad(output, inputs, d_output)

    elif problem.use == "inference":

        def call() -> Any:
            with torch.inference_mode():
                return (layer(x)[0],)

    elif hasattr(layer, "step"):
        x, state = x[0], tensor("h0")[None]

        def call() -> Any:
            return (layer.step(x, state)[1],)

    else:
        x, state = x[:1], tensor("h0")[None]

        def call() -> Any:
            with torch.inference_mode():
                return (layer(x, state)[1],)

    return Ready(call, arrays, notes or {})


def native_notes(problem: Problem, threads: int) -> dict[str, Any]:
    """Whether the native core runs a problem, and on how many threads each way."""
    from grukit.core import clib

    if clib.why_missing():
        return {"backend": "reference", "why": clib.why_missing()}
    steps, batch, hidden = problem.size
    variant = {"GRU": "after", "LSTM": "", "RNN": "tanh"}[problem.kind]
    sizes = {"time": steps, "batch": batch, "input": hidden, "hidden": hidden}
    own = {
        "cell": clib.CELLS[problem.kind.lower(), variant],
        "models": 1,
        "save": int(problem.use == "training"),
        "threads": threads,
        "x_stride_time": batch * hidden,
        "x_stride_batch": hidden,
        **sizes,
    }
    described = clib.call(*(own.get(name, 0) for name in clib.FIELDS))
    return {
        "backend": "native",
        "isa": clib.isa(),
        "threads": clib.threads(described),
        "backward_threads": clib.threads(described, backward=True),
    }


def jax_(problem: Problem, threads: int) -> Ready:
    """jit of lax.scan over a projection made at once; gradients by vjp within the same jit."""
    only("GRU", problem)
    import jax
    from jax import lax
    from jax import numpy as jnp

    given = {name: jnp.asarray(array) for name, array in problem.arrays.items()}
    hidden = problem.size[2]

    def gru(x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        def step(h: Any, of_x: Any) -> Any:
            of_h = h @ w_hh.T + b_hh
            reset, update = jnp.split(jax.nn.sigmoid(of_x[:, :-hidden] + of_h[:, :-hidden]), 2, 1)
            memory = jnp.tanh(of_x[:, -hidden:] + reset * of_h[:, -hidden:])
            h = (1 - update) * memory + update * h
            return h, h

        start = given["h0"] if problem.use == "step" else jnp.zeros_like(given["h0"])
        return lax.scan(step, start, x @ w_ih.T + b_ih)[1]

    inputs = [given[name] for name in ("x", *WEIGHTS)]
    if problem.use == "training":

        @jax.jit
        def run(d_output: Any, *inputs: Any) -> Any:
            output, back = jax.vjp(gru, *inputs)
            return output, *back(d_output)

        compiled = run.lower(given["d_output"], *inputs).compile()
        call = lambda: jax.block_until_ready(compiled(given["d_output"], *inputs))  # noqa: E731
    else:
        compiled = jax.jit(lambda *inputs: (gru(*inputs),)).lower(*inputs).compile()
        call = lambda: jax.block_until_ready(compiled(*inputs))  # noqa: E731

    def arrays(found: Any) -> Arrays:
        parts = [np.asarray(part) for part in found]
        if problem.use == "step":
            parts[0] = parts[0][0]
        return dict(zip(RESULTS[problem.use], parts, strict=True))

    return Ready(call, arrays)


def keras_(problem: Problem, threads: int) -> Ready:
    """keras.layers.GRU on TensorFlow, in a tf.function; gradients by a GradientTape within it.

    With XLA or without, whichever is faster: Keras' default leaves it open ("auto").
    """
    only("GRU", problem)
    if problem.use == "step":
        raise Refused("no layer that gives a state is measured")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    if keras.config.backend() != "tensorflow":
        raise Refused(f"Keras runs on {keras.config.backend()}, and not on TensorFlow")
    given, hidden = problem.arrays, problem.size[2]
    layer = keras.layers.GRU(hidden, return_sequences=True, reset_after=True)
    layer.build((None, None, hidden))

    def theirs(rows: np.ndarray) -> np.ndarray:
        """Gates in Keras' order: update, reset, candidate."""
        reset, update, memory = np.split(rows, 3)
        return np.concatenate([update, reset, memory])

    biases = np.stack([theirs(given["b_ih"]), theirs(given["b_hh"])])
    layer.set_weights([theirs(given["w_ih"]).T, theirs(given["w_hh"]).T, biases])
    x = tf.constant(given["x"].swapaxes(0, 1))
    d_output = tf.constant(given["d_output"].swapaxes(0, 1))
    variables = [variable.value for variable in layer.trainable_variables]

    def train(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, training=True)
        return output, *tape.gradient(output, [x, *variables], output_gradients=d_output)

    def infer(x: Any) -> Any:
        return (layer(x, training=False),)

    def compiled(xla: bool) -> Callable[[], Any]:
        run = tf.function(train if problem.use == "training" else infer, jit_compile=xla)

        def call() -> Any:
            found = run(x)
            found[-1].numpy()  # wait for it
            return found

        return call

    calls = {xla: compiled(xla) for xla in (False, True)}
    xla = min(calls, key=lambda xla: quickest(calls[xla]))

    def arrays(found: Any) -> Arrays:
        output, *gradients = [part.numpy() for part in found]
        read = {"output": output.swapaxes(0, 1)}
        if gradients:
            dx, dw_ih, dw_hh, db = gradients
            db_ih, db_hh = db
            read["dx"] = dx.swapaxes(0, 1)
            rows = {"dw_ih": dw_ih.T, "dw_hh": dw_hh.T, "db_ih": db_ih, "db_hh": db_hh}
            read |= {name: theirs(row) for name, row in rows.items()}
        return read

    return Ready(calls[xla], arrays, {"XLA": xla})


def quickest(call: Callable[[], Any]) -> float:
    """The least seconds of a call, which is compiled in the first."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def onnxruntime_(problem: Problem, threads: int) -> Ready:
    """A session with all optimizations, weights as initializers, and buffers bound once."""
    import onnxruntime

    model, names = onnx_model(problem)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, array in names.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    output = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
        session.get_outputs()[0].shape, np.float32
    )
    binding.bind_ortvalue_output(session.get_outputs()[0].name, output)

    def call() -> Any:
        session.run_with_iobinding(binding)
        return output.numpy()

    return Ready(call, of_onnx(problem))


def openvino_(problem: Problem, threads: int) -> Ready:
    """A compiled model with the latency hint, in float32, its inputs set once."""
    import openvino

    model, names = onnx_model(problem)
    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the CPU has it
    }
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    request = compiled.create_infer_request()
    for name, array in names.items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
    output = request.get_output_tensor(0)

    def call() -> Any:
        request.infer()
        return output.data

    return Ready(call, of_onnx(problem))


def onnx_model(problem: Problem) -> tuple[bytes, Arrays]:
    """The model with fixed sizes, and its inputs by name. A step takes and gives the state."""
    only("GRU", problem)
    if problem.use == "training":
        raise Refused("it has no training")
    from onnx import TensorProto, helper, numpy_helper

    given, (steps, batch, hidden) = problem.arrays, problem.size

    def theirs(rows: np.ndarray) -> np.ndarray:
        """Gates in ONNX's order: update, reset, candidate."""
        reset, update, memory = np.split(rows, 3)
        return np.concatenate([update, reset, memory])

    constants = {
        "W": theirs(given["w_ih"])[None],
        "R": theirs(given["w_hh"])[None],
        "B": np.concatenate([theirs(given["b_ih"]), theirs(given["b_hh"])])[None],
    }
    inputs = {"X": given["x"]}
    if problem.use == "step":
        inputs = {"X": given["x"][:1], "initial_h": given["h0"][None]}
        outputs, shape = ["", "Y_h"], (1, batch, hidden)
    else:
        outputs, shape = ["Y"], (steps, 1, batch, hidden)
    node = helper.make_node(
        "GRU",
        ["X", "W", "R", "B", *(("", "initial_h") if problem.use == "step" else ())],
        outputs,
        hidden_size=hidden,
        linear_before_reset=1,
    )
    graph = helper.make_graph(
        [node],
        "gru",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
            for name, array in inputs.items()
        ],
        [helper.make_tensor_value_info(outputs[-1], TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString(), {name: np.ascontiguousarray(a) for name, a in inputs.items()}


def of_onnx(problem: Problem) -> Callable[[Any], Arrays]:
    """Reads Y [T, 1, B, H] or Y_h [1, B, H]."""
    if problem.use == "step":
        return lambda found: {"h": found[0]}
    return lambda found: {"output": found[:, 0]}


def only(kind: str, problem: Problem) -> None:
    """Refused for layers of another kind."""
    if problem.kind != kind:
        raise Refused(f"it is measured on {kind} alone")


LIBRARIES: dict[str, Callable[[Problem, int], Ready]] = {
    "grukit": grukit,
    "torch": torch_,
    "JAX": jax_,
    "Keras": keras_,
    "ONNX Runtime": onnxruntime_,
    "OpenVINO": openvino_,
    "torch int8": torch_int8,
    "grukit int8": grukit_int8,
    "grukit bf16": grukit_bf16,
}
