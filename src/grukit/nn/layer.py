"""What every recurrent layer is: a cell stacked, in one or both directions, over sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

from grukit.core.errors import ParameterError, must_be
from grukit.nn import parameters
from grukit.nn.arguments import (
    check_dropout,
    check_flags,
    check_models,
    check_proj_size,
    check_rates,
    check_sense,
    check_size,
    checked_input_dropout,
    checked_lengths,
    checked_zoneout,
    describe,
    each,
    goes_with,
    has_shape,
    hidden_sizes,
)
from grukit.nn.inference import Inference
from grukit.nn.masks import drop_mask, zoneout_mask
from grukit.nn.packing import run_packed
from grukit.nn.quick import Pool
from grukit.nn.states import StateForm, States, map_state
from grukit.nn.streaming import Streams
from grukit.ops.contract import Arguments
from grukit.ops.packed import forget_packed
from grukit.ops.recurrence import Recurrence


class Layer(nn.Module):
    """A recurrent layer in the manner of torch.nn.GRU; GRU, LSTM and RNN are its kinds.

    A kind names its recurrence and, as `Trace`, what its trace holds; everything else follows.
    """

    recurrence: ClassVar[Recurrence]
    Trace: ClassVar[Any]
    weight_ih_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        variant: str = "",
        layer_norm: bool = False,
        zoneout: float | tuple[float, float] = 0.0,
        recurrent_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        input_dropout: float | Sequence[float] = 0.0,
        learned_state: bool = False,
        residual: bool = False,
        models: int | None = None,
        recompute: bool = False,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        cell = self.recurrence.cell
        check_size("input_size", input_size)
        self._sizes = hidden_sizes(hidden_size, num_layers)
        check_dropout(dropout, len(self._sizes))
        check_flags(
            bias=bias,
            batch_first=batch_first,
            layer_norm=layer_norm,
            learned_state=learned_state,
            residual=residual,
            recompute=recompute,
        )
        check_proj_size(proj_size, min(self._sizes))
        check_rates(recurrent_dropout=recurrent_dropout, candidate_dropout=candidate_dropout)
        check_models(models)
        self._variant = variant
        check_sense(
            cell,
            self._variant,
            proj_size=(proj_size, "w_hr"),
            recurrent_dropout=(recurrent_dropout, "drop_h"),
            candidate_dropout=(candidate_dropout, "drop_n"),
        )
        if residual and len(set(self._sizes)) > 1 and not proj_size:
            raise ParameterError(
                must_be("residual", "off for hidden sizes that differ", self._sizes)
            )
        self.input_size = input_size
        self.hidden_size = hidden_size if isinstance(hidden_size, int) else tuple(hidden_size)
        self.num_layers = len(self._sizes)
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.layer_norm = layer_norm
        self.zoneout = checked_zoneout(cell, zoneout)
        self.recurrent_dropout = float(recurrent_dropout)
        self.candidate_dropout = float(candidate_dropout)
        self.input_dropout = checked_input_dropout(input_dropout, self.num_layers)
        self.learned_state = learned_state
        self.residual = residual
        self.recompute = recompute
        self.backend = backend
        self._set_models(models)
        self._steps, self._sequences = Pool(Streams), Pool(Inference)

        for layer, size in enumerate(self._sizes):
            shapes = parameters.shapes(
                cell,
                input_size if layer == 0 else self._output_size(layer - 1) * self._directions,
                size,
                proj_size=proj_size,
                bias=bias,
                layer_norm=layer_norm,
                learned_state=learned_state,
            )
            self._names = tuple(shapes)
            for reverse in self._reverses:
                suffix = _suffix(layer, reverse)
                parameters.register(self, shapes, suffix, models, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases from U(-1/sqrt(H), 1/sqrt(H)), as torch does.

        Gains of layer norm are one, its shift of the cell and the learned states zero.
        """
        for layer, size in enumerate(self._sizes):
            for reverse in self._reverses:
                parameters.reset(self, self._names, size, _suffix(layer, reverse))

    def flatten_parameters(self) -> None:
        """Copy or pack the weights anew for inference, after a change that torch does not see.

        Changes of single elements through `.data`, or from outside torch, are not seen.
        """
        self._steps.clear()
        self._sequences.clear()
        forget_packed(self.parameters())

    @property
    def gates(self) -> int:
        """The number of gates, of hidden_size rows each."""
        return self.recurrence.cell.gates

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The weights of each layer and direction, in torch's order."""
        return [
            list(parameters.weights(self, self._names, suffix).values())
            for suffix in self._suffixes
        ]

    def forward(
        self,
        input: Any,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> Any:
        """Output of the last layer at every step, and the final state of every layer.

        input: [T, B, I], [B, T, I] with batch_first, [T, I] unbatched, or a PackedSequence. T
            and B may be 0. With models [K, T, B, I] or [K, B, T, I], or one input [T, B, I] or
            [B, T, I] for all models.
        hx: state before the first step [L * D, B, H] ([L * D, H] unbatched; a model axis
            before), for an LSTM a pair (h, c). If None it is zero, or the learned state. With
            one hidden size per layer a tuple with [D, B, H] for each. With a projection the h
            of an LSTM or RNN has size P.
        lengths: [B] ([1] unbatched), in any order and on any device, how many steps of each
            sequence count; 0 is allowed. Output past a length is zero, the final state that at
            the length. With models also [K, B].
        resets: bool, [T, B] ([B, T], [T] as the input): a new sequence starts at this step,
            from a fresh state. With these several sequences lie end to end in one row. With
            models also [K, T, B].

        Returns output [T, B, D * H] ([T, B, D * P] with a projection), laid out as the input,
        and the final state, as hx. Raises ValueError or RuntimeError, as torch.nn, for
        arguments that do not fit.
        """
        if lengths is None and resets is None and not torch.is_grad_enabled():
            found = self._sequences.run(self, input, hx)
            if found is not None:
                return found
        if isinstance(input, PackedSequence):
            return run_packed(self, input, hx, lengths, resets)
        x, states, lengths, resets = self._time_major(input, hx, lengths, resets)
        output, finals = self._run(x, states, lengths, resets, self.training)
        final = self._form.join(finals)
        if self.models is None and input.dim() == 2:
            return output[:, 0], map_state(final, lambda t: t[:, 0])
        return (output.transpose(-3, -2) if self.batch_first else output), final

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One step of a stream: the output [B, H] and the state after it.

        x: [B, I], or [I] unbatched; with models [K, B, I], or one [B, I] for all models.
        state: what the step before gave, or forward; as hx there.

        As in eval mode, whatever the mode, and without a graph. Step by step this gives what
        ``forward`` gives for the sequence. Raises ParameterError if the layer is bidirectional.
        """
        found = self._steps.run(self, x, state)
        return self._step(x, state) if found is None else found

    @torch.no_grad()
    def _step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        if self.bidirectional:
            raise ParameterError("step must be of a layer in one direction, got a bidirectional")
        self._check_layout(x, *((1, 2) if self.models is None else (2, 3)))
        unbatched = x.dim() == 1
        if self.models is not None:
            x = x.expand(self.models, *x.shape[-2:])
        if unbatched:
            x = x[None]
            if state is not None:
                self._form.check_dims(state, 2, "unbatched 1-D input")
                state = map_state(state, lambda t: t[:, None])
        states = self._states(x.unsqueeze(-3), state, batch=x.shape[-2])
        keeps = self._keeps(x, (), training=False)
        finals = []
        for layer in range(self.num_layers):
            given = dict(zip(("h0", "c0"), states[layer], strict=False))
            weights = self._weights(layer, False)
            output, final = self.recurrence.step(
                x, **given, **weights, **keeps, variant=self._variant
            )
            x = output + x if self.residual and layer else output
            finals.append(final)
        final = self._form.join(finals)
        return (x[0], map_state(final, lambda t: t[:, 0])) if unbatched else (x, final)

    def trace(
        self,
        input: Tensor,
        hx: Any = None,
        *,
        layer: int = 0,
        reverse: bool = False,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> Any:
        """Gates and states of one layer and direction at every step.

        Takes the arguments of ``forward``, except a PackedSequence, and computes as in eval
        mode; each part of the record is [T, B, H], laid out as the input. Raises
        ParameterError if there is no such layer or direction.
        """
        x, given = self._place(input, hx, layer, reverse, lengths, resets)
        parts = self.recurrence.trace(x, **given, variant=self._variant, reverse=reverse)
        names = {"hidden": "h", "cell": "c"}
        fields: tuple[str, ...] = self.Trace._fields
        traced = {name: parts[names.get(name) or name] for name in fields}
        return self.Trace(**self._laid_out(traced, input))

    def sums(
        self,
        input: Tensor,
        hx: Any = None,
        *,
        layer: int = 0,
        reverse: bool = False,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """What is added up inside the gates of one layer and direction at every step.

        Takes the arguments of ``trace``. By name, laid out as the input: "of_x" and "of_h", the
        shares of the input and of the state with their biases, [T, B, G] in the order of the
        weights' rows; "before", the state h that the step began with, [T, B, H].

        >>> import torch
        >>> from grukit.nn import RNN
        >>> layer, x = RNN(3, 4), torch.zeros(5, 2, 3)
        >>> sums = layer.sums(x)
        >>> torch.equal(torch.tanh(sums["of_x"] + sums["of_h"]), layer.trace(x).hidden)
        True
        """
        x, given = self._place(input, hx, layer, reverse, lengths, resets)
        parts = self.recurrence.sums(x, **given, variant=self._variant, reverse=reverse)
        return self._laid_out(parts, input)

    def steps(
        self,
        input: Tensor,
        hx: Any = None,
        *,
        layer: int = 0,
        reverse: bool = False,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, States, Callable[..., States]]:
        """One layer and direction as a function of one step, of ordinary torch ops.

        Takes the arguments of ``trace``; lengths and resets only reach the layers below. Gives
        what enters the layer, [T, B, I]; its states before the first step, h or h and c, [B, H]
        each; and step(x [B, I], *states) -> states, as in eval mode, which may be differentiated
        in every way.
        """
        x, given = self._place(input, hx, layer, reverse, lengths, resets)
        states = tuple(own for own in (given["h0"], given.get("c0")) if own is not None)
        weights = self._weights(layer, reverse) | self._keeps(x, (), training=False)

        def step(x: Tensor, *states: Tensor) -> States:
            named = dict(zip(("h0", "c0"), states, strict=False))
            return self.recurrence.step(x, **named, **weights, variant=self._variant)[1]

        return x, states, step

    def _place(
        self,
        input: Tensor,
        hx: Any,
        layer: int,
        reverse: bool,
        lengths: Tensor | Sequence[int] | None,
        resets: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor | None]]:
        """What enters one layer and direction, [T, B, I], and the op's other arguments."""
        self._check_place(input, layer, reverse)
        x, states, lengths, resets = self._time_major(input, hx, lengths, resets)
        for below in range(layer):
            x, _ = self._run_layer(below, x, states, lengths, resets, training=False)
        return x, self._given(layer, reverse, x, states, lengths, resets, training=False)

    def _laid_out(self, parts: dict[str, Tensor], input: Tensor) -> dict[str, Tensor]:
        """[T, B, ...] each, as the input is."""
        if self.models is None and input.dim() == 2:
            return {name: part[:, 0] for name, part in parts.items()}
        if self.batch_first:
            return {name: part.transpose(-3, -2) for name, part in parts.items()}
        return parts

    def explain(
        self,
        input: Tensor,
        hx: Any = None,
        *,
        layer: int = 0,
        reverse: bool = False,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> str:
        """Which backends can run one layer and direction of such a call, and why the others not.

        Takes the arguments of ``trace`` and runs nothing. The first backend that can run it does,
        unless `backend` or GRUKIT_BACKEND names another.

        >>> import torch
        >>> from grukit.nn import GRU
        >>> print(GRU(3, 4).explain(torch.zeros(5, 2, 3)).splitlines()[-1])
        reference: can run it
        """
        self._check_place(input, layer, reverse)
        x, states, lengths, resets = self._time_major(input, hx, lengths, resets)
        if layer:
            width = self._output_size(layer - 1) * self._directions
            x = x.new_zeros(()).expand(*x.shape[:-1], width)
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            given = self._given(layer, reverse, x, states, lengths, resets, self.training)
        return self.recurrence.explain(
            x, **given, variant=self._variant, reverse=reverse, recompute=self.recompute
        )

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + describe(
            proj_size=(self.proj_size, 0),
            num_layers=(self.num_layers if isinstance(self.hidden_size, int) else 1, 1),
            bias=(self.bias, True),
            batch_first=(self.batch_first, False),
            dropout=(self.dropout, 0.0),
            bidirectional=(self.bidirectional, False),
            **self._own_settings(),
            layer_norm=(self.layer_norm, False),
            zoneout=(self.zoneout, 0.0),
            recurrent_dropout=(self.recurrent_dropout, 0.0),
            candidate_dropout=(self.candidate_dropout, 0.0),
            input_dropout=(self.input_dropout, 0.0),
            learned_state=(self.learned_state, False),
            residual=(self.residual, False),
            models=(self.models, None),
            recompute=(self.recompute, False),
            backend=(self.backend, None),
        )

    def _own_settings(self) -> dict[str, tuple[Any, Any]]:
        """The settings that only this kind has, with their defaults, for the repr."""
        return {}

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _reverses(self) -> tuple[bool, ...]:
        return (False, True) if self.bidirectional else (False,)

    @property
    def _suffixes(self) -> tuple[str, ...]:
        """What the parameters of each layer and direction are told apart by, in torch's order."""
        layers = range(self.num_layers)
        return tuple(_suffix(layer, reverse) for layer in layers for reverse in self._reverses)

    def _output_size(self, layer: int) -> int:
        return self.proj_size or self._sizes[layer]

    def _set_models(self, models: int | None) -> None:
        cell = self.recurrence.cell
        sizes = []
        for layer, size in enumerate(self._sizes):
            h = self._output_size(layer) if cell.projects_state else size
            sizes.append((h, size) if cell.has_c else (h,))
        apart = not isinstance(self.hidden_size, int)
        self.models = models
        self._form = StateForm(tuple(sizes), self._directions, models, apart)

    def _weights(self, layer: int, reverse: bool) -> dict[str, Any]:
        return parameters.weights(self, self._names, _suffix(layer, reverse))

    def _run(
        self,
        x: Tensor,
        states: list[States],
        lengths: Tensor | None,
        resets: Tensor | None,
        training: bool,
    ) -> tuple[Tensor, list[States]]:
        finals = []
        for layer in range(self.num_layers):
            x, ends = self._run_layer(layer, x, states, lengths, resets, training)
            finals += ends
            if layer < self.num_layers - 1:
                x = dropout(x, self.dropout, training)
        return x, finals

    def _run_layer(
        self,
        layer: int,
        x: Tensor,
        states: list[States],
        lengths: Tensor | None,
        resets: Tensor | None,
        training: bool,
    ) -> tuple[Tensor, list[States]]:
        below = x
        if training and self.input_dropout:
            rate = each(self.input_dropout, self.num_layers)[layer]
            if rate:
                x = x * drop_mask(x, (*x.shape[:-3], 1, *x.shape[-2:]), rate)
        calls = []
        for reverse in self._reverses:
            given = self._given(layer, reverse, x, states, lengths, resets, training)
            calls.append((Arguments(x, **given), reverse))  # type: ignore[arg-type]
        found = self.recurrence.together(
            calls, variant=self._variant, recompute=self.recompute, backend=self.backend
        )
        outputs = [results[0] for results in found]
        output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        finals = [tuple(results[1:]) for results in found]
        return (output + below if self.residual and layer else output), finals

    def _given(
        self,
        layer: int,
        reverse: bool,
        x: Tensor,
        states: list[States],
        lengths: Tensor | None,
        resets: Tensor | None,
        training: bool,
    ) -> dict[str, Tensor | None]:
        """The arguments of the op beside x."""
        *leading, time, batch, _ = x.shape
        own = states[layer * self._directions + int(reverse)]
        given = self._weights(layer, reverse)
        given.update(zip(("h0", "c0"), own, strict=False))
        given["lengths"], given["resets"] = lengths, resets
        if self.learned_state and resets is not None:
            cell, suffix = self.recurrence.cell, _suffix(layer, reverse)
            fresh = parameters.first_states(self, cell, batch, suffix)
            given |= dict(zip(parameters.STATES.values(), fresh, strict=False))
        if training and self.recurrent_dropout:
            shape = (*leading, batch, self._output_size(layer))
            given["drop_h"] = drop_mask(x, shape, self.recurrent_dropout)
        if training and self.candidate_dropout:
            shape = (*leading, batch, self._sizes[layer])
            given["drop_n"] = drop_mask(x, shape, self.candidate_dropout)
        if self.zoneout:
            shapes = [(*leading, time, batch, size) for size in self._form.sizes[layer]]
            given |= self._keeps(x, shapes, training)
        return given

    def _keeps(self, x: Tensor, shapes: Sequence[Any], training: bool) -> dict[str, Tensor | None]:
        """The zoneout masks."""
        states = len(self._form.sizes[0])
        rates = zip(("keep_h", "keep_c"), each(self.zoneout, states), strict=False)
        return {
            name: zoneout_mask(x, shapes[index] if training else (), rate, training)
            for index, (name, rate) in enumerate(rates)
            if rate
        }

    def _time_major(
        self,
        input: Tensor,
        hx: Any,
        lengths: Tensor | Sequence[int] | None,
        resets: Tensor | None,
    ) -> tuple[Tensor, list[States], Tensor | None, Tensor | None]:
        """The arguments as [T, B, I], states, [B] and [T, B], all with the model axis."""
        self._check_layout(input, *((2, 3) if self.models is None else (3, 4)))
        unbatched = self.models is None and input.dim() == 2
        x = input[:, None] if unbatched else input
        if self.batch_first and not unbatched:
            x = x.transpose(-3, -2)
        if self.models is not None:
            x = x.expand(self.models, *x.shape[-3:])
        if unbatched and hx is not None:
            self._form.check_dims(hx, 2, "unbatched 2-D input")
            hx = map_state(hx, lambda t: t[:, None])
        states = self._states(x, hx, batch=x.shape[-2])
        if lengths is not None:
            lengths = checked_lengths(lengths, x)
        if resets is not None:
            resets = torch.as_tensor(resets)
            shape = input.shape[:1] if unbatched else input.shape[-3:-1]
            fits = has_shape(resets, shape, (*x.shape[:-3], *shape))
            if not fits or resets.dtype != torch.bool:
                got = (list(resets.shape), resets.dtype)
                wanted = f"bool of shape {list(shape)}"
                raise ParameterError(must_be("resets", wanted, got))
            resets = resets.to(x.device)
            if unbatched:
                resets = resets[:, None]
            elif self.batch_first:
                resets = resets.transpose(-2, -1)
            resets = resets.expand(x.shape[:-1])
        return x, states, lengths, resets

    def _states(self, x: Tensor, hx: Any, batch: int) -> list[States]:
        """The initial states, after the checks that torch makes on input and state."""
        dtype = self.weight_ih_l0.dtype
        if not goes_with(x, dtype):
            raise ValueError(
                f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}), or convert model: model.to({x.dtype})"
            )
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {x.shape[-1]}"
            )
        if hx is None:
            return self._initial(x, batch)
        return self._form.split(hx, x, batch)

    def _initial(self, x: Tensor, batch: int) -> list[States]:
        """Learned or zero states."""
        if not self.learned_state:
            return self._form.zeros(x, batch)
        cell = self.recurrence.cell
        return [
            tuple(parameters.first_states(self, cell, batch, suffix)) for suffix in self._suffixes
        ]

    def _check_place(self, input: Any, layer: int, reverse: bool) -> None:
        """Raise ParameterError for a packed input, or if there is no such layer or direction."""
        if isinstance(input, PackedSequence):
            raise ParameterError("input must be padded, with lengths=, got a PackedSequence")
        if layer not in range(self.num_layers):
            raise ParameterError(must_be("layer", f"from 0 to {self.num_layers - 1}", layer))
        if reverse not in self._reverses:
            raise ParameterError(must_be("reverse", "False for one direction", reverse))

    def _check_layout(self, input: Tensor, *dims: int) -> None:
        """Raise for another number of dimensions, as torch does, or of models."""
        if input.dim() not in dims:
            wanted = " or ".join(f"{count}D" for count in dims)
            raise ValueError(
                f"{type(self).__name__}: Expected input to be {wanted}, got {input.dim()}D instead"
            )
        if self.models is not None and input.dim() == dims[-1] and input.shape[0] != self.models:
            raise RuntimeError(f"input must have {self.models} models, got {list(input.shape)}")


def _suffix(layer: int, reverse: bool) -> str:
    return f"_l{layer}{'_reverse' if reverse else ''}"
