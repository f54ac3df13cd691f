"""Block Gibbs sampling of a two-layer Boltzmann machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ShapeError
from deepgen.samplers.kernel import EXACT, Exactness, require_state
from deepgen.samplers.positions import require_chains
from deepgen.samplers.target import Beta, check_beta, rowwise

if TYPE_CHECKING:
    from deepgen.explicit.rbm import RBM


class GibbsState(NamedTuple):
    """position: the visible layer ``[chains, visible]``; the hidden layer is redrawn from it and need not be kept."""

    position: Tensor


class GibbsInfo(NamedTuple):
    """hidden: the hidden layer drawn on the way ``[chains, hidden]``; nan: chains that met a NaN field ``[chains]``."""

    hidden: Tensor
    nan: Tensor


@dataclass(frozen=True)
class BlockGibbs:
    """h ~ p_beta(h | v), then v' ~ p_beta(v | h): leaves the visible marginal of p_beta(v, h) invariant, reversibly.

    ``p_beta(v, h)`` is proportional to ``exp(beta (a.v + b.h + v.W.h) - u(v) - u(h))`` (for discrete units the energy
    times beta). Entries under ``clamp`` keep their values, so the chain samples the rest given them.

    Attributes:
        model: the machine.
        beta: inverse temperature, at least 0: a number, or one a chain ``[chains]``.
        clamp: None, or a boolean mask ``[visible]`` or ``[chains, visible]`` of entries to hold; the entries of one
            Softmax group are held together or not at all.

    Raises:
        ArgumentError: ``beta`` negative or not finite, or ``clamp`` parts a Softmax group.
        ShapeError: ``clamp`` is not such a mask.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.BlockGibbs(dg.RBM(visible=4, hidden=3), clamp=torch.tensor([True, True, False, False]))
    >>> state, info = kernel.step(kernel.init(torch.ones(10, 4)), generator=dg.random.generator(0))
    >>> state.position[:, :2].min(), info.hidden.shape
    (tensor(1.), torch.Size([10, 3]))
    """

    model: RBM
    beta: Beta = 1.0
    clamp: Tensor | None = None
    exactness: ClassVar[Exactness] = EXACT

    def __post_init__(self) -> None:
        check_beta(self.beta)
        if self.clamp is None:
            return
        width = self.model.visible.width
        if self.clamp.dtype != torch.bool or self.clamp.ndim not in (1, 2) or self.clamp.shape[-1] != width:
            raise ShapeError(
                f"clamp must be a boolean mask [{width}] or [chains, {width}], "
                f"got {self.clamp.dtype} {list(self.clamp.shape)}"
            )
        self.model.visible.check_mask(self.clamp)

    def at(self, beta: Beta) -> BlockGibbs:
        """The kernel at inverse temperature ``beta``: a number, or one a chain ``[chains]``."""
        return replace(self, beta=beta)

    @torch.no_grad()
    def log_ratio(self, state: GibbsState, old: Beta, new: Beta) -> Tensor:
        """log of the visible marginal's density at ``new`` over that at ``old``: ``[chains]``."""
        v, model = state.position, self.model
        field, cumulant = model.hidden_field(v), model.hidden.cumulant
        hidden = cumulant(rowwise(new, field) * field) - cumulant(rowwise(old, field) * field)
        return hidden + (new - old) * (v @ model.visible_bias)

    def init(self, position: Tensor) -> GibbsState:
        """Return the state at visible values ``[chains, visible]``; they may lie between the units' own.

        Raises:
            ShapeError: no tensor, another width, or another number of chains than ``clamp`` has rows.
        """
        position = require_chains(position, self.model.visible.width)
        if self.clamp is not None and self.clamp.ndim == 2 and len(self.clamp) not in (1, len(position)):
            raise ShapeError(f"clamp has {len(self.clamp)} rows, one per chain, but there are {len(position)} chains")
        return GibbsState(position.to(self.model.weight))

    @torch.no_grad()
    def step(self, state: GibbsState, *, generator: torch.Generator) -> tuple[GibbsState, GibbsInfo]:
        """Resample hidden, then visible: two matrix products."""
        require_state(state, GibbsState)
        beta = rowwise(self.beta, state.position)
        field = beta * self.model.hidden_field(state.position)
        hidden = self.model.hidden.sample(field, generator=generator)
        back = beta * self.model.visible_field(hidden)
        visible = self.model.visible.sample(back, generator=generator)
        if self.clamp is not None:
            visible = torch.where(self.clamp, state.position, visible)
        return GibbsState(visible), GibbsInfo(hidden, field.isnan().any(-1) | back.isnan().any(-1))
