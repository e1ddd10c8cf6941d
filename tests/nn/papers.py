"""The recurrent layers as their papers write them: the oracle of the tests.

One sequence and one step at a time, vectors only, nothing shared with src/grukit. It is slow and
meant to be read beside the papers:

    Cho 2014          Cho et al., arXiv:1406.1078, section 2.3 (version 3; version 1 resets after
                      the product): the GRU
    Hochreiter 1997   Hochreiter and Schmidhuber, Long Short-Term Memory; with the forget gate of
                      Gers et al. 2000, Learning to Forget, and no peepholes
    Elman 1990        Finding Structure in Time: the plain RNN
    Sak 2014          Sak et al., arXiv:1402.1128: projection
    Ba 2016           Ba et al., arXiv:1607.06450, section 3.1 and supplement: layer normalization
    Krueger 2017      Krueger et al., arXiv:1606.01305: zoneout
    Gal 2016          Gal and Ghahramani, arXiv:1512.05287: one dropout mask for all steps, on the
                      input and on the state
    Semeniuta 2016    Semeniuta et al., arXiv:1603.05118: dropout of the candidate

Sizes: T time, B batch, I input, H hidden, P projection, K models, L layers, D directions.
A dict `w` has the weights of one layer and direction under the layer's own names without suffix.
What is in it says what the layer does: `weight_hr` projects, `gain_ih` and `gain_hh` normalize,
`h0` (and `c0`) is the learned state.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import sigmoid, tanh


class Masks(NamedTuple):
    """The noise of one layer and direction; the defaults are none."""

    input: torch.Tensor | float = 1.0
    """[B, I], 0 or 1 / (1 - rate): what of x_t enters, the same at every step (Gal 2016)."""
    recurrent: torch.Tensor | float = 1.0
    """[B, H or P], 0 or 1 / (1 - rate): what of h_{t-1} enters the products (Gal 2016)."""
    candidate: torch.Tensor | float = 1.0
    """[B, H], 0 or 1 / (1 - rate): what of the candidate enters (Semeniuta 2016)."""
    zoneout: torch.Tensor | float = 0.0
    """[T, B, H or P], 1 where h_{t-1} stays; in inference its expectation (Krueger 2017)."""
    zoneout_cell: torch.Tensor | float = 0.0
    """[T, B, H], the same for c_{t-1} of the LSTM."""

    def at(self, t: int, b: int) -> Masks:
        """The vectors of step t of sequence b."""

        def of(mask, *index):
            return mask[index] if isinstance(mask, torch.Tensor) else mask

        return Masks(
            of(self.input, b),
            of(self.recurrent, b),
            of(self.candidate, b),
            of(self.zoneout, t, b),
            of(self.zoneout_cell, t, b),
        )


def normalized(a):
    """Ba 2016, section 3: (a - mean) / standard deviation over the units, 1e-5 in the root."""
    mean = a.mean()
    variance = ((a - mean) ** 2).mean()
    return (a - mean) / torch.sqrt(variance + 1e-5)


def product(w, side, rows, v):
    """W v + b of some rows, or LN(W v) * gain + b (Ba 2016, section 3.1); side: ih or hh."""
    a = w[f"weight_{side}"][rows] @ v
    if f"gain_{side}" in w:
        a = w[f"gain_{side}"][rows] * normalized(a)
    if f"bias_{side}" in w:
        a = a + w[f"bias_{side}"][rows]
    return a


def projected(w, h):
    """Sak 2014: the recurrent projection W_hr h."""
    return w["weight_hr"] @ h if "weight_hr" in w else h


def zoned_out(k, before, after):
    """Krueger 2017: a unit keeps its state where k is 1, and takes the new one where it is 0."""
    return k * before + (1 - k) * after


def gru_step(w, x, state, m, *, reset_after=True):
    """Cho 2014, equations 5 to 8, with z h_{t-1} + (1 - z) n: (output, (h,)).

    Ba 2016, supplement: r and z are normalized together, the candidate on its own.
    """
    (h,) = state
    hidden = len(h)
    gates, candidate = slice(2 * hidden), slice(2 * hidden, None)
    x = x * m.input
    d = projected(w, h) * m.recurrent
    r, z = sigmoid(product(w, "ih", gates, x) + product(w, "hh", gates, d)).split(hidden)
    if reset_after:
        n = tanh(product(w, "ih", candidate, x) + r * product(w, "hh", candidate, d))
    else:
        n = tanh(product(w, "ih", candidate, x) + product(w, "hh", candidate, r * d))
    h = zoned_out(m.zoneout, h, z * h + (1 - z) * (n * m.candidate))
    return projected(w, h), (h,)


def lstm_step(w, x, state, m):
    """Hochreiter 1997 with the forget gate of Gers 2000: (output, (h, c)).

    Ba 2016, supplement: all gates are normalized together, and so is the cell before its tanh.
    Krueger 2017: h comes from the cell as it was before zoneout.
    """
    h, c = state
    every = slice(None)
    a = product(w, "ih", every, x * m.input) + product(w, "hh", every, h * m.recurrent)
    i, f, g, o = a.split(len(c))
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    new_c = f * c + i * (g * m.candidate)
    shown = w["gain_c"] * normalized(new_c) + w["bias_c"] if "gain_c" in w else new_c
    h = zoned_out(m.zoneout, h, projected(w, o * tanh(shown)))
    return h, (h, zoned_out(m.zoneout_cell, c, new_c))


def rnn_step(w, x, state, m, *, nonlinearity="tanh"):
    """Elman 1990: (output, (h,))."""
    (h,) = state
    every = slice(None)
    a = product(w, "ih", every, x * m.input) + product(w, "hh", every, h * m.recurrent)
    new = {"tanh": tanh, "relu": torch.relu}[nonlinearity](a)
    h = zoned_out(m.zoneout, h, projected(w, new))
    return h, (h,)


def fresh_state(kind, w):
    """What a sequence starts from, as vectors: the learned state, or zero."""
    gates = {"gru": 3, "lstm": 4, "rnn": 1}[kind]
    hidden = len(w["weight_hh"]) // gates
    # The state of a projected GRU keeps its H units; those of LSTM and RNN are the projection.
    width = hidden if kind == "gru" else w["weight_hh"].shape[1]
    h = w["h0"] if "h0" in w else w["weight_hh"].new_zeros(width)
    if kind != "lstm":
        return (h,)
    return h, w["c0"] if "c0" in w else w["weight_hh"].new_zeros(hidden)


def sequences(kind, w, x, state, masks, lengths, resets, reverse, options):
    """One layer in one direction over x [T, B, I]: (output [T, B, H or P], state).

    state: one [B, ...] for each part, or None for a fresh one. Steps from lengths[b] on do not
    count: their output is zero, and the state passes them by. A new sequence starts at step t
    where resets[t, b]. In reverse time runs from the last step that counts to the first: the
    sequence that starts at step t then ends there, so that step t - 1 begins afresh.
    """
    step = {"gru": gru_step, "lstm": lstm_step, "rnn": rnn_step}[kind]
    time, batch = x.shape[:2]
    fresh = fresh_state(kind, w)
    outputs, finals = [], []
    for b in range(batch):
        h = fresh if state is None else tuple(part[b] for part in state)
        count = time if lengths is None else int(lengths[b])
        column = [x.new_zeros(w["weight_hh"].shape[1])] * time
        for t in reversed(range(count)) if reverse else range(count):
            start = t + 1 if reverse else t
            if resets is not None and start < count and resets[start, b]:
                h = fresh
            column[t], h = step(w, x[t, b], h, masks.at(t, b), **options)
        outputs.append(torch.stack(column))
        finals.append(h)
    return torch.stack(outputs, dim=1), tuple(
        torch.stack(part) for part in zip(*finals, strict=True)
    )


def network(
    kind,
    parameters,
    x,
    state=None,
    *,
    num_layers=1,
    bidirectional=False,
    residual=False,
    masks=None,
    lengths=None,
    resets=None,
    **options,
):
    """Layers on top of each other over x [T, B, I]: (output [T, B, D * H], state).

    kind: gru, lstm or rnn. parameters: as in dict(layer.named_parameters()). state: for each
    layer and direction, in the order of torch, the parts (h,) or (h, c), each [B, ...]; None is a
    fresh one. masks: the Masks of "l0", "l0_reverse", "l1" and so on; none for a name not there.
    options: reset_after of the GRU, nonlinearity of the RNN.
    """
    finals = []
    for layer in range(num_layers):
        outputs = []
        for reverse in (False, True)[: 1 + bidirectional]:
            suffix = f"l{layer}" + "_reverse" * reverse
            w = {
                name.removesuffix(f"_{suffix}"): parameter
                for name, parameter in parameters.items()
                if name.endswith(f"_{suffix}")
            }
            given = None if state is None else state[len(finals)]
            noise = (masks or {}).get(suffix, Masks())
            output, final = sequences(kind, w, x, given, noise, lengths, resets, reverse, options)
            outputs.append(output)
            finals.append(final)
        # He et al. 2016 (arXiv:1512.03385), from the second layer on.
        output = torch.cat(outputs, dim=-1)
        x = output + x if residual and layer > 0 else output
    return x, finals


def ensemble(
    kind, parameters, x, state=None, *, models, masks=None, lengths=None, resets=None, **facts
):
    """K networks, one after the other: (output [K, T, B, D * H], state, each part [K, B, ...]).

    parameters: [K, ...] each. x [K, T, B, I], lengths [K, B] and resets [K, T, B]: without the
    axis K one for all. state: as of `network`, each part [K, B, ...]. masks: a dict per model.
    """

    def of(tensor, k, dims):
        return tensor[k] if tensor is not None and tensor.dim() > dims else tensor

    outputs, finals = [], []
    for k in range(models):
        output, final = network(
            kind,
            {name: parameter[k] for name, parameter in parameters.items()},
            of(x, k, 3),
            None if state is None else [tuple(part[k] for part in parts) for parts in state],
            masks=None if masks is None else masks[k],
            lengths=of(lengths, k, 1),
            resets=of(resets, k, 2),
            **facts,
        )
        outputs.append(output)
        finals.append(final)
    return torch.stack(outputs), [
        tuple(torch.stack(part) for part in zip(*place, strict=True))
        for place in zip(*finals, strict=True)
    ]
