"""Layers with every option beside the plain loops of papers.py, on the same numbers and masks."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import papers
import pytest
import torch

from grukit.nn import GRU, LSTM, RNN
from grukit.nn import layer as layers
from grukit.testing import assert_close, compare, gradients
from grukit.testing.gradients import random_like

TIME, BATCH, INPUT, HIDDEN, PROJECTED, MODELS = 5, 3, 4, 8, 6, 2

KINDS = {
    "gru": (GRU, {}),
    "gru before": (GRU, {"reset_after": False}),
    "lstm": (LSTM, {}),
    "rnn": (RNN, {}),
    "rnn relu": (RNN, {"nonlinearity": "relu"}),
}

# Each mask has a rate of its own, by which it is known.
ZONEOUT, ZONEOUT_CELL, RECURRENT, CANDIDATE, INPUTS = 0.4, 0.3, 0.25, 0.35, (0.2, 0.15)
MASK_OF = {ZONEOUT: "zoneout", ZONEOUT_CELL: "zoneout_cell", RECURRENT: "recurrent"}
MASK_OF |= {CANDIDATE: "candidate", INPUTS[0]: "input", INPUTS[1]: "input"}

DTYPES = [torch.float64, torch.float32]

ONE_ALONE = {
    "plain": {},
    "no bias": {"bias": False},
    "two layers": {"num_layers": 2},
    "both ways": {"bidirectional": True},
    "projection": {"proj_size": PROJECTED},
    "layer norm": {"layer_norm": True},
    "zoneout": {"zoneout": ZONEOUT},
    "recurrent dropout": {"recurrent_dropout": RECURRENT},
    "candidate dropout": {"candidate_dropout": CANDIDATE},
    "input dropout": {"input_dropout": INPUTS[0]},
    "learned state": {"learned_state": True, "hx": False},
    "residual": {"num_layers": 3, "residual": True},
    "sizes": {"hidden_size": [8, 5]},
    "models": {"models": MODELS},
    "one input for all models": {"models": MODELS, "shared": True},
    "lengths": {"lengths": True},
    "resets": {"resets": True},
}
EVERY_MASK = {
    "zoneout": ZONEOUT,
    "recurrent_dropout": RECURRENT,
    "candidate_dropout": CANDIDATE,
    "input_dropout": INPUTS[0],
}
BOTH = {"bidirectional": True, "lengths": True, "resets": True}
TOGETHER = {
    "both ways with lengths and resets": BOTH,
    "every mask": {**EVERY_MASK, **BOTH},
    "every mask on two layers": {**EVERY_MASK, "num_layers": 2, "input_dropout": INPUTS},
    "layer norm without bias": {"layer_norm": True, "bias": False},
    "layer norm and projection": {"layer_norm": True, "proj_size": PROJECTED, **BOTH},
    "layer norm and every mask": {"layer_norm": True, **EVERY_MASK},
    "projection and every mask": {"proj_size": PROJECTED, **EVERY_MASK, **BOTH},
    "learned state at resets": {"learned_state": True, **BOTH},
    "learned state throughout": {"learned_state": True, "hx": False, "num_layers": 2, **BOTH},
    "residual of projections": {
        "num_layers": 3,
        "residual": True,
        "proj_size": PROJECTED,
        "hidden_size": [8, 7, 9],
        **BOTH,
    },
    "zoneout of a learned state": {
        "zoneout": ZONEOUT,
        "learned_state": True,
        "layer_norm": True,
        "hx": False,
        **BOTH,
    },
    "sizes of models": {"models": MODELS, "hidden_size": [8, 5], "learned_state": True, **BOTH},
    "every mask of models": {"models": MODELS, "shared": True, **EVERY_MASK, **BOTH},
    "all at once": {
        **EVERY_MASK,
        **BOTH,
        "input_dropout": INPUTS,
        "models": MODELS,
        "hidden_size": [8, 9],
        "proj_size": PROJECTED,
        "layer_norm": True,
        "learned_state": True,
        "residual": True,
        "hx": False,
    },
}
OPTIONS = ONE_ALONE | TOGETHER


def fitting(kind, options):
    """The options without those that make no sense for the kind; a pair of zoneouts for LSTM."""
    options = dict(options)
    if kind == "gru before" and options.pop("proj_size", None) and "residual" in options:
        options["hidden_size"] = [HIDDEN] * len(options["hidden_size"])
    if kind.startswith("rnn"):
        options.pop("candidate_dropout", None)
    if kind == "lstm" and "zoneout" in options:
        options["zoneout"] = (ZONEOUT, ZONEOUT_CELL)
    return options


class Case:
    """A layer with random parameters, its arguments, and the facts that the papers need."""

    def __init__(self, kind, options):
        module, of_kind = KINDS[kind]
        options = {"hidden_size": HIDDEN, "hx": True, **options}
        given = {name: options.pop(name, None) for name in ("hx", "shared", "lengths", "resets")}
        self.options, self.of_kind = options, of_kind
        self.layer = module(INPUT, **options, **of_kind)
        self.kind = kind.split()[0]
        self.places = [
            f"l{layer}" + "_reverse" * reverse
            for layer in range(self.layer.num_layers)
            for reverse in range(1 + self.layer.bidirectional)
        ]
        for parameter in self.layer.parameters():
            # Gains of one and states of zero would hide that they are not used, and large gains
            # would magnify every rounding: layer norm divides by the size of the state.
            parameter.data = 0.5 * parameter.data + 0.3 * torch.randn(parameter.shape)

        own = (MODELS,) if self.layer.models and not given["shared"] else ()
        self.x = torch.randn(*own, TIME, BATCH, INPUT)
        self.call = {}
        if given["resets"]:
            self.call["resets"] = torch.rand(*own, TIME, BATCH) < 0.4
        if given["lengths"]:
            lengths = torch.tensor([3, TIME, 0])
            self.call["lengths"] = lengths if not own else torch.stack([lengths, lengths.flip(0)])
            steps = torch.arange(TIME)[:, None]
            padding = steps >= self.call["lengths"].unsqueeze(-2)
            self.x[padding] = torch.nan
        self.state = self.random_state() if given["hx"] else None

    def random_state(self):
        """For each place the parts, [B, H] each, or [K, B, H]."""
        leading = (MODELS, BATCH) if self.layer.models else (BATCH,)
        _, final = self.layer(self.x, **self.call)
        return [
            tuple(torch.randn(*leading, part.shape[-1]) for part in parts)
            for parts in self.by_place(final)
        ]

    def by_place(self, hx):
        """The parts (h,) or (h, c) of each layer and direction, from a state of the layer."""
        parts = hx if self.kind == "lstm" else (hx,)
        columns = [
            [state for group in groups for state in group.unbind(-3)]
            for groups in ([part] if isinstance(part, torch.Tensor) else part for part in parts)
        ]
        return list(zip(*columns, strict=True))

    def as_hx(self, state):
        """A state of the layer from the parts of each layer and direction."""
        columns = list(zip(*state, strict=True))
        if isinstance(self.layer.hidden_size, int):
            parts = tuple(torch.stack(column, -3) for column in columns)
        else:
            ways = 1 + self.layer.bidirectional
            parts = tuple(
                tuple(torch.stack(column[i : i + ways], -3) for i in range(0, len(column), ways))
                for column in columns
            )
        return parts if self.kind == "lstm" else parts[0]

    def of_layer(self, dtype):
        """The results of the layer."""
        layer = copy.deepcopy(self.layer).to(dtype)

        def run(x, state):
            output, final = layer(x, None if state is None else self.as_hx(state), **self.call)
            return output, self.by_place(final)

        return self.results(run, dict(layer.named_parameters()), dtype)

    def of_papers(self, dtype, drawn):
        """The results of the plain loops, with the masks that the layer has drawn."""
        parameters = {
            name: parameter.detach().to(dtype, copy=True).requires_grad_()
            for name, parameter in self.layer.named_parameters()
        }
        masks = self.masks([(rate, mask.to(dtype)) for rate, mask in drawn])
        facts = {
            "num_layers": self.layer.num_layers,
            "bidirectional": self.layer.bidirectional,
            "residual": self.layer.residual,
            **self.of_kind,
            **self.call,
        }

        def run(x, state):
            if models := self.layer.models:
                of_models = [of_model(masks, k) for k in range(models)]
                return papers.ensemble(
                    self.kind, parameters, x, state, models=models, masks=of_models, **facts
                )
            return papers.network(self.kind, parameters, x, state, masks=masks, **facts)

        return self.results(run, parameters, dtype)

    def masks(self, drawn):
        """The masks of each place; in inference zoneout is its rate."""
        if not self.layer.training:
            rates = self.options.get("zoneout", 0.0)
            hidden, cell = rates if self.kind == "lstm" and rates else (rates, 0.0)
            return dict.fromkeys(self.places, papers.Masks(zoneout=hidden, zoneout_cell=cell))
        found = {}
        for rate, mask in drawn:
            found.setdefault(MASK_OF[rate], []).append(mask)
        ways = 1 + self.layer.bidirectional
        # Both directions of a layer have the same input.
        if "input" in found:
            found["input"] = [mask.squeeze(-3) for mask in found["input"] for _ in range(ways)]
        assert all(len(masks) == len(self.places) for masks in found.values())
        return {
            place: papers.Masks(**{name: masks[index] for name, masks in found.items()})
            for index, place in enumerate(self.places)
        }

    def results(self, run, parameters, dtype):
        """Output, final states and all gradients of run(x, state), by name."""
        x = self.x.to(dtype, copy=True).requires_grad_()
        state, leaves = None, {"x": x, **parameters}
        if self.state is not None:
            state = [
                tuple(part.to(dtype, copy=True).requires_grad_() for part in parts)
                for parts in self.state
            ]
            leaves |= named(self.places, state, "initial")
        output, final = run(x, state)
        outputs = {"output": output, **named(self.places, final, "final")}
        # What float32 holds exactly, so that all have the same cotangents.
        seeds = random_like([torch.empty(t.shape) for t in outputs.values()])
        seeds = [seed.to(dtype) for seed in seeds]
        return {**outputs, **gradients(list(outputs.values()), leaves, seeds)}


def named(places, state, which):
    """The parts of a state, by name."""
    return {
        f"{which} {letter} of {place}": part
        for place, parts in zip(places, state, strict=True)
        for letter, part in zip("hc", parts, strict=False)
    }


def of_model(masks, k):
    """The masks of one model."""
    return {
        place: papers.Masks(*(m[k] if isinstance(m, torch.Tensor) else m for m in own))
        for place, own in masks.items()
    }


@contextmanager
def watched(fault=lambda mask: mask):
    """A list that gets (rate, mask) for every mask that layers draw.

    fault: what a faulty layer makes of its masks.
    """
    drawn = []

    def watching(draw):
        def drawing(like, shape, rate, *training):
            mask = draw(like, shape, rate, *training)
            drawn.append((rate, mask))
            return fault(mask)

        return drawing

    with pytest.MonkeyPatch.context() as patch:
        for name in ("drop_mask", "zoneout_mask"):
            patch.setattr(layers, name, watching(getattr(layers, name)))
        yield drawn


def compare_results(got, oracle, plain):
    """Ours in float64 within 1e-10, in another dtype as close as the plain loop in that dtype."""
    assert got.keys() == oracle.keys()
    # The plain loop may be lucky with one gradient: its largest error counts, at the scale of each.
    scales = {name: max(1.0, truth.abs().max().item()) for name, truth in oracle.items()}
    worst = max((plain[name] - oracle[name]).abs().max().item() / scales[name] for name in oracle)
    for name, truth in oracle.items():
        if got[name].dtype == torch.float64:
            assert_close(got[name], truth, name)
        else:
            of_plain = (truth + worst * scales[name]).to(plain[name].dtype)
            compare(got[name], truth, of_plain, what=name)


def results(kind, options, training, dtype, fault=lambda mask: mask):
    """Those of the layer, of the papers, and of the papers in the layer's dtype."""
    case = Case(kind, fitting(kind, options))
    case.layer.train(training)
    with watched(fault) as drawn:
        got = case.of_layer(dtype)
    oracle = case.of_papers(torch.float64, drawn)
    return got, oracle, oracle if dtype == torch.float64 else case.of_papers(dtype, drawn)
