"""What every recurrent cell is: one step, with parameters of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from grukit.core.errors import ParameterError, must_be
from grukit.nn import parameters
from grukit.nn.arguments import (
    check_flags,
    check_proj_size,
    check_rates,
    check_sense,
    checked_zoneout,
    describe,
    each,
    goes_with,
)
from grukit.nn.masks import Masks, drop_mask, zoneout_mask
from grukit.nn.states import columns
from grukit.ops.recurrence import Recurrence


class RecurrentCell(nn.Module):
    """A cell in the manner of torch.nn.GRUCell; GRUCell, LSTMCell and RNNCell are its kinds."""

    recurrence: ClassVar[Recurrence]
    weight_ih: Tensor
    _suffixes: ClassVar[tuple[str, ...]] = ("",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        variant: str = "",
        proj_size: int = 0,
        layer_norm: bool = False,
        zoneout: float | tuple[float, float] = 0.0,
        recurrent_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        input_dropout: float = 0.0,
        learned_state: bool = False,
    ) -> None:
        super().__init__()
        cell = self.recurrence.cell
        self._variant = variant
        check_flags(layer_norm=layer_norm, learned_state=learned_state)
        check_rates(
            recurrent_dropout=recurrent_dropout,
            candidate_dropout=candidate_dropout,
            input_dropout=input_dropout,
        )
        check_proj_size(proj_size, hidden_size)
        check_sense(
            cell,
            self._variant,
            proj_size=(proj_size, "w_hr"),
            recurrent_dropout=(recurrent_dropout, "drop_h"),
            candidate_dropout=(candidate_dropout, "drop_n"),
        )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self.proj_size = proj_size
        self.layer_norm = layer_norm
        self.zoneout = checked_zoneout(cell, zoneout)
        self.recurrent_dropout = float(recurrent_dropout)
        self.candidate_dropout = float(candidate_dropout)
        self.input_dropout = float(input_dropout)
        self.learned_state = learned_state
        shapes = parameters.shapes(
            cell,
            input_size,
            hidden_size,
            proj_size=proj_size,
            bias=bias,
            layer_norm=layer_norm,
            learned_state=learned_state,
        )
        self._names = tuple(shapes)
        parameters.register(self, shapes, device=device, dtype=dtype)
        if not bias:
            self.register_parameter("bias_ih", None)
            if cell.recurrent:
                self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases from U(-1/sqrt(H), 1/sqrt(H)), as torch does.

        Gains of layer norm are one, its shift of the cell and the learned states zero.
        """
        parameters.reset(self, self._names, self.hidden_size)

    @property
    def gates(self) -> int:
        """The number of gates, of hidden_size rows each."""
        return self.recurrence.cell.gates

    def masks(self, batch: int) -> Masks:
        """The dropout masks of one sequence of so many rows, for all of its steps.

        In eval mode, and for rates of zero, there is nothing to drop, and they are None.
        """
        return Masks(
            **{
                name: drop_mask(self.weight_ih, (batch, size), rate)
                for name, (rate, size) in self._drops().items()
                if rate and self.training
            }
        )

    def forward(self, input: Tensor, hx: Any = None, masks: Masks | None = None) -> Any:
        """The next state [B, H] or [H] from an input [B, I] or [I] and a state.

        hx: [B, H] or [H], for an LSTM a pair; zero, or the learned state, if None.
        masks: those of this sequence, from masks(batch); needed in training mode if the cell
            has dropout, since they are the same for all steps.

        Raises ValueError for a wrong number of dimensions or masks that are missing, RuntimeError
        for wrong sizes or dtypes.
        """
        name = type(self).__name__
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        batched = input.dim() == 2
        x = input if batched else input[None]
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {input.shape[-1]} "
                f"expected {self.input_size}"
            )
        states = self._states(x, hx, batched)
        for what, tensor in (("input", x), *(("hx", state) for state in states)):
            if not goes_with(tensor, self.weight_ih.dtype):
                raise RuntimeError(
                    f"{what} must be {self.weight_ih.dtype}, as the weights, got {tensor.dtype}"
                )
        masks = self._checked(masks, x.shape[0])
        given: dict[str, Any] = parameters.weights(self, self._names) | dict(
            zip(("h0", "c0"), states, strict=False)
        )
        for index, rate in enumerate(each(self.zoneout, len(states))):
            if rate:
                shape = (1, *states[index].shape)
                mask = zoneout_mask(x, shape, rate, self.training)
                given[("keep_h", "keep_c")[index]] = mask
        _, *final = self.recurrence(
            (x if masks.input is None else x * masks.input)[None],
            **given,
            drop_h=masks.recurrent,
            drop_n=masks.candidate,
            variant=self._variant,
        )
        state = tuple(final if batched else (t[0] for t in final))
        return state if self.recurrence.cell.has_c else state[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + describe(
            bias=(self.bias, True),
            **self._own_settings(),
            proj_size=(self.proj_size, 0),
            layer_norm=(self.layer_norm, False),
            zoneout=(self.zoneout, 0.0),
            recurrent_dropout=(self.recurrent_dropout, 0.0),
            candidate_dropout=(self.candidate_dropout, 0.0),
            input_dropout=(self.input_dropout, 0.0),
            learned_state=(self.learned_state, False),
        )

    def _own_settings(self) -> dict[str, tuple[Any, Any]]:
        """The settings that only this kind has, with their defaults, for the repr."""
        return {}

    def _drops(self) -> dict[str, tuple[float, int]]:
        """The rate and the width of each mask."""
        return {
            "input": (self.input_dropout, self.input_size),
            "recurrent": (self.recurrent_dropout, self.proj_size or self.hidden_size),
            "candidate": (self.candidate_dropout, self.hidden_size),
        }

    def _checked(self, masks: Masks | None, batch: int) -> Masks:
        if masks is None:
            masks = Masks()
        if not isinstance(masks, Masks):
            raise ParameterError(f"masks must be from masks(batch), got {type(masks).__name__}")
        for name, (rate, size) in self._drops().items():
            mask = getattr(masks, name)
            if mask is None:
                if rate and self.training:
                    raise ParameterError(
                        f"the {name} mask must be given in training mode, since a sequence has "
                        "the same for all its steps: draw it once with masks(batch)"
                    )
            elif mask.shape != (batch, size):
                wanted = f"of shape {[batch, size]}"
                raise ParameterError(must_be(f"the {name} mask", wanted, list(mask.shape)))
        return masks

    def _states(self, x: Tensor, hx: Any, batched: bool) -> tuple[Tensor, ...]:
        """The states [B, H], after torch's checks."""
        cell, name = self.recurrence.cell, type(self).__name__
        projected = self.proj_size or self.hidden_size
        sizes = [projected if cell.projects_state else self.hidden_size]
        sizes += [self.hidden_size] * cell.has_c
        if hx is None:
            if self.learned_state:
                return tuple(parameters.first_states(self, cell, x.shape[0]))
            return tuple(x.new_zeros((x.shape[0], size)) for size in sizes)
        given = tuple(state for (state,) in columns(hx, cell.has_c))
        for h in given:
            if h.dim() not in (1, 2):
                raise ValueError(f"{name}: Expected hidden to be 1D or 2D, got {h.dim()}D instead")
        states = given if batched else tuple(h[None] for h in given)
        for h, size in zip(states, sizes, strict=True):
            if h.dim() != 2 or h.shape[0] != x.shape[0] or h.shape[1] != size:
                raise RuntimeError(
                    f"Expected hidden size {(x.shape[0], size)}, got {list(h.shape)}"
                )
        return states
