"""What a module must survive: meta, copies, moves, parametrizations, clipping, strict loading."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.nn.utils import clip_grad_norm_, parametrizations

from grukit.core.errors import ParameterError
from grukit.nn import (
    GRU,
    LSTM,
    RNN,
    GRUCell,
    GRUTrace,
    LSTMCell,
    LSTMTrace,
    RNNCell,
    RNNTrace,
)

LAYERS = [GRU, LSTM, RNN]
CELLS = [GRUCell, LSTMCell, RNNCell]
KINDS = [*LAYERS, *CELLS]
EVERY_OPTION = {"proj_size": 2, "layer_norm": True, "zoneout": 0.3, "learned_state": True}
OF_LAYERS = {"num_layers": 2, "bidirectional": True, "residual": True, "dropout": 0.3}
MASKS = {"recurrent_dropout": 0.3, "input_dropout": 0.3}
WITHOUT_CANDIDATE = (RNN, RNNCell)


def plain(kind, **options):
    return kind(3, 4, **options)


def everything(kind, **options):
    """With every option: sizes and models are for themselves."""
    options = EVERY_OPTION | MASKS | options
    if kind not in WITHOUT_CANDIDATE:
        options["candidate_dropout"] = 0.3
    return kind(3, 4, **(OF_LAYERS if kind in LAYERS else {}), **options)


def sized(kind, **options):
    return kind(3, [4, 5], **options) if kind in LAYERS else plain(kind, **options)


def several(kind, **options):
    return kind(3, 4, models=2, **options) if kind in LAYERS else plain(kind, **options)


every_kind = pytest.mark.parametrize("kind", KINDS)
every_make = pytest.mark.parametrize("make", [plain, everything, sized, several])


def call(module, x):
    """All the tensors that a call gives, from the same seed; of a cell a call for each step."""
    torch.manual_seed(5)
    if not isinstance(module, tuple(CELLS)):
        return tensors(module(x))
    state, masks = None, module.masks(x.shape[1])
    for step in x:
        state = module(step, state, masks)
    return tensors(state)


def tensors(results):
    if isinstance(results, torch.Tensor):
        return [results]
    return [tensor for part in results for tensor in tensors(part)]


@every_make
@every_kind
def test_meta(kind, make):
    module, x = make(kind, device="meta"), torch.empty(5, 2, 3, device="meta", requires_grad=True)
    found = call(module, x)
    sum(t.sum() for t in found).backward()
    assert x.grad.device.type == "meta"
    module.to_empty(device="cpu").reset_parameters()
    there = call(module, torch.randn(5, 2, 3))
    assert all(t.isfinite().all() for t in there)
    assert [t.shape for t in there] == [t.shape for t in found]


@every_kind
def test_meta_refuses_another_dtype_too(kind):
    x = torch.empty(5, 2, 3, device="meta", dtype=torch.float64)
    with pytest.raises((ValueError, RuntimeError), match="float64"):
        call(plain(kind, device="meta"), x)


@every_make
@every_kind
def test_a_seed_makes_the_same_module_and_copies_compute_alike(kind, make):
    x = torch.randn(5, 2, 3)
    torch.manual_seed(3)
    module = make(kind)
    torch.manual_seed(3)
    again = make(kind)
    wanted = [t.detach() for t in call(module, x)]
    copies = [again, copy.deepcopy(module), pickle.loads(pickle.dumps(module))]  # noqa: S301
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    for twin in copies:
        assert repr(twin) == repr(module)
        for a, b in zip(call(twin, x), wanted, strict=True):
            assert torch.equal(a, b)
    assert not torch.equal(call(module, x)[0], wanted[0])


@every_make
@every_kind
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_of_the_module_is_the_dtype_of_its_results(kind, make, dtype):
    module = make(kind).to(dtype)
    found = call(module, torch.randn(5, 2, 3, dtype=dtype))
    assert {t.dtype for t in found} == {dtype}
    sum(t.float().sum() for t in found).backward()
    assert {parameter.grad.dtype for parameter in module.parameters()} == {dtype}
    back = call(module.float(), torch.randn(5, 2, 3))
    assert {t.dtype for t in back} == {torch.float32}


@every_make
@every_kind
def test_every_parameter_is_trained_and_clipped(kind, make):
    module = make(kind)
    weighted = [(t * torch.randn_like(t)).sum() for t in call(module, torch.randn(5, 2, 3))]
    sum(weighted).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    gradients = [parameter.grad.clone() for parameter in module.parameters()]
    norm = clip_grad_norm_(module.parameters(), 0.01)
    for parameter, before in zip(module.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, before * (0.01 / norm))


@pytest.mark.parametrize("name", ["weight_ih", "weight_hh", "weight_hr", "gain_hh", "h0"])
@every_kind
def test_a_parametrized_weight_is_used(kind, name):
    module, x = everything(kind).eval(), torch.randn(5, 2, 3)
    name += "" if kind in CELLS else "_l1_reverse"
    # A learned state is zero at first, and a norm of zero has no derivative.
    torch.nn.init.normal_(getattr(module, name))
    before = call(module, x)
    parametrizations.weight_norm(module, name)
    for a, b in zip(call(module, x), before, strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        # One row, since layer norm undoes a factor of all.
        getattr(module.parametrizations, name).original0[0].mul_(2)
    found = call(module, x)
    assert not all(torch.allclose(a, b) for a, b in zip(found, before, strict=True))
    sum(t.sum() for t in found).backward()
    assert getattr(module.parametrizations, name).original0.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["weight_ih", "bias_hh", "gain_hh", "h0"])
@every_kind
def test_a_parametrized_weight_is_not_drawn(kind, name):
    module = everything(kind)
    name += "" if kind in CELLS else "_l1_reverse"
    parametrizations.weight_norm(module, name)
    with pytest.raises(ParameterError, match=f"{name} must be drawn before it is parametrized"):
        module.reset_parameters()


@every_make
@every_kind
def test_a_replica_computes_the_same(kind, make):
    """What torch.nn.DataParallel makes: tensors in the place of the parameters."""
    module, x = make(kind), torch.randn(5, 2, 3)
    replica = module._replicate_for_data_parallel()
    for name, parameter in module.named_parameters():
        setattr(replica, name, parameter.clone())
    assert not list(replica.parameters())
    for a, b in zip(call(replica, x), call(module, x), strict=True):
        assert torch.equal(a, b)


@every_make
@every_kind
def test_results_change_in_place(kind, make):
    for result in call(make(kind), torch.randn(5, 2, 3)):
        result.add_(1.0).detach_()


@pytest.mark.parametrize("kind", LAYERS)
def test_what_changes_in_place_has_no_wrong_gradient(kind):
    layer, x = kind(3, 4), torch.randn(5, 2, 3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        layer(x)[0].mul_(2).sum().backward()

    def gradient(double):
        loss = sum(double(state).sum() for state in tensors(layer(x)[1]))
        return torch.autograd.grad(loss, layer.weight_hh_l0)[0]

    torch.testing.assert_close(gradient(lambda t: t.mul_(2)), gradient(lambda t: t * 2))


@pytest.mark.parametrize("option", ["zoneout", "recurrent_dropout", "input_dropout"])
@every_kind
def test_a_rate_may_change_later(kind, option):
    made, module = (plain(kind, **given) for given in ({option: 0.5}, {}))
    module.load_state_dict(made.state_dict())
    setattr(module, option, 0.5)
    x = torch.randn(5, 2, 3)
    for mode in (True, False):
        for a, b in zip(call(module.train(mode), x), call(made.train(mode), x), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_dtype_changes_no_mask(dtype):
    layer, x = GRU(3, 8, zoneout=0.3, recurrent_dropout=0.5), torch.randn(9, 200, 3)
    wanted = call(layer, x)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        found = call(layer, x)
    finally:
        torch.set_default_dtype(before)
    assert torch.equal(found[0], wanted[0])


@every_make
@pytest.mark.parametrize("kind", LAYERS)
def test_tensors_without_values(kind, make):
    with FakeTensorMode():
        found = tensors(make(kind)(torch.randn(5, 2, 3), lengths=torch.tensor([5, 2])))
        sum(t.sum() for t in found).backward()
    assert [t.shape for t in found] == [t.shape for t in tensors(make(kind)(torch.randn(5, 2, 3)))]


STRICT = {
    "a gain that torch has not": ({"layer_norm": True}, {}, "Missing key.*gain_ih"),
    "a gain too many": ({}, {"layer_norm": True}, "Unexpected key.*gain_ih"),
    "a learned state": ({"learned_state": True}, {}, "Missing key.*h0"),
    "a bias": ({"bias": False}, {}, "Unexpected key.*bias_ih"),
    "a projection": ({"proj_size": 2}, {"proj_size": 3}, "size mismatch for weight_hh"),
    "models": ({"models": 2}, {}, "size mismatch for weight_ih"),
    "sizes": ({"hidden_size": [4, 5]}, {"num_layers": 2}, "size mismatch for weight_ih_l1"),
}


@pytest.mark.parametrize("name", STRICT)
@pytest.mark.parametrize("kind", LAYERS)
def test_loading_is_strict(kind, name):
    into, of, message = STRICT[name]
    sizes = {"input_size": 3, "hidden_size": 4}
    with pytest.raises(RuntimeError, match=rf"(?s){message}"):
        kind(**sizes | into).load_state_dict(kind(**sizes | of).state_dict())


@every_kind
def test_torchs_weights_are_the_plain_part_of_a_state_dict_with_options(kind):
    theirs = getattr(torch.nn, kind.__name__)(3, 4)
    ours = kind(3, 4, layer_norm=True, learned_state=True)
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not unexpected
    assert {name.removesuffix("_l0") for name in missing} <= {
        *("gain_ih", "gain_hh", "gain_c", "bias_c", "h0", "c0")
    }
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


@pytest.mark.parametrize("kind", LAYERS)
def test_all_of_dropout_leaves_nothing_of_the_layers_below(kind):
    layer = kind(3, 4, 2, dropout=1.0)
    one, other = torch.randn(2, 5, 2, 3)
    assert torch.equal(layer(one)[0], layer(other)[0])
    layer.eval()
    assert not torch.equal(layer(one)[0], layer(other)[0])


@pytest.mark.parametrize("kind", LAYERS)
def test_lengths_and_resets_of_any_type_that_holds_them(kind):
    layer, x = kind(3, 4), torch.randn(5, 2, 3)
    resets = torch.rand(5, 2) < 0.4
    wanted = layer(x, lengths=torch.tensor([2, 5]), resets=resets)[0]
    for lengths in ([2, 5], (2, 5), torch.tensor([2, 5], dtype=torch.int32)):
        for given in (resets.numpy(), resets.tolist()):
            assert torch.equal(layer(x, lengths=lengths, resets=given)[0], wanted)


TRACES = {GRU: GRUTrace, LSTM: LSTMTrace, RNN: RNNTrace}


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_trace_is_laid_out_as_the_input(kind, batch_first):
    layer = kind(3, 4, batch_first=batch_first)
    sizes = (2, 5) if batch_first else (5, 2)
    trace = layer.trace(torch.randn(*sizes, 3), lengths=[1, 5])
    assert isinstance(trace, TRACES[kind])
    for part in trace:
        assert part.shape == (*sizes, 4)
        padding = part[0, 1:] if batch_first else part[1:, 0]
        assert not padding.any()
    assert all(part.shape == (5, 4) for part in layer.trace(torch.randn(5, 3)))
    empty = layer.trace(torch.empty(*((2, 0) if batch_first else (0, 2)), 3))
    assert all(part.numel() == 0 for part in empty)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_trace_has_gradients(kind):
    layer, x = kind(3, 4), torch.randn(5, 2, 3, requires_grad=True)
    for part in layer.trace(x):
        (gradient,) = torch.autograd.grad(part.sum(), x, retain_graph=True)
        assert gradient.abs().max() > 0


def test_the_parts_of_a_trace():
    assert GRUTrace._fields == ("reset", "update", "memory", "hidden")
    assert LSTMTrace._fields == ("input", "forget", "memory", "output", "cell", "hidden")
    assert RNNTrace._fields == ("memory", "hidden")
