"""Backends with a fault each, and what must be said of it."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import NamedTuple

import torch

from grukit.ops import RECURRENCES, sequence
from grukit.ops.contract import FLOATS, SAVE_ALL, Arguments
from grukit.ops.dispatch import Backend
from grukit.ops.gru.reference import GRU
from grukit.ops.projection import normalize, product

EVERY_OPTION = "every_option_equals_the_definition"


class Sabotage(NamedTuple):
    """A backend with a fault, the check that must find it, and what must be told of it.

    Plain cases come first, so that one found with an option is none without it.
    """

    backend: Backend
    check: str = EVERY_OPTION
    told: str = "from the float64 oracle"
    op: str = "gru"


def reference(op="gru"):
    return RECURRENCES[op].backends[-1]


def forward_of(change=None, results=None, op="gru"):
    """The reference with the tensors of its forward changed, or its results."""

    def forward(tensors, *others):
        found = reference(op).forward(change(tensors) if change else tensors, *others)
        return tuple(results(list(found), tensors)) if results else found

    return replace(reference(op), forward=forward)


def backward_of(change=None, gradients=None, op="gru"):
    """The reference with the tensors of its backward changed, or its gradients."""

    def backward(tensors, *others):
        found = reference(op).backward(change(tensors) if change else tensors, *others)
        return {**found, **gradients(found)} if gradients else found

    return replace(reference(op), backward=backward)


def stepping(step):
    """The GRU with another step, which takes the true one before its arguments."""
    cell = replace(GRU, step=functools.partial(step, GRU.step))
    return replace(reference(), forward=functools.partial(sequence.forward, cell))


def put(change, *names):
    """Tensors of these names changed, where they are there."""

    def changed(tensors):
        found = {name: getattr(tensors, name) for name in names}
        return tensors._replace(**{n: change(t) for n, t in found.items() if t is not None})

    return changed


def without(*names):
    return lambda tensors: tensors._replace(**dict.fromkeys(names))


def scaled(name, factor):
    return lambda found: {name: found[name] * factor} if name in found else {}


def output_of(change):
    return lambda results, tensors: [change(results[0]), *results[1:]]


def with_rows(*order):
    """The gates of all weights in another order."""

    def change(tensors):
        for name in ("w_ih", "w_hh", "b_ih", "b_hh", "gain_ih", "gain_hh"):
            axis = -2 if name.startswith("w") else -1
            tensors = put(
                lambda t, axis=axis: torch.cat(
                    [t.chunk(len(order), axis)[gate] for gate in order], axis
                ),
                name,
            )(tensors)
        return tensors

    return change


def swaps_z(step, of_x, states, *others):
    _, kept = step(of_x, states, *others)
    _, z, n, _ = kept
    return (torch.lerp(states[0], n, z),), kept


def as_variant(variant, op):
    def forward(tensors, _, *others):
        return reference(op).forward(tensors, variant, *others)

    return replace(reference(op), forward=forward)


def always_forwards(tensors, variant, reverse, save):
    return reference().forward(tensors, variant, False, save)


def everywhere_the_first(keep):
    return keep[..., :1, :, :].expand_as(keep)


def drops_the_carry(step, of_x, states, a, recurrent, tensors, variant):
    if tensors.drop_h is not None and tensors.w_hr is None:
        states = (states[0] * tensors.drop_h,)
    return step(of_x, states, a, recurrent, tensors, variant)


def drops_the_state(step, *arguments):
    """The mask of the candidate on all of the new state."""
    *others, tensors, variant = arguments
    (h,), kept = step(*others, tensors._replace(drop_n=None), variant)
    return (h if tensors.drop_n is None else h * tensors.drop_n,), kept


def norms_after_the_bias(step, of_x, states, a, recurrent, tensors, variant):
    def projected(projection, a):
        if projection.gain is None:
            return projection(a)
        biased = product(a, projection.w, projection.b)
        return normalize(biased, projection.sizes)[0] * projection.gain

    own = [functools.partial(projected, projection) for projection in recurrent]
    return step(of_x, states, a, own, tensors, variant)


def by_models(change, *names):
    """Tensors changed where there is a model axis."""
    changed = put(change, *names)
    return lambda tensors: changed(tensors) if tensors.x.dim() == 4 else tensors


def sums_over_models(found):
    dw = found["w_ih"]
    return {"w_ih": dw.sum(0, keepdim=True).expand_as(dw)} if dw.dim() == 3 else {}


def reads_unwritten_memory(output):
    return output + 0 * torch.empty_like(output)


def forgets_a_lane(output):
    if output.shape[-1] in (17, 33):
        return torch.cat([output[..., :-1], output[..., -1:] * 1.01], dim=-1)
    return output


def fails_when_empty(tensors):
    if tensors.x.numel() == 0:
        raise RuntimeError("nothing to do")
    return tensors


def lets_padding_through(x):
    return x + 0 * x.sum(-3, keepdim=True)


def hands_back_its_state(results, tensors):
    nothing = tensors.x.shape[-3] == 0
    return [results[0], tensors.h0 if nothing else results[1], *results[2:]]


def as_if_contiguous(tensors):
    def raw(tensor):
        if tensor is None or tensor.is_contiguous():
            return tensor
        return tensor.as_strided(tensor.shape, torch.empty(tensor.shape).stride())

    return Arguments(*map(raw, tensors[:FLOATS]), *tensors[FLOATS:])


def saves_always(tensors, variant, reverse, save):
    return reference().forward(tensors, variant, reverse, save or SAVE_ALL)


def wants_dx_always(*arguments):
    wants = arguments[-1]
    return reference().backward(*arguments[:-1], wants if "x" in wants else ("x", *wants))


def gives_a_bias_alone_wrongly(*arguments):
    found = reference().backward(*arguments)
    return {"b_ih": 1.01 * found["b_ih"]} if found.keys() == {"b_ih"} else found


def recomputes_wrongly(tensors, *others):
    found = reference().backward(tensors, *others)
    return found if others[-2] == SAVE_ALL else {name: t * 1.01 for name, t in found.items()}


def saves_all_instead_of_states(tensors, variant, reverse, save):
    return reference().forward(tensors, variant, reverse, save and SAVE_ALL)


ALL_TOGETHER = replace(GRU, variants={**GRU.variants, "after": ((3,),)})
EQUATIONS = {
    "swaps r and z": Sabotage(forward_of(with_rows(1, 0, 2))),
    "swaps f and g": Sabotage(forward_of(with_rows(0, 2, 1, 3), op="lstm"), op="lstm"),
    "swaps z and 1 - z": Sabotage(stepping(swaps_z)),
    "ignores where the reset acts": Sabotage(
        as_variant("after", "gru"), told="variant='before'.*oracle"
    ),
    "swaps z and n": Sabotage(forward_of(with_rows(1, 0), op="mingru"), op="mingru"),
    "ignores which g": Sabotage(
        as_variant("plain", "mingru"), told="variant='positive'.*oracle", op="mingru"
    ),
    "ignores which activation": Sabotage(
        as_variant("tanh", "rnn"), told="variant='relu'.*oracle", op="rnn"
    ),
    **{
        f"drops a bias of {op}": Sabotage(
            forward_of(
                put(torch.zeros_like, "b_hh" if recurrence.cell.recurrent else "b_ih"), op=op
            ),
            told="bias=True.*oracle",
            op=op,
        )
        for op, recurrence in RECURRENCES.items()
    },
    "forgets the gradient of h0": Sabotage(
        backward_of(gradients=scaled("h0", 0)), told="dh0 of.*oracle"
    ),
    "forgets the gradient of c0": Sabotage(
        backward_of(gradients=scaled("c0", 0), op="lstm"), told="dc0 of.*oracle", op="lstm"
    ),
    "scales a gradient": Sabotage(
        backward_of(gradients=scaled("w_hh", 1.01)), told="dw_hh of.*oracle"
    ),
    "forgets a gradient": Sabotage(
        replace(
            reference(),
            backward=lambda *arguments: {
                name: t for name, t in reference().backward(*arguments).items() if name != "w_ih"
            },
        ),
        told=r"must give \[.*'dw_ih'.*, got",
    ),
}
TIME = {
    "shifts the output": Sabotage(forward_of(results=output_of(lambda o: o.roll(1, -3)))),
    "ignores lengths": Sabotage(forward_of(without("lengths")), told="lengths=True.*oracle"),
    "ignores resets": Sabotage(forward_of(without("resets")), told="resets=True.*oracle"),
    "ignores the direction": Sabotage(
        replace(reference(), forward=always_forwards), told="reverse=True.*oracle"
    ),
    "forgets lengths backward": Sabotage(
        backward_of(without("lengths")), told="lengths=True.*oracle"
    ),
    "forgets resets backward": Sabotage(backward_of(without("resets")), told="resets=True.*oracle"),
}
OPTIONS = {
    "mixes up models": Sabotage(
        forward_of(by_models(lambda x: x.flip(0), "x")), told="models=2.*oracle"
    ),
    "takes the weights of one model for all": Sabotage(
        forward_of(by_models(lambda w: w[:1].expand_as(w), "w_hh")), told="models=2.*oracle"
    ),
    "sums a gradient over models": Sabotage(
        backward_of(gradients=sums_over_models), told="dw_ih of.*models=2.*oracle"
    ),
    **{
        f"drops the gradient of the projection of {op}": Sabotage(
            backward_of(gradients=scaled("w_hr", 0), op=op),
            told="dw_hr of.*proj_size=4.*oracle",
            op=op,
        )
        for op, recurrence in RECURRENCES.items()
        if recurrence.cell.recurrent
    },
    "norms all rows together": Sabotage(
        replace(reference(), forward=functools.partial(sequence.forward, ALL_TOGETHER)),
        told="layer_norm=True.*oracle",
    ),
    "norms after the bias": Sabotage(
        stepping(norms_after_the_bias), told="layer_norm=True.*oracle"
    ),
    "leaves out the norm of c": Sabotage(
        forward_of(without("gain_c", "bias_c"), op="lstm"),
        told="layer_norm=True.*oracle",
        op="lstm",
    ),
    "drops the carry too": Sabotage(stepping(drops_the_carry), told="drop_h=True.*oracle"),
    "drops without scaling": Sabotage(
        forward_of(put(torch.sign, "drop_h")), told="drop_h=True.*oracle"
    ),
    "forgets drop_h backward": Sabotage(backward_of(without("drop_h")), told="drop_h=True.*oracle"),
    "drops all of the state with the candidate": Sabotage(
        stepping(drops_the_state), told="drop_n=True.*oracle"
    ),
    "forgets drop_n backward": Sabotage(
        backward_of(without("drop_n"), op="lstm"), told="drop_n=True.*oracle", op="lstm"
    ),
    "shifts the mask of zoneout": Sabotage(
        forward_of(put(lambda keep: keep.roll(1, -3), "keep_h")), told="zoneout='mask'.*oracle"
    ),
    "takes the first mask of zoneout everywhere": Sabotage(
        forward_of(put(everywhere_the_first, "keep_h")), told="zoneout='mask'.*oracle"
    ),
    "takes the mask of h for c": Sabotage(
        forward_of(lambda tensors: tensors._replace(keep_c=tensors.keep_h), op="lstm"),
        told="zoneout='mask'.*oracle",
        op="lstm",
    ),
    "keeps what zoneout changes": Sabotage(
        forward_of(put(lambda keep: 1 - keep, "keep_h"), op="rnn"),
        told="zoneout='mask'.*oracle",
        op="rnn",
    ),
    "forgets zoneout in eval mode": Sabotage(
        forward_of(put(lambda keep: keep * (keep.numel() > 1), "keep_h")),
        told="zoneout='rate'.*oracle",
    ),
    "forgets zoneout backward": Sabotage(
        backward_of(without("keep_h")), told="zoneout='mask'.*oracle"
    ),
    "ignores the fresh state": Sabotage(forward_of(without("fresh_h")), told="fresh=True.*oracle"),
    "forgets the gradient of the fresh state": Sabotage(
        backward_of(gradients=scaled("fresh_c", 0), op="lstm"),
        told="dfresh_c of.*fresh=True.*oracle",
        op="lstm",
    ),
}
MANNERS = {
    "mixes the batch": Sabotage(
        forward_of(results=output_of(lambda o: o + 1e-3 * o.mean(-2, keepdim=True)))
    ),
    "computes in half precision": Sabotage(
        forward_of(results=output_of(lambda output: output.half().to(output.dtype)))
    ),
    "answers in float32": Sabotage(
        forward_of(results=output_of(torch.Tensor.float)),
        told="output of.*must be torch.float64, got torch.float32",
    ),
    "reads unwritten memory": Sabotage(
        forward_of(results=output_of(reads_unwritten_memory)), told="nan from the float64 oracle"
    ),
    "forgets a lane": Sabotage(
        forward_of(results=output_of(forgets_a_lane)),
        "every_size_equals_the_definition",
        "hidden_size=17.*oracle",
    ),
    "fails when empty": Sabotage(forward_of(fails_when_empty), "empty_sizes_work", "nothing to do"),
    "lets padding through": Sabotage(
        forward_of(put(lets_padding_through, "x")),
        "padding_does_not_leak",
        "lengths=True.*nan from the float64 oracle",
    ),
    "takes a length below zero for one above": Sabotage(
        forward_of(put(torch.abs, "lengths")), "lengths_beyond_the_ends_act_as_the_ends"
    ),
    "assumes contiguous memory": Sabotage(forward_of(as_if_contiguous), "strides_do_not_matter"),
    "keeps another reserve": Sabotage(
        forward_of(results=lambda results, _: [*results[:-1], results[-1].flip(0)]),
        "the_reserve_is_as_the_contract_says",
    ),
    "keeps too much": Sabotage(
        forward_of(results=lambda results, _: [*results[:-1], results[-1].repeat(2, 1, 1, 1)]),
        "the_reserve_is_as_the_contract_says",
        r"the reserve of Case.* must be \(\(4, 5, 3, 6\), .*got \(\(8, 5, 3, 6\)",
    ),
    "saves always": Sabotage(
        replace(reference(), forward=saves_always),
        "without_saving_nothing_is_kept",
        "without saving the reserve must be empty",
    ),
    "hands back its state": Sabotage(
        forward_of(results=hands_back_its_state),
        "arguments_are_left_alone",
        "h of Case.* is an argument, handed back",
    ),
    "spoils its input": Sabotage(
        forward_of(put(lambda x: x.mul_(1.5), "x")),
        "arguments_are_left_alone",
        "an argument of Case.* was changed",
    ),
    "computes dx always": Sabotage(
        replace(reference(), backward=wants_dx_always),
        "gradients_nobody_wants_are_left_out",
        r"must be of \('h0',\), got \['x'\]",
    ),
    "gives a gradient alone wrongly": Sabotage(
        replace(reference(), backward=gives_a_bias_alone_wrongly),
        "gradients_nobody_wants_are_left_out",
        r"db_ih of Case.*, wanting \('b_ih',\)",
    ),
    "recomputes wrongly": Sabotage(
        replace(reference(), backward=recomputes_wrongly),
        "recomputing_changes_nothing",
        "recompute=True.*oracle",
    ),
    "saves all instead of states": Sabotage(
        replace(reference(), forward=saves_all_instead_of_states),
        "the_reserve_is_as_the_contract_says",
        r"the reserve of Case.* must be \(\(0, 5, 3, 6\), .*got \(\(4, 5, 3, 6\)",
    ),
}
SABOTAGE = {**EQUATIONS, **TIME, **OPTIONS, **MANNERS}
