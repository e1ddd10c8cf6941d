"""The layer under torch.compile, whole graphs only."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.nn.utils.rnn import pack_sequence

from grukit.nn import GRU, GRUCell

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script.*` is deprecated:DeprecationWarning",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="inductor needs a C++ compiler"
)
BACKENDS = ["aot_eager", pytest.param("inductor", marks=needs_compiler)]

LENGTHS = torch.tensor([6, 0, 3])
RESETS = torch.zeros(6, 3, dtype=torch.bool)
RESETS[2, 0] = True


@pytest.fixture(autouse=True)
def fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(function, backend="aot_eager", **options):
    return torch.compile(function, fullgraph=True, backend=backend, **options)


def assert_same(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


def training_step(layer, call, x, **options):
    """Results and every gradient of a forward and backward pass."""
    x = x.clone().requires_grad_()
    output, h_n = call(x, **options)
    loss = output.square().sum() + h_n.sin().sum()
    return output, h_n, torch.autograd.grad(loss, [x, *layer.parameters()])


@pytest.mark.parametrize("backend", BACKENDS)
def test_inference(backend):
    layer, x = GRU(4, 5, 2, bidirectional=True), torch.randn(6, 3, 4)
    with torch.no_grad():
        assert_same(compiled(layer, backend)(x), layer(x))


@pytest.mark.parametrize("backend", BACKENDS)
def test_training(backend):
    layer, x = GRU(4, 5, 2, bidirectional=True), torch.randn(6, 3, 4)
    assert_same(training_step(layer, compiled(layer, backend), x), training_step(layer, layer, x))


@pytest.mark.parametrize("reset_after", [True, False])
def test_training_with_lengths_and_resets(reset_after):
    layer = GRU(4, 5, bidirectional=True, batch_first=True, reset_after=reset_after)
    x = torch.randn(3, 6, 4)
    options = {"lengths": LENGTHS, "resets": RESETS.T}
    assert_same(
        training_step(layer, compiled(layer), x, **options),
        training_step(layer, layer, x, **options),
    )


def test_lengths_as_a_list():
    layer, x = GRU(4, 5), torch.randn(6, 3, 4)
    assert_same(compiled(layer)(x, lengths=[6, 0, 3]), layer(x, lengths=[6, 0, 3]))


def test_one_op_for_each_layer_and_direction():
    counter = CompileCounterWithBackend("eager")
    torch.compile(GRU(4, 5, 2, bidirectional=True), fullgraph=True, backend=counter)(
        torch.randn(6, 3, 4)
    )
    (graph,) = counter.graphs
    calls = [node for node in graph.graph.nodes if "grukit" in str(node.target)]
    assert len(calls) == 4


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_packed_sequence():
    """Its lengths are read on the way, so the graph may break, and results stay right."""
    layer = GRU(4, 5)
    packed = pack_sequence([torch.randn(n, 4) for n in (2, 5, 3)], enforce_sorted=False)
    output, h_n = torch.compile(layer, backend="aot_eager")(packed)
    wanted, final = layer(packed)
    assert_same((output.data, h_n), (wanted.data, final))


def test_dropout_and_the_cell():
    layer, x = GRU(4, 5, 2, dropout=1.0), torch.randn(6, 3, 4)
    assert_same(compiled(layer)(x), layer(x))
    cell, h = GRUCell(4, 5), torch.randn(3, 5)
    assert_same(compiled(cell)(x[0], h), cell(x[0], h))


def test_autocast():
    layer, x = GRU(4, 5), torch.randn(6, 3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        got, wanted = compiled(layer)(x), layer(x)
    assert got[0].dtype == torch.bfloat16
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-2)
    found, expected = (
        torch.autograd.grad(output.float().sum(), list(layer.parameters()))
        for output, _ in (got, wanted)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-2)


@pytest.mark.parametrize("training", [False, True])
def test_another_length_or_batch_compiles_nothing_new(training):
    layer = GRU(4, 5, bidirectional=True)
    counter = CompileCounterWithBackend("aot_eager")
    call = torch.compile(layer, fullgraph=True, backend=counter, dynamic=True)
    for time, batch in ((6, 3), (9, 3), (31, 7), (2, 5)):
        x = torch.randn(time, batch, 4)
        lengths = torch.randint(0, time + 1, (batch,))
        if training:
            assert_same(
                training_step(layer, call, x, lengths=lengths),
                training_step(layer, layer, x, lengths=lengths),
            )
        else:
            with torch.no_grad():
                assert_same(call(x, lengths=lengths), layer(x, lengths=lengths))
    assert counter.frame_count == 1


def test_a_time_axis_marked_dynamic_stays_dynamic():
    layer, counter = GRU(4, 5), CompileCounterWithBackend("eager")
    call = torch.compile(layer, fullgraph=True, backend=counter)
    for time in (6, 9, 31):
        x = torch.randn(time, 3, 4)
        torch._dynamo.mark_dynamic(x, 0)
        assert_same(call(x), layer(x))
    assert counter.frame_count == 1


@pytest.mark.parametrize("sizes", [(0, 3), (6, 0)], ids=str)
def test_empty_inputs(sizes):
    layer, x = GRU(4, 5, bidirectional=True), torch.randn(*sizes, 4)
    assert_same(training_step(layer, compiled(layer), x), training_step(layer, layer, x))


def test_jvp():
    layer, x, tangent = GRU(4, 5), torch.randn(3, 2, 4), torch.randn(3, 2, 4)

    def call(x, tangent):
        return jvp(lambda x: layer(x)[0], (x,), (tangent,))

    assert_same(compiled(call)(x, tangent), call(x, tangent))
    assert call(x, tangent)[1].abs().max() > 1e-3


def test_vmap_over_inputs():
    layer, x = GRU(4, 5), torch.randn(2, 3, 2, 4)
    wanted = torch.stack([layer(one)[0] for one in x])
    assert_same(compiled(lambda x: vmap(lambda one: layer(one)[0])(x))(x), wanted)


def test_vmap_over_parameters():
    layers, x = [GRU(4, 5) for _ in range(3)], torch.randn(3, 2, 4)
    stacked, _ = stack_module_state(layers)

    def call(stacked, x):
        return vmap(lambda weights: functional_call(layers[0], weights, (x,))[0])(stacked)

    wanted = torch.stack([layer(x)[0] for layer in layers])
    assert_same(compiled(call)(stacked, x), wanted)


def test_vmap_of_grad():
    layer, x = GRU(4, 5), torch.randn(2, 3, 4)
    weights = {name: parameter.detach() for name, parameter in layer.named_parameters()}

    def per_sample(weights, x):
        def loss(weights, one):
            return functional_call(layer, weights, (one,))[0].square().sum()

        return vmap(grad(loss), in_dims=(None, 0))(weights, x)

    got = compiled(per_sample)(weights, x)
    for index, one in enumerate(x):
        layer.zero_grad()
        layer(one)[0].square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert_same(got[name][index], parameter.grad)
