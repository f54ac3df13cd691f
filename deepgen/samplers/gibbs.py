"""Block Gibbs sampling of a two-layer Boltzmann machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError
from deepgen.samplers.kernel import EXACT, Exactness

if TYPE_CHECKING:
    from deepgen.explicit.rbm import RBM


class GibbsState(NamedTuple):
    """position: the visible layer ``[chains, visible]``; the hidden layer is redrawn from it and need not be kept."""

    position: Tensor


class GibbsInfo(NamedTuple):
    """hidden: the hidden layer drawn on the way ``[chains, hidden]``; nan: chains whose fields are NaN ``[chains]``."""

    hidden: Tensor
    nan: Tensor


@dataclass(frozen=True)
class BlockGibbs:
    """h ~ p_beta(h | v), then v' ~ p_beta(v | h): leaves the visible marginal of p_beta(v, h) invariant, reversibly.

    ``p_beta(v, h)`` is proportional to ``exp(beta (a.v + b.h + v.W.h) - u(v) - u(h))`` (for discrete units the energy
    times beta). Entries under ``clamp`` keep their values, so the chain samples the rest given them.

    Attributes:
        model: the machine.
        beta: inverse temperature, at least 0.
        clamp: None, or a boolean mask ``[visible]`` or ``[chains, visible]`` of entries to hold.
    """

    model: RBM
    beta: float = 1.0
    clamp: Tensor | None = None
    exactness: ClassVar[Exactness] = EXACT

    def __post_init__(self) -> None:
        if not self.beta >= 0:
            raise ArgumentError(f"beta must be at least 0, got {self.beta}")
        if self.clamp is not None and (
            self.clamp.dtype != torch.bool or self.clamp.shape[-1:] != (self.model.visible.width,)
        ):
            raise ShapeError(
                f"clamp must be a boolean mask [..., {self.model.visible.width}], "
                f"got {self.clamp.dtype} {list(self.clamp.shape)}"
            )

    def init(self, position: Tensor) -> GibbsState:
        """Return the state at visible values ``[chains, visible]``."""
        if position.ndim != 2 or position.shape[1] != self.model.visible.width:
            raise ShapeError(f"position must be [chains, {self.model.visible.width}], got {list(position.shape)}")
        return GibbsState(position.to(self.model.weight.dtype))

    @torch.no_grad()
    def step(self, state: GibbsState, *, generator: torch.Generator) -> tuple[GibbsState, GibbsInfo]:
        """Resample hidden, then visible: two matrix products."""
        field = self.beta * self.model.hidden_field(state.position)
        hidden = self.model.hidden.sample(field, generator=generator)
        visible = self.model.visible.sample(self.beta * self.model.visible_field(hidden), generator=generator)
        if self.clamp is not None:
            visible = torch.where(self.clamp, state.position, visible)
        return GibbsState(visible), GibbsInfo(hidden, field.sum(-1).isnan())
