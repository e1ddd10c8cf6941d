"""Plain layers under torch.compile, whole graphs only.

Every option is in test_transforms.py.
"""

from __future__ import annotations

import shutil

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._inductor import config as inductor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.nn.utils.rnn import pack_sequence
from torch.utils import _pytree as pytree

from grukit.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from grukit.nn import layer as layers

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script.*` is deprecated:DeprecationWarning",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="inductor needs a C++ compiler"
)
every_kind = pytest.mark.parametrize("kind", [GRU, LSTM, RNN], ids=lambda kind: kind.__name__)

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
    output, final = call(x, **options)
    loss = output.square().sum() + sum(state.sin().sum() for state in pytree.tree_leaves(final))
    return output, final, torch.autograd.grad(loss, [x, *layer.parameters()])


@needs_compiler
@every_kind
def test_inductor(kind):
    layer, x = kind(4, 5, bidirectional=True), torch.randn(6, 3, 4)
    call = compiled(layer, "inductor")
    assert_same(training_step(layer, call, x), training_step(layer, layer, x))
    with torch.no_grad():
        assert_same(call(x), layer(x))


@needs_compiler
@inductor.patch(fallback_random=True)
def test_inductor_draws_the_masks_of_eager_if_told_so():
    rates = dict.fromkeys(("zoneout", "recurrent_dropout", "candidate_dropout"), 0.5)
    layer, x = LSTM(4, 5, 2, dropout=0.5, input_dropout=0.5, **rates), torch.randn(6, 3, 4)
    results = []
    for call in (compiled(layer, "inductor"), layer):
        torch.manual_seed(1)
        results.append(training_step(layer, call, x))
    assert_same(*results)


@needs_compiler
def test_inductor_draws_masks_of_its_own(monkeypatch):
    """Forward and backward have the same mask, and it is the same at all steps."""
    layer, x = GRU(16, 8, input_dropout=0.5), torch.randn(6, 16, 16)
    got = training_step(layer, compiled(layer, "inductor"), x)
    dropped = got[2][0] == 0
    assert (dropped == dropped[0]).all()
    assert 96 < dropped[0].sum() < 160  # 4 sigma of 256 coins
    mask = torch.where(dropped[:1], 0.0, 2.0)
    monkeypatch.setattr(layers, "drop_mask", lambda like, shape, rate: mask)
    assert_same(got, training_step(layer, layer, x))


@every_kind
def test_training_with_lengths_and_resets(kind):
    layer, x = kind(4, 5, bidirectional=True, batch_first=True), torch.randn(3, 6, 4)
    options = {"lengths": LENGTHS, "resets": RESETS.T}
    assert_same(
        training_step(layer, compiled(layer), x, **options),
        training_step(layer, layer, x, **options),
    )


def test_lengths_as_a_list():
    layer, x = GRU(4, 5), torch.randn(6, 3, 4)
    assert_same(compiled(layer)(x, lengths=[6, 0, 3]), layer(x, lengths=[6, 0, 3]))


@every_kind
def test_one_op_for_each_layer_and_direction(kind):
    counter = CompileCounterWithBackend("eager")
    torch.compile(kind(4, 5, 2, bidirectional=True), fullgraph=True, backend=counter)(
        torch.randn(6, 3, 4)
    )
    (graph,) = counter.graphs
    calls = [node for node in graph.graph.nodes if "grukit" in str(node.target)]
    assert len(calls) == 4


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_a_packed_sequence(kind):
    """Its lengths are read on the way, so the graph may break, and results stay right."""
    layer = kind(4, 5)
    packed = pack_sequence([torch.randn(n, 4) for n in (2, 5, 3)], enforce_sorted=False)
    output, h_n = torch.compile(layer, backend="aot_eager")(packed)
    wanted, final = layer(packed)
    assert_same((output.data, h_n), (wanted.data, final))


@pytest.mark.parametrize("kind", [GRUCell, LSTMCell, RNNCell])
def test_a_cell(kind):
    cell, x = kind(4, 5, recurrent_dropout=0.5), torch.randn(3, 4)
    masks = cell.masks(3)
    state = pytree.tree_map(torch.randn_like, cell(x, None, masks))
    assert_same(compiled(cell)(x, state, masks), cell(x, state, masks))


@every_kind
def test_autocast(kind):
    layer, x = kind(4, 5), torch.randn(6, 3, 4)
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
    frames = []
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
        frames.append(counter.frame_count)
    # With dynamic=True the first call traces twice, since numbers are symbols at first.
    assert frames == frames[:1] * 4


def test_a_time_axis_marked_dynamic_stays_dynamic():
    layer, counter = GRU(4, 5), CompileCounterWithBackend("eager")
    call = torch.compile(layer, fullgraph=True, backend=counter)
    for time in (6, 9, 31):
        x = torch.randn(time, 3, 4)
        torch._dynamo.mark_dynamic(x, 0)
        assert_same(call(x), layer(x))
    assert counter.frame_count == 1


@every_kind
@pytest.mark.parametrize("sizes", [(0, 3), (6, 0)], ids=str)
def test_empty_inputs(kind, sizes):
    layer, x = kind(4, 5, bidirectional=True), torch.randn(*sizes, 4)
    assert_same(training_step(layer, compiled(layer), x), training_step(layer, layer, x))


@every_kind
def test_jvp(kind):
    layer, x, tangent = kind(4, 5), torch.randn(2, 2, 4), torch.randn(2, 2, 4)

    def call(x, tangent):
        return jvp(lambda x: layer(x)[0], (x,), (tangent,))

    assert_same(compiled(call)(x, tangent), call(x, tangent))
    assert call(x, tangent)[1].abs().max() > 1e-3


TRANSFORMS = {
    "vmap": lambda call, x: vmap(call)(x),
    "grad": lambda call, x: grad(call)(x),
    "jvp": lambda call, x: jvp(call, (x,), (x,)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_around_a_compiled_function_are_refused(name):
    layer, x = compiled(GRU(4, 5)), torch.randn(2, 2, 4)
    with pytest.raises(RuntimeError, match=f"{name}.* also wrapped within a torch.compile"):
        TRANSFORMS[name](lambda x: layer(x)[0].sum(), x)


@pytest.mark.parametrize("inside", [False, True], ids=["around", "inside"])
def test_dual_numbers(inside):
    """A level of dual numbers around a compiled layer, and inside a compiled function."""
    layer, x, tangent = GRU(4, 5).requires_grad_(False), torch.randn(3, 2, 4), torch.randn(3, 2, 4)
    call = compiled(layer)
    assert_same(call(x), layer(x))

    def run(x, tangent, call=layer):
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(call(forward_ad.make_dual(x, tangent))[0])

    got = compiled(run)(x, tangent) if inside else run(x, tangent, call)
    _, wanted = jvp(lambda x: layer(x)[0], (x,), (tangent,))
    assert wanted.abs().max() > 1e-3
    assert_same((got.primal, got.tangent), (layer(x)[0], wanted))
    assert_same(call(x), layer(x))


def test_dual_numbers_around_a_compiled_layer_in_training_are_refused():
    layer, x = GRU(4, 5), torch.randn(3, 2, 4)
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="jvp"):
        compiled(layer)(forward_ad.make_dual(x, x))


def test_vmap_over_inputs():
    layer, x = GRU(4, 5), torch.randn(2, 2, 2, 4)
    wanted = torch.stack([layer(one)[0] for one in x])
    assert_same(compiled(lambda x: vmap(lambda one: layer(one)[0])(x))(x), wanted)


def test_vmap_over_parameters():
    several, x = [GRU(4, 5) for _ in range(3)], torch.randn(2, 2, 4)
    stacked, _ = stack_module_state(several)

    def call(stacked, x):
        return vmap(lambda weights: functional_call(several[0], weights, (x,))[0])(stacked)

    wanted = torch.stack([layer(x)[0] for layer in several])
    assert_same(compiled(call)(stacked, x), wanted)


@every_kind
def test_vmap_of_grad(kind):
    layer, x = kind(4, 5), torch.randn(2, 2, 4)
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
