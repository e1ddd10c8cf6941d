"""Every layer and option against plain loops written from the papers' equations, in papers.py.

Output, final states and the gradients of input, states and parameters are compared: ours in
float64 within 1e-10, ours in float32 within a small multiple of the plain loop's own error.
"""

from __future__ import annotations

import itertools

import papers
import pytest
import torch
from paper_cases import (
    CANDIDATE,
    DTYPES,
    EVERY_MASK,
    HIDDEN,
    INPUTS,
    KINDS,
    MASK_OF,
    OPTIONS,
    RECURRENT,
    ZONEOUT,
    ZONEOUT_CELL,
    compare_results,
    fitting,
    results,
    watched,
)

from grukit.nn import LSTM
from grukit.testing import assert_close

CASES = [
    pytest.param(kind, options, id=f"{kind}: {name}")
    for kind in KINDS
    for name, options in OPTIONS.items()
    if fitting(kind, options) or not options
]


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_a_layer_is_what_the_papers_say(kind, options, training):
    for dtype in DTYPES:
        compare_results(*results(kind, options, training, dtype))


def test_one_zoneout_of_an_lstm_is_that_of_both_states():
    both, pair = LSTM(3, 4, zoneout=0.4), LSTM(3, 4, zoneout=(0.4, 0.4))
    pair.load_state_dict(both.state_dict())
    x = torch.randn(5, 2, 3)
    for training in (True, False):
        outputs = []
        for layer in (both, pair):
            torch.manual_seed(1)
            output, (h, c) = layer.train(training)(x)
            outputs.append(torch.cat([output, h, c]))
        assert torch.equal(*outputs)


TORCHS = {
    "gru": (torch.nn.GRU, {}),
    "gru without bias": (torch.nn.GRU, {"bias": False}),
    "lstm": (torch.nn.LSTM, {}),
    "lstm with a projection": (torch.nn.LSTM, {"proj_size": 6}),
    "rnn": (torch.nn.RNN, {}),
    "rnn with relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
}


@pytest.mark.parametrize("name", TORCHS)
def test_the_plain_loops_are_torchs(name):
    module, options = TORCHS[name]
    layer = module(4, 8, 2, bidirectional=True, dtype=torch.float64, **options)
    x = torch.randn(5, 3, 4, dtype=torch.float64)

    def parts(state):
        return state if isinstance(state, tuple) else (state,)

    hx = tuple(torch.randn_like(part) for part in parts(layer(x)[1]))
    wanted, final = layer(x, hx if len(hx) == 2 else hx[0])
    output, found = papers.network(
        name.split()[0],
        dict(layer.named_parameters()),
        x,
        list(zip(*hx, strict=True)),
        num_layers=2,
        bidirectional=True,
        **({"nonlinearity": "relu"} if "relu" in name else {}),
    )
    assert_close(output, wanted, "output")
    for part, truth in zip(zip(*found, strict=True), parts(final), strict=True):
        assert_close(torch.stack(part), truth, "final state")


# Sabotage: faults of the papers and of the layer, each of which must turn the comparison red.


def step_fault(name, change):
    """The papers' step sees change(w, state, m) in the place of its own."""

    def install(patch):
        step = getattr(papers, name)

        def wrong(w, x, state, m, **options):
            w, state, m = change(w, state, m)
            return step(w, x, state, m, **options)

        patch.setattr(papers, name, wrong)

    return install


def with_rows(w, change):
    """The weights with the rows of their gates changed."""
    return {
        name: torch.cat(change(*value.chunk(3))) if len(value) == 3 * HIDDEN else value
        for name, value in w.items()
    }


def mask_fault(change):
    """The papers' masks of step t are change(masks, t)."""

    def install(patch):
        at = papers.Masks.at
        patch.setattr(papers.Masks, "at", lambda masks, t, b: at(change(masks, t), t, b))

    return install


def no_b_hh(w, state, m):
    return {name: value for name, value in w.items() if name != "bias_hh"}, state, m


def unbiased(a):
    return (a - a.mean()) / torch.sqrt(a.var() + 1e-5)


def late_in_reverse(patch):
    sequences = papers.sequences

    def wrong(kind, w, x, state, masks, lengths, resets, reverse, options):
        resets = resets.roll(-1, 0) if reverse else resets
        return sequences(kind, w, x, state, masks, lengths, resets, reverse, options)

    patch.setattr(papers, "sequences", wrong)


def unlearned(patch):
    fresh = papers.fresh_state
    patch.setattr(
        papers, "fresh_state", lambda kind, w: tuple(map(torch.zeros_like, fresh(kind, w)))
    )


FAULTS_OF_PAPERS = {
    "r and z swapped": (
        "gru",
        "plain",
        step_fault("gru_step", lambda w, s, m: (with_rows(w, lambda r, z, n: (z, r, n)), s, m)),
    ),
    # sigmoid(-a) = 1 - sigmoid(a)
    "z and 1 - z swapped": (
        "gru",
        "plain",
        step_fault("gru_step", lambda w, s, m: (with_rows(w, lambda r, z, n: (r, -z, n)), s, m)),
    ),
    "no b_hh of the GRU": ("gru", "plain", step_fault("gru_step", no_b_hh)),
    "no b_hh of the LSTM": ("lstm", "plain", step_fault("lstm_step", no_b_hh)),
    "no b_hh of the RNN": ("rnn", "plain", step_fault("rnn_step", no_b_hh)),
    "dropout of the carry": (
        "gru",
        "recurrent dropout",
        step_fault("gru_step", lambda w, s, m: (w, (s[0] * m.recurrent,), m)),
    ),
    "zoneout of the step before": (
        "rnn",
        "zoneout",
        mask_fault(lambda m, t: m._replace(zoneout=m.zoneout.roll(1, 0))),
    ),
    # https://github.com/lmnt-com/haste/issues/43
    "zoneout of step 0 at every step": (
        "gru",
        "zoneout",
        mask_fault(lambda m, t: m._replace(zoneout=m.zoneout[:1].expand_as(m.zoneout))),
    ),
    "zoneouts of h and c swapped": (
        "lstm",
        "zoneout",
        mask_fault(lambda m, t: m._replace(zoneout=m.zoneout_cell, zoneout_cell=m.zoneout)),
    ),
    "a new recurrent mask at each step": (
        "lstm",
        "recurrent dropout",
        mask_fault(lambda m, t: m._replace(recurrent=m.recurrent.roll(t, 1))),
    ),
    "a new candidate mask at each step": (
        "gru",
        "candidate dropout",
        mask_fault(lambda m, t: m._replace(candidate=m.candidate.roll(t, 1))),
    ),
    "a new input mask at each step": (
        "rnn",
        "input dropout",
        mask_fault(lambda m, t: m._replace(input=m.input.roll(t, 1))),
    ),
    "the unbiased variance": (
        "lstm",
        "layer norm",
        lambda patch: patch.setattr(papers, "normalized", unbiased),
    ),
    "resets a step late in reverse": ("gru", "both ways with lengths and resets", late_in_reverse),
    "resets to zero in spite of a learned state": ("lstm", "learned state at resets", unlearned),
}
FAULTS_OF_LAYERS = {
    "zoneout of the step before": ("gru", "zoneout", lambda mask: mask.roll(1, -3)),
    "zoneout of step 0 at every step": ("rnn", "zoneout", lambda mask: mask[:1].expand_as(mask)),
    "a recurrent mask that is not scaled": ("gru", "recurrent dropout", torch.sign),
    "the candidate mask of another sequence": (
        "lstm",
        "candidate dropout",
        lambda mask: mask.roll(1, 0),
    ),
    "no input mask": ("rnn", "input dropout", torch.ones_like),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FAULTS_OF_PAPERS)
def test_another_equation_is_seen(name, dtype, monkeypatch):
    kind, options, install = FAULTS_OF_PAPERS[name]
    install(monkeypatch)
    found = results(kind, OPTIONS[options], True, dtype)
    with pytest.raises(AssertionError, match="output"):
        compare_results(*found)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FAULTS_OF_LAYERS)
def test_another_mask_is_seen(name, dtype):
    kind, options, fault = FAULTS_OF_LAYERS[name]
    found = results(kind, OPTIONS[options], True, dtype, fault)
    with pytest.raises(AssertionError, match="output"):
        compare_results(*found)


def test_zoneout_of_inference_must_be_its_expectation(monkeypatch):
    mask_fault(lambda m, t: m._replace(zoneout=0.0))(monkeypatch)
    found = results("gru", OPTIONS["zoneout"], False, torch.float64)
    with pytest.raises(AssertionError, match="output"):
        compare_results(*found)


@pytest.mark.parametrize(("dtype", "factor"), [(torch.float64, 1 + 1e-8), (torch.float32, 1.001)])
def test_every_result_is_compared(dtype, factor):
    got, oracle, plain = results("lstm", OPTIONS["all at once"], True, dtype)
    assert {name.split("_l")[0].split(" of")[0] for name in got} == {
        *("output", "final h", "final c", "dx", "dh0", "dc0", "dweight_ih", "dweight_hh"),
        *("dbias_ih", "dbias_hh", "dweight_hr", "dgain_ih", "dgain_hh", "dgain_c", "dbias_c"),
    }
    for name, value in got.items():
        with pytest.raises(AssertionError, match=name):
            compare_results({**got, name: value * factor}, oracle, plain)


# The masks themselves, of two layers in two directions.

STEPS, SEQUENCES, UNITS = 16, 24, 20
SHAPE_OF = {
    "zoneout": (STEPS, SEQUENCES, UNITS),
    "zoneout_cell": (STEPS, SEQUENCES, UNITS),
    "recurrent": (SEQUENCES, UNITS),
    "candidate": (SEQUENCES, UNITS),
}


def layer_with_masks(kind, **options):
    module, of_kind = KINDS[kind]
    options = fitting(kind, options)
    layer = module(UNITS, UNITS, 2, bidirectional=True, **of_kind, **options)
    return layer, torch.randn(STEPS, SEQUENCES, UNITS)


def check_mask(rate, mask):
    """AssertionError unless the values, how often they come and how they spread are right."""
    name = MASK_OF[rate]
    zoneout = name.startswith("zoneout")
    assert mask.shape == SHAPE_OF.get(name, (1, SEQUENCES, mask.shape[-1])), "shape"
    values = [0.0, 1.0] if zoneout else [0.0, 1 / (1 - rate)]
    torch.testing.assert_close(mask.unique(), torch.tensor(values), msg="values")
    hits = mask == (1 if zoneout else 0)
    for axis, size in enumerate(mask.shape):
        if size > 1:
            halves = hits.unflatten(axis, (size // 2, 2)).unbind(axis + 1)
            check_independence(rate, *halves, f"agreement of neighbours along axis {axis}")
    check_share(hits, rate, "rate")


def check_independence(rate, one, other, what):
    check_share(one == other, rate**2 + (1 - rate) ** 2, what)


def check_share(hits, share, what):
    """AssertionError unless so many of independent trials are hits, within 4 sigma."""
    sigma = (share * (1 - share) / hits.numel()) ** 0.5
    found = hits.double().mean().item()
    assert abs(found - share) < 4 * sigma, f"{what} is {found:.3f}, expected is {share:.3f}"


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_masks_are_random_and_independent(kind):
    layer, x = layer_with_masks(kind, **EVERY_MASK)
    with watched() as drawn:
        layer(x)
    of_rate = {}
    for rate, mask in drawn:
        check_mask(rate, mask)
        of_rate.setdefault(rate, []).append(mask)
    wanted = {ZONEOUT: 4, ZONEOUT_CELL: 4, RECURRENT: 4, CANDIDATE: 4, INPUTS[0]: 2}
    if kind != "lstm":
        del wanted[ZONEOUT_CELL]
    if kind == "rnn":
        del wanted[CANDIDATE]
    assert {rate: len(masks) for rate, masks in of_rate.items()} == wanted
    for rate, masks in of_rate.items():
        for one, other in itertools.combinations(masks, 2):
            if one.shape == other.shape:
                check_independence(rate, one > 0, other > 0, "agreement of two masks")


def zoneouts(rate, *shape):
    return (torch.rand(*shape).expand(STEPS, SEQUENCES, UNITS) < rate).float()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (lambda: zoneouts(ZONEOUT, 1, SEQUENCES, UNITS), "along axis 0"),
        (lambda: zoneouts(ZONEOUT, STEPS, 1, UNITS), "along axis 1"),
        (lambda: zoneouts(ZONEOUT, STEPS, SEQUENCES, 1), "along axis 2"),
        (lambda: zoneouts(1 - ZONEOUT, STEPS, SEQUENCES, UNITS), "rate"),
        (lambda: zoneouts(ZONEOUT, STEPS, SEQUENCES, UNITS) * 2, "values"),
        (lambda: zoneouts(ZONEOUT, STEPS, SEQUENCES, UNITS)[:1], "shape"),
    ],
)
def test_a_mask_that_is_not_random_is_seen(mask, message):
    with pytest.raises(AssertionError, match=message):
        check_mask(ZONEOUT, mask())


@pytest.mark.parametrize("kind", KINDS)
def test_inference_is_not_random(kind):
    layer, x = layer_with_masks(kind, **EVERY_MASK)
    before = torch.get_rng_state()
    layer.eval()(x)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_makes_the_masks(kind):
    for option in fitting(kind, EVERY_MASK):
        layer, x = layer_with_masks(kind, **{option: EVERY_MASK[option]})
        outputs = []
        for seed, graph in ((1, True), (1, True), (1, False), (2, True)):
            torch.manual_seed(seed)
            with torch.set_grad_enabled(graph):
                outputs.append(layer(x)[0])
        first, again, without_a_graph, another = outputs
        assert torch.equal(again, first)
        assert torch.equal(without_a_graph, first)
        assert not torch.equal(another, first)
