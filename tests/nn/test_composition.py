"""Bidirectional and Stack: the layers they are made of say what they must equal."""

from __future__ import annotations

import copy
import pickle
import re
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM, RNN
from grukit.nn import bidirectional as bidirectional_module
from grukit.nn.bidirectional import Bidirectional
from grukit.nn.stack import Stack

T, B, I, H = 6, 4, 3, 5  # noqa: E741
LENGTHS = torch.tensor([4, 0, 6, 1])
RESETS = torch.zeros(T, B, dtype=torch.bool)
for step, row in ((1, 0), (3, 0), (4, 0), (0, 2), (5, 2), (0, 3), (1, 3)):
    RESETS[step, row] = True
OPTIONS = {
    "plain": {},
    "lengths": {"lengths": LENGTHS},
    "resets": {"resets": RESETS},
    "both": {"lengths": LENGTHS, "resets": RESETS},
}
SETTINGS = {"dtype": torch.float64}


def gru(inputs=I, **options):
    return GRU(inputs, H, **SETTINGS, **options)


def bidirectional(**options):
    return Bidirectional(gru(**options))


def stack(**options):
    return Stack(gru(**options), gru(H, **options))


def both(**options):
    return Stack(bidirectional(**options), Bidirectional(gru(2 * H, **options)))


PAIRS = {
    bidirectional: {"bidirectional": True},
    stack: {"num_layers": 2},
    both: {"num_layers": 2, "bidirectional": True},
}
"""What is composed, and the GRU that it must equal."""
every_pair = pytest.mark.parametrize("compose", PAIRS, ids=lambda compose: compose.__name__)
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def name_in_gru(name):
    """layers.1.backward_layer.weight_ih_l0 -> weight_ih_l1_reverse"""
    layer = re.search(r"layers\.(\d)", name)
    number = layer[1] if layer else "0"
    reverse = "_reverse" if "backward_layer" in name else ""
    return name.rpartition(".")[2].replace("_l0", f"_l{number}{reverse}")


def gru_like(composed, compose, **options):
    layer = gru(**PAIRS[compose], **options)
    layer.load_state_dict({name_in_gru(n): w for n, w in composed.state_dict().items()})
    return layer


def leaves(state):
    """The tensors of nested states, from the first layer forward to the last backward."""
    if isinstance(state, torch.Tensor):
        return [state]
    return [leaf for part in state for leaf in leaves(part)]


def like(state, values):
    """States nested as `state`, of the next of the values."""
    if isinstance(state, torch.Tensor):
        return next(values)
    return tuple(like(part, values) for part in state)


def assert_equal(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-14)


def assert_same_layer(composed, layer, x, **options):
    """Output, states and every gradient are those of the layer, with and without a state."""
    _, state = composed(x, **options)
    given = torch.randn_like(torch.cat(leaves(state)))
    for hx in (None, given):
        results = []
        for module in (composed, layer):
            module_x, h = x.clone().requires_grad_(), given.clone().requires_grad_()
            nested = like(state, iter(h.unsqueeze(1).unbind())) if module is composed else h
            output, final = module(module_x, None if hx is None else nested, **options)
            final = torch.cat(leaves(final))
            loss = (output * output.detach().cos()).sum() + final.sin().sum()
            wanted = {"x": module_x, "h": h}
            wanted |= {name_in_gru(name): weight for name, weight in module.named_parameters()}
            gradients = torch.autograd.grad(
                loss, list(wanted.values()), allow_unused=True, materialize_grads=True
            )
            results.append((output, final, dict(zip(wanted, gradients, strict=True))))
        assert_equal(results[0], results[1])


@every_option
@every_pair
@pytest.mark.parametrize("batch_first", [False, True])
def test_it_equals_the_gru(compose, options, batch_first):
    composed = compose(batch_first=batch_first)
    x = torch.randn(T, B, I, **SETTINGS)
    if batch_first:
        x = x.transpose(0, 1)
        options = options | ({"resets": RESETS.T} if "resets" in options else {})
    assert composed.batch_first == batch_first
    layer = gru_like(composed, compose, batch_first=batch_first)
    assert_same_layer(composed, layer, x, **options)


@every_pair
@pytest.mark.parametrize("batch_first", [False, True])
def test_unbatched(compose, batch_first):
    composed = compose(batch_first=batch_first)
    layer = gru_like(composed, compose, batch_first=batch_first)
    x = torch.randn(T, I, **SETTINGS)
    for options in ({}, {"lengths": [4]}, {"lengths": [4], "resets": RESETS[:, 0]}):
        assert_same_layer(composed, layer, x, **options)


@every_pair
@pytest.mark.parametrize("sizes", [(0, B), (T, 0), (0, 0)], ids=str)
def test_nothing(compose, sizes):
    composed, x = compose(), torch.randn(*sizes, I, **SETTINGS)
    layer = gru_like(composed, compose)
    resets, lengths = torch.zeros(sizes, dtype=torch.bool), torch.zeros(sizes[1], dtype=torch.int64)
    for options in ({}, {"lengths": lengths}, {"resets": resets, "lengths": lengths}):
        assert_same_layer(composed, layer, x, **options)


@every_pair
@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_packed_sequence(compose, is_sorted, batch_first):
    composed = compose(batch_first=batch_first)
    layer = gru_like(composed, compose, batch_first=batch_first)
    lengths = [5, 3, 3, 1] if is_sorted else [3, 1, 5, 3]
    packed = pack_sequence([torch.randn(n, I, **SETTINGS) for n in lengths], is_sorted)
    h = torch.randn(4, B, H, **SETTINGS)[: len(layer.all_weights)]
    _, state = composed(packed)
    output, final = composed(packed, like(state, iter(h.unsqueeze(1).unbind())))
    wanted, wanted_final = layer(packed, h)
    assert isinstance(output, PackedSequence)
    assert_equal(tuple(output), tuple(wanted))
    assert_equal(torch.cat(leaves(final)), wanted_final)
    with pytest.raises(ParameterError, match="must be None for a PackedSequence"):
        composed(packed, lengths=lengths)


@pytest.mark.parametrize("batch_first", [False, True])
@every_pair
def test_no_packed_sequence_for_several_models(compose, batch_first):
    packed = pack_sequence([torch.randn(3, I, **SETTINGS)] * 3)
    with pytest.raises(ParameterError, match="input must be padded, with lengths=, for several"):
        compose(models=2, batch_first=batch_first)(packed)


@every_pair
def test_a_packed_sequence_of_something_else(compose):
    packed = PackedSequence(torch.randn(7, **SETTINGS), torch.tensor([3, 2, 2]))
    with pytest.raises(RuntimeError, match="input must have 2 dimensions, got 1"):
        compose()(packed)


@every_pair
def test_resets_of_any_type_that_holds_them(compose):
    composed, x = compose(), torch.randn(T, B, I, **SETTINGS)
    for given in (RESETS.numpy(), RESETS.tolist()):
        assert_equal(composed(x, resets=given), composed(x, resets=RESETS))


@pytest.mark.parametrize("kind", [GRU, LSTM, RNN], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "options",
    [
        {"learned_state": True},
        {"layer_norm": True, "proj_size": 2},
        {"zoneout": 0.3, "batch_first": True},
        {"models": 3},
        {"models": 3, "batch_first": True, "learned_state": True},
    ],
    ids=str,
)
def test_layers_of_every_kind_with_options(kind, options):
    composed = Bidirectional(kind(I, H, **options, **SETTINGS)).eval()
    for parameter in composed.parameters():
        nn.init.normal_(parameter)
    layer = kind(I, H, bidirectional=True, **options, **SETTINGS).eval()
    layer.load_state_dict({name_in_gru(n): w for n, w in composed.state_dict().items()})
    sizes = (B, T) if "batch_first" in options else (T, B)
    resets = RESETS.T if "batch_first" in options else RESETS
    shapes = [(*sizes, I)] + ([(3, *sizes, I)] if "models" in options else [])
    for shape in shapes:
        x, resets = torch.randn(shape, **SETTINGS), resets.expand(shape[:-1])
        given = {"lengths": LENGTHS, "resets": resets}
        (output, (ahead, back)), (wanted, final) = composed(x, **given), layer(x, **given)
        assert_equal(output, wanted)
        pairs = zip(leaves(ahead), leaves(back), strict=True)
        assert_equal([torch.cat(pair, -3) for pair in pairs], leaves(final))


def test_models_on_one_input_and_with_lengths_of_their_own():
    layer = Stack(Bidirectional(gru(models=3)), gru(2 * H, models=3))
    x, lengths = torch.randn(T, B, I, **SETTINGS), torch.randint(0, T + 1, (3, B))
    resets = torch.rand(3, T, B) < 0.4
    for given in ({"lengths": lengths}, {"resets": resets}, {"lengths": lengths, "resets": resets}):
        output, _ = layer(x, **given)
        wanted, _ = layer(x.expand(3, *x.shape), **given)
        assert output.shape == (3, T, B, H)
        assert_equal(output, wanted)


def test_a_stack_of_other_layers():
    layer = Stack(Bidirectional(gru()), LSTM(2 * H, 7, 2, **SETTINGS), RNN(7, [4, 6], **SETTINGS))
    x = torch.randn(T, B, I, **SETTINGS)
    given = {"lengths": LENGTHS, "resets": RESETS}
    output, states = layer(x, **given)
    wanted = x
    for part, state in zip(layer.layers, states, strict=True):
        wanted, final = part(wanted, **given)
        assert_equal(state, final)
    assert_equal(output, wanted)
    start = [None, like(states[1], iter(torch.ones(2, 2, B, 7, **SETTINGS))), None]
    assert not torch.equal(layer(x, start, **given)[0], output)


@every_pair
def test_padding_may_hold_anything(compose):
    composed, x = compose(), torch.randn(T, B, I, **SETTINGS)
    padding = torch.arange(T)[:, None] >= LENGTHS

    def results(x):
        x = x.requires_grad_()
        output, state = composed(x, lengths=LENGTHS, resets=RESETS)
        loss = output.square().sum() + torch.cat(leaves(state)).sum()
        return output, state, torch.autograd.grad(loss, [x, *composed.parameters()])

    wanted = results(x.masked_fill(padding[..., None], 0.0))
    assert not wanted[0][padding].any()
    assert not wanted[2][0][padding].any()
    for value in (torch.nan, torch.inf):
        assert_equal(results(x.masked_fill(padding[..., None], value)), wanted)


class IgnoresLengths(Bidirectional):
    def _order(self, input, lengths, time):
        return super()._order(input, torch.full_like(lengths, input.shape[time]), time)


class MergesTheOtherWay(Bidirectional):
    def _merge(self, ahead, back):
        return super()._merge(back, ahead)


class StartsBothFromOneState(Bidirectional):
    def forward(self, input, hx=None, **options):
        return super().forward(input, None if hx is None else (hx[0], hx[0]), **options)


class LosesAGradient(Bidirectional):
    def _merge(self, ahead, back):
        return super()._merge(ahead, back.detach())


@pytest.mark.parametrize(
    "sabotage", [IgnoresLengths, MergesTheOtherWay, StartsBothFromOneState, LosesAGradient]
)
def test_a_sabotaged_composition_is_caught(sabotage):
    composed = sabotage(gru())
    layer = gru_like(composed, bidirectional)
    with pytest.raises(AssertionError):
        assert_same_layer(composed, layer, torch.randn(T, B, I, **SETTINGS), **OPTIONS["both"])


def test_resets_that_are_only_flipped_are_caught(monkeypatch):
    def flipped(resets, time, order):
        return bidirectional_module._reverse(resets[..., None], time, order)[..., 0]

    monkeypatch.setattr(bidirectional_module, "_reverse_resets", flipped)
    composed = bidirectional()
    layer = gru_like(composed, bidirectional)
    with pytest.raises(AssertionError):
        assert_same_layer(composed, layer, torch.randn(T, B, I, **SETTINGS), resets=RESETS)


class Accumulator(nn.Module):
    """The sum of the inputs so far: the smallest layer that keeps the protocol."""

    batch_first = False

    def forward(self, input, hx=None, *, lengths=None, resets=None):
        total = torch.zeros(input.shape[1:]) if hx is None else hx
        outputs = []
        for t, x in enumerate(input):
            counts = torch.ones(len(x), 1) > 0 if lengths is None else (t < lengths)[:, None]
            if resets is not None:
                total = total.masked_fill(resets[t, :, None] & counts, 0.0)
            total = torch.where(counts, total + x, total)
            outputs.append(torch.where(counts, total, 0.0))
        return torch.stack(outputs), total


def test_a_layer_of_ones_own():
    """By hand: two sequences, of 3 steps and of 4 with a new one from its third."""
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [torch.nan, 40.0]])[..., None]
    resets = torch.tensor([[False, False], [False, False], [False, True], [True, False]])
    layer = Stack(Bidirectional(Accumulator(), Accumulator()), Accumulator())
    output, ((ahead, back), above) = layer(x, lengths=torch.tensor([3, 4]), resets=resets)
    within, _ = layer.layers[0](x, lengths=torch.tensor([3, 4]), resets=resets)
    assert within[..., 0].T.tolist() == [[1, 3, 6, 0], [10, 30, 30, 70]]
    assert within[..., 1].T.tolist() == [[6, 5, 3, 0], [30, 20, 70, 40]]
    assert (ahead.flatten().tolist(), back.flatten().tolist()) == ([6, 70], [6, 30])
    assert output[..., 0].T.tolist() == [[1, 4, 10, 0], [10, 40, 30, 100]]
    assert above.tolist() == [[10, 14], [100, 110]]


def test_merges():
    parts = gru(), gru()
    x = torch.randn(T, B, I, **SETTINGS)
    ahead, back = Bidirectional(*parts)(x, lengths=LENGTHS)[0].chunk(2, dim=-1)
    for merge, wanted in {"sum": ahead + back, "mean": (ahead + back) / 2}.items():
        assert_equal(Bidirectional(*parts, merge=merge)(x, lengths=LENGTHS)[0], wanted)


def test_the_copy_backward_has_parameters_of_its_own():
    layer = bidirectional()
    ahead, back = layer.forward_layer, layer.backward_layer
    for one, other in zip(ahead.parameters(), back.parameters(), strict=True):
        assert not torch.equal(one, other)
    nested = Bidirectional(stack())
    for one, other in zip(*(part.parameters() for part in nested.children()), strict=True):
        assert not torch.equal(one, other)
    same = gru()
    assert len(list(Bidirectional(same, same).parameters())) == 4


def test_reset_parameters_draws_all_anew():
    composed = both()
    before = copy.deepcopy(composed.state_dict())
    torch.manual_seed(1)
    composed.reset_parameters()
    for name, weight in composed.state_dict().items():
        assert not torch.equal(weight, before[name]), name


def test_residual():
    parts = bidirectional(), gru(2 * H), gru(H), gru(H)
    layer, x = Stack(*parts[:2], Stack(*parts[2:], residual=True)), torch.randn(T, B, I, **SETTINGS)
    x2 = parts[1](parts[0](x, lengths=LENGTHS)[0], lengths=LENGTHS)[0]
    x3 = parts[2](x2, lengths=LENGTHS)[0]
    assert_equal(layer(x, lengths=LENGTHS)[0], parts[3](x3, lengths=LENGTHS)[0] + x3)
    with pytest.raises(ParameterError, match="residual needs outputs of equal width, got 5 and 10"):
        Stack(*parts[:2], residual=True)(x)


def test_dropout_is_between_layers_and_in_training():
    parts = gru(), gru(H), gru(H)
    layer, x = Stack(*parts, dropout=0.5), torch.randn(T, B, I, **SETTINGS)
    seen = []
    for part in parts:
        part.register_forward_hook(lambda _, inputs, results: seen.append((inputs[0], results[0])))
    output, _ = layer(x)
    assert seen[0][0] is x
    assert output is seen[2][1]
    for (_, below), (above, _) in pairwise(seen):
        assert ((above == 0) | torch.isclose(above, 2 * below)).all()
        assert 0.3 < (above == 0).double().mean() < 0.7
    layer.eval()
    assert_equal(layer(x), Stack(*parts)(x))


def test_step():
    layer, x = Stack(gru(num_layers=2), gru(H), residual=True, dropout=0.5), torch.randn(T, B, I)
    layer.double()
    wanted, final = layer.eval()(x.double())
    layer.train()
    state = None
    for t in range(T):
        output, state = layer.step(x[t].double(), state)
        assert_equal(output, wanted[t])
    assert_equal(state, final)
    with pytest.raises(AttributeError, match="'Bidirectional' object has no attribute 'step'"):
        both().step(x[0])


def test_copies_compute_alike():
    composed, x = both(), torch.randn(T, B, I, **SETTINGS)
    for other in (copy.deepcopy(composed), pickle.loads(pickle.dumps(composed))):  # noqa: S301
        assert_equal(other(x), composed(x))


def test_repr_says_what_is_not_the_default():
    layer = Stack(bidirectional(), dropout=0.1, residual=True)
    assert repr(layer).startswith("Stack(\n  dropout=0.1, residual=True\n  (layers): ModuleList(")
    assert "merge" not in repr(layer)
    assert "merge='sum'" in repr(Bidirectional(gru(), merge="sum"))


def test_errors():
    x = torch.randn(T, B, I, **SETTINGS)
    for make in (lambda *layers: Bidirectional(*layers), lambda *layers: Stack(*layers)):
        with pytest.raises(ParameterError, match="agree on batch_first"):
            make(gru(), gru(batch_first=True))
        with pytest.raises(ParameterError, match="a part must be a layer with batch_first, got Li"):
            make(nn.Linear(2, 2), gru())
        with pytest.raises(ParameterError, match="a part must be a layer with batch_first, got <c"):
            make(GRU, gru())
        with pytest.raises(ParameterError, match=r"a tuple of 2 states, .*, got 3 of them"):
            make(gru(), gru(H))(x, (None, None, None))
        with pytest.raises(ParameterError, match=r"a tuple of 2 states, .*, got Tensor"):
            make(gru(), gru(H))(x, torch.zeros(2, B, H))
        with pytest.raises(ParameterError, match="lengths must be from 0 to T = 6"):
            make(gru(), gru(I))(x, lengths=[7, 1, 1, 1])
        with pytest.raises(ParameterError, match="resets must be bool of shape"):
            make(gru(), gru(I))(x, resets=RESETS.T)
    with pytest.raises(ParameterError, match="layers must be at least one, got none"):
        Stack()
    with pytest.raises(ParameterError, match=r"backward must be a layer, since .* got None"):
        Bidirectional(Accumulator())
    with pytest.raises(ParameterError, match="merge must be one of 'concat', 'sum', 'mean'"):
        Bidirectional(gru(), merge="mul")
    with pytest.raises(ParameterError, match="merge='sum' needs outputs of equal width, got 5 and"):
        Bidirectional(gru(), GRU(I, 1, **SETTINGS), merge="sum")(x)
    with pytest.raises(ParameterError, match="dropout must be"):
        Stack(gru(), dropout=1.5)
    with pytest.raises(ParameterError, match="residual must be True or False, got 1"):
        Stack(gru(), residual=1)


# Transforms, on both modules in one.


def mixed(**options):
    return Stack(Bidirectional(GRU(I, H, **options)), GRU(2 * H, H, **options), dropout=0.0)


def assert_close(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


quiet = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script.*` is deprecated:DeprecationWarning",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
)


@pytest.fixture
def compiled():
    torch._dynamo.reset()
    yield lambda call, **options: torch.compile(
        call, fullgraph=True, backend="aot_eager", **options
    )
    torch._dynamo.reset()


def training_step(layer, call, x, **options):
    x = x.clone().requires_grad_()
    output, states = call(x, **options)
    loss = output.square().sum() + sum(leaf.sin().sum() for leaf in leaves(states))
    return output, states, torch.autograd.grad(loss, [x, *layer.parameters()])


@quiet
@every_option
def test_compile(compiled, options):
    layer, x = mixed(), torch.randn(T, B, I)
    assert_close(
        training_step(layer, compiled(layer), x, **options),
        training_step(layer, layer, x, **options),
    )


@quiet
def test_compile_with_any_time_and_batch(compiled):
    layer = mixed(batch_first=True)
    call = compiled(layer, dynamic=True)
    with torch.no_grad():
        for time, batch in ((6, 3), (9, 4), (0, 2), (5, 0)):
            x, lengths = torch.randn(batch, time, I), torch.randint(0, time + 1, (batch,))
            resets = torch.rand(batch, time) < 0.3
            wanted = layer(x, lengths=lengths, resets=resets)
            assert_close(call(x, lengths=lengths, resets=resets), wanted)


@quiet
@pytest.mark.parametrize("strict", [True, False])
def test_export_with_any_time_and_batch(strict):
    layer, time, batch = mixed().eval(), Dim("time"), Dim("batch")

    def inputs(time, batch):
        return {
            "input": torch.randn(time, batch, I),
            "lengths": torch.randint(0, time + 1, (batch,)),
            "resets": torch.rand(time, batch) < 0.3,
        }

    shapes = {"input": {0: time, 1: batch}, "lengths": {0: batch}, "resets": {0: time, 1: batch}}
    with torch.no_grad():
        program = export(layer, (), inputs(6, 7), dynamic_shapes=shapes, strict=strict)
        for sizes in ((5, 3), (17, 2)):
            given = inputs(*sizes)
            assert_close(program.module()(**given), layer(**given))


def test_vmap_over_inputs_lengths_and_resets():
    layer, x, lengths = mixed(), torch.randn(3, T, B, I), torch.randint(0, T + 1, (3, B))
    resets = torch.rand(3, T, B) < 0.3

    def call(x, lengths, resets):
        return layer(x, lengths=lengths, resets=resets)

    output, states = vmap(call)(x, lengths, resets)
    for index in range(3):
        wanted, final = call(x[index], lengths[index], resets[index])
        assert_close(output[index], wanted)
        assert_close([leaf[index] for leaf in leaves(states)], leaves(final))


def test_vmap_over_parameters():
    layers, x = [mixed() for _ in range(3)], torch.randn(T, B, I)
    stacked, _ = stack_module_state(layers)
    output = vmap(
        lambda weights: functional_call(layers[0], weights, (x,), {"lengths": LENGTHS})[0]
    )(stacked)
    for index, layer in enumerate(layers):
        assert_close(output[index], layer(x, lengths=LENGTHS)[0])


def test_vmap_of_grad():
    layer, x = mixed(), torch.randn(B, T, I)
    weights = {name: weight.detach() for name, weight in layer.named_parameters()}

    def loss(weights, x, length):
        options = {"lengths": length[None]}
        return functional_call(layer, weights, (x[:, None],), options)[0].square().sum()

    got = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, LENGTHS)
    for index in range(B):
        wanted = grad(loss)(weights, x[index], LENGTHS[index])
        assert_close({name: value[index] for name, value in got.items()}, wanted)
    assert got["layers.0.backward_layer.weight_hh_l0"][2].abs().max() > 1e-3


@quiet
def test_higher_derivatives():
    layer, x, tangent = mixed().double(), *torch.randn(2, T, B, I, **SETTINGS)

    def call(x):
        return layer(x, lengths=LENGTHS, resets=RESETS)[0]

    step = 1e-5 * tangent
    difference = (call(x + step) - call(x - step)) / 2e-5
    torch.testing.assert_close(jvp(call, (x,), (tangent,))[1], difference, rtol=0, atol=1e-8)
    x = x[:2, :2].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(
        lambda x: layer(x, lengths=torch.tensor([2, 1]))[0], x, fast_mode=True
    )


def test_autocast():
    layer, x = mixed(), torch.randn(T, B, I)
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = layer(x, lengths=LENGTHS)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), layer(x, lengths=LENGTHS)[0], rtol=0, atol=2e-2)


def test_meta():
    layer = mixed(device="meta")
    x = torch.empty(T, B, I, device="meta")
    assert layer(x, lengths=LENGTHS, resets=RESETS)[0].shape == (T, B, H)
