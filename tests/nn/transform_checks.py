"""Transforms of a layer beside the plain result: the checks of docs/reference/transforms.md.

A check returns a note, if there is one to make. It raises AssertionError where the transform gives
another result, and Refused where it gives none. Its docstring is on the page.
"""

from __future__ import annotations

import contextlib
import functools
import io
from unittest import mock

import torch
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.utils import _pytree as pytree

from grukit.nn import layer as layers

INPUT, HIDDEN, PROJECTED, MODELS, SAMPLES = 3, 6, 4, 2, 2
STEP = 1e-6
"""Of finite differences."""
SEED = 3


class Refused(Exception):
    """What a transform that raises says, its first line."""


class Case:
    """Layers of one kind with random parameters, and their inputs, all in float64."""

    def __init__(self, kind, options, training):
        options = {"hidden_size": HIDDEN, **options}
        self.given = {name: options.pop(name, False) for name in ("lengths", "resets")}
        self.layers = [kind(INPUT, **options).double().train(training) for _ in range(SAMPLES)]
        self.layer = self.layers[0]
        for layer in self.layers:
            for parameter in layer.parameters():
                # Gains of one and states of zero would hide that they are not used.
                parameter.data += 0.2 * torch.randn_like(parameter)
        self.weights = {name: p.detach() for name, p in self.layer.named_parameters()}

    def inputs(self, time=4, batch=2):
        """Random arguments of forward, by name."""
        own = () if self.layer.models is None else (self.layer.models,)
        found = {"input": torch.randn(*own, time, batch, INPUT, dtype=torch.float64)}
        if not self.layer.learned_state:
            found["hx"] = pytree.tree_map(torch.randn_like, self.layer(**found)[1])
        if self.given["lengths"]:
            found["lengths"] = torch.randint(0, time + 1, (*own, batch))
        if self.given["resets"]:
            found["resets"] = torch.rand(*own, time, batch) < 0.4
        return found

    def samples(self):
        """Several such arguments, stacked."""
        return stack([self.inputs() for _ in range(SAMPLES)])

    def run(self, weights, inputs):
        """Output and final states as a list."""
        return pytree.tree_leaves(functional_call(self.layer, weights, kwargs=inputs))


def attempt(call, *arguments, **options):
    """What the call returns; Refused if it raises an error."""
    try:
        return call(*arguments, **options)
    except (RuntimeError, ValueError) as error:
        raise Refused(str(error).strip().partition("\n")[0]) from error


def seeded(call, *arguments, **options):
    """What the call returns with the random numbers that follow one seed."""
    torch.manual_seed(SEED)
    return call(*arguments, **options)


def assert_same(got, wanted, tolerance=1e-9):
    torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)


def stack(trees):
    return pytree.tree_map(lambda *parts: torch.stack(parts), *trees)


def copied(tree):
    """A copy of a tree whose floating tensors take gradients, and these as a list."""
    tree = pytree.tree_map(lambda t: t.detach().clone().requires_grad_(t.is_floating_point()), tree)
    return tree, [t for t in pytree.tree_leaves(tree) if t.requires_grad]


def loss(results):
    return sum(result.sin().sum() for result in results)


def gradients(results, leaves, **options):
    return torch.autograd.grad(
        loss(results), leaves, allow_unused=True, materialize_grads=True, **options
    )


def compiled(layer):
    torch._dynamo.reset()
    return torch.compile(layer, fullgraph=True, backend="aot_eager")


def compile_inference(case):
    """`torch.compile(fullgraph=True)` without gradients, with eager"""
    with torch.no_grad():
        inputs, call = case.inputs(), compiled(case.layer)
        assert_same(attempt(seeded, call, **inputs), seeded(case.layer, **inputs))


def compile_training(case):
    """`torch.compile(fullgraph=True)`, results and all gradients, with eager"""
    inputs, leaves = copied(case.inputs())
    leaves += case.layer.parameters()

    def step(call):
        results = pytree.tree_leaves(call(**inputs))
        return results, gradients(results, leaves)

    assert_same(attempt(seeded, step, compiled(case.layer)), seeded(step, case.layer))


def export(case):
    """`torch.export` for any time and batch, saved as .pt2 and loaded, with eager"""
    time, batch = torch.export.Dim("time"), torch.export.Dim("batch")
    axes = {"input": {-3: time, -2: batch}, "hx": {-2: batch}}
    axes |= {"lengths": {-1: batch}, "resets": {-2: time, -1: batch}}

    def of_tensor(name, t):
        return {t.dim() + axis: size for axis, size in axes[name].items()}

    with torch.no_grad():
        inputs = case.inputs()
        shapes = {
            name: pytree.tree_map(functools.partial(of_tensor, name), given)
            for name, given in inputs.items()
        }
        program = attempt(torch.export.export, case.layer, (), inputs, dynamic_shapes=shapes)
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        loaded = torch.export.load(file).module()
        for sizes in ((7, 3), (1, 1)):
            inputs = case.inputs(*sizes)
            assert_same(attempt(seeded, loaded, **inputs), seeded(case.layer, **inputs))


def vmap_over_inputs(case):
    """over input, states, lengths and resets, results and gradients, with a loop"""
    samples, leaves = copied(case.samples())

    def run(inputs, drawing):
        with drawing() as drawn:
            return case.run(case.weights, inputs), drawn

    return mapped(run, samples, lambda inputs: case.run(case.weights, inputs), leaves)


def vmap_over_parameters(case):
    """over what `stack_module_state` gives, results and gradients, with a loop"""
    stacked, leaves = copied(stack_module_state(case.layers)[0])
    inputs = case.inputs()

    def run(weights, drawing):
        with drawing() as drawn:
            return case.run(weights, inputs), drawn

    return mapped(run, stacked, lambda weights: case.run(weights, inputs), leaves)


def per_sample_gradient(case):
    """`vmap(grad(loss))` over samples, with a backward pass for each"""

    def of_sample(inputs, drawing):
        def run(weights):
            with drawing() as drawn:
                return loss(case.run(weights, inputs)), drawn

        return grad(run, has_aux=True)(case.weights)

    def plain(inputs):
        weights, leaves = copied(case.weights)
        return dict(zip(weights, gradients(case.run(weights, inputs), leaves), strict=True))

    return mapped(of_sample, case.samples(), plain)


def mapped(function, samples, plain, leaves=()):
    """vmap of a function(sample, drawing) -> (results, masks drawn) beside a loop of `plain`.

    The note says what vmap must be told where the function draws random numbers.
    """

    def by_vmap(drawing=unwatched, **options):
        results, drawn = vmap(functools.partial(function, drawing=drawing), **options)(samples)
        return with_gradients(results), drawn

    def by_loop(*contexts):
        found = []
        for index, context in enumerate(contexts):
            with context:
                found.append(plain(pytree.tree_map(lambda t, index=index: t[index], samples)))
        return with_gradients(stack(found))

    def with_gradients(results):
        return results, gradients(results, leaves) if leaves else ()

    try:
        got, _ = attempt(by_vmap)
    except Refused as refused:
        if "randomness" not in str(refused):
            raise
        note = f'with `randomness="same"` or `"different"`; without it torch says: {refused}'
    else:
        assert_same(got, by_loop(*[contextlib.nullcontext()] * SAMPLES))
        return None

    got, _ = attempt(seeded, by_vmap, randomness="same")
    assert_same(got, by_loop(*(from_the_seed() for _ in range(SAMPLES))))

    got, drawn = attempt(by_vmap, masks, randomness="different")
    assert_same(got, by_loop(*(masks([mask[index] for mask in drawn]) for index in range(SAMPLES))))
    for of_samples in drawn:
        assert not torch.equal(*of_samples), "samples share a mask"
    return note


@contextlib.contextmanager
def from_the_seed():
    torch.manual_seed(SEED)
    yield


@contextlib.contextmanager
def unwatched():
    yield ()


@contextlib.contextmanager
def masks(given=None):
    """A list of the masks that layers draw, which are those given, if any are."""
    drawn, given = [], None if given is None else iter(given)

    def kept(draw):
        def drawing(*arguments):
            drawn.append(draw(*arguments) if given is None else next(given))
            return drawn[-1]

        return drawing

    def between(x, *arguments):
        return x * kept(dropout)(torch.ones_like(x), *arguments)

    dropout = layers.dropout
    instead = {name: kept(getattr(layers, name)) for name in ("drop_mask", "zoneout_mask")}
    with mock.patch.multiple(layers, dropout=between, **instead):
        yield drawn


def forward_derivative(case):
    """of parameters, input and states, also by dual numbers, with finite differences"""
    inputs = case.inputs()
    floats = {name: inputs.pop(name) for name in ("input", "hx") if name in inputs}
    point = pytree.tree_map(torch.Tensor.detach, (case.weights, floats))
    tangent = pytree.tree_map(torch.randn_like, point)

    def run(weights, floats):
        return case.run(weights, {**floats, **inputs})

    def by_dual_numbers():
        with forward_ad.dual_level():
            results = run(*pytree.tree_map(forward_ad.make_dual, point, tangent))
            return [forward_ad.unpack_dual(result).tangent for result in results]

    _, got = attempt(seeded, jvp, run, point, tangent)
    assert_same(got, differences(lambda at: run(*at), point, tangent), 1e-7)
    assert_same(attempt(seeded, by_dual_numbers), got)


def double_backward(case):
    """gradients of gradients along a direction, with finite differences of gradients"""
    point, leaves = copied((case.weights, case.inputs()))
    tangent = pytree.tree_map(
        lambda t: torch.randn_like(t) if t.is_floating_point() else None, point
    )
    along = [t for t in pytree.tree_leaves(tangent) if t is not None]

    def first(at):
        at, leaves = copied(at)
        return gradients(case.run(*at), leaves)

    def second():
        found = gradients(case.run(*point), leaves, create_graph=True)
        return torch.autograd.grad(found, leaves, along, allow_unused=True, materialize_grads=True)

    got = attempt(seeded, second)
    assert_same(got, differences(first, point, tangent), 1e-7)


def differences(function, point, tangent):
    """The derivative of the results along the tangent, by central differences of order four."""

    def moved(steps):
        at = pytree.tree_map(
            lambda t, along: t if along is None else t + steps * STEP * along, point, tangent
        )
        return seeded(function, at)

    return [
        (8 * (ahead - behind) - (further - back)).detach() / (12 * STEP)
        for ahead, behind, further, back in zip(*map(moved, (1, -1, 2, -2)), strict=True)
    ]


CHECKS = {
    "compile, inference": compile_inference,
    "compile, training": compile_training,
    "export": export,
    "vmap over inputs": vmap_over_inputs,
    "vmap over parameters": vmap_over_parameters,
    "per-sample gradient": per_sample_gradient,
    "jvp": forward_derivative,
    "double backward": double_backward,
}
